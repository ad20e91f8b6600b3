//! Nodes that do not belong together find out before anything else is said, and say so in words that help an operator.
#![allow(clippy::unwrap_used, reason = "a test may stop at surprises")]

use bytes::BytesMut;
use proptest::prelude::*;
use types::{Epoch, Incarnation, NodeId, ShardId};
use wire::{Hello, Refusal, decode_frame};

fn hello(node: u16, name: &str) -> Hello {
    Hello {
        cluster: "shop".to_owned(),
        founding: 0xabcd,
        epoch: Epoch(1),
        node: NodeId(node),
        name: name.to_owned(),
        incarnation: Incarnation(7),
        run: 77,
        first_stint: 1025,
        tide: 2049,
        is_new: false,
        never_met: false,
        past_lives: vec![Incarnation(3), Incarnation(4)],
        shard: ShardId(0),
    }
}

fn refusal(theirs: &Hello) -> String {
    theirs.check(&hello(1, "n1")).unwrap_err().why
}

fn travelled(encode: impl Fn(&mut BytesMut)) -> Option<Result<Hello, Refusal>> {
    let mut bytes = BytesMut::new();
    encode(&mut bytes);
    let frame = decode_frame(&mut bytes).unwrap().unwrap();
    assert!(bytes.is_empty());
    Hello::decode(&frame)
}

#[test]
fn members_of_one_cluster_talk() {
    assert_eq!(hello(2, "n2").check(&hello(1, "n1")), Ok(()));
}

#[test]
fn a_node_of_another_cluster_is_refused() {
    let theirs = Hello { cluster: "bank".to_owned(), ..hello(2, "n2") };
    assert_eq!(
        refusal(&theirs),
        "node n2 is of cluster `bank`, not of `shop`: check the addresses of the members"
    );
}

#[test]
fn two_nodes_of_one_name_or_number_are_refused_and_so_is_a_node_that_meets_itself() {
    let expected = |name| format!("two nodes say that they are {name}: give each a node.id of its own");
    assert_eq!(refusal(&hello(1, "n1")), expected("n1"));
    assert_eq!(refusal(&hello(2, "n1")), expected("n1"));
    assert_eq!(refusal(&hello(1, "n2")), expected("n2"));
}

/// What tells clusters of one name apart is what they were founded with; how far each has come since is no matter.
#[test]
fn another_cluster_is_refused() {
    let later = Hello { epoch: Epoch(7), ..hello(2, "n2") };
    assert_eq!(later.check(&hello(1, "n1")), Ok(()));
    let theirs = Hello { founding: 0x1234, ..hello(2, "n2") };
    assert_eq!(
        refusal(&theirs),
        "nodes n2 and n1 are of two clusters that were founded differently (0000000000001234, 000000000000abcd): [[cluster.members]] \
         and [[keyspaces]] must be the same on both when they start for the first time"
    );
}

#[test]
fn what_is_no_handshake_is_neither() {
    let mut bytes = BytesMut::new();
    let ping = wire::Envelope {
        operation: types::OperationId(0),
        round: 0,
        epoch: Epoch(0),
        partition: types::PartitionId(0),
        deadline_ms: 0,
        body: wire::Body::Ping,
    };
    wire::encode_frame(&ping, &mut bytes);
    let frame = decode_frame(&mut bytes).unwrap().unwrap();
    assert_eq!(Hello::decode(&frame), None);
}

proptest! {
    #[test]
    fn introductions_and_refusals_travel(node in any::<u16>(), name in ".*", why in ".*", incarnation in any::<u64>(), flag in any::<bool>()) {
        let said = Hello { incarnation: Incarnation(incarnation), is_new: flag, ..hello(node, &name) };
        prop_assert_eq!(travelled(|out| said.encode(out)), Some(Ok(said.clone())));
        let refused = Refusal { why, superseded: flag, removed: !flag, try_again: flag };
        prop_assert_eq!(travelled(|out| refused.encode(out)), Some(Err(refused.clone())));
    }
}
