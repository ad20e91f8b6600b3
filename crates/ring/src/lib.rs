//! Where a key belongs: slots, partitions, placement, preference lists.
//!
//! A key hashes to one of 16,384 slots; a run of slots is a partition; in each data center a ring maps every
//! partition to the node that claims it; and the clockwise walk from a partition names its owners and, after
//! them, its fallbacks. All of it is pure: the same members and the same old rings give the same new rings on
//! every node, so a plan can be checked by anyone who holds its inputs.
//!
//! Not here: who the members are and how they agree on it (`cluster`), and how a partition's data moves.
//!
//! In reading order: [`slot`], [`partition`], [`rings`] with the walk, [`preference`]; then [`fair`] (what each
//! node should hold), [`placement`] (how it comes to hold it), [`mod@validate`] and [`bounds`] (what every plan must
//! keep), [`mod@moves`] (what a plan changes), [`measure`] (how good it is) and [`halves`] (more partitions, or fewer).

pub mod binding;
pub mod bounds;
pub mod fair;
pub mod halves;
pub mod measure;
pub mod moves;
pub mod partition;
pub mod placement;
pub mod preference;
pub mod rings;
pub mod slot;
pub mod validate;

pub use binding::context_binding;
pub use bounds::validate_plan;
pub use halves::JoinHalvesError;
pub use moves::{Move, moves, moves_between};
pub use partition::{Partitions, PartitionsError};
pub use placement::{
    PlacementError, PlacementMember, REPLICAS_BALANCED, RelocateError, WEIGHTS, merged, place, relocate,
    replace,
};
pub use preference::{PreferenceList, ReplicaCount};
pub use rings::{Ring, RingError, RingMember, Rings};
pub use slot::{SLOTS, Slot, key_hash};
pub use validate::{RingFault, validate};
