//! A load generator for stores that speak the Redis protocol: Henge, Redis, Redis Cluster.
//!
//! It is the program behind `henge bench`, and measures Redis by the same means, so that two figures differ because
//! of the servers. It is not a test of correctness, though `--verify` checks that reads return what was written.
//!
//! What must hold: latencies of an open loop count from the intended start; failed operations improve no figure; the
//! keys asked for depend on the seed alone; the generator costs little next to what it measures, and says how much.
//!
//! In reading order: [`Args`] and the `plan` made of them; what is asked (`workload`, `distribution`, `key`, `value`,
//! `frontier`, `operations`); how (`request`, `reply`, `link`, `lane`, `slots`); when (`pacing`); what came out
//! (`judge`, `recorder`, `process`); a run (`probe`, `phase`, `run`); and for whom (`report`, `table`, `plot`).

mod args;
mod distribution;
mod error;
mod frontier;
mod judge;
mod key;
mod lane;
mod link;
mod operations;
mod pacing;
mod phase;
mod plan;
mod plot;
mod probe;
mod process;
mod progress;
mod recorder;
mod reply;
mod report;
mod request;
mod run;
mod slots;
mod table;
mod value;
mod workload;

pub use args::{Args, ArrivalPattern};
pub use error::Error;
pub use run::{run, run_to};
pub use workload::{Distribution, Workload};
