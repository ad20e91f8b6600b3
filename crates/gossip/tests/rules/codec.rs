//! Bytes: one form for each message, and nothing that could make a node panic or set memory aside.

use gossip::codec::{self, DecodeError, HEADER_BYTES};
use gossip::message::{Entry, Message, Step};
use gossip::suspicion::{self, Accusations};
use proptest::prelude::*;
use types::{Incarnation, NodeId};

use crate::given::{lived, messages, pulse, start};

proptest! {
    #[test]
    fn a_message_is_decoded_as_it_was_encoded(message in messages()) {
        let bytes = codec::encode(&message);
        prop_assert_eq!(codec::decode(&bytes), Ok(message));
    }

    /// What a draft counts is what the encoder writes.
    #[test]
    fn sizes_are_known_beforehand(message in messages()) {
        let entries: usize = message.entries.values().map(codec::entry_bytes).sum();
        let states: usize = message.states.values().map(codec::difference_bytes).sum();
        prop_assert_eq!(codec::encode(&message).len(), HEADER_BYTES + entries + states);
    }

    #[test]
    fn any_bytes_are_a_message_in_its_one_form_or_none(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(message) = codec::decode(&bytes) {
            prop_assert_eq!(codec::encode(&message), bytes);
        }
    }

    /// Nearer to the truth than random bytes: a message with some bytes changed, and its end cut off.
    #[test]
    fn a_changed_message_is_one_in_its_one_form_or_none(
        message in messages(),
        changes in prop::collection::vec(any::<(prop::sample::Index, u8)>(), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = codec::encode(&message);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.truncate(cut.index(bytes.len()) + 1);
        if let Ok(message) = codec::decode(&bytes) {
            prop_assert_eq!(codec::encode(&message), bytes);
        }
    }

    #[test]
    fn any_bytes_are_some_accusations(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let accusations = suspicion::decode(&bytes);
        prop_assert!(accusations.len() <= bytes.len() / 4);
        prop_assert!(bytes.starts_with(&suspicion::encode(&accusations)));
    }
}

#[test]
fn a_message_of_format_one_looks_like_this() {
    let state = lived(start(3, 0x0102), &[[(1, b"hi".to_vec())].into(), [].into()]).pop().unwrap();
    let known = Entry { tag: 7, pulse: pulse(3, 300), newest_fact: 100 };
    let message = Message {
        step: Step::Answer,
        incarnation: Incarnation(0xaabb),
        entries: [(NodeId(4), known), (NodeId(0x0105), Entry::UNKNOWN)].into(),
        states: [(NodeId(6), state.since(0))].into(),
    };
    #[rustfmt::skip]
    let bytes = [
        1, 1, 0xbb, 0xaa, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0,
        4, 0, 7, 3, 0xac, 2, 0xc8, 1,
        5, 1, 0, 0, 0, 0,
        6, 0, 2, 1, 0, 0, 0, 0, 0, 0, 3, 2, 2, 1,
            1, 1, 2, b'h', b'i',
    ];
    assert_eq!(codec::encode(&message), bytes);
    assert_eq!(codec::decode(&bytes), Ok(message));
}

#[test]
fn another_format_is_named() {
    assert_eq!(codec::decode(&[2; 40]), Err(DecodeError::Format(2)));
}

#[test]
fn a_claim_of_much_is_refused_where_there_is_little() {
    let mut bytes = codec::encode(&Message {
        step: Step::Opening,
        incarnation: Incarnation(1),
        entries: [].into(),
        states: [].into(),
    });
    bytes[10..14].fill(0xff);
    let refused = codec::decode(&bytes);
    assert!(matches!(refused, Err(DecodeError::Malformed { at: 14, .. })), "{refused:?}");
}

#[test]
fn more_than_a_datagram_is_not_looked_at() {
    let refused = codec::decode(&vec![1; codec::BYTES_MAX + 1]);
    assert!(matches!(refused, Err(DecodeError::Malformed { at: 0, .. })), "{refused:?}");
}

#[test]
fn accusations_look_like_this_and_stay_within_their_room() {
    let accusations: Accusations = [(NodeId(2), pulse(1, 300)), (NodeId(9), pulse(4, 5))].into();
    let bytes = [2, 0, 1, 0xac, 2, 9, 0, 4, 5];
    assert_eq!(suspicion::encode(&accusations), bytes);
    assert_eq!(suspicion::decode(&bytes), accusations);
    let many: Accusations = (0..1_000).map(|node| (NodeId(node), pulse(1, 1 << 40))).collect();
    assert!(suspicion::encode(&many).len() <= gossip::options::SUSPECTS_BYTES_MAX);
}
