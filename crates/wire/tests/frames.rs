//! What one node says is what the other hears, and nothing else is heard: every message survives its frame, however the
//! network cuts it, and no damage and no nonsense passes or does harm (INVARIANTS K3).
#![allow(clippy::unwrap_used, reason = "a test may stop at surprises")]

mod support;

use bytes::{Bytes, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;
use support::{envelope, framed};
use wire::{Body, Envelope, FRAME_BYTES_MAX, FrameError, codec, decode_frame, frame::WIRE_VERSION};

/// What a receiver makes of bytes that come in these pieces.
fn heard(pieces: &[&[u8]]) -> Result<Vec<Envelope>, FrameError> {
    let (mut buffer, mut messages) = (BytesMut::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        while let Some(frame) = decode_frame(&mut buffer)? {
            messages.push(frame.into_envelope()?);
        }
    }
    assert!(buffer.is_empty(), "a whole number of frames was sent");
    Ok(messages)
}

proptest! {
    /// Every message of every kind means on the other side what it meant on this one.
    #[test]
    fn messages_survive_their_frames(sent in vec(envelope(), 1..4)) {
        let bytes: Vec<u8> = sent.iter().flat_map(framed).collect();
        prop_assert_eq!(heard(&[&bytes]).unwrap(), sent);
    }

    /// A stream is cut anywhere, and may arrive byte by byte.
    #[test]
    fn it_does_not_matter_how_the_stream_is_cut(sent in vec(envelope(), 1..4), size in 1usize..50) {
        let bytes: Vec<u8> = sent.iter().flat_map(framed).collect();
        let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
        prop_assert_eq!(heard(&pieces).unwrap(), sent);
    }

    /// One flipped bit anywhere and the message is not heard: it is refused, or waits for bytes that its damaged length
    /// promises.
    #[test]
    fn every_flipped_bit_is_noticed(sent in envelope(), bit in 0u8..8) {
        let bytes = framed(&sent);
        for place in 0..bytes.len() {
            let mut damaged = BytesMut::from(&bytes[..]);
            damaged[place] ^= 1 << bit;
            let heard = decode_frame(&mut damaged);
            prop_assert!(!matches!(heard, Ok(Some(_))), "byte {} of {}", place, bytes.len());
        }
    }

    /// Bytes that are no frames are refused or waited for, and nothing breaks.
    #[test]
    fn arbitrary_bytes_do_no_harm(bytes in vec(any::<u8>(), 0..200)) {
        let mut buffer = BytesMut::from(&bytes[..]);
        while let Ok(Some(frame)) = decode_frame(&mut buffer) {
            let _ = frame.into_envelope();
        }
    }

    /// A peer that can compute a checksum can still not say what breaks its receiver: bodies are read to their end or
    /// refused, whatever they hold.
    #[test]
    fn arbitrary_bodies_do_no_harm(kind in any::<u8>(), body in vec(any::<u8>(), 0..100)) {
        let _ = codec::decode_body(kind, Bytes::from(body));
    }

    /// The same for bodies that are nearly right.
    #[test]
    fn damaged_bodies_do_no_harm(sent in envelope(), place in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut body = BytesMut::new();
        codec::encode_body(&sent.body, &mut body);
        if !body.is_empty() {
            let place = place.index(body.len());
            body[place] = byte;
        }
        let _ = codec::decode_body(codec::kind_of(&sent.body), body.freeze());
    }

    /// A body that ends early is refused, unless its last part has no length of its own.
    #[test]
    fn cut_bodies_do_no_harm(sent in envelope(), keep in any::<prop::sample::Index>()) {
        let mut body = BytesMut::new();
        codec::encode_body(&sent.body, &mut body);
        body.truncate(keep.index(body.len() + 1));
        let _ = codec::decode_body(codec::kind_of(&sent.body), body.freeze());
    }
}

fn pong() -> Envelope {
    Envelope {
        operation: types::OperationId(1),
        round: 0,
        epoch: types::Epoch(1),
        partition: types::PartitionId(0),
        deadline_ms: 0,
        body: Body::Pong,
    }
}

/// K3: memory follows the bytes that came. A claim beyond every frame is refused by its first eight bytes, and an honest
/// one sets nothing aside.
#[test]
fn a_claimed_length_takes_no_memory() {
    for claimed in [0, 6, u32::try_from(FRAME_BYTES_MAX).unwrap() + 1, u32::MAX] {
        let mut buffer = BytesMut::from(&[claimed.to_le_bytes(), [0; 4]].concat()[..]);
        assert_eq!(decode_frame(&mut buffer), Err(FrameError::Length(claimed as usize)));
    }
    let large = u32::try_from(FRAME_BYTES_MAX).unwrap();
    let mut buffer = BytesMut::from(&[large.to_le_bytes(), [0; 4]].concat()[..]);
    assert_eq!(decode_frame(&mut buffer), Ok(None));
    assert!(buffer.capacity() < 1024, "{} bytes set aside", buffer.capacity());
}

/// A write whose key claims to be longer than the message, and a list that claims more than memory holds, are refused
/// before anything is set aside for them.
#[test]
fn claimed_lengths_within_a_body_take_no_memory() {
    let write = [&[0][..], &[0], &[0xff, 0xff, 0xff, 0xff, 0x0f], b"key"].concat();
    let error = codec::decode_body(17, Bytes::from(write)).unwrap_err();
    assert_eq!(error.to_string(), "a message of kind 17 cannot be read: its key is longer than the message");
    let many_entries = Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]);
    assert!(codec::decode_body(38, many_entries).is_err());
}

/// A frame of another version is refused by name, so that an operator sees what to do.
#[test]
fn another_version_is_refused() {
    let mut bytes = framed(&pong());
    bytes[8] = WIRE_VERSION + 1;
    let checksum = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, &bytes[8..]);
    bytes[4..8].copy_from_slice(&u32::try_from(checksum).unwrap().to_le_bytes());
    let error = decode_frame(&mut BytesMut::from(&bytes[..])).unwrap_err();
    assert_eq!(error.to_string(), "a frame has version 3; this node speaks 2");
}

/// A header whose checksum is right and whose numbers are cut short, padded or too large for their fields is refused.
#[test]
fn a_header_that_makes_no_sense_is_refused() {
    let heard = |numbers: &[u8]| {
        let checked = [&[WIRE_VERSION, 5][..], numbers].concat();
        let checksum = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, &checked);
        let length = u32::try_from(checked.len()).unwrap().to_le_bytes();
        let checksum = u32::try_from(checksum).unwrap().to_le_bytes();
        decode_frame(&mut BytesMut::from(&[&length[..], &checksum, &checked].concat()[..]))
    };
    assert!(matches!(heard(&[0; 5]), Ok(Some(_))));
    assert_eq!(heard(&[0, 0, 0, 0, 0x80]), Err(FrameError::Header("it is too short")));
    assert_eq!(heard(&[0x80, 0, 0, 0, 0, 0]), Err(FrameError::Header("a number in it is padded")));
    let partition_beyond_16_bits = heard(&[0xff, 0xff, 4, 0, 0, 0, 0]);
    assert_eq!(partition_beyond_16_bits, Err(FrameError::Header("a number in it is too large")));
}

/// What the exchange says by the thousand after a data center was cut off costs little beside what it is about.
#[test]
fn a_header_is_short_where_its_numbers_are_small() {
    let stored = Envelope {
        operation: types::OperationId(0b1100 << 60 | 30_000),
        round: 1,
        epoch: types::Epoch(100),
        partition: types::PartitionId(63),
        deadline_ms: 10_000,
        body: Body::Reply(wire::ReplicaReply::Stored),
    };
    assert_eq!(framed(&stored).len(), 10 + 1 + 2 + 3 + 1 + 1);
}

#[test]
fn an_unknown_kind_is_refused() {
    let error = codec::decode_body(99, Bytes::new()).unwrap_err();
    assert_eq!(error.to_string(), "a message of kind 99 cannot be read: this version knows no such kind");
}

/// A forwarded request is about one key. Batches within batches, a few bytes for each, would otherwise be read as deep
/// as a frame is long, and overflow the reader's stack.
#[test]
fn nested_batches_are_refused() {
    let forwarded = |body: Vec<u8>| codec::decode_body(40, Bytes::from(body));
    for variant in 0..16u8 {
        let nested: Vec<u8> = [0, variant, 1].repeat(1_000_000);
        assert!(forwarded(nested).is_err(), "variant {variant}");
    }
}
