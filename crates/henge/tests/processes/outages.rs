//! Nodes that are killed or held still: what goes on, what is refused, and what is true of the answers afterwards.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::common::http::key_path;
use crate::common::patience::wait_until;
use crate::common::process::Signal;
use crate::common::resp::Reply;
use crate::common::servers::Servers;

/// With one of three owners gone, majorities are there: reads and writes go on through both others, also those that were
/// under way when it died, and what was written meanwhile is seen through the dead node once it is back (INVARIANTS C1).
#[test]
fn quorums_go_on_while_one_of_three_nodes_is_killed_and_comes_back() {
    let mut servers = Servers::start(3, "");
    let written = AtomicUsize::new(0);
    let connections: Vec<_> = [1, 2].map(|node| (node, servers.resp(node, "default"))).into();
    thread::scope(|scope| {
        let writers: Vec<_> = connections
            .into_iter()
            .map(|(node, mut connection)| {
                let (done, written) = (AtomicUsize::new(0), &written);
                scope.spawn(move || {
                    while done.fetch_add(1, Ordering::Relaxed) < 400 {
                        let key = format!("n{node}-{}", done.load(Ordering::Relaxed));
                        assert_eq!(connection.ask(&["SET", &key, &key]), Reply::ok());
                        assert_eq!(connection.ask(&["GET", &key]), Reply::value(&key));
                        written.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        wait_until("some writes", || written.load(Ordering::Relaxed) >= 100);
        servers.kill_unnoticed(3);
        for writer in writers {
            writer.join().expect("every write and read through the others is answered");
        }
    });
    servers.wait_until_seen();
    servers.launch(3);
    servers.wait_until_seen();
    let mut back = servers.resp(3, "default");
    for node in [1, 2] {
        for turn in 1..=400 {
            let key = format!("n{node}-{turn}");
            assert_eq!(back.ask(&["GET", &key]), Reply::value(&key));
        }
    }
}

/// INVARIANTS A5: with too few owners a write is refused with what it needed and got, and is provably nowhere afterwards;
/// a read is refused too, unless it asks for less. All that was acknowledged is there when the others are back.
#[test]
fn without_a_quorum_requests_are_refused_and_a_refused_write_never_shows() {
    let mut servers = Servers::start(3, "");
    let mut resp = servers.resp(1, "default");
    assert_eq!(resp.ask(&["KV.PUT", "key", "acknowledged", "W", "all"]).array()[1], Reply::Integer(3));
    servers.kill(3);
    assert_eq!(resp.ask(&["SET", "with two", "acknowledged"]), Reply::ok());
    servers.kill(2);

    let refused = resp.ask(&["SET", "key", "refused"]);
    for words in ["UNAVAILABLE", "write needs 2 of 3 owners (quorum)", "1 answered", "n2", "n3"] {
        assert!(refused.error().contains(words), "{words} in {refused:?}");
    }
    let path = key_path("default", "key");
    let problem = servers.http(1).put(&path, &[], "refused").with_status(503).json();
    assert_eq!((&problem["needed"], &problem["got"], &problem["owners"]), (&2.into(), &1.into(), &3.into()));
    assert_eq!((&problem["result"], &problem["action"]), (&"not-done".into(), &"write".into()));
    assert!(resp.ask(&["DEL", "key"]).error().starts_with("UNAVAILABLE"));

    assert!(resp.ask(&["GET", "key"]).error().starts_with("UNAVAILABLE the read needs 2 of 3"));
    let one = resp.ask(&["KV.GET", "key", "R", "1"]);
    assert_eq!(one.array()[1].array()[0].array()[0], Reply::value("acknowledged"));
    assert_eq!(servers.http(1).get(&format!("{path}?r=one"), &[]).with_status(200).text(), "acknowledged");

    servers.launch(2);
    servers.launch(3);
    servers.wait_until_seen();
    for node in 1..=3 {
        let http = servers.http(node);
        assert_eq!(http.get(&format!("{path}?r=all"), &[]).with_status(200).text(), "acknowledged");
        let with_two = key_path("default", "with%20two");
        assert_eq!(http.get(&with_two, &[]).with_status(200).text(), "acknowledged");
    }
}

/// W=all means all: with one owner away nothing is stored, neither now nor when it is back.
#[test]
fn a_write_to_all_with_one_node_away_is_not_done() {
    let mut servers = Servers::start(3, "");
    servers.kill(2);
    let mut resp = servers.resp(1, "default");
    let refused = resp.ask(&["KV.PUT", "key", "refused", "W", "all"]);
    assert!(refused.error().starts_with("UNAVAILABLE the write needs 3 of 3 owners (all)"), "{refused:?}");
    let path = key_path("default", "key");
    let problem = servers.http(3).put(&format!("{path}?w=all"), &[], "refused").with_status(503).json();
    assert_eq!(problem["result"], "not-done");
    servers.launch(2);
    servers.wait_until_seen();
    for node in 1..=3 {
        servers.http(node).get(&format!("{path}?r=all"), &[]).with_status(404);
    }
}

/// A node that holds still keeps its connections, so a write to it is on its way: its fate is unknown and the client is
/// told so by its deadline; never "done", and "not done" only if that stays true (INVARIANTS A5).
#[test]
fn a_write_to_all_with_one_node_held_still_is_never_called_done() {
    let mut servers = Servers::start(3, "");
    servers.process(3).signal(Signal::Stop);
    let path = key_path("default", "key");
    let answer = servers.http(1).put(&format!("{path}?w=all&timeout_ms=300"), &[], "sent");
    let result = answer.json()["result"].clone();
    assert!(matches!((answer.status, result.as_str()), (504, Some("unknown")) | (503, Some("not-done"))));
    let mut resp = servers.resp(2, "default");
    assert_eq!(resp.ask(&["SET", "other", "goes on"]), Reply::ok());
    assert_eq!(resp.ask(&["GET", "other"]), Reply::value("goes on"));

    servers.process(3).signal(Signal::Continue);
    servers.wait_until_seen();
    let read = servers.http(3).get(&format!("{path}?r=all"), &[]);
    match result.as_str() {
        Some("not-done") => assert_eq!(read.status, 404),
        // What was stored with an unknown outcome is either seen by all from now on, or by none.
        _ => {
            for node in 1..=3 {
                assert_eq!(servers.http(node).get(&format!("{path}?r=all"), &[]).status, read.status);
            }
        }
    }
}

/// Where there are more nodes than owners, any node still coordinates any key, also with one of the owners away.
#[test]
fn nodes_that_own_nothing_of_a_key_serve_it_all_the_same() {
    let mut servers = Servers::start(5, "");
    let keys: Vec<String> = (0..40).map(|number| format!("key-{number}")).collect();
    for (place, key) in (0..).zip(&keys) {
        assert_eq!(servers.resp(place % 5 + 1, "default").ask(&["SET", key, "before"]), Reply::ok());
    }
    let others = |servers: &Servers| [1, 2, 3, 5].map(|node| servers.resp(node, "default"));
    servers.kill(4);
    for mut connection in others(&servers) {
        for key in &keys {
            assert_eq!(connection.ask(&["GET", key]), Reply::value("before"), "{key}");
        }
    }
    for (turn, mut connection) in others(&servers).into_iter().enumerate() {
        let value = format!("turn {turn}");
        for key in &keys {
            assert_eq!(connection.ask(&["SET", key, &value]), Reply::ok(), "{key}");
        }
    }
    servers.launch(4);
    servers.wait_until_seen();
    let mut back = servers.resp(4, "default");
    for key in &keys {
        assert_eq!(back.ask(&["GET", key]), Reply::value("turn 3"), "{key}");
    }
}

/// INVARIANTS A6: a put that was passed on to a maker which dies is made by another, and is the same write: no client of the
/// other nodes is told that nobody knows what became of it. The victim makes every write here, and is held still until all
/// writers wait for it before it is killed; so each of them has a write under way to it.
#[test]
fn a_maker_that_is_killed_costs_no_client_an_error() {
    let mut servers = Servers::start(5, "");
    let victim = 5;
    let written = AtomicUsize::new(0);
    let end = AtomicBool::new(false);
    let writers: Vec<_> = (1..=4).flat_map(|node| [(node, 0), (node, 1), (node, 2)]).collect();
    let keys: Vec<String> = writers
        .iter()
        .map(|&(node, writer)| key_made_by(&servers, victim, node, &format!("n{node}-{writer}")))
        .collect();
    let connections: Vec<_> = writers.iter().map(|&(node, _)| servers.resp(node, "default")).collect();
    let last: Vec<usize> = thread::scope(|scope| {
        let writers: Vec<_> = connections
            .into_iter()
            .zip(&keys)
            .map(|(mut connection, key)| {
                let (written, end) = (&written, &end);
                scope.spawn(move || {
                    (1..)
                        .take_while(|_| !end.load(Ordering::Relaxed))
                        .inspect(|turn| {
                            assert_eq!(
                                connection.ask(&["SET", key, &turn.to_string()]),
                                Reply::ok(),
                                "{key}"
                            );
                            written.fetch_add(1, Ordering::Relaxed);
                        })
                        .last()
                        .unwrap_or_default()
                })
            })
            .collect();
        let go_on = |writes: usize| {
            let until = written.load(Ordering::Relaxed) + writes;
            wait_until("the writers to go on", || {
                written.load(Ordering::Relaxed) >= until
                    || writers.iter().any(thread::ScopedJoinHandle::is_finished)
            });
        };
        for _ in 0..4 {
            go_on(500);
            servers.process(victim).signal(Signal::Stop);
            wait_until("all writers to wait for the maker", || {
                let before = written.load(Ordering::Relaxed);
                thread::sleep(Duration::from_millis(100));
                written.load(Ordering::Relaxed) == before
            });
            servers.kill_unnoticed(victim);
            go_on(500);
            servers.launch(victim);
            servers.wait_until_seen();
        }
        end.store(true, Ordering::Relaxed);
        let ended = writers.into_iter().map(thread::ScopedJoinHandle::join);
        ended.map(|last| last.expect("no write through the others fails")).collect()
    });
    for (key, last) in keys.iter().zip(last) {
        for node in 1..=5 {
            assert_eq!(
                servers.resp(node, "default").ask(&["GET", key]),
                Reply::value(&last.to_string()),
                "{key}"
            );
        }
    }
}

/// A key of which this node owns nothing, and which that one makes the writes of.
fn key_made_by(servers: &Servers, maker: u16, node: u16, name: &str) -> String {
    let owners = |key: &str| -> Vec<String> {
        let explained =
            servers.http(node).get(&format!("/v1/explain/default/{key}"), &[]).with_status(200).json();
        let owners = explained["owners"].as_array().expect("a list of owners").iter();
        owners.map(|owner| owner["node"].as_str().expect("a name").to_owned()).collect()
    };
    let is_right = |key: &String| {
        let owners = owners(key);
        owners[0] == format!("n{maker}") && !owners.contains(&format!("n{node}"))
    };
    (0..).map(|number| format!("{name}-{number}")).find(is_right).expect("some key is right")
}

/// A node that answers nothing is noticed though its connections are open, and routed around; once it goes on it is seen
/// again, and what it missed is read through it.
#[test]
fn a_node_that_holds_still_is_noticed_and_taken_back() {
    let mut servers = Servers::start(3, "");
    servers.process(2).signal(Signal::Stop);
    wait_until("n1 and n3 to notice that n2 is silent", || {
        [1, 3].iter().all(|&node| servers.http(node).states().is_some_and(|states| states[1] == "down"))
    });
    let mut resp = servers.resp(3, "default");
    assert_eq!(resp.ask(&["SET", "key", "without n2"]), Reply::ok());
    assert_eq!(resp.ask(&["WAIT", "2", "50"]), Reply::Integer(1), "two owners hold it, one beside the other");
    assert!(resp.ask(&["KV.PUT", "key", "refused", "W", "3"]).error().starts_with("UNAVAILABLE"));

    servers.process(2).signal(Signal::Continue);
    servers.wait_until_seen();
    assert_eq!(servers.resp(2, "default").ask(&["GET", "key"]), Reply::value("without n2"));
}
