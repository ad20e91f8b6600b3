//! What was acknowledged is there again, however the cluster ended: INVARIANTS A1, A4, B2, D3.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::common::dev::{Dev, NODES};
use crate::common::http::key_path;
use crate::common::patience::wait_until;
use crate::common::process::Signal;
use crate::common::resp::{Reply, Resp};

/// So many that memtables are flushed and segments used again, on the least memory.
const WRITES_PER_ROUND: usize = 500;

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

/// INVARIANTS A1 and A4: an acknowledged write is on disk. Clients write through all nodes at once, more than memory holds,
/// and the process is ended in the midst of it: killed, asked to stop, and killed again, on one directory. Of each key what
/// was acknowledged last is there again, or what was sent after it and never answered; and reads never go back (C2).
#[test]
fn every_acknowledged_write_survives_ends_of_all_kinds_in_the_midst_of_writing() {
    let mut dev = Dev::start();
    let mut keys = Told::new();
    for (round, end) in [Signal::Kill, Signal::Terminate, Signal::Kill].into_iter().enumerate() {
        let writers: Vec<Writer> = (1..=NODES).map(|node| Writer::new(&dev, node, round)).collect();
        let written = AtomicUsize::new(0);
        thread::scope(|scope| {
            let running: Vec<_> = writers
                .into_iter()
                .map(|writer| scope.spawn(|| writer.write_until_ended(&written)))
                .collect();
            wait_until("writes to be acknowledged", || written.load(Ordering::Relaxed) >= WRITES_PER_ROUND);
            dev.process().signal(end);
            dev.process().wait();
            for writer in running {
                keys.extend(writer.join().expect("a writer ends when its node does"));
            }
        });
        dev.start_again();
        for (place, (key, told)) in (0..).zip(&mut keys) {
            let read = dev.resp(place % NODES + 1).ask(&["GET", key]);
            let found = told.iter().position(|may_be| *may_be == read);
            // An unanswered write may show late, but what was read once is never followed by something older.
            told.drain(
                ..found.unwrap_or_else(|| panic!("round {round}: {key} has a value that it cannot have")),
            );
        }
    }
}

/// A client that overwrites a few keys of its own.
struct Writer {
    node: u16,
    round: usize,
    connection: Resp,
}

/// Of each key what a read may find, oldest first: what was acknowledged last, or nothing at first; then what was sent and
/// not answered.
type Told = BTreeMap<String, Vec<Reply>>;

impl Writer {
    fn new(dev: &Dev, node: u16, round: usize) -> Writer {
        Writer { node, round, connection: dev.resp(node) }
    }

    /// Writes until the node is gone, or says that it is about to be.
    fn write_until_ended(mut self, written: &AtomicUsize) -> Told {
        let mut told = Told::new();
        for turn in 0.. {
            let key = format!("round{}-n{}-{}", self.round, self.node, turn % 40);
            let value = format!("{turn}-{}", "x".repeat(turn % 7 * 4000));
            let may_be = told.entry(key.clone()).or_insert_with(|| vec![Reply::Null]);
            match self.connection.try_ask(&["SET", &key, &value]) {
                Ok(Reply::Simple(_)) => *may_be = vec![Reply::value(&value)],
                // Nothing was stored, so nothing of it may be read.
                Ok(Reply::Error(text)) if text.starts_with("UNAVAILABLE") => break,
                Ok(Reply::Error(text)) => {
                    assert!(text.starts_with("UNKNOWN"), "{text}");
                    may_be.push(Reply::value(&value));
                    break;
                }
                Ok(other) => panic!("no answer to a SET: {other:?}"),
                Err(_) => {
                    may_be.push(Reply::value(&value));
                    break;
                }
            }
            written.fetch_add(1, Ordering::Relaxed);
        }
        told
    }
}

/// INVARIANTS B2: after a crash a node may have forgotten what it made, so it goes on under a fresh stint, and a blind
/// write covers nothing that was acknowledged before. The two are siblings, told apart by their clocks.
#[test]
fn a_blind_write_after_a_crash_covers_nothing_from_before_it() {
    let mut dev = Dev::start();
    let path = key_path("siblings", "key");
    dev.http(1).put(&path, &[], "before").with_status(204);
    dev.process().signal(Signal::Kill);
    dev.process().wait();
    dev.start_again();
    dev.http(1).put(&path, &[], "after").with_status(204);

    let both = dev.http(2).read(&path).with_status(300);
    let (values, clocks): (Vec<String>, Vec<String>) = both.values().into_iter().unzip();
    assert_eq!(values, ["before", "after"]);
    assert!(clocks[0] != clocks[1] && clocks.iter().all(|clock| clock.starts_with("([n1/")), "{clocks:?}");
    dev.http(3).put(&path, &[("henge-context", &both.context())], "both").with_status(204);
    assert_eq!(dev.http(1).get(&path, &[]).with_status(200).text(), "both");
}

/// A time to live is a time of the world: it goes on while the cluster is down, and a delete stays a delete.
#[test]
fn expiry_survives_a_crash_as_the_time_that_it_was_set_for() {
    let mut dev = Dev::start();
    let far = "4102444800";
    let mut resp = dev.resp(1);
    assert_eq!(resp.ask(&["SET", "lasting", "value", "EXAT", far]), Reply::ok());
    assert_eq!(resp.ask(&["SET", "passing", "value", "PX", "1"]), Reply::ok());
    dev.process().signal(Signal::Kill);
    dev.process().wait();
    dev.start_again();
    assert_eq!(dev.resp(2).ask(&["EXPIRETIME", "lasting"]), Reply::Integer(4_102_444_800));
    assert_eq!(dev.resp(3).ask(&["EXISTS", "passing"]), Reply::Integer(0));
}

/// Whoever chose `interval` is told so in every answer (INVARIANTS C4), and a clean stop still loses nothing.
#[test]
fn relaxed_durability_is_marked_and_survives_a_clean_stop() {
    let mut dev = Dev::start_with(&["--durability", "interval"]);
    assert!(dev.process().printed().contains("durability interval"));
    let path = key_path("default", "key");
    let written = dev.http(1).put(&path, &[], "value").with_status(204);
    assert_eq!(written.header("henge-marks"), "relaxed-durability");
    dev.stop(Signal::Terminate);
    dev.start_again();
    assert_eq!(dev.http(2).get(&path, &[]).with_status(200).text(), "value");
}
