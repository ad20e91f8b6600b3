//! Every message between nodes: what it says ([`message`], [`collect`], [`fetch`], [`govern`], [`relay`]), how its body is laid out ([`codec`]), how it travels
//! ([`frame`]), and how two nodes make sure that they belong together ([`hello`]).
//!
//! What must hold: no byte of a frame is believed before its checksum, its length and its version are; decoding is total,
//! so that no peer can crash a node; memory follows the bytes that came, not the length that was claimed (K3).
//!
//! Why not one derived encoding for all: a read and a write cross the wire on every request, and their values should be
//! neither copied nor walked on the way. Those few are laid out by hand; the rest (forwarded requests, scans, handshakes)
//! is postcard, which is compact and total.

pub mod codec;
pub mod collect;
pub mod fetch;
pub mod frame;
pub mod govern;
pub mod hello;
pub mod message;
pub mod relay;
mod varint;

pub use codec::DecodeError;
pub use collect::{CollectAnswer, CollectAsk, CollectStep, CollectWait, Mark, Written};
pub use fetch::{FETCH_BYTES_MAX, FetchAnswer, FetchAsk};
pub use frame::{FRAME_BYTES_MAX, Frame, FrameError, decode_frame, encode_frame};
pub use govern::{Far, FarLog, Govern, History, Leads, Proposed};
pub use hello::{
    First, Hello, Refusal, decode_previewed, decode_welcome, encode_join, encode_preview, encode_previewed,
    encode_welcome,
};
pub use message::{
    Body, Envelope, Forward, Own, ReplicaReply, ReplicaRequest, ScanAnswer, ScanAsk, ScanEntry, WriteName,
    WritePath,
};
pub use relay::{Holder, Relay, Relayed, Write};
