//! From bytes to commands: the request half of RESP.
//!
//! A client sends flat arrays of bulk strings (`*2\r\n$3\r\nGET\r\n$1\r\nk\r\n`) or, by hand, inline lines
//! (`GET k\r\n`). Nothing else is a request, so nothing else is parsed: with no nesting there is no depth to abuse.
//! The specification is the "Redis serialization protocol specification", its error texts are those of Redis 7.0.
//!
//! What must hold:
//! - Memory follows the bytes received, never a length claimed (INVARIANTS K3): a claimed length is compared with a
//!   limit and then only waited for.
//! - A byte is looked at once, however the stream is cut into reads, but for the few of an unfinished length line.
//! - Bytes of another protocol are never run as commands (INVARIANTS K4): see [`foreign`].
//!
//! [`parser`] finds where a command and its arguments lie, [`arguments`] hands them out, [`inline`] splits lines.

pub mod arguments;
pub mod foreign;
pub mod inline;
pub mod number;
pub mod parser;

pub use arguments::Arguments;
pub use parser::{Limits, Parsed, Parser, ProtocolError, Span};
