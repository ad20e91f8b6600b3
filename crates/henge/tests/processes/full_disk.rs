//! A disk that is nearly full: values are refused early and clearly, deletes are taken, and room ends it (INVARIANTS H4).
//!
//! The disk is not filled: a reserve that is more than what is free is the same to the node. `drills/full_disk.sh` fills one.

use crate::common::http::key_path;
use crate::common::patience::wait_until;
use crate::common::resp::Reply;
use crate::common::servers::Servers;

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
