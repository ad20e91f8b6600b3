//! Answering: a function of the question, the tree, and what is stored in the spans asked about.
//!
//! What must hold: nothing is kept between questions. Memory for an answer is bounded, however many keys a span has: its
//! parts are summed up as entries come by, and digests are kept only while they are few enough to be sent.
//!
//! Root, branches and leaves come from the tree at once. What is below leaves is in no tree; it is computed from the
//! stored entries, which the owner reads and hands in, a span at a time and in as many pages as he likes.

use std::collections::BTreeSet;

use types::{Epoch, KeyspaceId};

use crate::message::{DIGESTS_MAX, KEYS_BYTES_MAX, SPANS_MAX};
use crate::{
    Answer, Ask, Contents, Digest, Entry, NamedKey, Question, Refusal, Shape, Short, Span, SpanAsk, Standing,
    Terms, Tree, Wanted,
};

/// How far a question has come.
#[derive(Debug)]
pub enum Answered {
    /// This is the answer.
    Send(Answer),
    /// Stored entries are needed.
    Read(Answering),
}

/// A question that needs stored entries: those of one span after another.
#[derive(Debug)]
pub struct Answering {
    shape: Shape,
    work: Work,
    at: usize,
}

#[derive(Debug)]
enum Work {
    Spans { asks: Vec<SpanAsk>, gathered: Gathered, contents: Vec<Contents> },
    Keys { wanted: Vec<Wanted>, keys: Vec<NamedKey>, bytes: usize, more: bool },
}

/// Answers a question from an owner's tree of a keyspace, as the epoch has it.
pub fn answer(epoch: Epoch, keyspace: KeyspaceId, tree: &mut Tree, ask: Ask) -> Answered {
    let shape = tree.shape();
    let terms = Terms { epoch, keyspace, shape };
    let refused = |refusal| Answered::Send(Answer::Refused(refusal));
    if ask.terms != terms {
        return refused(Refusal::OtherTerms(terms));
    }
    let doubted = tree.standing() == Standing::Doubted;
    let Some(nodes) = tree.nodes() else {
        return refused(Refusal::Unknown);
    };
    match ask.question {
        Question::Root(root) if root == nodes.root() => Answered::Send(Answer::Same { doubted }),
        Question::Root(_) => Answered::Send(Answer::Branches(nodes.branches())),
        Question::Leaves(branches) => Answered::Send(Answer::Leaves(nodes.leaves(branches))),
        Question::Spans(asks) => {
            let sound = (1..=SPANS_MAX).contains(&asks.len()) && asks.iter().all(|ask| shape.has(ask.span));
            if !sound {
                return refused(Refusal::Nonsense);
            }
            let work = Work::Spans { asks, gathered: Gathered::default(), contents: Vec::new() };
            Answered::Read(Answering { shape, work, at: 0 })
        }
        Question::Keys(wanted) => {
            let sound = |wanted: &Wanted| shape.has(wanted.span) && wanted.digests.len() <= DIGESTS_MAX;
            if !(1..=SPANS_MAX).contains(&wanted.len()) || !wanted.iter().all(sound) {
                return refused(Refusal::Nonsense);
            }
            let work = Work::Keys { wanted, keys: Vec::new(), bytes: 0, more: false };
            Answered::Read(Answering { shape, work, at: 0 })
        }
    }
}

impl Answering {
    /// The span whose entries are needed now.
    pub fn span(&self) -> Span {
        match &self.work {
            Work::Spans { asks, .. } => asks[self.at].span,
            Work::Keys { wanted, .. } => wanted[self.at].span,
        }
    }

    /// Some of what is stored in that span; other entries are passed over.
    pub fn entries<'a>(&mut self, entries: impl IntoIterator<Item = Entry<'a>>) {
        let span = self.span();
        for entry in entries {
            let Some(part) = self.shape.part_of(span, entry.place) else {
                continue;
            };
            let digest = entry.digest.short();
            match &mut self.work {
                Work::Spans { asks, gathered, .. } => {
                    gathered.sum(part, entry.digest);
                    gathered.list(asks[self.at].after, digest);
                }
                Work::Keys { wanted, keys, bytes, more } if wanted[self.at].digests.contains(&digest) => {
                    if *bytes < KEYS_BYTES_MAX {
                        *bytes += entry.key.len();
                        keys.push(NamedKey { key: entry.key.to_vec(), digest });
                    } else {
                        *more = true;
                    }
                }
                Work::Keys { .. } => {}
            }
        }
    }

    /// All of that span's entries were handed in.
    pub fn span_done(mut self) -> Answered {
        self.at += 1;
        match &mut self.work {
            Work::Spans { asks, gathered, contents } => {
                let ask = asks[self.at - 1];
                contents.push(std::mem::take(gathered).contents(self.shape, ask));
                if self.at == asks.len() {
                    return Answered::Send(Answer::Spans(std::mem::take(contents)));
                }
            }
            Work::Keys { wanted, keys, more, .. } => {
                if self.at == wanted.len() || *more {
                    return Answered::Send(Answer::Keys { keys: std::mem::take(keys), more: *more });
                }
            }
        }
        Answered::Read(self)
    }
}

/// What is in a span, as far as an answer can use it.
#[derive(Debug, Default)]
struct Gathered {
    /// The sums of its parts.
    parts: Vec<u128>,
    /// The lowest digests.
    digests: BTreeSet<Short>,
    /// Whether there are more of them.
    more: bool,
}

impl Gathered {
    fn sum(&mut self, part: usize, digest: Digest) {
        if self.parts.len() <= part {
            self.parts.resize(part + 1, 0);
        }
        self.parts[part] = self.parts[part].wrapping_add(digest.0);
    }

    fn list(&mut self, after: Option<Short>, digest: Short) {
        if after.is_some_and(|after| digest <= after) {
            return;
        }
        self.digests.insert(digest);
        if self.digests.len() > DIGESTS_MAX {
            self.digests.pop_last();
            self.more = true;
        }
    }

    fn contents(mut self, shape: Shape, ask: SpanAsk) -> Contents {
        let cut = shape.parts(ask.span).is_some() && ask.after.is_none();
        if self.more && cut {
            self.parts.resize(usize::from(shape.fanout()), 0);
            return Contents::Parts(self.parts.iter().map(|&sum| Digest(sum).short()).collect());
        }
        Contents::Digests { digests: self.digests.into_iter().collect(), more: self.more }
    }
}
