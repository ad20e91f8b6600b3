//! What an operator does to a cluster from day to day, by command, while clients write: every acknowledged key is there afterwards at
//! the strictest level, and what is shown beforehand changes nothing (INVARIANTS E6).

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

use serde_json::Value;

use crate::common::http::key_path;
use crate::common::patience::wait_until;
use crate::common::process::{Ended, Signal, run};
use crate::common::servers::Servers;
use crate::membership::{KEYS, assert_all_there, wait_until_settled};

/// Says it at the first node, and how it ended.
fn henge(servers: &Servers, words: &[&str]) -> Ended {
    let at = servers.http_address(1).to_string();
    run(words.iter().copied().chain(["--at", &at]))
}

#[track_caller]
fn done(servers: &Servers, words: &[&str]) -> Ended {
    let ended = henge(servers, words);
    assert_eq!(ended.code, Some(0), "{words:?}: {ended:?}");
    ended
}

/// What starting a node would come to.
#[track_caller]
fn foreseen(servers: &Servers, node: u16) -> Value {
    let config = servers.config_path(node);
    let ended = run(["server", "--dry-run", "--json", "--config", &config.to_string_lossy()]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    serde_json::from_str(&ended.printed).expect("it prints JSON")
}

/// A node as the first one sees it.
fn member(servers: &Servers, name: &str) -> Value {
    let cluster = servers.http(1).get("/v1/cluster", &[]).with_status(200).json();
    let nodes = cluster["nodes"].as_array().cloned().unwrap_or_default();
    nodes.into_iter().find(|node| node["id"] == name).unwrap_or_default()
}

/// Writes the same keys again and again through two nodes, each of which must be acknowledged, while something is done.
fn under_writes(servers: &mut Servers, act: impl FnOnce(&mut Servers)) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for node in [1, 2] {
            let (http, stop) = (servers.http(node), &stop);
            scope.spawn(move || {
                while !stop.load(Relaxed) {
                    for key in 0..KEYS {
                        let path = key_path("default", &format!("key%20{key}"));
                        let answer = http.put(&path, &[], &format!("value {key}"));
                        assert!(
                            answer.status < 300,
                            "key {key} by n{node}: {} {}",
                            answer.status,
                            answer.text()
                        );
                    }
                }
            });
        }
        let acted = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| act(servers)));
        stop.store(true, Relaxed);
        if let Err(panic) = acted {
            std::panic::resume_unwind(panic);
        }
    });
}

/// A join is foreseen, made and watched; a node weighs more; one that leaves turns round; there are fewer copies and more again; one that
/// is up is not called gone, and one that is dead is.
#[test]
fn a_cluster_is_looked_after_while_clients_write() {
    let mut servers = Servers::prepare(5, "");
    for node in 1..=4 {
        let how = if node == 1 { "bootstrap = true".to_owned() } else { servers.seeds(&[1]) };
        servers.configure_alone(node, &format!("{how}\npartitions = 16\n"));
    }
    let takes_a_place = format!("{}\nreplaces = \"n4\"\npartitions = 16\n", servers.seeds(&[1]));
    servers.configure_alone(5, &takes_a_place);
    (1..=3).for_each(|node| servers.launch(node));
    wait_until_settled(&servers, &[1, 2, 3]);
    under_writes(&mut servers, |servers| {
        let epoch = servers.http(1).get("/v1/cluster", &[]).json()["epoch"].clone();
        let planned = foreseen(servers, 4);
        let moves = planned["moves"].as_array().expect("it lists what moves");
        assert!(!moves.is_empty() && moves.iter().all(|one| one["why"] == "n4 joins"), "{planned}");
        assert!(moves.iter().all(|one| one["to"] == serde_json::json!(["n4"])), "{planned}");
        assert_eq!((&planned["epoch"], member(servers, "n4")), (&epoch, Value::Null), "nothing has changed");
        assert!(!servers.data(4).exists(), "not here either");

        servers.launch(4);
        done(servers, &["watch"]);
        wait_until_settled(servers, &[1, 2, 3, 4]);
        let before = member(servers, "n4")["replicas"].as_u64();
        let shown = done(servers, &["node", "weight", "n4", "3", "--dry-run"]);
        assert!(shown.printed.contains("weights and racks"), "{shown:?}");
        done(servers, &["node", "weight", "n4", "3"]);
        wait_until_settled(servers, &[1, 2, 3, 4]);
        assert!(member(servers, "n4")["replicas"].as_u64() > before, "it owns more");

        // While one stands still nothing that moves comes to its end.
        servers.process(3).signal(Signal::Stop);
        // It may be the one that leads: then another does in a while.
        wait_until("the drain to be agreed on", || {
            let asked = henge(servers, &["node", "drain", "n4", "--no-wait"]);
            asked.code == Some(0) || member(servers, "n4")["standing"] == "leaving"
        });
        assert_eq!(member(servers, "n4")["standing"], "leaving");
        done(servers, &["node", "cancel", "n4", "--no-wait"]);
        assert_eq!(member(servers, "n4")["standing"], "joining");
        servers.process(3).signal(Signal::Continue);
        wait_until_settled(servers, &[1, 2, 3, 4]);

        done(servers, &["keyspace", "alter", "default", "--n", "2"]);
        wait_until_settled(servers, &[1, 2, 3, 4]);
        done(servers, &["keyspace", "alter", "default", "--n", "3"]);
        wait_until_settled(servers, &[1, 2, 3, 4]);
    });
    assert_all_there(&servers, 4);

    henge(&servers, &["node", "remove", "n3"]).refused_with(&["n3 is up", "henge node drain n3"]);
    let planned = foreseen(&servers, 5);
    let moves = planned["moves"].as_array().expect("it lists what moves");
    let leaves = |one: &Value| one["from"] == serde_json::json!(["n4"]) && one["why"] == "n4 leaves";
    assert!(!moves.is_empty() && moves.iter().all(leaves), "{planned}");

    under_writes(&mut servers, |servers| {
        servers.kill_unnoticed(3);
        for node in [1, 2, 4] {
            wait_until("the others to know that n3 is dead", || {
                let cluster = servers.http(node).get("/v1/cluster", &[]).json();
                let nodes = cluster["nodes"].as_array().cloned().unwrap_or_default();
                nodes.iter().any(|one| one["id"] == "n3" && one["state"] == "down")
            });
        }
        let shown = done(servers, &["node", "remove", "n3", "--dry-run"]);
        assert!(shown.printed.contains("n3 gone for good"), "{shown:?}");
        done(servers, &["node", "remove", "n3"]);
        wait_until_settled(servers, &[1, 2, 4]);
    });
    assert_all_there(&servers, 2);
}
