//! Whatever the other side says, there is no panic, no walk without an end, and no answer beyond its bound.

use merkle::asker::SPANS_ASKED_MAX;
use merkle::message::{DIGESTS_MAX, SPANS_MAX};
use merkle::{
    Answer, Ask, Contents, End, NamedKey, Question, Refusal, Shape, Short, Span, SpanAsk, Terms, Wanted,
};
use proptest::prelude::*;

use crate::support::{EPOCH, KEYSPACE, Store, answer_of, exchange_with, usual_shape};

fn any_short() -> impl Strategy<Value = Short> {
    prop_oneof![any::<u64>(), 0..4_u64, Just(u64::MAX)].prop_map(Short)
}

fn any_shorts() -> impl Strategy<Value = Vec<Short>> {
    let length = prop_oneof![0..4_usize, 30..34_usize, 62..67_usize, Just(1024_usize)];
    (length.prop_flat_map(|length| prop::collection::vec(any_short(), length)), any::<bool>()).prop_map(
        |(mut shorts, sorted)| {
            if sorted {
                shorts.sort_unstable();
            }
            shorts
        },
    )
}

fn any_contents() -> impl Strategy<Value = Contents> {
    prop_oneof![
        any_shorts().prop_map(Contents::Parts),
        (any_shorts(), any::<bool>()).prop_map(|(digests, more)| Contents::Digests { digests, more }),
    ]
}

fn any_answer() -> impl Strategy<Value = Answer> {
    let named = (prop::collection::vec(any::<u8>(), 0..8), any_short())
        .prop_map(|(key, digest)| NamedKey { key, digest });
    prop_oneof![
        Just(Answer::Refused(Refusal::Nonsense)),
        any::<bool>().prop_map(|doubted| Answer::Same { doubted }),
        any_shorts().prop_map(Answer::Branches),
        any_shorts().prop_map(Answer::Leaves),
        prop::collection::vec(any_contents(), 0..=SPANS_MAX).prop_map(Answer::Spans),
        (prop::collection::vec(named, 0..8), any::<bool>())
            .prop_map(|(keys, more)| Answer::Keys { keys, more }),
    ]
}

fn any_span() -> impl Strategy<Value = Span> {
    let leaf = prop_oneof![0..1024_u16, any::<u16>()];
    let part = prop_oneof![0..32_u64, any::<u64>()];
    (leaf, prop_oneof![0..3_u8, any::<u8>()], part).prop_map(|(leaf, depth, part)| Span { leaf, depth, part })
}

fn any_question() -> impl Strategy<Value = Question> {
    let ask = (any_span(), prop::option::of(any_short())).prop_map(|(span, after)| SpanAsk { span, after });
    let wanted = (any_span(), any_shorts()).prop_map(|(span, digests)| Wanted { span, digests });
    prop_oneof![
        any::<u128>().prop_map(|root| Question::Root(merkle::Digest(root))),
        any::<u32>().prop_map(Question::Leaves),
        prop::collection::vec(ask, 0..40).prop_map(Question::Spans),
        prop::collection::vec(wanted, 0..40).prop_map(Question::Keys),
    ]
}

fn some_store(shape: Shape) -> Store {
    Store::of(shape, (0..3000).map(|key| (key.to_string(), 1)))
}

/// A shape that no partition has, as a message may carry it.
fn impossible_shape() -> Shape {
    postcard::from_bytes(&postcard::to_allocvec(&(u16::MAX, 0_u16, 0_u8)).unwrap()).unwrap()
}

fn terms(shape: Shape) -> Terms {
    Terms { epoch: EPOCH, keyspace: KEYSPACE, shape }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Honest answers, and at any point one that is not.
    #[test]
    fn a_nonsense_answer_ends_the_walk_or_is_walked_to_an_end(
        honest in 0..6_usize,
        nonsense in prop::collection::vec(any_answer(), 1..4),
    ) {
        let here = some_store(usual_shape());
        let (mut there, mut theirs) = (here.clone(), here.tree());
        there.rewrite(&mut theirs, (0..3000).step_by(70));
        let (mut asked, mut nonsense) = (0, nonsense.into_iter());
        exchange_with(&here, &mut here.tree(), |ask, read| {
            asked += 1;
            let honest = (asked <= honest).then(|| answer_of(&there, &mut theirs, ask.clone(), read));
            honest.or_else(|| nonsense.next()).unwrap_or_else(|| answer_of(&there, &mut theirs, ask, read))
        });
    }

    #[test]
    fn any_question_has_an_answer_within_its_bound(question in any_question()) {
        let store = some_store(usual_shape());
        let ask = Ask { terms: terms(store.shape), question };
        let answer = answer_of(&store, &mut store.tree(), ask, &mut 0);
        prop_assert!(postcard::to_allocvec(&answer).unwrap().len() < 32 * 1024);
    }
}

/// An owner who says of every span that it differs, for ever, is not followed for ever.
#[test]
fn who_always_differs_is_not_followed_for_ever() {
    let here = some_store(usual_shape());
    let mut salt = 1;
    let mut lies = |count: usize| -> Vec<Short> {
        salt += 1;
        (0..count as u64).map(|nth| Short(salt << 32 | nth)).collect()
    };
    let talk = exchange_with(&here, &mut here.tree(), |ask, _| match ask.question {
        Question::Root(_) => Answer::Branches(lies(32)),
        Question::Leaves(branches) => Answer::Leaves(lies(branches.count_ones() as usize * 32)),
        Question::Spans(asks) => Answer::Spans(asks.iter().map(|_| Contents::Parts(lies(32))).collect()),
        Question::Keys(_) => unreachable!("no digests were told"),
    });
    // Some go as deep as spans can be cut, and are found out there.
    assert!(matches!(talk.end, End::Nonsense(_)), "{:?}", talk.end);
    assert!(talk.said.len() <= 2 + SPANS_ASKED_MAX / SPANS_MAX);
}

/// The same in lists: keys that are always others, and never come to an end.
#[test]
fn lists_without_an_end_have_one() {
    let here = some_store(usual_shape());
    let mut told: u64 = 0;
    let talk = exchange_with(&here, &mut here.tree(), |ask, _| match ask.question {
        Question::Root(_) => Answer::Branches(vec![Short(1); 32]),
        Question::Leaves(branches) => Answer::Leaves(vec![Short(1); branches.count_ones() as usize * 32]),
        Question::Spans(asks) => {
            let list = |_: &SpanAsk| {
                let first = told + 1;
                told += DIGESTS_MAX as u64;
                Contents::Digests { digests: (first..=told).map(Short).collect(), more: true }
            };
            Answer::Spans(asks.iter().map(list).collect())
        }
        Question::Keys(_) => Answer::Keys { keys: Vec::new(), more: false },
    });
    assert_eq!(talk.end, End::Enough);
    assert!(talk.said.len() <= 2 + 2 * SPANS_ASKED_MAX / SPANS_MAX);
}

/// Keys come by as many as an answer has room for, not one by one for as long as somebody likes.
#[test]
fn keys_are_not_dealt_out_singly() {
    let here = Store::of(usual_shape(), [("", 1); 0]);
    let there = some_store(usual_shape());
    let mut theirs = there.tree();
    let talk =
        exchange_with(&here, &mut here.tree(), |ask, read| match answer_of(&there, &mut theirs, ask, read) {
            Answer::Keys { mut keys, .. } => {
                keys.truncate(1);
                Answer::Keys { keys, more: true }
            }
            honest => honest,
        });
    assert!(matches!(talk.end, End::Nonsense(_)), "{:?}", talk.end);
}

#[test]
fn questions_beyond_their_bounds_are_refused() {
    let store = some_store(usual_shape());
    let span = Span::leaf(0);
    let wanted = |count| Wanted { span, digests: vec![Short(0); count] };
    let ask = SpanAsk { span, after: None };
    for question in [
        Question::Spans(vec![]),
        Question::Spans(vec![ask; SPANS_MAX + 1]),
        Question::Spans(vec![SpanAsk { span: Span::leaf(1024), after: None }]),
        Question::Keys(vec![]),
        Question::Keys(vec![wanted(1); SPANS_MAX + 1]),
        Question::Keys(vec![wanted(DIGESTS_MAX + 1)]),
        Question::Keys(vec![Wanted { span: Span::leaf(1024), digests: vec![Short(0)] }]),
    ] {
        let ask = Ask { terms: terms(store.shape), question };
        let answer = answer_of(&store, &mut store.tree(), ask, &mut 0);
        assert_eq!(answer, Answer::Refused(Refusal::Nonsense));
    }
}

/// A shape from a message is compared and never used.
#[test]
fn a_shape_that_cannot_be_is_refused() {
    let store = some_store(usual_shape());
    let ask = Ask { terms: terms(impossible_shape()), question: Question::Leaves(u32::MAX) };
    let answer = answer_of(&store, &mut store.tree(), ask, &mut 0);
    assert_eq!(answer, Answer::Refused(Refusal::OtherTerms(terms(store.shape))));
}

/// After its end a walk says the same end, whatever comes.
#[test]
fn a_walk_that_is_over_stays_so() {
    let mut tree = some_store(usual_shape()).tree();
    let (mut asker, _) = merkle::Asker::begin(EPOCH, KEYSPACE, &mut tree).unwrap();
    let over = asker.answered(&mut tree, Answer::Leaves(Vec::new()), &mut Vec::new());
    assert!(matches!(over, merkle::Step::Over(End::Nonsense(_))));
    assert_eq!(asker.answered(&mut tree, Answer::Same { doubted: false }, &mut Vec::new()), over);
    assert_eq!(asker.span_done(&mut Vec::new()), over);
}
