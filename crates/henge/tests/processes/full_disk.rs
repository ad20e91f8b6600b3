//! A disk that is nearly full: values are refused early and clearly, deletes are taken, and room ends it (INVARIANTS H4).
//!
//! The disk is not filled: a reserve that is more than what is free is the same to the node. `drills/full_disk.sh` fills one.

use crate::common::http::key_path;
use crate::common::patience::wait_until;
use crate::common::resp::Reply;
use crate::common::servers::Servers;

/// Of three owners one has no room: writes through every node are made and kept by the others, all are told, and what it missed
/// comes to it once it has room.
#[test]
fn two_owners_go_on_while_the_disk_of_the_third_is_full() {
    let mut servers = Servers::start(3, "");
    servers.stop(3);
    servers.configure_with(3, "memory = \"64MiB\"\ndisk_reserve = \"1000000TiB\"\n", "");
    servers.launch(3);
    servers.wait_until_seen();
    for node in 1..=3 {
        wait_until("all to have heard of it", || {
            servers.http(node).get("/v1/members", &[]).json()["members"][2]["disk_is_full"] == true
        });
    }
    for (node, key) in [(1, "one"), (2, "two"), (3, "three")] {
        let mut connection = servers.resp(node, "default");
        for number in 0..50 {
            assert_eq!(connection.ask(&["SET", &format!("{key}-{number}"), "value"]), Reply::ok());
        }
        assert_eq!(connection.ask(&["GET", "one-0"]), Reply::value("value"));
        assert_eq!(connection.ask(&["DEL", "one-1"]), Reply::Integer(i64::from(node == 1)));
    }
    let to_all = servers.http(1).put(&format!("{}?w=all", key_path("default", "all")), &[], "value");
    assert!(to_all.status >= 500, "not all have room: {}", to_all.status);
    servers.stop(3);

    servers.configure(3, "");
    servers.launch(3);
    servers.wait_until_seen();
    wait_until("what it missed to have come to it", || {
        servers.http(3).get(&format!("{}?r=one", key_path("default", "three-49")), &[]).status == 200
            && servers.figure(3, "exchange_differing_keys") == 0.0
    });
    wait_until("all to have heard that it has room", || {
        servers.http(1).get("/v1/members", &[]).json()["members"][2]["disk_is_full"] == false
    });
}

#[test]
fn a_node_with_less_room_than_is_kept_back_takes_only_deletes() {
    let mut servers = Servers::prepare(1, "");
    servers.launch(1);
    let mut connection = servers.resp(1, "default");
    assert_eq!(connection.ask(&["SET", "kept", "value"]), Reply::ok());
    assert_eq!(connection.ask(&["SET", "deleted", "value"]), Reply::ok());
    servers.stop(1);

    servers.configure_with(1, "memory = \"64MiB\"\ndisk_reserve = \"1000000TiB\"\n", "");
    servers.launch(1);
    wait_until("the node to have looked at its disk", || servers.figure(1, "disk_nearly_full") > 0.0);
    let mut connection = servers.resp(1, "default");
    let Reply::Error(text) = connection.ask(&["SET", "another", "value"]) else { panic!("it has no room") };
    assert!(text.starts_with("OVERLOADED") && text.contains("the disk is nearly full"), "{text}");
    assert!(text.contains("bytes are free") && text.contains("kept back for deletes"), "{text}");
    assert_eq!(connection.ask(&["DEL", "deleted"]), Reply::Integer(1));
    assert_eq!(connection.ask(&["GET", "kept"]), Reply::value("value"));
    assert_eq!(servers.http(1).put(&key_path("default", "another"), &[], "value").status, 429);
    servers.stop(1);

    servers.configure(1, "");
    servers.launch(1);
    let mut connection = servers.resp(1, "default");
    assert_eq!(connection.ask(&["SET", "another", "value"]), Reply::ok());
    assert_eq!(connection.ask(&["GET", "deleted"]), Reply::Null);
}
