//! What a client may ask and what it may be told, whatever protocol it speaks.
//!
//! The front ends (`resp`, `http`) turn bytes into a [`Request`] and an [`Outcome`] into bytes; a [`Store`] answers.
//! Nothing here does anything: these are the words that the layers above the node and the node share.
//!
//! What must hold: an [`Error`] tells the client the truth about its write. *Not done* is said only where the write can
//! never become visible; everything that may have left a copy somewhere is *unknown* (INVARIANTS A5).
//!
//! In reading order: [`request`], [`change`], [`reply`], [`error`], [`status`], [`heat`] and [`load`] for what is shown of the cluster and
//! of the load, [`autoscaler`], [`store`].

pub mod autoscaler;
pub mod change;
pub mod error;
pub mod heat;
pub mod load;
pub mod reply;
pub mod request;
pub mod status;
pub mod store;

pub use autoscaler::{
    AutoscalerFigures, AutoscalerStatus, Autoscaling, DataCenterLoad, DecisionOutcome, DecisionStatus,
};
pub use change::{Change, Changed, KeyspaceSettings, NodePlan, Planned, PlannedMove, Recovery, Replaced};
pub use error::{Action, Error, Fate, Part};
pub use heat::{HeatStatus, HotKey, PartitionHeat};
pub use load::{NodeLoad, PartitionRate};
pub use reply::{
    Deleted, Explanation, Found, Marks, Outcome, OwnerAnswer, Reply, ScanPage, ShownValue, Touched, Written,
};
pub use request::{Command, Detail, ExpiryChange, KeyRequest, Operation, Request, ScanRequest, Scope};
pub use status::{
    Counter, GroupStatus, KeyspaceStatus, MemberStatus, MovementStatus, NodeStanding, NodeState, NodeStatus,
    SlotRange, Status,
};
pub use store::{Answer, Store};
