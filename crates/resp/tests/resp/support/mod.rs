//! What the tests have instead of a node and sockets: a store in memory, and a connection driven by hand.

pub(crate) mod connection;
pub(crate) mod status;
pub(crate) mod store;

pub(crate) use connection::Connection;
pub(crate) use store::FakeStore;
