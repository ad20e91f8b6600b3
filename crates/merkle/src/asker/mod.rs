//! Asking: the walk from the root to the keys that differ.
//!
//! ```text
//!   begin -> Ask Root -> Ask Leaves -> Ask Spans -> Read (each span) -> Ask Keys -> Ask Spans (the next) ... -> Over
//! ```
//!
//! What must hold: at the end of a walk over two trees at rest, the keys that were told are those that differ, each
//! once, and for each it is said who holds it. Where writes go on meanwhile, some that are told are equal by now; the
//! owner looks at each key again in any case. And none is passed over: a key that the answerer had when its digest was told, and has
//! with another one when keys are, is looked for again in its span, or the walk says that it is not complete. Whoever acts on having
//! seen all that the other one had when the walk began would be misled.
//!
//! Nothing that the answerer says is trusted: an answer must have the form that the question calls for, and the number of
//! questions has a bound that does not depend on the answers ([`SPANS_ASKED_MAX`]). A walk that comes to it has told what
//! it found, and the next one goes on where that was repaired. Memory has a bound too: differences are given out as they
//! are found, spans are walked in depth, and of the own side of a span only so much is kept ([`KEPT_KEYS_MAX`]); where
//! that does not do, the span is cut.
//!
//! What is asked at once is up to 32 spans, so that a thousand differences take tens of questions and not thousands.

mod visit;

use types::{Epoch, KeyspaceId};

use crate::message::{KEY_BYTES_MAX, KEYS_BYTES_MAX, SPANS_MAX};
use crate::{
    Answer, Ask, Contents, Entry, NamedKey, Nodes, Question, Refusal, Short, Span, SpanAsk, Standing, Terms,
    Tree,
};

use visit::Visit;
pub use visit::{KEPT_BYTES_MAX, KEPT_KEYS_MAX};

/// The most spans that one walk asks about: enough for some two million differences.
pub const SPANS_ASKED_MAX: usize = 65_536;

/// How often in a walk a span is looked at once more, because what it held there changed while it was looked at.
const LOOKS_AGAIN_MAX: u8 = 8;

/// Who holds what the other does not.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Held {
    /// The asker holds the key, the answerer does not.
    Here,
    /// The answerer holds the key, the asker does not.
    There,
    /// Both hold it, with different records.
    Both,
}

/// A key that differs.
///
/// A key that is held there is the answerer's word: whoever acts on it makes sure that it is the partition's.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Difference {
    /// The key as the client gave it.
    pub key: Vec<u8>,
    /// Who holds it.
    pub held: Held,
}

/// What is to be done next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Send this, and hand in the answer.
    Ask(Ask),
    /// Read the own entries of this span, hand them in, and say when all were.
    Read(Span),
    /// The walk is over.
    Over(End),
}

/// How a walk ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// The roots are the same, and both trees are true.
    Same,
    /// The roots are the same, and one of the trees is in doubt.
    Doubted,
    /// Everything that differed was told.
    Compared,
    /// More differs than one walk tells, or what differs goes on changing.
    Enough,
    /// The tree here is unknown by now.
    Unknown,
    /// The other one did not answer.
    Refused(Refusal),
    /// The answer was none to the question, for this reason.
    Nonsense(&'static str),
}

/// One walk.
#[derive(Debug)]
pub struct Asker {
    terms: Terms,
    stage: Stage,
    /// Spans that differ, the last one next.
    todo: Vec<SpanAsk>,
    /// Those that are being looked at.
    batch: Vec<Visit>,
    asked: usize,
    /// How often spans were looked at once more.
    looked_again: u8,
    /// Whether there was something that no key was told of.
    passed_over: bool,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    Root,
    Leaves(u32),
    Spans,
    /// Of the batch, this one's own entries are being read.
    Reading(usize),
    Keys,
    Over(End),
}

/// What stops a walk in the midst of an answer.
type Stopped<T> = Result<T, End>;

impl Asker {
    /// Begins a walk from the own tree of a keyspace, as the epoch has it. Nothing where the tree is unknown.
    pub fn begin(epoch: Epoch, keyspace: KeyspaceId, tree: &mut Tree) -> Option<(Asker, Ask)> {
        let terms = Terms { epoch, keyspace, shape: tree.shape() };
        let root = tree.nodes()?.root();
        let asker = Asker {
            terms,
            stage: Stage::Root,
            todo: Vec::new(),
            batch: Vec::new(),
            asked: 0,
            looked_again: 0,
            passed_over: false,
        };
        Some((asker, Ask { terms, question: Question::Root(root) }))
    }

    /// An answer has come to what was asked last.
    pub fn answered(&mut self, tree: &mut Tree, answer: Answer, out: &mut Vec<Difference>) -> Step {
        let step = match (self.stage, answer) {
            (Stage::Over(end), _) => Err(end),
            (_, Answer::Refused(refusal)) => Err(End::Refused(refusal)),
            (Stage::Root, Answer::Same { doubted: false }) if tree.standing() == Standing::True => {
                Err(End::Same)
            }
            (Stage::Root, Answer::Same { .. }) => Err(End::Doubted),
            (Stage::Root, Answer::Branches(theirs)) => self.branches(tree.nodes(), &theirs),
            (Stage::Leaves(asked), Answer::Leaves(theirs)) => self.leaves(tree.nodes(), asked, &theirs),
            (Stage::Spans, Answer::Spans(theirs)) => self.spans(theirs, out),
            (Stage::Keys, Answer::Keys { keys, more }) => self.keys(keys, more, out),
            _ => Err(End::Nonsense("it answers another question")),
        };
        self.take(step)
    }

    /// Some of what is stored here in the span that is being read.
    pub fn entries<'a>(&mut self, entries: impl IntoIterator<Item = Entry<'a>>, out: &mut Vec<Difference>) {
        let Stage::Reading(at) = self.stage else {
            return;
        };
        for entry in entries {
            self.batch[at].entry(self.terms.shape, entry, out);
        }
    }

    /// All of that span's entries were handed in.
    pub fn span_done(&mut self, out: &mut Vec<Difference>) -> Step {
        let step = match self.stage {
            Stage::Reading(at) => self.read(at + 1, out),
            Stage::Over(end) => Err(end),
            _ => Err(End::Nonsense("nothing was being read")),
        };
        self.take(step)
    }

    fn take(&mut self, step: Stopped<Step>) -> Step {
        step.unwrap_or_else(|end| {
            self.stage = Stage::Over(end);
            self.todo = Vec::new();
            self.batch = Vec::new();
            Step::Over(end)
        })
    }

    fn ask(&self, question: Question) -> Step {
        Step::Ask(Ask { terms: self.terms, question })
    }

    fn branches(&mut self, nodes: Option<&mut Nodes>, theirs: &[Short]) -> Stopped<Step> {
        let ours = nodes.ok_or(End::Unknown)?.branches();
        if theirs.len() != ours.len() {
            return Err(End::Nonsense("not as many branches as the tree has"));
        }
        let differing = ours.iter().zip(theirs).enumerate().filter(|(_, (ours, theirs))| ours != theirs);
        let bits = differing.fold(0, |bits, (branch, _)| bits | 1 << branch);
        if bits == 0 {
            // Written in between.
            return Err(End::Compared);
        }
        self.stage = Stage::Leaves(bits);
        Ok(self.ask(Question::Leaves(bits)))
    }

    fn leaves(&mut self, nodes: Option<&mut Nodes>, branches: u32, theirs: &[Short]) -> Stopped<Step> {
        let ours = nodes.ok_or(End::Unknown)?.leaves(branches);
        if theirs.len() != ours.len() {
            return Err(End::Nonsense("not as many leaves as the branches have"));
        }
        let fanout = u16::from(self.terms.shape.fanout());
        let asked = (0..fanout).filter(|branch| branches >> branch & 1 == 1);
        let numbers = asked.flat_map(|branch| branch * fanout..(branch + 1) * fanout);
        let pairs = numbers.zip(ours.iter().zip(theirs));
        let differing = pairs.filter(|(_, (ours, theirs))| ours != theirs).map(|(leaf, _)| Span::leaf(leaf));
        self.todo = differing.map(|span| SpanAsk { span, after: None }).collect();
        self.todo.reverse();
        self.next_batch()
    }

    /// Asks about the next spans.
    fn next_batch(&mut self) -> Stopped<Step> {
        self.batch.clear();
        let room = SPANS_ASKED_MAX - self.asked;
        let count = self.todo.len().min(SPANS_MAX).min(room);
        if count == 0 {
            let is_all = self.todo.is_empty() && !self.passed_over;
            return Err(if is_all { End::Compared } else { End::Enough });
        }
        let mut asks = self.todo.split_off(self.todo.len() - count);
        asks.reverse();
        self.asked += count;
        self.batch = asks.iter().map(|&ask| Visit::new(ask)).collect();
        self.stage = Stage::Spans;
        Ok(self.ask(Question::Spans(asks)))
    }

    fn spans(&mut self, theirs: Vec<Contents>, out: &mut Vec<Difference>) -> Stopped<Step> {
        if theirs.len() != self.batch.len() {
            return Err(End::Nonsense("not as many spans as were asked about"));
        }
        for (visit, theirs) in self.batch.iter_mut().zip(theirs) {
            visit.hear(self.terms.shape, theirs).map_err(End::Nonsense)?;
        }
        self.read(0, out)
    }

    /// Goes on with the own entries of this span of the batch, or with what follows when all were read.
    fn read(&mut self, at: usize, out: &mut Vec<Difference>) -> Stopped<Step> {
        if let Some(visit) = self.batch.get(at) {
            self.stage = Stage::Reading(at);
            return Ok(Step::Read(visit.span()));
        }
        for visit in self.batch.iter().rev() {
            visit.follow(self.terms.shape, &mut self.todo);
        }
        self.ask_keys(out)
    }

    fn ask_keys(&mut self, out: &mut Vec<Difference>) -> Stopped<Step> {
        let wanted: Vec<_> = self.batch.iter().filter_map(Visit::wanted).collect();
        if wanted.is_empty() {
            return self.tell(out);
        }
        self.stage = Stage::Keys;
        Ok(self.ask(Question::Keys(wanted)))
    }

    fn keys(&mut self, keys: Vec<NamedKey>, more: bool, out: &mut Vec<Difference>) -> Stopped<Step> {
        let bytes: usize = keys.iter().map(|named| named.key.len()).sum();
        if more && bytes < KEYS_BYTES_MAX {
            return Err(End::Nonsense("there are more keys, and room for them"));
        }
        for NamedKey { key, digest } in keys {
            if key.len() > KEY_BYTES_MAX {
                return Err(End::Nonsense("a key is longer than keys are"));
            }
            let visit = self.batch.iter_mut().find(|visit| visit.wants(digest));
            let visit = visit.ok_or(End::Nonsense("a key that was not asked for, or was named before"))?;
            out.push(visit.named(key, digest));
        }
        if more { self.ask_keys(out) } else { self.tell(out) }
    }

    /// Tells what is only here, and goes on: first with the spans in which a digest was told, and then no key of it.
    fn tell(&mut self, out: &mut Vec<Difference>) -> Stopped<Step> {
        for visit in &mut self.batch {
            visit.tell(out);
            if visit.wanted().is_none() {
                continue;
            }
            if self.looked_again < LOOKS_AGAIN_MAX {
                self.looked_again += 1;
                self.todo.push(visit.ask());
            } else {
                self.passed_over = true;
            }
        }
        self.next_batch()
    }
}
