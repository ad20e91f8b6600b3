//! A whole cluster on virtual time from one seed.
//!
//! Every node is made of production [`node::Shard`]s over a disk that forgets what was not synced; what carries its messages,
//! runs its jobs and tells it the time is simulated, in one thread, with one generator of randomness. A run is therefore
//! a function of its [`Scenario`]: the same seed gives the same trace, byte for byte, on every machine. While it runs,
//! clients keep honest books of what they were told, faults strike, and checkers named after what they check compare the
//! two; a run that fired no faults or acknowledged next to nothing fails as empty.
//!
//! What it is not: a test of sockets, threads or the real disk, which have tests of their own.
//!
//! In reading order: [`scenario`] says what a seed stands for; [`clock`], [`queue`], [`trace`], [`network`] and [`host`]
//! are what the world is made of; [`world`] is the cluster and its virtual time; [`witness`] holds the checks that watch
//! every message; [`workload`] the clients and the books they keep; [`faults`] what goes wrong; [`plan`] changes that are made
//! on purpose, with somebody stopped at each border; [`run`](mod@run) puts them together; [`healthy_core`] is about what some
//! must do while what ails the others lasts; [`sabotage`] breaks the rules on purpose, to show that the checkers bite. The model is
//! TigerBeetle's VOPR; the disk's is Pebble's and FoundationDB's.

pub mod agreement;
pub mod clock;
pub mod faults;
pub mod healthy_core;
pub mod host;
pub mod network;
pub mod plan;
pub mod queue;
pub mod run;
pub mod sabotage;
pub mod scenario;
pub mod trace;
pub mod witness;
pub mod workload;
pub mod world;

mod random;

pub use plan::{Act, Border, Plan, Victim};
pub use run::{Report, run, run_caught, run_scenario};
pub use sabotage::Sabotage;
pub use scenario::Scenario;
pub use world::{Answer, World};
