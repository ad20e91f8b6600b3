//! A real disk of a few hundred MB that fills up (INVARIANTS H4). Run by `drills/full_disk.sh`, which makes the disk.

use std::ops::Range;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use crate::common::patience::wait_until;
use crate::common::resp::{Reply, Resp};
use crate::common::servers::Servers;

const VALUE_BYTES: usize = 50_000;
/// Beyond what any such disk holds.
const KEYS_MAX: usize = 20_000;

/// Bytes that no compression makes fewer, and that are the key's own.
fn value(key: usize) -> Vec<u8> {
    let mut state = key as u64 + 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    std::iter::repeat_with(next).take(VALUE_BYTES).collect()
}

fn set(connection: &mut Resp, key: usize) -> Reply {
    connection.ask(&[b"SET".to_vec(), format!("key{key}").into_bytes(), value(key)])
}

fn check(connection: &mut Resp, keys: Range<usize>, kept_from: usize) {
    for key in keys {
        let found = connection.ask(&["GET", &format!("key{key}")]);
        let expected = if key < kept_from { Reply::Null } else { Reply::Bulk(value(key)) };
        assert!(found == expected, "key{key} is not what was acknowledged");
    }
}

#[test]
#[ignore = "needs a small disk of its own: run drills/full_disk.sh"]
fn a_disk_fills_up_and_deletes_make_room() {
    let disk = PathBuf::from(std::env::var("HENGE_SMALL_DISK").expect("drills/full_disk.sh names the disk"));
    let mut servers = Servers::prepare(1, "");
    symlink(&disk, servers.data(1)).expect("the scratch directory takes links");
    servers.launch(1);
    let mut connection = servers.resp(1, "default");
    let mut said = (0..KEYS_MAX).map(|key| (key, set(&mut connection, key)));
    let (count, refusal) =
        said.find(|(_, said)| *said != Reply::ok()).expect("the disk is smaller than that");
    println!("after {count} values of {VALUE_BYTES} bytes: {}", refusal.error());
    assert!(refusal.error().starts_with("OVERLOADED the disk is nearly full"), "{refusal:?}");

    servers.kill_unnoticed(1);
    servers.launch(1);
    let mut connection = servers.resp(1, "default");
    check(&mut connection, 0..count, 0);
    let deleted = count / 2;
    for key in 0..deleted {
        assert_eq!(connection.ask(&["DEL", &format!("key{key}")]), Reply::Integer(1), "key{key}");
    }
    for key in count..count + deleted {
        wait_until("room for a value", || set(&mut connection, key) == Reply::ok());
    }
    println!("{deleted} deleted, and as many stored in their place without a restart");

    servers.kill_unnoticed(1);
    servers.launch(1);
    check(&mut servers.resp(1, "default"), 0..count + deleted, deleted);
}
