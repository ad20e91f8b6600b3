//! INVARIANTS C3 and H3: damaged files of a node that nobody else has the data of. What was synced and cannot be read is never
//! passed over in silence, what never was synced is set aside. What becomes of damage where others have the same: `healing`.

use std::fs::{self, File};
use std::path::PathBuf;

use crate::common::log;
use crate::common::patience::wait_until;
use crate::common::resp::Reply;
use crate::common::servers::Servers;
use crate::healing::large_value;

const KEYS: usize = 60;

fn value_of(number: usize) -> String {
    format!("the value of key {number}.")
}

/// A node that has acknowledged some writes and was killed, and the segment with all of them.
fn killed_after_writing() -> (Servers, PathBuf) {
    let mut servers = Servers::start(1, "");
    let mut resp = servers.resp(1, "default");
    for number in 0..KEYS {
        assert_eq!(resp.ask(&["SET", &format!("key-{number}"), &value_of(number)]), Reply::ok());
    }
    servers.kill_unnoticed(1);
    let places = log::places(&servers.data(1), "log-", value_of(0).as_bytes());
    let (segment, _) = places.first().expect("the log has what was acknowledged").clone();
    (servers, segment)
}

/// Where a value is in the log.
#[track_caller]
fn place_of(segment: &PathBuf, number: usize) -> usize {
    let (bytes, value) = (fs::read(segment).expect("a segment"), value_of(number));
    bytes.windows(value.len()).position(|window| window == value.as_bytes()).expect("it is in the log")
}

/// Acknowledged writes stand behind the damage, so to start without them would be to lose them in silence.
#[test]
fn a_flipped_byte_in_the_middle_of_the_commit_log_is_refused_with_file_and_offset() {
    let (servers, segment) = killed_after_writing();
    let at = place_of(&segment, KEYS / 2);
    let records = log::records(&fs::read(&segment).expect("a segment"));
    let start = records.iter().rev().find(|&&start| start <= at).expect("it is in a record");
    log::flip(&segment, at);
    let before = fs::read(&segment).expect("a segment");
    let words =
        [segment.to_str().expect("a plain name"), &format!("at byte {start}"), "synced and cannot be read"];
    servers.run(1).refused_with(&words);
    servers.run(1).refused_with(&words);
    assert!(fs::read(&segment).expect("a segment") == before, "a refusal changes nothing");
}

/// Segments are laid out at full length before they are used, so one that is shorter has lost something.
#[test]
fn a_segment_cut_short_is_refused_with_file_and_offset() {
    let (servers, segment) = killed_after_writing();
    let cut = place_of(&segment, KEYS / 2);
    let file = File::options().write(true).open(&segment).expect("a segment");
    file.set_len(u64::try_from(cut).expect("small")).expect("files can be cut");
    servers.run(1).refused_with(&[segment.to_str().expect("a plain name"), &format!("at byte {cut}")]);
}

/// The last write had not been synced when the power went: part of it is there. Nobody was told that it was stored, so the
/// node starts without it, says what it set aside and where, and has all that was acknowledged.
#[test]
fn a_torn_tail_that_was_never_synced_is_set_aside_and_said() {
    let (mut servers, segment) = killed_after_writing();
    let mut bytes = fs::read(&segment).expect("a segment");
    let records = log::records(&bytes);
    let [.., last, end] = records[..] else { panic!("there are records") };
    // Half a record, as a write leaves it that the power cut short.
    bytes.copy_within(last..last + (end - last) / 2, end);
    bytes[end + 8..end + 12].fill(0x5a);
    fs::write(&segment, &bytes).expect("a segment can be written");

    servers.launch(1);
    let said = servers.process(1).logged();
    for words in ["never synced", "set aside in", "aside-", segment.to_str().expect("a plain name")] {
        assert!(said.contains(words), "{words} in {said}");
    }
    assert_eq!(log::files(&servers.data(1), "aside-").len(), 1);
    let mut resp = servers.resp(1, "default");
    for number in 0..KEYS {
        assert_eq!(resp.ask(&["GET", &format!("key-{number}")]), Reply::value(&value_of(number)));
    }
}

/// A file that the manifest names and that is gone is no empty file.
#[test]
fn a_missing_segment_is_refused_by_name() {
    let (servers, segment) = killed_after_writing();
    fs::remove_file(&segment).expect("files can be removed");
    servers.run(1).refused_with(&[segment.to_str().expect("a plain name"), "is missing"]);
}

/// Who the directory is, and which cluster it belongs to, is not guessed from what is left.
#[test]
fn a_damaged_identity_is_refused_by_name() {
    let (servers, _) = killed_after_writing();
    let identity = servers.data(1).join("identity");
    log::flip(&identity, 14);
    servers.run(1).refused_with(&[identity.to_str().expect("a plain name"), "checksum"]);
}

/// Where nobody else has it a damaged block stays where it is: its keys are answered with an error and never with *absent*, the
/// others as before, and the node says what is damaged and what to do about it. With the bytes restored all is as it was.
#[test]
fn a_damaged_block_that_nobody_else_has_is_left_and_named() {
    const LARGE: usize = 60;
    let mut servers = Servers::start(1, "");
    let mut resp = servers.resp(1, "default");
    let key = |number: usize| format!("large-{number}");
    for number in 0..LARGE {
        let (key, value) = (key(number), large_value(number));
        let words: [&[u8]; 3] = [b"SET", key.as_bytes(), &value];
        assert_eq!(resp.ask(&words), Reply::ok());
    }
    servers.stop(1);
    let places = |number| log::places(&servers.data(1), "table-", &large_value(number)[..64]);
    let in_tables = (0..LARGE).map(|number| (number, places(number))).find(|(_, places)| !places.is_empty());
    let (damaged, places) = in_tables.expect("so much data is in tables");
    places.iter().for_each(|(table, at)| log::flip(table, at + 1000));
    servers.launch(1);
    let mut resp = servers.resp(1, "default");
    for number in 0..LARGE {
        let reply = resp.ask(&["GET", &key(number)]);
        if number == damaged {
            assert!(reply.error().contains("damaged at byte"), "{reply:?}");
        } else {
            assert!(reply == Reply::Bulk(large_value(number)), "key {number}");
        }
    }
    wait_until("the damage to be told", || {
        let notices = servers.http(1).get("/v1/cluster", &[]).json()["notices"].to_string();
        notices.contains("is damaged at byte") && notices.contains("restore what is damaged from a copy")
    });
    servers.stop(1);
    places.iter().for_each(|(table, at)| log::flip(table, at + 1000));
    servers.launch(1);
    assert!(servers.resp(1, "default").ask(&["GET", &key(damaged)]) == Reply::Bulk(large_value(damaged)));
}
