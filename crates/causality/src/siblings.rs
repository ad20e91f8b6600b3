//! The record of `siblings` and `priority` keyspaces: every value that no later write has covered.
//!
//! A dotted version vector set: `seen`, all writes that this record knows of, and the versions among them that still
//! stand, each under its dot. What is seen and does not stand was covered, by a write or a delete whose context
//! contained it. That is the whole rule of merging: a version stays if the other record has it too, or has not
//! seen it. As sets, seen and covered both only grow, so merging is their union: commutative, associative, idempotent.
//!
//! Always true: `seen` covers every version's dot; versions are strictly ascending by dot; all are values (a delete
//! leaves only its dot in `seen`). The clock that each version prints is kept beside it (`Version::past`) and decides
//! nothing. Which of several a reader is shown is the view's business: choosing inside merge would not be associative.
//!
//! Why a vector clock per value does not do: two clients that write through one server without having read each
//! other's value would get clocks of which one descends the other, and one value would be lost. See `dotted`.

use types::OperationId;

use crate::{Actor, Context, Dot, DottedVector, Expiry, Payload, PutError, Stamp, Version};

/// All concurrent values of a key, and what they and their predecessors were.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Siblings {
    seen: DottedVector,
    versions: Vec<Version>,
}

impl Siblings {
    /// The record of a key that was never written.
    pub const fn new() -> Siblings {
        Siblings { seen: DottedVector::new(), versions: Vec::new() }
    }

    /// A record from its parts, or nothing if they break what must always be true of one.
    pub(crate) fn from_parts(seen: DottedVector, versions: Vec<Version>) -> Option<Siblings> {
        let ascending = versions.windows(2).all(|pair| pair[0].dot < pair[1].dot);
        let values = versions.iter().all(|version| version.payload.value().is_some());
        let known = versions.iter().all(|version| seen.covers(&version.dot));
        (ascending && values && known).then_some(Siblings { seen, versions })
    }

    /// Every write that this record knows of, standing or covered.
    pub fn seen(&self) -> &DottedVector {
        &self.seen
    }

    /// The values that stand, ascending by dot, expired ones included.
    pub fn versions(&self) -> &[Version] {
        &self.versions
    }

    /// The version that `dot` names, if it stands.
    pub fn get(&self, dot: Dot) -> Option<&Version> {
        self.versions.binary_search_by_key(&dot, |version| version.dot).ok().map(|at| &self.versions[at])
    }

    /// A client's write on top of this record, by the actor that `version.dot` names, on the record that this actor
    /// holds. It replaces what `context` covers; what that does not cover stays as a sibling. [`Context::Empty`] is a
    /// blind write, which covers nothing. A tombstone covers and leaves no value.
    ///
    /// # Errors
    /// - [`PutError::ContextOfAnotherKind`] if the context is that of an `lww` record.
    /// - [`PutError::ActorHasForgotten`] if the context shows the actor further on than its own record does: it must
    ///   write under a fresh stint (INVARIANTS B2).
    /// - [`PutError::DotIsNotNew`] if the record already claims the dot: the write would be discarded in silence.
    pub fn put(&self, context: &Context, version: Version) -> Result<Siblings, PutError> {
        let read = context.causal()?;
        self.check_actor(&read, version.dot)?;
        let mut seen = self.seen.merge(&read);
        seen.extend_own(version.dot);
        let mut versions: Vec<Version> = self.not_covered_by(&read).cloned().collect();
        if version.payload.value().is_some() {
            let at = versions.partition_point(|other| other.dot < version.dot);
            versions.insert(at, Version { past: read.flattened(), ..version });
        }
        Ok(Siblings { seen, versions })
    }

    /// A client's delete: covers what `context` covers and leaves no value of its own. It takes a dot like any write,
    /// so that whoever must read his own delete can ask for a state that has it.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn delete(&self, context: &Context, dot: Dot) -> Result<Siblings, PutError> {
        self.put(context, Version::new(dot, Stamp::default(), Payload::Tombstone, OperationId::default()))
    }

    /// What the writer of `dot` knows once this record has come of its write: the context to answer it with.
    ///
    /// Where its value stands alone (or its delete left nothing), that is all that the record has seen: whatever else
    /// is in there was covered by somebody who had read it. Where siblings stand beside it, which the writer has not
    /// read, it is only what it passed and its own dot.
    ///
    /// # Errors
    /// [`PutError::ContextOfAnotherKind`] if `passed` is of an `lww` record.
    pub fn context_after(&self, passed: &Context, dot: Dot) -> Result<Context, PutError> {
        if self.versions.iter().all(|version| version.dot == dot) {
            return Ok(self.context());
        }
        let mut known = passed.causal()?.into_owned();
        known.add(dot);
        Ok(Context::from(known))
    }

    /// What a reader of this record knows.
    pub fn context(&self) -> Context {
        Context::from(self.seen.clone())
    }

    /// The same record with the expiry register set on every version that `context` covers.
    ///
    /// # Errors
    /// [`PutError::ContextOfAnotherKind`] if the context is that of an `lww` record.
    pub fn with_expiry(&self, context: &Context, expiry: Expiry) -> Result<Siblings, PutError> {
        let read = context.causal()?;
        let mut changed = self.clone();
        for version in changed.versions.iter_mut().filter(|version| read.covers(&version.dot)) {
            version.expiry = version.expiry.max(expiry);
        }
        Ok(changed)
    }

    /// What both records together amount to.
    pub fn merge(&self, other: &Siblings) -> Siblings {
        let mut versions: Vec<Version> = self.versions.iter().filter_map(|ours| other.judge(ours)).collect();
        versions.extend(other.not_covered_by(&self.seen).cloned());
        versions.sort_unstable_by_key(|version| version.dot);
        Siblings { seen: self.seen.merge(&other.seen), versions }
    }

    /// Whether `record` or context knowledge shows `actor` further on than this record, its own, does: then the actor
    /// has forgotten, and must begin a fresh stint before it writes again (INVARIANTS B2). To be asked of whatever
    /// arrives, on every path, before merging it.
    pub fn is_behind(&self, actor: Actor, incoming: &DottedVector) -> bool {
        incoming.highest_of(actor) > self.seen.vector().counter_of(actor)
    }

    /// Drops entries of `seen` until at most `max_clock_entries` actors are left. **Lossy**: without the entry, a copy
    /// of a value that it covered comes back as a sibling when another replica still has it. Never drops a value, nor
    /// the entry of an actor whose value stands, so more entries may be left than asked for.
    ///
    /// The order is that of age as far as a vector shows it, and the same on every node: first earlier stints of an
    /// incarnation that has a later one, then the lowest counters (who has written least), then by actor.
    pub fn prune(&self, max_clock_entries: usize) -> Siblings {
        let mut pruned = self.clone();
        let excess = self.seen.actors().len().saturating_sub(max_clock_entries);
        for actor in self.by_age().into_iter().take(excess) {
            pruned.seen.forget(actor);
            for version in &mut pruned.versions {
                version.past.retain(|known| known != actor);
            }
        }
        pruned
    }

    fn by_age(&self) -> Vec<Actor> {
        let actors = self.seen.actors();
        let superseded = |actor: &Actor| {
            actors.iter().any(|other| other.incarnation == actor.incarnation && other.stint > actor.stint)
        };
        let mut droppable: Vec<Actor> = actors
            .iter()
            .filter(|actor| self.versions.iter().all(|version| version.dot.actor != **actor))
            .copied()
            .collect();
        droppable.sort_by_key(|actor| (!superseded(actor), self.seen.highest_of(*actor), *actor));
        droppable
    }

    /// Keeps the versions for which `keep` holds; the others are seen still, and so covered.
    pub(crate) fn retain(&mut self, keep: impl FnMut(&Version) -> bool) {
        self.versions.retain(keep);
    }

    /// The same record with all writes of this actor up to `counter` seen. Only for the actor itself, where those that the
    /// record does not show are settled (see `frontier`).
    pub(crate) fn claiming(mut self, actor: Actor, counter: u64) -> Siblings {
        if counter > 0 {
            self.seen.extend_own(Dot { actor, counter });
        }
        self
    }

    pub(crate) fn stripped(&self) -> Siblings {
        Siblings { seen: self.seen.clone(), versions: self.versions.iter().map(Version::stripped).collect() }
    }

    pub(crate) fn same_metadata(&self, other: &Siblings) -> bool {
        self.seen == other.seen
            && self.versions.len() == other.versions.len()
            && self.versions.iter().zip(&other.versions).all(|(ours, theirs)| ours.same_metadata(theirs))
    }

    /// What becomes of another record's version here: joined with our copy, kept if never seen, or covered.
    fn judge(&self, version: &Version) -> Option<Version> {
        match self.get(version.dot) {
            Some(copy) => Some(version.join(copy)),
            None => (!self.seen.covers(&version.dot)).then(|| version.clone()),
        }
    }

    fn not_covered_by<'a>(&'a self, known: &'a DottedVector) -> impl Iterator<Item = &'a Version> {
        self.versions.iter().filter(|version| !known.covers(&version.dot))
    }

    fn check_actor(&self, read: &DottedVector, dot: Dot) -> Result<(), PutError> {
        let known = self.seen.highest_of(dot.actor).max(read.highest_of(dot.actor));
        if dot.counter <= known {
            return Err(PutError::DotIsNotNew { dot, known });
        }
        if self.is_behind(dot.actor, read) {
            let (known, shown) = (self.seen.vector().counter_of(dot.actor), read.highest_of(dot.actor));
            return Err(PutError::ActorHasForgotten { actor: dot.actor, known, shown });
        }
        Ok(())
    }
}
