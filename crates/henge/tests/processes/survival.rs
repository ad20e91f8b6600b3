//! What was acknowledged is there again, however the cluster ended.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::thread;

use crate::common::dev::{Dev, NODES};
use crate::common::patience::wait_until;
use crate::common::process::Signal;
use crate::common::resp::{Reply, Resp};

/// Enough writes that the kill falls in the midst of them.
const WRITES_BEFORE_KILL: usize = 300;

/// Both ways to ask a cluster to stop end it in good order, without complaint, and lose nothing.
#[test]
fn data_survives_a_clean_stop_by_either_signal() {
    let mut dev = Dev::start();
    assert_eq!(dev.resp(1).ask(&["SET", "first", "kept"]), Reply::ok());
    dev.stop(Signal::Interrupt);
    dev.start_again();
    assert_eq!(dev.resp(2).ask(&["GET", "first"]), Reply::value("kept"));
    assert_eq!(dev.resp(2).ask(&["SET", "second", "kept too"]), Reply::ok());
    assert_eq!(dev.resp(2).ask(&["DEL", "first"]), Reply::Integer(1));
    dev.stop(Signal::Terminate);
    dev.start_again();
    assert_eq!(dev.resp(3).ask(&["GET", "second"]), Reply::value("kept too"));
    assert_eq!(dev.resp(3).ask(&["GET", "first"]), Reply::Null);
}

/// INVARIANTS A1 and A4: an acknowledged write is on disk. Clients write through all nodes at once, the process is killed
/// in the midst of it, and every write that was answered is there again.
#[test]
fn every_acknowledged_write_survives_a_kill_in_the_midst_of_writing() {
    let mut dev = Dev::start();
    let acknowledged = Mutex::new(BTreeMap::new());
    let connections: Vec<(u16, Resp)> = (1..=NODES).map(|node| (node, dev.resp(node))).collect();
    thread::scope(|scope| {
        for (node, connection) in connections {
            let acknowledged = &acknowledged;
            scope.spawn(move || write_until_killed(node, connection, acknowledged));
        }
        let count = || acknowledged.lock().expect("no writer panics").len();
        wait_until("writes to be acknowledged", || count() >= WRITES_BEFORE_KILL);
        dev.process().kill();
    });
    let acknowledged = acknowledged.into_inner().expect("no writer panics");
    dev.start_again();
    let mut readers: Vec<Resp> = (1..=NODES).map(|node| dev.resp(node)).collect();
    let count = readers.len();
    for (place, (key, value)) in acknowledged.iter().enumerate() {
        let read = readers[place % count].ask(&["GET", key]);
        assert_eq!(read, Reply::value(value), "{key}");
    }
}

/// Writes keys of its own, one after the other, until the node is gone; remembers what was acknowledged.
fn write_until_killed(node: u16, mut connection: Resp, acknowledged: &Mutex<BTreeMap<String, String>>) {
    for turn in 0.. {
        let (key, value) = (format!("n{node}-{turn}"), format!("value {turn} of n{node}"));
        match connection.try_ask(&["SET", &key, &value]) {
            Ok(reply) => {
                assert_eq!(reply, Reply::ok());
                acknowledged.lock().expect("no writer panics").insert(key, value);
            }
            Err(_) => return,
        }
    }
}
