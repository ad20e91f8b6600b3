//! Who has the secret, and for whom.

use gossip::seal::SECRET_BYTES_MIN;
use gossip::{OpenError, SEAL_BYTES, Seal, SecretError};
use proptest::prelude::*;
use types::NodeId;

const SECRET: &[u8] = b"sixteen bytes, or more";

fn seal() -> Seal {
    Seal::new(SECRET, "prod").unwrap()
}

proptest! {
    #[test]
    fn what_was_sealed_opens(message in prop::collection::vec(any::<u8>(), 0..300), from in any::<u16>(), to in any::<u16>()) {
        let sealed = seal().seal(NodeId(from), NodeId(to), &message);
        prop_assert_eq!(sealed.len(), message.len() + SEAL_BYTES);
        prop_assert_eq!(seal().open(NodeId(to), &sealed), Ok((NodeId(from), message.as_slice())));
    }

    /// Sender, receiver, version, message, code: there is no bit that may be another.
    #[test]
    fn one_flipped_bit_is_noticed(message in prop::collection::vec(any::<u8>(), 0..40), at in any::<prop::sample::Index>()) {
        let mut sealed = seal().seal(NodeId(1), NodeId(2), &message);
        let bit = at.index(sealed.len() * 8);
        sealed[bit / 8] ^= 1 << (bit % 8);
        let opened = seal().open(NodeId(2), &sealed);
        prop_assert!(matches!(opened, Err(OpenError::Forged | OpenError::Version(_))), "{:?}", opened);
    }

    #[test]
    fn any_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        prop_assert!(seal().open(NodeId(1), &bytes).is_err());
    }
}

#[test]
fn another_clusters_messages_do_not_open_even_with_the_same_secret() {
    let sealed = seal().seal(NodeId(1), NodeId(2), b"hello");
    let other = Seal::new(SECRET, "test").unwrap();
    assert_eq!(other.open(NodeId(2), &sealed), Err(OpenError::Forged));
    let other = Seal::new(b"another secret of some length", "prod").unwrap();
    assert_eq!(other.open(NodeId(2), &sealed), Err(OpenError::Forged));
}

#[test]
fn a_message_for_somebody_else_is_not_taken() {
    let sealed = seal().seal(NodeId(1), NodeId(2), b"hello");
    let misdirected = OpenError::Misdirected { from: NodeId(1), to: NodeId(2) };
    assert_eq!(seal().open(NodeId(3), &sealed), Err(misdirected));
}

#[test]
fn too_short_a_secret_is_refused() {
    assert_eq!(Seal::new(&[1; SECRET_BYTES_MIN - 1], "prod").err(), Some(SecretError(15)));
}

/// The layout and the code of version 1; computed with Python's `hmac`.
#[test]
fn a_seal_of_version_one_looks_like_this() {
    let sealed = seal().seal(NodeId(0x0102), NodeId(3), b"hello");
    assert_eq!(sealed[..10], [1, 2, 1, 3, 0, b'h', b'e', b'l', b'l', b'o']);
    assert_eq!(sealed[10..], CODE);
}

const CODE: [u8; 16] =
    [0x5b, 0xb7, 0x70, 0xbc, 0xf1, 0xdb, 0xa8, 0x8e, 0x9f, 0x39, 0xb7, 0xce, 0x08, 0x06, 0x6a, 0x5c];
