//! INVARIANTS A1, C3 and H3: damaged files of one node of three. Nothing wrong is said, the others answer in its place, and it
//! has again what it had lost, without anybody doing anything; but for the few files that say who it is and what there is.

use std::fs;
use std::path::PathBuf;

use crate::common::http::key_path;
use crate::common::log;
use crate::common::patience::wait_until;
use crate::common::resp::Reply;
use crate::common::servers::Servers;

const LARGE: usize = 60;
const SMALL: usize = 60;
const LATE: usize = 20;

/// Values that do not compress, so that a key's bytes stand in its table as they are; enough of them to fill memory and
/// go to tables.
pub(crate) fn large_value(number: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64.wrapping_add(u64::try_from(number).expect("small"));
    let mut bytes = Vec::with_capacity(200_000);
    while bytes.len() < 200_000 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes
}

fn small_value(number: usize) -> Vec<u8> {
    format!("the small value of key {number}.").into_bytes()
}

fn late_value(number: usize, kind: &str) -> Vec<u8> {
    format!("the late value of key {number} beside a damaged {kind}.").into_bytes()
}

fn put(servers: &Servers, key: &str, value: &[u8], w: &str) {
    let words: [&[u8]; 5] = [b"KV.PUT", key.as_bytes(), value, b"W", w.as_bytes()];
    let reply = servers.resp(1, "default").ask(&words);
    assert!(matches!(reply, Reply::Array(_)), "{reply:?}");
}

/// Three nodes with acknowledged writes, the large ones in tables for the most part and the small ones in the log.
fn filled(w: &str) -> Servers {
    let servers = Servers::start(3, "");
    for number in 0..LARGE {
        put(&servers, &format!("large-{number}"), &large_value(number), w);
    }
    for number in 0..SMALL {
        put(&servers, &format!("small-{number}"), &small_value(number), w);
    }
    servers
}

/// Everything that was acknowledged is read from all owners, which is only answered if each of them can say.
#[track_caller]
fn assert_all_is_read_from_all(servers: &Servers) {
    (0..LARGE).for_each(|number| assert_is_read(servers, &format!("large-{number}"), &large_value(number)));
    (0..SMALL).for_each(|number| assert_is_read(servers, &format!("small-{number}"), &small_value(number)));
}

#[track_caller]
fn assert_is_read(servers: &Servers, key: &str, value: &[u8]) {
    wait_until(&format!("{key} to be read from all owners"), || {
        let reply = servers.resp(2, "default").ask(&["KV.GET", key, "R", "all"]);
        let Reply::Array(found) = &reply else { return false };
        let text = format!("{found:?}");
        assert!(text.contains(&format!("{:?}", Reply::Bulk(value.to_vec()))), "{key}: a wrong value");
        true
    });
}

#[track_caller]
fn wait_until_healed(servers: &Servers, node: u16) {
    wait_until("the node to have healed", || {
        servers.figure(node, "healed_partitions_total") > 0.0
            && servers.figure(node, "missing_partitions") == 0.0
    });
}

/// Where a large value is in the tables of n1.
fn in_a_table(servers: &Servers) -> (usize, Vec<(PathBuf, usize)>) {
    let places = |number| log::places(&servers.data(1), "table-", &large_value(number)[..64]);
    let found = (0..LARGE).map(|number| (number, places(number))).find(|(_, places)| !places.is_empty());
    found.expect("so much data is in tables")
}

/// A damaged block is "cannot say", never "absent": while nobody else is there the node that has it says so, and what else it
/// has is read as before. Once the others are back it has again what it had lost.
#[test]
fn a_key_in_a_damaged_block_is_not_answered_for_until_it_has_come_back() {
    let mut servers = filled("all");
    servers.stop(1);
    let (number, places) = in_a_table(&servers);
    for (table, at) in &places {
        log::flip(table, at + 1000);
    }
    servers.kill_unnoticed(2);
    servers.kill_unnoticed(3);
    servers.launch(1);
    servers.wait_until_seen();
    let path = key_path("default", &format!("large-{number}"));
    let refused = servers.http(1).get(&format!("{path}?r=1"), &[]).with_status(503).json();
    assert!(refused["detail"].as_str().is_some_and(|text| text.contains("damaged")), "{refused}");
    let readable = |&other: &usize| {
        let path = key_path("default", &format!("large-{other}"));
        servers.http(1).get(&format!("{path}?r=1"), &[]).status == 200
    };
    assert_eq!((0..LARGE).filter(readable).count(), LARGE - 1);
    wait_until("the damage to be told", || {
        let notices = servers.http(1).get("/v1/cluster", &[]).json()["notices"].to_string();
        notices.contains("damage on the disk")
            && notices.contains(places[0].0.to_str().expect("a plain name"))
    });
    assert!(servers.figure(1, "healed_partitions_total") == 0.0, "there was nobody to ask");

    servers.launch(2);
    servers.launch(3);
    wait_until_healed(&servers, 1);
    assert_all_is_read_from_all(&servers);
    let said = servers.process(1).logged();
    assert!(said.contains("is damaged at byte") && said.contains("has come back"), "{said}");
    let notices = servers.http(1).get("/v1/cluster", &[]).json()["notices"].to_string();
    assert!(!notices.contains("damage"), "{notices}");
}

/// A byte is flipped at the end of every table, and then in the middle of the log, in front of acknowledged writes: the node starts all
/// the same, keeps the files, says nothing wrong, and heals.
#[test]
fn a_damaged_table_and_a_damaged_log_are_given_up_and_healed() {
    let mut servers = filled("2");
    for kind in ["table-", "log-"] {
        // Written last, so that it is in the log and in no table.
        for number in 0..LATE {
            put(&servers, &format!("late-{number}"), &late_value(number, kind), "all");
        }
        servers.kill_unnoticed(1);
        let damaged: Vec<(PathBuf, usize)> = if kind == "table-" {
            // Of all tables: some may be there that nothing names any more.
            let tables = log::files(&servers.data(1), "table-").into_iter();
            tables.map(|table| (table.clone(), fs::read(&table).expect("a table").len() - 20)).collect()
        } else {
            log::places(&servers.data(1), "log-", &late_value(LATE / 2, kind))
        };
        damaged.iter().for_each(|(file, at)| log::flip(file, *at));
        servers.launch(1);
        assert!(
            servers.figure(1, "missing_partitions") > 0.0
                || servers.figure(1, "healed_partitions_total") > 0.0
        );
        // What this node cannot make another owner makes.
        let key = format!("beside-{kind}");
        wait_until("another owner to make it, once one is reached", || {
            let reply = servers.resp(1, "default").ask(&["KV.PUT", &key, "made elsewhere", "W", "2"]);
            matches!(reply, Reply::Array(_))
        });
        let said = servers.process(1).logged();
        for words in ["is given up", "is damaged at byte", "kept in"] {
            assert!(said.contains(words), "{words} in {said}");
        }
        assert!(
            damaged.iter().any(|(file, _)| said.contains(file.to_str().expect("a plain name"))),
            "{said}"
        );
        assert!(!log::files(&servers.data(1), &format!("aside-{kind}")).is_empty());
        wait_until_healed(&servers, 1);
        assert_all_is_read_from_all(&servers);
        (0..LATE).for_each(|number| {
            assert_is_read(&servers, &format!("late-{number}"), &late_value(number, kind));
        });
    }
    // Nothing is left to be healed at another start.
    servers.stop(1);
    servers.launch(1);
    assert!(servers.figure(1, "missing_partitions") == 0.0);
    assert_all_is_read_from_all(&servers);
}

/// What says who a node is, how its store is divided and what is in it is not guessed from what is left: it is refused by name,
/// and as the refusal says, an empty directory is filled by the others.
#[test]
fn damaged_files_that_name_others_are_refused_and_an_empty_directory_is_filled() {
    let mut servers = filled("2");
    servers.stop(1);
    let manifest = log::files(&servers.data(1), "manifest-").pop().expect("there is one");
    let current = servers.data(1).join("store").join("CURRENT");
    for file in [servers.data(1).join("identity"), servers.data(1).join("division"), current, manifest] {
        if !file.exists() {
            continue;
        }
        log::flip(&file, 20);
        servers.run(1).refused_with(&[file.to_str().expect("a plain name")]);
        log::flip(&file, 20);
    }
    fs::remove_dir_all(servers.data(1)).expect("a directory can be removed");
    servers.launch(1);
    assert_all_is_read_from_all(&servers);
}
