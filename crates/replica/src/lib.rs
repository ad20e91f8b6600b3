//! What a node does for the partitions that it owns: answer reads, merge writes, make the records of its clients' writes.
//!
//! [`Replica`] is a state machine over a [`storage::Db`]. It never waits: what memory cannot answer is handed out as a
//! job, and what must be on stable storage before it is said is kept until storage says so. It knows nothing of quorums,
//! clients or sockets.
//!
//! What must hold:
//! - A reply that promises durability leaves only after its sequence number is synced (INVARIANTS A4).
//! - *Absent* is said only on evidence; damage and ignorance are "cannot say" (C3).
//! - A dot is minted once, and an actor extends its counter only within a stint in which it forgot nothing (B1, B2).
//! - Operations on a key whose record must come from disk run in the order in which they came, on the record that came.
//!
//! In reading order: [`store_key`] says where a record lives, [`actors`] who issues dots, [`make`] how a client's change
//! becomes a record, [`handoff`] how what a stand-in keeps reaches its owner, [`exchange`] how owners come to hold the same,
//! [`healing`] how what was damaged comes back, [`moving`] what partitions that move ask of their owners, [`collection`] when a delete may be dropped,
//! [`recent`] what is not yet synced or not yet shown, [`replica`] the machine, [`scan`] runs of keys,
//! [`identity`] who this data directory is.

pub mod actors;
pub mod collection;
pub mod exchange;
pub mod handoff;
pub mod healing;
pub mod identity;
pub mod make;
pub mod moving;
pub mod recent;
pub mod replica;
pub mod scan;
pub mod store_key;

mod founding;
mod granting;
mod merge;
mod patience;
mod waiting;

pub use collection::CollectionOptions;
pub use exchange::ExchangeOptions;
pub use identity::{Identity, IdentityError, Origin};
pub use make::{Change, Made, Make, MakeError, Named};
pub use merge::RecordMerge;
pub use patience::Refusals;
pub use replica::{Effect, Replica, ReplicaOptions, Ticket};
