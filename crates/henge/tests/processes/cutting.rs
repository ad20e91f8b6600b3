//! Partitions are halved and merged under clients, by command, while a node is down and after members have changed (INVARIANTS A1, E1):
//! all that was acknowledged is there at the strictest level, and clients notice nothing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::common::http::{Http, key_path};
use crate::common::patience::wait_until;
use crate::common::process::{Ended, run};
use crate::common::servers::Servers;

/// Puts one key after the other until it is told to stop, each of which must be acknowledged. How many there are.
fn write_on(http: &Http, name: &str, stop: &AtomicBool) -> usize {
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            return number;
        }
        let answer = http.put(&key_path("default", &format!("{name}-{number}")), &[], "value");
        assert!(answer.status < 300, "{name}-{number}: {} {}", answer.status, answer.text());
    }
    unreachable!("the numbers do not end")
}

/// Does something while clients write through these nodes; every key that they wrote is there afterwards, with every owner.
fn under_clients<T>(servers: &Servers, nodes: &[u16], what: &str, act: impl FnOnce() -> T) -> T {
    let stop = AtomicBool::new(false);
    let (acted, written) = thread::scope(|scope| {
        let write = |node: &u16| {
            let (http, name, stop) = (servers.http(*node), format!("{what}-{node}"), &stop);
            (name.clone(), scope.spawn(move || write_on(&http, &name, stop)))
        };
        let writers: Vec<_> = nodes.iter().map(write).collect();
        let acted = act();
        stop.store(true, Ordering::Relaxed);
        let join = |(name, writer): (String, thread::ScopedJoinHandle<'_, usize>)| {
            (name, writer.join().expect("every write is acknowledged"))
        };
        (acted, writers.into_iter().map(join).collect::<Vec<_>>())
    });
    for (name, count) in written {
        assert!(count > 0, "{name} has written while it happened");
        for number in 0..count {
            let path = format!("{}?r=quorum", key_path("default", &format!("{name}-{number}")));
            assert_eq!(servers.http(nodes[0]).get(&path, &[]).with_status(200).text(), "value");
        }
    }
    acted
}

/// What the cluster is, as a node sees it: partitions, and whether something moves or is being merged.
fn seen(servers: &Servers, node: u16) -> (u64, bool) {
    let cluster = servers.http(node).get("/v1/cluster", &[]).with_status(200).json();
    let moves = !cluster["movements"].as_array().is_some_and(Vec::is_empty) || cluster["waiting"] != 0;
    (cluster["partitions"].as_u64().unwrap_or_default(), moves || cluster["merging"] == true)
}

/// Waits until these nodes are the members, all are up and have all that they are to have, of so many partitions.
#[track_caller]
fn wait_until_at_rest(servers: &Servers, nodes: &[u16], partitions: u64) {
    for &node in nodes {
        wait_until(&format!("n{node} to see {partitions} partitions at rest"), || {
            let cluster = servers.http(node).get("/v1/cluster", &[]).with_status(200).json();
            let members = cluster["nodes"].as_array().cloned().unwrap_or_default();
            members.len() == nodes.len()
                && members.iter().all(|one| one["state"] == "up" && one["standing"] == "settled")
                && !cluster["leader"].is_null()
                && seen(servers, node) == (partitions, false)
        });
    }
}

#[track_caller]
fn partition(arguments: &[&str], at: &str) -> Ended {
    let at = ["--at", at];
    let all = ["partition"].iter().chain(arguments).chain(&at);
    let ended = run(all.copied());
    assert_eq!(ended.code, Some(0), "henge partition {}: {ended:?}", arguments.join(" "));
    ended
}

#[test]
fn partitions_are_halved_and_merged_under_clients() {
    let mut servers = Servers::prepare(4, "");
    for node in 1..=4 {
        let how = if node == 1 { "bootstrap = true".to_owned() } else { servers.seeds(&[1]) };
        servers.configure_alone(node, &format!("{how}\npartitions = 16\n"));
    }
    (1..=3).for_each(|node| servers.launch(node));
    wait_until_at_rest(&servers, &[1, 2, 3], 16);
    let at = servers.http_address(1).to_string();

    // Halved while a node is down, which hears of it when it is back.
    servers.kill_unnoticed(3);
    for node in [1, 2] {
        wait_until("somebody to lead who is up", || {
            let cluster = servers.http(node).get("/v1/cluster", &[]).with_status(200).json();
            let leader = cluster["leader"].as_str().unwrap_or("n3").to_owned();
            leader != "n3"
                && cluster["nodes"].as_array().is_some_and(|all| all.iter().any(|one| one["state"] == "down"))
        });
    }
    let foreseen = partition(&["halve", "--dry-run"], &at);
    assert!(foreseen.printed.contains("16 partitions would become 32"), "{foreseen:?}");
    under_clients(&servers, &[1, 2], "halved", || partition(&["halve"], &at));
    servers.launch(3);
    wait_until_at_rest(&servers, &[1, 2, 3], 32);

    // A node more has its own halves, so some are apart; they come together and are joined.
    servers.launch(4);
    wait_until_at_rest(&servers, &[1, 2, 3, 4], 32);
    let foreseen = partition(&["merge", "--dry-run"], &at);
    assert!(foreseen.printed.contains("32 partitions would be 16"), "{foreseen:?}");
    let merged = under_clients(&servers, &[1, 2, 3, 4], "merged", || partition(&["merge"], &at));
    assert!(merged.said.contains("32 partitions are 16 now"), "{merged:?}");
    wait_until_at_rest(&servers, &[1, 2, 3, 4], 16);
    for name in ["halved-1", "merged-1"] {
        let path = format!("{}?r=all", key_path("default", &format!("{name}-0")));
        servers.http(4).get(&path, &[]).with_status(200);
    }

    // Who is down is waited for, and until then it can be called off.
    servers.kill(4);
    let asked = partition(&["merge", "--no-wait"], &at);
    assert!(asked.said.contains("agreed on"), "{asked:?}");
    wait_until("n1 to know", || seen(&servers, 1) == (16, true));
    let refused = run(["partition", "halve", "--at", &at]);
    assert!(refused.code != Some(0) && refused.said.contains("--cancel"), "{refused:?}");
    partition(&["merge", "--cancel", "--no-wait"], &at);
    servers.launch(4);
    wait_until_at_rest(&servers, &[1, 2, 3, 4], 16);
}
