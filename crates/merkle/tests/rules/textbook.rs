//! The example of the textbooks: keys 1 to 12 in four buckets, a hash for each bucket, hashes upward; two replicas differ
//! in one key, and find it by the root, the one branch that differs, and the one bucket.

use merkle::{Answer, Contents, Difference, End, Held, Place, Question, Shape, Short, Span, SpanAsk, Wanted};

use crate::support::{Store, exchange};

/// Keys 1 to 3 in the first of four buckets, 4 to 6 in the second, and so on. One slot, so buckets are quarters of hashes.
fn replica(version_of_8: u64) -> Store {
    let shape = Shape::with_fanout(0, 1, 2).unwrap();
    let keys = (1..=12_u64).map(|key| {
        let place = Place { slot: 0, hash: ((key - 1) / 3) << 62 | key };
        (place, key.to_string(), if key == 8 { version_of_8 } else { 1 })
    });
    Store::at(shape, keys)
}

#[test]
fn one_differing_key_is_found_by_the_one_branch_that_differs() {
    let (a, b) = (replica(1), replica(2));
    let (mut tree_a, mut tree_b) = (a.tree(), b.tree());
    let root_a = tree_a.nodes().unwrap().root();
    let (branches_b, leaves_b) = {
        let nodes = tree_b.nodes().unwrap();
        (nodes.branches(), nodes.leaves(0b11))
    };
    let bucket: Vec<Short> = {
        let mut digests: Vec<_> = b.entries[6..9].iter().map(|entry| entry.2.short()).collect();
        digests.sort_unstable();
        digests
    };
    let key_8 = b.entries[7].2.short();

    let talk = exchange(&a, &mut tree_a, &b, &mut tree_b);

    let third = Span::leaf(2);
    let expected = [
        (Question::Root(root_a), Answer::Branches(branches_b)),
        // Only the second branch differs, so only its buckets are looked at.
        (Question::Leaves(0b10), Answer::Leaves(leaves_b[2..4].to_vec())),
        (
            Question::Spans(vec![SpanAsk { span: third, after: None }]),
            Answer::Spans(vec![Contents::Digests { digests: bucket, more: false }]),
        ),
        (
            Question::Keys(vec![Wanted { span: third, digests: vec![key_8] }]),
            Answer::Keys { keys: vec![merkle::NamedKey { key: b"8".to_vec(), digest: key_8 }], more: false },
        ),
    ];
    let said: Vec<_> = talk.said.into_iter().map(|(ask, answer)| (ask.question, answer)).collect();
    assert_eq!(said, expected);
    assert_eq!(talk.differences, [Difference { key: b"8".to_vec(), held: Held::Both }]);
    assert_eq!(talk.end, End::Compared);
}

#[test]
fn equal_replicas_compare_their_roots_and_nothing_else() {
    let (a, b) = (replica(1), replica(1));
    let talk = exchange(&a, &mut a.tree(), &b, &mut b.tree());
    assert_eq!(talk.said.len(), 1);
    assert_eq!((talk.end, talk.read), (End::Same, 0));
}
