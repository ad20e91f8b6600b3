//! The body of a request, read as it comes and no further than it may go.
//!
//! What must hold: memory follows the bytes that have arrived, never the length that a header claims (INVARIANTS K3);
//! no body is read beyond its limit, for a value the keyspace's; all bodies together stay inside one [`Budget`] (J1); and a
//! body that trickles ends. A claimed length beyond the limit is refused before a byte of the body is read.

use std::sync::Arc;

use api::KeyspaceStatus;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, header};
use bytes::Bytes;
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::front::Front;
use crate::problem::{Kind, Problem};

/// How many bytes of bodies may be in memory at once.
pub(crate) struct Budget {
    /// A permit is a byte.
    bytes: Arc<Semaphore>,
}

impl Budget {
    pub(crate) fn new(bytes_max: usize) -> Budget {
        Budget { bytes: Arc::new(Semaphore::new(bytes_max.min(Semaphore::MAX_PERMITS))) }
    }

    fn take(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Problem> {
        let permits = u32::try_from(bytes).ok();
        let taken = permits.and_then(|permits| self.bytes.clone().try_acquire_many_owned(permits).ok());
        taken.ok_or_else(|| Problem::overloaded("this node holds as many bytes of request bodies as it may"))
    }
}

/// A value that has arrived, and its share of the budget while it is being stored.
pub(crate) struct Arrived {
    pub(crate) bytes: Bytes,
    _share: OwnedSemaphorePermit,
}

/// The body, if it stays within what a value of `keyspace` may be.
pub(crate) async fn read_value(
    front: &Front,
    keyspace: &KeyspaceStatus,
    headers: &HeaderMap,
    body: Body,
) -> Result<Arrived, Problem> {
    let limit = keyspace.value_bytes_max;
    read(front, limit, headers, body, |bytes| Problem::body_too_large(bytes, limit, &keyspace.name)).await
}

/// The body, if it has at most `limit` bytes; else what `too_large` says of its length, where that is known.
pub(crate) async fn read(
    front: &Front,
    limit: u64,
    headers: &HeaderMap,
    body: Body,
    too_large: impl Fn(Option<u64>) -> Problem,
) -> Result<Arrived, Problem> {
    let claimed = headers.get(header::CONTENT_LENGTH).and_then(claimed_length);
    if claimed.is_some_and(|claimed| claimed > limit) {
        return Err(too_large(claimed));
    }
    let collected = tokio::time::timeout(front.options.body_timeout, collect(front, limit, body, too_large));
    collected.await.unwrap_or_else(|_| {
        let seconds = front.options.body_timeout.as_secs_f32();
        let detail = format!("the body did not arrive within {seconds} seconds");
        Err(Problem::new(Kind::BodyTimeout, detail)
            .with_header(header::CONNECTION, HeaderValue::from_static("close")))
    })
}

async fn collect(
    front: &Front,
    limit: u64,
    mut body: Body,
    too_large: impl Fn(Option<u64>) -> Problem,
) -> Result<Arrived, Problem> {
    let mut share = front.budget.take(0)?;
    let mut value = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Problem::invalid(format!("the body broke off: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        let length = u64::try_from(value.len() + data.len()).unwrap_or(u64::MAX);
        if length > limit {
            return Err(too_large(None));
        }
        share.merge(front.budget.take(data.len())?);
        value.extend_from_slice(&data);
    }
    // Boxed, so that a value which is kept for long keeps no more memory than its own length.
    Ok(Arrived { bytes: Bytes::from(value.into_boxed_slice()), _share: share })
}

fn claimed_length(value: &HeaderValue) -> Option<u64> {
    value.to_str().ok()?.parse().ok()
}
