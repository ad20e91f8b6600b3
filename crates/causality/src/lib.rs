//! What writes know of each other: dots, vectors, siblings, contexts, clocks, and the one merge.
//!
//! Pure: no clock, no I/O, no randomness; time comes in as an argument. A replica stores one [`Record`] per key; all
//! ways by which records travel end in [`Record::merge`]. Nothing here knows of nodes, quorums or storage.
//!
//! In reading order: [`dot`] names writes; [`vector`] and [`dotted`] say which are known; [`stamp`] is hybrid time;
//! [`version`] is one write; [`lww`] and [`siblings`] are the two kinds of [`record`]; [`view`] is what a reader is
//! shown and [`context`] what it knows thereby, [`token`] the text of that; [`frontier`] says when nothing is left to be
//! known of a write; [`codec`] is the bytes of a record, and [`outline`] what tells which of two is older without its values;
//! [`clock`] prints vectors for people.

mod carried;
pub mod clock;
pub mod codec;
pub mod context;
pub mod dot;
pub mod dotted;
pub mod frontier;
pub mod lww;
pub mod outline;
pub mod record;
pub mod siblings;
pub mod stamp;
pub mod token;
pub mod vector;
pub mod version;
pub mod view;

pub use clock::clock_entries;
pub use codec::{DecodeError, LwwPeek, Peek, peek};
pub use context::Context;
pub use dot::{Actor, Dot};
pub use dotted::DottedVector;
pub use frontier::Frontier;
pub use lww::Lww;
pub use outline::Outline;
pub use record::{MergeError, PutError, Record, Usage};
pub use siblings::Siblings;
pub use stamp::{DriftError, HybridClock, ParseStampError, Stamp};
pub use token::{TOKEN_BYTES_MAX, TokenError};
pub use vector::VersionVector;
pub use version::{Expiry, Payload, Version};
pub use view::{ParsePolicyError, Policy, View};
