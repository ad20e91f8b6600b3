//! SHA-256 as the name of a content: the key under which a POST stores.
//!
//! A key by content is a promise that whoever knows the key can check what came back, and that nobody can make two
//! contents with one key. That takes a hash without known collisions, and all of its bits: 128 of them would fall to a
//! search of 2^64. It is also what `sha256sum` prints, so that a key can be computed before anything is sent.

use std::fmt::Write;

use sha2::{Digest, Sha256};

/// The SHA-256 of `content` in lowercase hexadecimal: 64 characters.
pub(crate) fn key_of(content: &[u8]) -> String {
    hexadecimal(&Sha256::digest(content))
}

/// `bytes` in lowercase hexadecimal.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // Writing to a String cannot fail.
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example "abc" of FIPS 180-4.
    #[test]
    fn the_key_is_what_sha256sum_prints() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(key_of(b"abc"), expected);
    }
}
