//! Hash trees over a partition's keys, and the walk that finds where two of them differ.
//!
//! For each (partition, keyspace) an owner keeps one [`Tree`] over its keys and their versions. Every write changes it.
//! Two owners compare their roots, then only the branches that differ, then only the leaves, then what is in those; so
//! the bytes exchanged grow with the differences and not with the data.
//!
//! What must hold (INVARIANTS F2): a tree is true, or known not to be. It is true of what the owner has in memory and on
//! disk together, from the moment at which a write is visible. The same records give the same tree on every owner, at
//! any time: what is hashed is the bytes of records, and never whether something has expired by now (D3).
//!
//! Everything is pure. The crate reads no store: it names the places to be read, and is handed what is there. It sends
//! nothing: it makes questions and takes answers. `docs/protocols/exchange.md` has the protocol.
//!
//! In reading order: [`digest`] is what one key comes to; [`shape`] is which places make up a leaf; [`nodes`] has the
//! hashes of one tree; [`tree`] keeps it true, with [`rebuild`]; [`message`] has the questions and answers, [`answerer`]
//! gives the answers, [`asker`] walks.

pub mod answerer;
pub mod asker;
pub mod digest;
pub mod message;
pub mod nodes;
pub mod place;
pub mod rebuild;
pub mod shape;
mod sums;
pub mod tree;

pub use answerer::{Answered, Answering, answer};
pub use asker::{Asker, Difference, End, Held, Step};
pub use digest::{Digest, Seed, Short};
pub use message::{Answer, Ask, Contents, NamedKey, Question, Refusal, SpanAsk, Terms, Wanted};
pub use nodes::Nodes;
pub use place::{Entry, Place, Run, runs};
pub use rebuild::Progress;
pub use shape::{FANOUT, Shape, Span};
pub use tree::{Standing, Tree};
