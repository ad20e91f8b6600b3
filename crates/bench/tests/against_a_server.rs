//! Whole runs against a server in this process: what is sent, what is counted, and what ends a run.

mod support;

use bench::Error;
use serde_json::Value;
use std::net::TcpListener;
use support::{Manner, Server, run};

fn plain() -> Server {
    Server::start(Manner::default())
}

fn number(report: &Value, field: &str) -> u64 {
    report[field].as_u64().unwrap_or_else(|| panic!("{field} in {report}"))
}

/// The preload stores each key once, and then nothing is missed.
#[test]
fn loading_stores_every_key_once() {
    let server = plain();
    let report = run(&server, &["--load", "--workload", "get"]).unwrap();
    assert_eq!(server.count("SET"), 50);
    assert_eq!((number(&report, "operations"), number(&report, "misses")), (300, 0));
    assert_eq!(server.count("GET"), 300);
}

#[test]
fn reads_of_absent_keys_are_counted_as_misses() {
    let report = run(&plain(), &["--workload", "get"]).unwrap();
    assert_eq!((number(&report, "operations"), number(&report, "misses")), (300, 300));
}

/// However replies are cut, and however many are under way, each is matched to its request.
#[test]
fn replies_in_pieces_are_put_together() {
    for (piece, pipeline) in [(1, "1"), (7, "8"), (1_000, "16")] {
        let server = Server::start(Manner { piece: Some(piece), ..Manner::default() });
        let flags = ["--load", "--verify", "--workload", "a", "--pipeline", pipeline];
        let report = run(&server, &flags).unwrap();
        assert_eq!((number(&report, "operations"), number(&report, "failed")), (300, 0));
    }
}

/// A read-modify-write is one operation of two requests; a SET with its WAIT is too.
#[test]
fn compound_operations_count_once() {
    let server = Server::start(Manner { replicas: 1, ..Manner::default() });
    let report = run(&server, &["--load", "--workload", "f", "--wait", "1", "--pipeline", "4"]).unwrap();
    let modified = server.count("SET") - 50;
    assert_eq!(number(&report, "operations"), 300);
    assert_eq!(server.count("WAIT"), server.count("SET"));
    assert_eq!(server.count("GET"), 300);
    assert_eq!(report["latency"][1]["kind"], "read-modify-write");
    assert_eq!(number(&report["latency"][1], "count"), modified as u64);
}

/// A write that too few replicas acknowledged is a failure, with the reason.
#[test]
fn too_few_replicas_fail_the_operation() {
    let error = run(&plain(), &["--workload", "set", "--wait", "1"]).unwrap_err();
    assert!(
        matches!(error, Error::NothingSucceeded { attempted: 300, ref example } if example.contains("0 of 1"))
    );
}

/// Equal seeds ask for equal keys in equal order, whatever the server's speed; others do not.
#[test]
fn the_seed_decides_the_keys() {
    let keys = |seed: &str| {
        let server = plain();
        run(&server, &["--workload", "a", "--connections", "1", "--seed", seed]).unwrap();
        let requests = server.requests.lock().unwrap();
        requests.iter().map(|words| words[..2].to_vec()).collect::<Vec<_>>()
    };
    assert_eq!(keys("5"), keys("5"));
    assert_ne!(keys("5"), keys("6"));
}

/// A lost connection fails what was under way, is opened again, and the run goes on.
#[test]
fn a_lost_connection_is_opened_again() {
    let server = Server::start(Manner { close_after: Some(60), ..Manner::default() });
    let report = run(&server, &["--workload", "set"]).unwrap();
    let (succeeded, failed) = (number(&report, "operations"), number(&report, "failed"));
    assert_eq!(succeeded + failed, 300);
    assert!((2..=5).contains(&failed), "{report}");
    assert_eq!(report["errors"][0]["kind"], "connection lost");
}

#[test]
fn a_silent_server_is_given_up_after_the_timeout() {
    let server = Server::start(Manner { silent: Some("GET"), ..Manner::default() });
    let flags = ["--workload", "get", "--timeout", "50ms", "--operations", "3"];
    let error = run(&server, &flags).unwrap_err();
    assert!(
        matches!(error, Error::NothingSucceeded { attempted: 3, ref example } if example.contains("timeout"))
    );
}

#[test]
fn verify_ends_in_an_error_where_a_read_is_wrong() {
    let server = Server::start(Manner { corrupt: Some(b"something else"), ..Manner::default() });
    let error = run(&server, &["--workload", "get", "--verify"]).unwrap_err();
    assert!(matches!(error, Error::Verify { count: 300 }), "{error}");
}

/// Nobody listens: the address, the system's word, and what to do.
#[test]
fn no_server_is_a_clear_error() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let message = run(&plain(), &["--addresses", &address]).unwrap_err().to_string();
    assert!(message.starts_with(&format!("cannot connect to {address}: ")), "{message}");
    assert!(message.ends_with("is the cluster running? try `henge dev`"), "{message}");
}

/// A server that does not know what prepares the connection is told apart from one that is down.
#[test]
fn a_refused_preparation_is_named() {
    let server = plain();
    run(&server, &["--database", "siblings"]).unwrap();
    assert_eq!(server.count("SELECT"), 3);
    let message = run(&server, &["--r", "one"]).unwrap_err().to_string();
    assert!(message.contains("answered KV.CONSISTENCY READ one with: ERR unknown command"), "{message}");
}

fn one_owner(port: u16) -> String {
    format!("*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n$9\r\n127.0.0.1\r\n:{port}\r\n$2\r\nid\r\n")
}

/// Keys go where CLUSTER SLOTS says, and not to the node that was asked.
#[test]
fn cluster_slots_are_followed() {
    let owner = plain();
    let asked = Server::start(Manner { slots: Some(one_owner(owner.port)), ..Manner::default() });
    let report = run(&asked, &["--cluster", "--load", "--workload", "a"]).unwrap();
    assert_eq!(number(&report, "operations"), 300);
    assert_eq!((asked.count("GET"), asked.count("SET")), (0, 0));
    assert_eq!(owner.count("GET") + owner.count("SET"), 350);
}

/// A request that MOVED answers is sent again where it points, counts once, and is remembered.
#[test]
fn moved_is_followed() {
    let owner = plain();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let slots = Some(one_owner(listener.local_addr().unwrap().port()));
    // The slot of key:000000000000, the only one there is.
    let former =
        Server::serve(listener, Manner { slots, moved_to: Some((13053, owner.port)), ..Manner::default() });
    let report = run(&former, &["--cluster", "--workload", "set", "--keys", "1"]).unwrap();
    assert_eq!((number(&report, "operations"), number(&report, "failed")), (300, 0));
    assert_eq!(owner.count("SET"), 300);
    assert!(
        (1..=3).contains(&former.count("SET")),
        "each of three clients may have asked before the first answer"
    );
}

/// An open loop sends as many operations as the rate and the time say, and its own lateness is reported.
#[test]
fn an_open_loop_keeps_to_its_schedule() {
    let flags = [
        "--workload",
        "get",
        "--rate",
        "2000",
        "--arrivals",
        "uniform",
        "--operations",
        "200",
        "--threads",
        "2",
    ];
    let report = run(&plain(), &flags).unwrap();
    assert_eq!(number(&report, "operations"), 200);
    assert_eq!(number(&report["send_lag"], "count"), 200);
}

/// Servers in this process are on this machine: their CPU time is found by their port.
#[test]
fn local_servers_are_found_by_their_port() {
    let report = run(&plain(), &["--workload", "set"]).unwrap();
    assert_eq!(report["server"]["processes"][0]["pid"].as_u64(), Some(u64::from(std::process::id())));
}
