//! Several values as `multipart/mixed` (RFC 2046, section 5.1), one part each: its bytes, and in its header fields what
//! the JSON says beside them.
//!
//! ```text
//! --henge-9f86d081884c7d65...
//! content-type: application/octet-stream
//! henge-clock: n1=3, n2=1
//! henge-stamp: 1767225600000.0
//! henge-priority: 0
//!
//! the bytes of the value
//! --henge-9f86d081884c7d65...--
//! ```
//!
//! What must hold: the boundary occurs in no value, whatever an attacker stored. It is the SHA-256 of all the values: to
//! contain it, a value would have to contain its own hash. So there is nothing to search and nothing to draw at random.

use std::fmt::Write;

use api::ShownValue;
use axum::http::HeaderValue;
use sha2::{Digest, Sha256};

use crate::digest::hexadecimal;
use crate::headers::{CLOCK, EXPIRES, PRIORITY, STAMP};

/// The content type, which names the boundary, and the body.
pub(crate) fn encode(values: &[ShownValue]) -> (HeaderValue, Vec<u8>) {
    let boundary = boundary(values);
    let values_bytes: usize = values.iter().map(|value| value.value.len()).sum();
    let mut body = Vec::with_capacity(values_bytes + values.len() * 512 + boundary.len() + 8);
    for value in values {
        body.extend_from_slice(format!("--{boundary}\r\n{}\r\n", part_headers(value)).as_bytes());
        body.extend_from_slice(&value.value);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    let content_type = HeaderValue::from_str(&format!("multipart/mixed; boundary={boundary}"));
    (content_type.expect("a boundary is hexadecimal digits"), body)
}

fn boundary(values: &[ShownValue]) -> String {
    let mut hash = Sha256::new();
    for value in values {
        hash.update(&value.value);
    }
    format!("henge-{}", hexadecimal(&hash.finalize()))
}

fn part_headers(value: &ShownValue) -> String {
    let mut text = String::from("content-type: application/octet-stream\r\n");
    // Writing to a String cannot fail.
    if !value.clock.is_empty() {
        let entries: Vec<String> =
            value.clock.iter().map(|(node, counter)| format!("{node}={counter}")).collect();
        let _ = write!(text, "{CLOCK}: {}\r\n", entries.join(", "));
    }
    let _ = write!(text, "{STAMP}: {}\r\n{PRIORITY}: {}\r\n", value.stamp, value.priority);
    if let Some(expires) = value.expires {
        let _ = write!(text, "{EXPIRES}: {}\r\n", expires.0);
    }
    text
}
