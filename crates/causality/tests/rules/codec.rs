//! One record, one sequence of bytes; and no sequence of bytes does harm.

use bytes::Bytes;
use causality::{Context, DecodeError, Lww, Payload, Peek, Record, Siblings, Stamp, Version, peek};
use proptest::prelude::*;
use types::{OperationId, WallTime};

use crate::given::{any_records, context, dot, version};

proptest! {
    #[test]
    fn decoding_gives_back_what_was_encoded([record, other, _] in any_records()) {
        let bytes = record.to_bytes();
        prop_assert_eq!(bytes.len(), record.encoded_len());
        prop_assert_eq!(Record::decode(bytes.clone()), Ok(record.clone()));
        prop_assert_eq!(record == other, bytes == other.to_bytes(), "equal records are equal bytes");
    }

    /// Whatever is accepted is what encoding would have written: no record has two forms.
    #[test]
    fn altered_bytes_are_refused_or_canonical([record, ..] in any_records(), at in any::<prop::sample::Index>(), flip in 1..=255_u8) {
        let mut bytes = record.to_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        if let Ok(decoded) = Record::decode(Bytes::from(bytes.clone())) {
            prop_assert_eq!(decoded.to_bytes(), Bytes::from(bytes));
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(kind in 0..4_u8, format in 0..3_u8, body in prop::collection::vec(any::<u8>(), 0..200)) {
        let bytes = Bytes::from([vec![kind, format], body].concat());
        let peeked = peek(&bytes);
        if let Ok(decoded) = Record::decode(bytes.clone()) {
            prop_assert_eq!(decoded.to_bytes(), bytes);
            prop_assert!(peeked.is_ok());
        }
    }

    /// Small numbers are likelier to be valid, and reach further into the decoder.
    #[test]
    fn small_bytes_never_panic(body in prop::collection::vec(0..4_u8, 0..120)) {
        let bytes = Bytes::from([vec![2, 1], body].concat());
        if let Ok(decoded) = Record::decode(bytes.clone()) {
            prop_assert_eq!(decoded.to_bytes(), bytes);
        }
    }

    #[test]
    fn no_proper_prefix_of_siblings_is_a_record([a, ..] in crate::given::any_siblings(), cut in any::<prop::sample::Index>()) {
        let bytes = Record::Siblings(a).to_bytes();
        prop_assert!(Record::decode(bytes.slice(..cut.index(bytes.len()))).is_err());
    }

    #[test]
    fn peeking_ranks_as_the_records_do(a in crate::given::any_lww(), b in crate::given::any_lww()) {
        let peeked = |lww: &Lww| match peek(&Record::Lww(lww.clone()).to_bytes()) {
            Ok(Peek::Lww(peeked)) => peeked,
            other => panic!("{other:?}"),
        };
        prop_assert_eq!(peeked(&a).supersedes(&peeked(&b)), a.supersedes(&b));
    }

    /// The fast path says what the slow one says.
    #[test]
    fn peeking_agrees_with_decoding(lww in crate::given::any_lww(), now in 0..5_u64) {
        let bytes = Record::Lww(lww.clone()).to_bytes();
        let Ok(Peek::Lww(peeked)) = peek(&bytes) else { panic!("an lww record") };
        let version = lww.version();
        prop_assert_eq!(
            (peeked.stamp, peeked.dot, peeked.expiry, peeked.priority, peeked.operation),
            (version.stamp, version.dot, version.expiry, version.priority, version.operation)
        );
        prop_assert_eq!(peeked.is_live(WallTime(now)), version.is_live(WallTime(now)));
        prop_assert_eq!(&bytes[peeked.value.clone()], version.payload.value().map_or(&[][..], |value| value));
    }
}

fn sample_lww() -> Record {
    let payload = Payload::Value(Bytes::from_static(b"abc"));
    let version = Version::new(dot(0x0102, 3), Stamp::new(1, 2), payload, OperationId(5));
    Record::Lww(Lww::new(version.with_priority(4).ending(Some(WallTime(7)))))
}

fn sample_siblings() -> Record {
    let one = Siblings::new().put(&Context::Empty, version(dot(1, 1))).expect("a fresh dot");
    let two = one
        .put(&context(&[], &[(2, 9)]), version(dot(1, 300)).ending(Some(WallTime(7))))
        .expect("a fresh dot");
    Record::Siblings(two)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Golden bytes of format 1: what is on disk stays readable, and what is hashed stays the same.
#[test]
fn format_1_is_what_it_was() {
    let lww = concat!(
        "01010204",
        "0200010000000000",
        "0201000000000000",
        "00000000",
        "0300000000000000",
        "0500000000000000",
        "0200010000000000",
        "0700000000000000",
        "616263"
    );
    assert_eq!(hex(&sample_lww().to_bytes()), lww);
    let siblings = concat!(
        "0201",
        "02",
        "0100000000000000",
        "00",
        "0200000000000000",
        "00", // actors 1/0 and 2/0
        "ac02",
        "00",
        "01",
        "01",
        "09", // 1/0 up to 300; of 2/0 the dot 9 alone
        "02",
        "00",
        "00",
        "0100000000000000",
        "00",
        "01",
        "0100000001000000",
        "0100000000000000",
        "00",
        "15",
        "76303030303030303030303030303030312f303a31",
        "02",
        "00",
        "2c01000000000000",
        "00",
        "ac02",
        "2c01000001000000",
        "2c01000000000000",
        "0700000000000000",
        "01",
        "01",
        "09",
        "17",
        "76303030303030303030303030303030312f303a333030"
    );
    assert_eq!(hex(&sample_siblings().to_bytes()), siblings);
    assert_eq!(Record::decode(sample_siblings().to_bytes()), Ok(sample_siblings()));
}

/// Values are parts of the bytes decoded, not copies of them.
#[test]
fn decoding_copies_no_value() {
    for record in [sample_lww(), sample_siblings()] {
        let bytes = record.to_bytes();
        let decoded = Record::decode(bytes.clone()).expect("just encoded");
        for version in decoded.versions() {
            let value = version.payload.value().expect("a value");
            assert!(bytes.as_ptr_range().contains(&value.as_ptr()));
        }
    }
}

/// Encoding appends, so that a record can go straight into a larger buffer.
#[test]
fn encoding_appends() {
    let mut out = b"before".to_vec();
    sample_lww().encode(&mut out);
    assert_eq!(out, [b"before", &sample_lww().to_bytes()[..]].concat());
}

/// A newer format is told from damage, and a count that cannot be true reserves no memory.
#[test]
fn refusals_say_why() {
    let decode = |bytes: &[u8]| Record::decode(Bytes::copy_from_slice(bytes));
    assert_eq!(decode(&[]), Err(DecodeError::Truncated { at: 0, wanted: 2 }));
    assert_eq!(decode(&[1, 2]), Err(DecodeError::Unknown { kind: 1, format: 2 }));
    assert_eq!(decode(&[1, 1]), Err(DecodeError::Truncated { at: 2, wanted: 54 }));
    let billion_actors = [2, 1, 0x80, 0x94, 0xeb, 0xdc, 0x03];
    assert_eq!(decode(&billion_actors), Err(DecodeError::Truncated { at: 7, wanted: 10_000_000_000 }));
    let trailing = [&sample_siblings().to_bytes()[..], &[0]].concat();
    assert!(matches!(decode(&trailing), Err(DecodeError::Malformed { .. })));
}
