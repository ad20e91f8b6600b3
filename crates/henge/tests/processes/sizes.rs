//! Keys, values and records up to their limits and beyond them: what fits is stored, what does not is refused at once, and
//! neither holds up anyone else.

use crate::common::dev::Dev;
use crate::common::http::key_path;
use crate::common::resp::{Reply, Resp};
use crate::common::servers::Servers;

const MIB: usize = 1 << 20;

/// A keyspace for the largest values that there may be.
const FILES: &str = "[[keyspaces]]\nname = \"files\"\nlimits = { value_bytes_max = 67108864 }\n";

/// A value of full size is written over and over, on the least memory that a node may have. (What waits for room that
/// can never come would hold up every write behind it.)
#[test]
fn values_of_full_size_are_overwritten_on_the_least_memory() {
    let dev = Dev::start();
    for turn in 0..12_u8 {
        let value = vec![turn; MIB];
        let mut connection = dev.resp(u16::from(turn % 3) + 1);
        assert_eq!(connection.ask(&[&b"SET"[..], b"large", &value]), Reply::ok());
        assert!(dev.resp(1).ask(&["GET", "large"]) == Reply::Bulk(value), "turn {turn}");
        assert_eq!(connection.ask(&["SET", "small", "goes on"]), Reply::ok());
    }
}

/// Siblings of full size stand side by side until the record is full; then the write is refused with its sizes, is nowhere,
/// and other keys go on.
#[test]
fn siblings_of_full_size_are_kept_until_the_record_is_full() {
    let dev = Dev::start();
    let path = key_path("siblings", "key");
    let put = |turn: u8| {
        let value = vec![turn; MIB];
        dev.http(u16::from(turn % 3) + 1).try_ask("PUT", &path, &[], &value).expect("the node answers")
    };
    let refused = (0..).map(put).enumerate().find(|(_, answer)| answer.status != 204);
    let (kept, refused) = refused.expect("a record has a limit");
    let problem = refused.with_status(413).json();
    assert_eq!(problem["result"], "not-done");
    assert!(problem["bytes"].as_u64() > problem["limit"].as_u64(), "{problem}");
    let shown = dev.http(2).read(&path).with_status(300);
    assert_eq!(shown.header("henge-siblings"), kept.to_string());
    assert_eq!(dev.resp(1).ask(&["SET", "other", "goes on"]), Reply::ok());

    dev.http(3).put(&path, &[("henge-context", &shown.context())], "one").with_status(204);
    assert_eq!(dev.http(1).get(&path, &[]).with_status(200).text(), "one");
}

/// Keys and values beyond the limit are refused through every door, by name and with the limit.
#[test]
fn what_is_too_long_is_refused_with_the_limit() {
    let dev = Dev::start();
    let long = vec![b'v'; MIB + 1];
    let mut connection = dev.resp(1);
    for words in [[&b"SET"[..], b"key", &long], [&b"SET"[..], &long[..(64 << 10) + 1], b"value"]] {
        let refused = connection.ask(&words);
        assert!(refused.error().contains("limit"), "{refused:?}");
    }
    let path = key_path("default", "key");
    let problem =
        dev.http(1).try_ask("PUT", &path, &[], &long).expect("the node answers").with_status(413).json();
    assert_eq!((&problem["limit"], &problem["result"]), (&MIB.into(), &"not-done".into()));
    assert_eq!(connection.ask(&["EXISTS", "key"]), Reply::Integer(0));
}

/// Records for which there is no memory are refused when the node starts, not when one comes.
#[test]
fn a_node_without_memory_for_a_keyspaces_records_does_not_start() {
    let servers = Servers::prepare(1, FILES);
    servers.run(1).refused_with(&["keyspaces.files.limits.record_bytes_max", "node.memory", "335544320"]);
}

/// A keyspace may take values of up to 64 MiB, on a node with memory for them: through HTTP, through RESP, over a crash.
#[test]
fn a_keyspace_for_large_values_keeps_them() {
    let mut servers = Servers::prepare(1, FILES);
    servers.configure_with(1, "memory = \"512MiB\"\n", FILES);
    servers.launch(1);
    let path = key_path("files", "film");
    for turn in 1..=3 {
        let value = vec![turn; 40 * MIB];
        let context = servers.http(1).read_head(&path);
        let headers: Vec<(&str, &str)> =
            context.iter().map(|token| ("henge-context", token.as_str())).collect();
        servers.http(1).try_ask("PUT", &path, &headers, &value).expect("the node answers").with_status(204);
    }
    servers.kill_unnoticed(1);
    servers.launch(1);
    let mut connection = Resp::connect_to(servers.resp_address(1), "files");
    assert!(connection.ask(&["GET", "film"]) == Reply::Bulk(vec![3; 40 * MIB]));
}
