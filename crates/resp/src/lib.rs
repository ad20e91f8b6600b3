//! RESP2 and RESP3: a pure codec, one command table, sessions, and the one driver that puts them on sockets.
//!
//! Any Redis client talks to a node through this. Requests go down: bytes are cut into commands ([`frame`]), a
//! command's row is found and its function run ([`command`]), which asks the node through [`api::Store`]. Answers come
//! up and are written ([`reply`]) in the order of the commands ([`session`]). All of that is pure: no clock, no socket,
//! no task. Only [`server`] is async.
//!
//! Not here: what a key is or where it lives (`node` and below), and HTTP.
//!
//! In reading order: [`frame`], [`reply`], [`glob`]; [`contexts`], [`acknowledgements`], [`clients`] and [`state`], what a
//! connection remembers and chooses; [`command`], the table; [`session`]; [`server`].

pub mod acknowledgements;
pub mod clients;
pub mod command;
pub mod contexts;
pub mod frame;
pub mod glob;
pub mod reply;
pub mod server;
pub mod session;
pub mod state;

pub use clients::Clients;
pub use server::{Dealer, Dealt, Door, Listening, ServeError, Server};
pub use session::{Session, Turned};
pub use state::{Around, ListenerKind, Selected, Settings, State};
