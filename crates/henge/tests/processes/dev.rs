//! `henge dev`: one command, and every node serves every key through every door.

use crate::common::dev::{Dev, NODES};
use crate::common::http::key_path;
use crate::common::process::Signal;
use crate::common::resp::{Reply, Resp};

/// Any node coordinates any key: what is written through one is read through every door of every other.
#[test]
fn a_key_put_through_any_node_is_read_through_every_listener_of_all() {
    let dev = Dev::start();
    for writer in 1..=NODES {
        let (key, value) = (format!("from-n{writer}"), format!("value-{writer}"));
        assert_eq!(dev.resp(writer).ask(&["SET", &key, &value]), Reply::ok());
        for reader in 1..=NODES {
            for address in [dev.resp_address(reader), dev.cluster_address(reader)] {
                let read = Resp::connect(address).ask(&["GET", &key]);
                assert_eq!(read, Reply::value(&value), "{key} at {address}");
            }
            let answer = dev.http(reader).get(&key_path("default", &key), &[]).with_status(200);
            assert_eq!(answer.text(), value);
        }
    }
}

/// HTTP and RESP are two doors to one store, and bytes are bytes: nothing is encoded on the way.
#[test]
fn bytes_come_back_as_they_were_put_whatever_they_are() {
    let dev = Dev::start();
    let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(70_000).collect();
    let path = key_path("default", "%00%0D%0A%FF");
    dev.http(2).try_ask("PUT", &path, &[], &bytes).expect("the node answers").with_status(204);
    let key: &[u8] = b"\0\r\n\xff";
    assert_eq!(dev.resp(1).ask(&[&b"GET"[..], key]), Reply::Bulk(bytes.clone()));
    assert_eq!(dev.http(3).get(&path, &[]).body, bytes);
}

/// The ready lines name every door and a command that works as it is printed.
#[test]
fn the_ready_lines_say_where_everything_is_and_what_to_try() {
    let mut dev = Dev::start();
    let printed = dev.process().printed();
    for node in 1..=NODES {
        for address in [dev.resp_address(node), dev.cluster_address(node), dev.http_address(node)] {
            assert!(printed.contains(&address.to_string()), "{address} in {printed}");
        }
    }
    assert!(printed.contains(&dev.data().display().to_string()), "{printed}");
    for line in ["set greeting hello", "curl http://", "get greeting --at", "durability always"] {
        assert!(printed.contains(line), "{line} in {printed}");
    }
}

/// `cluster` on the plain listener is off; on the other, every node is a master of its own slots and all 16384 are served.
#[test]
fn the_two_listeners_show_one_store_and_a_redis_cluster() {
    let dev = Dev::start();
    let refused = dev.resp(1).ask(&["CLUSTER", "INFO"]);
    assert!(refused.error().contains("cluster support disabled"), "{refused:?}");
    let ranges = Resp::connect(dev.cluster_address(1)).ask(&["CLUSTER", "SLOTS"]);
    let slots = ranges.array().iter().map(|range| match range.array() {
        [Reply::Integer(first), Reply::Integer(last), ..] => last - first + 1,
        other => panic!("no range of slots: {other:?}"),
    });
    assert_eq!(slots.sum::<i64>(), 16_384);
}

/// What a cluster was made with stays: who starts another on its directory is told what differs, and nothing is changed.
#[test]
fn a_directory_is_not_served_as_another_cluster_than_it_was_made_for() {
    let mut dev = Dev::start();
    dev.run_with(&[]).refused_with(&["cannot listen", "127.0.0.1", "another"]);
    assert_eq!(dev.resp(1).ask(&["SET", "key", "value"]), Reply::ok());
    dev.stop(Signal::Interrupt);
    for (options, words) in [
        (&["--nodes=4"][..], "member n4 would be new"),
        (&["--nodes=2"], "member n3 would be gone"),
        (&["--partitions=64"], "partitions is 256, would be 64"),
        (&["--durability=interval"], "durability is always, would be interval"),
    ] {
        dev.run_with(options).refused_with(&["cannot start", words]);
    }
    dev.start_again();
    assert_eq!(dev.resp(2).ask(&["GET", "key"]), Reply::value("value"));
}

/// WAIT counts real acknowledgements: with all three owners up, two beside the one that answered.
#[test]
fn wait_answers_from_the_acknowledgements_of_owners() {
    let dev = Dev::start();
    let mut connection = dev.resp(1);
    assert_eq!(connection.ask(&["WAIT", "2", "0"]), Reply::Integer(0), "nothing was written");
    assert_eq!(connection.ask(&["SET", "key", "value"]), Reply::ok());
    assert_eq!(connection.ask(&["WAIT", "2", "0"]), Reply::Integer(2));
}
