//! The bytes of a state: they come back as the same state, are refused when damaged, and stay readable for ever.

mod common;

use std::collections::BTreeMap;

use cluster::{ClusterState, Keyspace, StoredError};
use common::{found, plan};
use proptest::prelude::*;
use quorum::{Level, QuorumMode};
use ring::ReplicaCount;

/// A state as the first version of the format wrote it. Never regenerated: it stands for data directories out there.
const FORMAT_1: &[u8] = include_bytes!("data/cluster-state-1.bin");

fn varied() -> ClusterState {
    let counts = BTreeMap::from([("dc1".to_owned(), 2)]);
    let carts = Keyspace {
        n: ReplicaCount::PerDataCenter(counts),
        r: Level::Count(2),
        quorum_mode: QuorumMode::Strict,
        max_clock_entries: Some(50),
        ..Keyspace::new(1, "carts")
    };
    found(4, vec![carts])
}

#[test]
fn a_state_comes_back_as_it_was() {
    let state = varied();
    let decoded = ClusterState::decode(&state.encode()).unwrap();
    assert_eq!(decoded, state);
    assert_eq!(decoded.fingerprint(), state.fingerprint());
    assert!(state.diff(&decoded).is_empty());
}

#[test]
fn the_first_format_stays_readable() {
    let state = ClusterState::decode(FORMAT_1).unwrap();
    assert_eq!((state.name(), state.members().len(), state.partition_count()), ("test", 4, 256));
    assert_eq!(state.keyspace_by_name("carts").unwrap().r, Level::Count(2));
    let checksum = FORMAT_1.last_chunk().copied().map(u64::from_le_bytes);
    assert_eq!(Some(state.founding()), checksum, "it is told from other clusters as it was");
    assert_eq!(ClusterState::decode(&state.encode()).unwrap(), state);
}

#[test]
fn a_later_format_is_refused_and_says_so() {
    let mut bytes = varied().encode();
    bytes[4] = 9;
    assert_eq!(ClusterState::decode(&bytes), Err(StoredError::TooNew { found: 9, known: 4 }));
}

proptest! {
    /// No byte is used unverified: any change is found.
    #[test]
    fn a_changed_byte_is_found(at in any::<prop::sample::Index>(), flip in 1_u8..) {
        let mut bytes = FORMAT_1.to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        prop_assert!(ClusterState::decode(&bytes).is_err());
    }

    #[test]
    fn a_cut_is_found(at in any::<prop::sample::Index>()) {
        prop_assert!(ClusterState::decode(&FORMAT_1[..at.index(FORMAT_1.len())]).is_err());
    }

    /// Bytes that nobody of ours wrote end in an error and never in a panic.
    #[test]
    fn foreign_bytes_are_refused(bytes: Vec<u8>) {
        prop_assert!(ClusterState::decode(&bytes).is_err());
    }
}

/// A right checksum over wrong content does not make a state: the parts are checked like a configuration.
#[test]
fn content_that_could_not_be_founded_is_refused() {
    let mut bytes = FORMAT_1.to_vec();
    let name = bytes.windows(5).position(|window| window == b"carts").unwrap();
    bytes[name] = b'/';
    let content = bytes.len() - 8;
    let checksum = xxhash_rust::xxh3::xxh3_64(&bytes[..content]).to_le_bytes();
    bytes[content..].copy_from_slice(&checksum);
    let error = ClusterState::decode(&bytes).unwrap_err().to_string();
    assert!(error.contains("keyspaces.name = \"/arts\""), "{error}");
}

/// An operator who changes the configuration of a founded cluster reads what it says and what it would say.
#[test]
fn differences_are_told_line_by_line() {
    let kept = varied();
    let mut changed = plan(5);
    changed.name = "other".to_owned();
    changed.members.remove(0);
    changed.members[0].rack = "r9".to_owned();
    changed.members[0].addresses.peer = Some("127.0.0.1:9002".parse().unwrap());
    changed.keyspaces = vec![Keyspace { w: Level::All, ..Keyspace::built_in() }];
    let changed = ClusterState::found(changed).unwrap();
    assert_eq!(
        kept.diff(&changed),
        [
            "the cluster: name is test, would be other",
            "member n1 would be gone",
            "member n2: rack is r2, would be r9",
            "member n2: peer is none, would be 127.0.0.1:9002",
            "member n5 would be new",
            "keyspace carts would be gone",
            "keyspace default: w is quorum, would be all",
        ]
    );
}
