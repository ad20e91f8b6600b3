//! Starting and ending real nodes, and talking to them.

pub(crate) mod dev;
pub(crate) mod http;
pub(crate) mod log;
pub(crate) mod patience;
pub(crate) mod ports;
pub(crate) mod process;
pub(crate) mod resp;
pub(crate) mod scratch;
pub(crate) mod servers;
