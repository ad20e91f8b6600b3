//! Which key a context belongs to.
//!
//! A context that a client passes back with another key than the one that it came from would claim writes that the
//! client never read, and their values would be lost without a word. So a token carries this number and is refused
//! elsewhere. It guards against mistakes, not against forgery: 32 bits miss one mix-up in four thousand million.
//!
//! Every front end uses it, so that what was read by one protocol can be written by another.

use types::KeyspaceId;
use xxhash_rust::xxh3::Xxh3Default;

/// The number that binds contexts to `key` in `keyspace`: the low 32 bits of xxh3 over the keyspace's id, little
/// endian, and the key. Clients may keep tokens, so it never changes.
#[allow(clippy::cast_possible_truncation)] // The lower 32 bits are what is meant.
pub fn context_binding(keyspace: KeyspaceId, key: &[u8]) -> u32 {
    let mut hash = Xxh3Default::new();
    hash.update(&keyspace.0.to_le_bytes());
    hash.update(key);
    hash.digest() as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use xxhash_rust::xxh3::xxh3_64;

    /// The pieces are hashed as one run of bytes.
    #[test]
    fn the_binding_is_the_hash_of_the_keyspace_and_the_key_together() {
        let expected = xxh3_64(b"\x07\0\0\0greeting") & u64::from(u32::MAX);
        assert_eq!(u64::from(context_binding(KeyspaceId(7), b"greeting")), expected);
    }

    #[test]
    fn another_key_or_keyspace_has_another_binding() {
        let binding = context_binding(KeyspaceId(1), b"a");
        assert_ne!(binding, context_binding(KeyspaceId(2), b"a"));
        assert_ne!(binding, context_binding(KeyspaceId(1), b"b"));
    }
}
