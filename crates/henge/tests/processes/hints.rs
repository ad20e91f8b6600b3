//! Owners are away, fallbacks stand in, and what they kept reaches the owners when these are back: INVARIANTS A3, C4, F1.

use crate::common::patience::wait_until;
use crate::common::resp::Reply;
use crate::common::servers::Servers;

const KEYSPACES: &str =
    "[[keyspaces]]\nname = \"default\"\n[[keyspaces]]\nname = \"firm\"\nquorum = \"strict\"\n";

/// Two of five nodes are killed, so that of three owners up to two are away, and as many fallbacks are there. A strict keyspace refuses what it has too few
/// owners for; a sloppy one takes every write, says that stand-ins had a part in it, and the holders are killed too before
/// they could give away anything. When all are back each owner gets what it missed, and nobody has to read it.
#[test]
fn what_stand_ins_keep_survives_them_and_reaches_its_owners() {
    let mut servers = Servers::start(5, KEYSPACES);
    servers.kill(1);
    servers.kill(2);
    let (mut refused, mut connection) = (0, servers.resp(3, "default"));
    let mut firm = servers.resp(4, "firm");
    let keys: Vec<String> = (0..60).map(|number| format!("key{number}")).collect();
    for key in &keys {
        assert_eq!(connection.ask(&["SET", key.as_str(), "kept"]), Reply::ok());
        if let Reply::Error(text) = firm.ask(&["SET", key.as_str(), "firm"]) {
            assert!(text.starts_with("UNAVAILABLE"), "{text}");
            refused += 1;
        }
    }
    assert!(refused > 0, "some keys have two owners that are away");
    assert_eq!(connection.ask(&["GET", "key0"]), Reply::value("kept"));
    let both = |name: &str| [3, 4, 5].map(|node| servers.figure(node, name)).iter().sum::<f64>();
    wait_until("hints to be counted", || both("hints_stored_total") > 0.0);
    let info = connection.ask(&["INFO", "stats"]);
    let marked = info.text().lines().any(|line| {
        line.strip_prefix("stand_in_answers:").is_some_and(|count| count.trim().parse::<u64>().unwrap() > 0)
    });
    assert!(marked, "{}", info.text());

    servers.kill_unnoticed(3);
    servers.kill_unnoticed(4);
    servers.kill_unnoticed(5);
    for node in [3, 4, 5, 1, 2] {
        servers.launch(node);
    }
    servers.wait_until_seen();
    // Each owner answers for itself: who is none asks one.
    for node in 1..=5 {
        let mut connection = servers.resp(node, "default");
        for key in &keys {
            wait_until(&format!("{key} at n{node}"), || {
                let found = connection.ask(&["KV.GET", key.as_str(), "R", "one"]);
                let values = found.array()[1].array().to_vec();
                values.first().is_some_and(|value| value.array()[0] == Reply::value("kept"))
            });
        }
    }
    let both = |name: &str| [3, 4, 5].map(|node| servers.figure(node, name)).iter().sum::<f64>();
    wait_until("hints to be gone", || both("hints_delivered_total") > 0.0 && both("hints_waiting") == 0.0);
}
