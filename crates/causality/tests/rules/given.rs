//! What the tests start from: few actors, small numbers, so that chance finds the collisions that matter.

use bytes::Bytes;
use causality::{
    Actor, Context, Dot, DottedVector, Expiry, Lww, Payload, Record, Siblings, Stamp, Version, VersionVector,
};
use proptest::collection::vec;
use proptest::prelude::*;
use types::{Incarnation, OperationId, Stint, WallTime};

pub(crate) fn actor(incarnation: u64) -> Actor {
    Actor { incarnation: Incarnation(incarnation), stint: Stint(0) }
}

pub(crate) fn dot(incarnation: u64, counter: u64) -> Dot {
    Dot { actor: actor(incarnation), counter }
}

pub(crate) fn value(text: &str) -> Payload {
    Payload::Value(Bytes::copy_from_slice(text.as_bytes()))
}

/// A version whose stamp, operation and bytes follow from its dot.
pub(crate) fn version(dot: Dot) -> Version {
    let text = format!("v{dot}");
    let operation = dot.actor.incarnation.0 << 32 | u64::from(dot.actor.stint.0) << 16 | dot.counter;
    Version::new(dot, Stamp(dot.counter), value(&text), OperationId(operation))
}

/// A context of a vector and dots, given by incarnation and counter.
pub(crate) fn context(vector: &[(u64, u64)], dots: &[(u64, u64)]) -> Context {
    let vector = vector.iter().map(|&(incarnation, counter)| (actor(incarnation), counter)).collect();
    let dots = dots.iter().map(|&(incarnation, counter)| dot(incarnation, counter)).collect();
    Context::from(DottedVector::from_parts(vector, dots))
}

/// The dots that stand, as (incarnation, counter).
pub(crate) fn standing(record: &Siblings) -> Vec<(u64, u64)> {
    record.versions().iter().map(|one| (one.dot.actor.incarnation.0, one.dot.counter)).collect()
}

pub(crate) fn any_actor() -> impl Strategy<Value = Actor> {
    (0..3_u64, 0..2_u32)
        .prop_map(|(incarnation, stint)| Actor { incarnation: Incarnation(incarnation), stint: Stint(stint) })
}

pub(crate) fn any_dot() -> impl Strategy<Value = Dot> {
    (any_actor(), 1..6_u64).prop_map(|(actor, counter)| Dot { actor, counter })
}

pub(crate) fn any_vector() -> impl Strategy<Value = VersionVector> {
    vec((any_actor(), 0..6_u64), 0..5).prop_map(VersionVector::from_iter)
}

pub(crate) fn any_known() -> impl Strategy<Value = DottedVector> {
    (any_vector(), vec(any_dot(), 0..5)).prop_map(|(vector, dots)| DottedVector::from_parts(vector, dots))
}

pub(crate) fn any_context() -> impl Strategy<Value = Context> {
    let stamped =
        (any::<u64>(), any_dot()).prop_map(|(stamp, dot)| Context::Stamp { stamp: Stamp(stamp), dot });
    prop_oneof![any_known().prop_map(Context::from), stamped]
}

pub(crate) fn any_payload() -> impl Strategy<Value = Payload> {
    prop_oneof![
        1 => Just(Payload::Tombstone),
        3 => vec(0..3_u8, 0..3).prop_map(|bytes| Payload::Value(Bytes::from(bytes))),
    ]
}

pub(crate) fn any_expiry() -> impl Strategy<Value = Expiry> {
    (0..4_u64, proptest::option::of(0..4_u64))
        .prop_map(|(stamp, at)| Expiry { stamp: Stamp(stamp), at: at.map(WallTime) })
}

/// Any single version, also copies of one dot that differ in everything: even those must merge the same everywhere.
pub(crate) fn any_lww() -> impl Strategy<Value = Lww> {
    (any_dot(), 0..3_u64, any_payload(), 0..2_u8, any_expiry(), 0..2_u64).prop_map(
        |(dot, stamp, payload, priority, expiry, operation)| {
            let version = Version::new(dot, Stamp(stamp), payload, OperationId(operation));
            Lww::new(Version { expiry, ..version.with_priority(priority) })
        },
    )
}

/// One step in the life of a key on three replicas.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Put { replica: usize, context: DottedVector, payload: Payload, ends: Option<u64> },
    Expire { replica: usize, context: DottedVector, expiry: Expiry },
    Copy { from: usize, to: usize },
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3_usize, any_known(), any_payload(), proptest::option::of(0..4_u64))
            .prop_map(|(replica, context, payload, ends)| Step::Put { replica, context, payload, ends }),
        1 => (0..3_usize, any_known(), any_expiry())
            .prop_map(|(replica, context, expiry)| Step::Expire { replica, context, expiry }),
        2 => (0..3_usize, 0..3_usize).prop_map(|(from, to)| Step::Copy { from, to }),
    ]
}

/// Three records of one key, as replicas come to hold them: reached by puts with all sorts of contexts, deletes, changed
/// expiry and copying; each may be from another moment.
pub(crate) fn any_siblings() -> impl Strategy<Value = [Siblings; 3]> {
    let picks = proptest::array::uniform3(any::<prop::sample::Index>());
    (vec(any_step(), 1..24), picks).prop_map(|(steps, picks)| {
        let moments = lives(&steps);
        picks.map(|pick| pick.get(&moments).clone())
    })
}

/// Every record that any replica holds at any moment.
fn lives(steps: &[Step]) -> Vec<Siblings> {
    let mut replicas = [Siblings::new(), Siblings::new(), Siblings::new()];
    let mut counters = [0, 0, 0];
    let mut moments = vec![Siblings::new()];
    for step in steps {
        let (replica, record) = take(step, &replicas, &mut counters);
        moments.push(record.clone());
        replicas[replica] = record;
    }
    moments
}

fn take(step: &Step, replicas: &[Siblings; 3], counters: &mut [u64; 3]) -> (usize, Siblings) {
    match step {
        Step::Put { replica, context, payload, ends } => {
            counters[*replica] += 1;
            let dot = dot(*replica as u64, counters[*replica]);
            let version = Version { payload: payload.clone(), ..version(dot) }.ending(ends.map(WallTime));
            let made = replicas[*replica].put(&Context::from(context.clone()), version);
            (*replica, made.unwrap_or_else(|_| replicas[*replica].clone()))
        }
        Step::Expire { replica, context, expiry } => {
            let changed = replicas[*replica].with_expiry(&Context::from(context.clone()), *expiry);
            (*replica, changed.expect("a causal context"))
        }
        Step::Copy { from, to } => (*to, replicas[*to].merge(&replicas[*from])),
    }
}

/// Three records of one key and one kind.
pub(crate) fn any_records() -> impl Strategy<Value = [Record; 3]> {
    let lww = proptest::array::uniform3(any_lww());
    prop_oneof![
        lww.prop_map(|three| three.map(Record::Lww)),
        any_siblings().prop_map(|three| three.map(Record::Siblings)),
    ]
}
