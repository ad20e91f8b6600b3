//! The body of a request that changes the cluster: a small JSON document, understood strictly. What is not known is an error and
//! not passed over, for a misspelt setting would otherwise be another promise in silence.

use axum::body::Body;
use axum::http::HeaderMap;
use serde::de::DeserializeOwned;

use crate::body;
use crate::content;
use crate::front::Front;
use crate::problem::{Kind, Problem};

/// The longest document, in bytes.
const DOCUMENT_BYTES_MAX: u64 = 64 * 1024;

/// The document that the body is.
pub(crate) async fn read<T: DeserializeOwned>(
    front: &Front,
    headers: &HeaderMap,
    body: Body,
) -> Result<T, Problem> {
    let bytes = arrived(front, headers, body).await?;
    understand(&bytes.bytes)
}

/// The same where there may be no body: then it is the default.
pub(crate) async fn read_or_default<T: DeserializeOwned + Default>(
    front: &Front,
    headers: &HeaderMap,
    body: Body,
) -> Result<T, Problem> {
    let arrived = arrived(front, headers, body).await?;
    if arrived.bytes.is_empty() { Ok(T::default()) } else { understand(&arrived.bytes) }
}

async fn arrived(front: &Front, headers: &HeaderMap, body: Body) -> Result<body::Arrived, Problem> {
    check_conditions(headers)?;
    let too_large = |_| {
        let detail =
            format!("the body is longer than {DOCUMENT_BYTES_MAX} bytes: no change takes so many words");
        Problem::invalid(detail)
    };
    body::read(front, DOCUMENT_BYTES_MAX, headers, body, too_large).await
}

/// Refuses conditions: whether one holds when the change is made cannot be known here.
pub(crate) fn check_conditions(headers: &HeaderMap) -> Result<(), Problem> {
    content::condition(headers).map_or(Ok(()), |condition| {
        let detail = format!("{condition} cannot be checked for a change to the cluster; leave it out");
        Err(Problem::new(Kind::UnsupportedCondition, detail))
    })
}

fn understand<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(bytes).map_err(|error| {
        Problem::invalid(format!(
            "the body is not the JSON document that is wanted: {error}; /openapi.json describes it"
        ))
    })
}
