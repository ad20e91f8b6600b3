//! One span as the asker looks at it: what the other side said of it, and what comes of the own entries.
//!
//! What must hold: a key of the own side is told as different only when it is clear whether the other side has the key
//! too. Until then it is kept; if that would be too much, the span is cut and looked at again in parts. What is cut as
//! finely as can be (keys that share a place, by the thousand) is told without waiting; a key that both hold may then
//! be told twice, once for each side.

use std::collections::BTreeSet;

use crate::message::DIGESTS_MAX;
use crate::{Contents, Difference, Digest, Entry, Held, Shape, Short, Span, SpanAsk, Wanted};

/// The most own keys of a span that are kept until the other side has named its keys.
pub const KEPT_KEYS_MAX: usize = 1024;

/// The most bytes of such keys: 4 MiB for all spans of one question.
pub const KEPT_BYTES_MAX: usize = 128 * 1024;

#[derive(Debug)]
pub(super) struct Visit {
    ask: SpanAsk,
    looked: Looked,
}

#[derive(Debug)]
enum Looked {
    /// Nothing was said of it yet.
    Unheard,
    /// The sums of its parts, theirs and ours.
    Parts {
        theirs: Vec<Short>,
        ours: Vec<u128>,
    },
    Listed(Listed),
    /// More is here than is kept: to be looked at in parts.
    Cut,
}

/// The digests of both sides.
#[derive(Debug)]
struct Listed {
    theirs: Vec<Short>,
    /// Those of them that we do not have, as far as we have been read.
    missing: BTreeSet<Short>,
    /// Theirs go on above these.
    more: bool,
    /// Ours that they do not have. A key is in one span once.
    kept: BTreeSet<Vec<u8>>,
    kept_bytes: usize,
}

impl Visit {
    pub(super) const fn new(ask: SpanAsk) -> Visit {
        Visit { ask, looked: Looked::Unheard }
    }

    pub(super) const fn ask(&self) -> SpanAsk {
        self.ask
    }

    pub(super) const fn span(&self) -> Span {
        self.ask.span
    }

    /// Takes what the other side said, if it makes sense.
    pub(super) fn hear(&mut self, shape: Shape, theirs: Contents) -> Result<(), &'static str> {
        self.looked = match theirs {
            Contents::Parts(theirs) => {
                if self.ask.after.is_some() || shape.parts(self.ask.span).is_none() {
                    return Err("parts of a span that has none");
                }
                if theirs.len() != usize::from(shape.fanout()) {
                    return Err("not as many parts as a span has");
                }
                Looked::Parts { ours: vec![0; theirs.len()], theirs }
            }
            Contents::Digests { digests, more } => {
                if digests.len() > DIGESTS_MAX || more && digests.len() < DIGESTS_MAX {
                    return Err("too many digests, or too few for there to be more");
                }
                let ascending = digests.is_sorted_by(|a, b| a < b);
                let above = digests.first().is_none_or(|first| self.ask.after < Some(*first));
                if !ascending || !above {
                    return Err("digests out of order");
                }
                Looked::Listed(Listed {
                    missing: digests.iter().copied().collect(),
                    theirs: digests,
                    more,
                    kept: BTreeSet::new(),
                    kept_bytes: 0,
                })
            }
        };
        Ok(())
    }

    /// Looks at one own entry.
    pub(super) fn entry(&mut self, shape: Shape, entry: Entry<'_>, out: &mut Vec<Difference>) {
        let Some(part) = shape.part_of(self.ask.span, entry.place) else {
            return;
        };
        match &mut self.looked {
            Looked::Parts { ours, .. } => ours[part] = ours[part].wrapping_add(entry.digest.0),
            Looked::Listed(listed) => {
                let digest = entry.digest.short();
                if self.ask.after >= Some(digest) || !listed.tells_of(digest) || listed.has(digest) {
                    return;
                }
                if listed.theirs.is_empty() {
                    out.push(Difference { key: entry.key.to_vec(), held: Held::Here });
                } else if listed.has_room(entry.key) {
                    listed.keep(entry.key);
                } else if shape.parts(self.ask.span).is_some() && self.ask.after.is_none() {
                    self.looked = Looked::Cut;
                } else {
                    out.push(Difference { key: entry.key.to_vec(), held: Held::Here });
                }
            }
            Looked::Unheard | Looked::Cut => {}
        }
    }

    /// What is to be asked next about this span, for the end of the list of what is to be done; the last comes first.
    pub(super) fn follow(&self, shape: Shape, todo: &mut Vec<SpanAsk>) {
        let parts = shape.parts(self.ask.span).into_iter().flatten();
        let whole = |span| SpanAsk { span, after: None };
        match &self.looked {
            Looked::Parts { theirs, ours } => {
                let sums = theirs.iter().zip(ours).map(|(theirs, &ours)| *theirs != Digest(ours).short());
                let differing: Vec<_> = parts.zip(sums).filter(|&(_, differs)| differs).collect();
                todo.extend(differing.into_iter().rev().map(|(span, _)| whole(span)));
            }
            Looked::Cut => todo.extend(parts.rev().map(whole)),
            Looked::Listed(Listed { theirs, more: true, .. }) => {
                todo.push(SpanAsk { span: self.ask.span, after: theirs.last().copied() });
            }
            Looked::Listed(_) | Looked::Unheard => {}
        }
    }

    /// The digests whose keys must be asked for.
    pub(super) fn wanted(&self) -> Option<Wanted> {
        match &self.looked {
            Looked::Listed(Listed { missing, .. }) if !missing.is_empty() => {
                Some(Wanted { span: self.ask.span, digests: missing.iter().copied().collect() })
            }
            _ => None,
        }
    }

    /// Whether this digest is one of those.
    pub(super) fn wants(&self, digest: Short) -> bool {
        matches!(&self.looked, Looked::Listed(Listed { missing, .. }) if missing.contains(&digest))
    }

    /// The other side has named the key of a digest that was wanted.
    pub(super) fn named(&mut self, key: Vec<u8>, digest: Short) -> Difference {
        let mut held = Held::There;
        if let Looked::Listed(listed) = &mut self.looked {
            listed.missing.remove(&digest);
            if listed.kept.remove(&key) {
                held = Held::Both;
            }
        }
        Difference { key, held }
    }

    /// All keys were named: what is still kept is here only.
    pub(super) fn tell(&mut self, out: &mut Vec<Difference>) {
        if let Looked::Listed(listed) = &mut self.looked {
            let kept = std::mem::take(&mut listed.kept);
            out.extend(kept.into_iter().map(|key| Difference { key, held: Held::Here }));
        }
    }
}

impl Listed {
    /// Whether a digest would be in their list if they had it.
    fn tells_of(&self, digest: Short) -> bool {
        !self.more || self.theirs.last().is_some_and(|last| digest <= *last)
    }

    /// Whether it is in their list; then it is not missing here.
    fn has(&mut self, digest: Short) -> bool {
        self.missing.remove(&digest);
        self.theirs.binary_search(&digest).is_ok()
    }

    fn has_room(&self, key: &[u8]) -> bool {
        self.kept.len() < KEPT_KEYS_MAX && self.kept_bytes + key.len() <= KEPT_BYTES_MAX
    }

    fn keep(&mut self, key: &[u8]) {
        self.kept_bytes += key.len();
        self.kept.insert(key.to_vec());
    }
}
