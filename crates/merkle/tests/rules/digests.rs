//! Digests and the hashes above them are compared between nodes of different versions: these values may never change.

use merkle::{Digest, Place, Seed, Shape, Short, Tree};

#[test]
fn the_digest_of_a_key_is_fixed_for_ever() {
    assert_eq!(Seed(0).digest(b"", b""), Digest(0x7a3e_dd69_7cf3_f953_5310_e30c_ce32_62d6));
    assert_eq!(Seed(42).digest(b"key", b"record"), Digest(0x9446_39d8_b93d_aea2_ac1a_f528_f548_f4f4));
    assert_eq!(Seed(42).digest(b"key", &[7; 1000]), Digest(0xd960_26ac_ee94_d1c0_9008_6545_f1b4_1235));
}

#[test]
fn the_hashes_of_a_tree_are_fixed_for_ever() {
    let mut tree = Tree::empty(Shape::new(0, 64).unwrap());
    for slot in 0..64 {
        let digest = Seed(42).digest(&slot.to_string().into_bytes(), b"record");
        tree.change(Place { slot, hash: u64::from(slot) << 58 }, None, Some(digest));
    }
    let nodes = tree.nodes().unwrap();
    assert_eq!(nodes.root(), Digest(0x8123_04fc_8efe_0703_b066_72ab_5a17_e8a8));
    assert_eq!(nodes.branches()[1], Short(0x6316_7050_f3e6_6953));
}

/// A byte that moves from the key to the record makes another digest, and so does another seed.
#[test]
fn key_record_and_seed_all_count() {
    let digest = Seed(1).digest(b"ab", b"c");
    assert_ne!(digest, Seed(1).digest(b"a", b"bc"));
    assert_ne!(digest, Seed(1).digest(b"abc", b""));
    assert_ne!(digest, Seed(2).digest(b"ab", b"c"));
}

/// In messages a digest takes 16 bytes and a short one 8, whatever its value.
#[test]
fn digests_have_a_fixed_size_in_messages() {
    for value in [0, 1, u128::MAX] {
        assert_eq!(postcard::to_allocvec(&Digest(value)).unwrap(), value.to_le_bytes());
        let short = Digest(value).short();
        assert_eq!(postcard::to_allocvec(&short).unwrap(), short.0.to_le_bytes());
    }
}
