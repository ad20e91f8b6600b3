//! The context in `Henge-Context`, both ways. The same token, with the same binding to its key, as over RESP: a client
//! may read by one protocol and write by the other.
//!
//! It is not an `ETag`, though it looks like one: `If-Match` promises that nothing is written when the tag is no longer
//! current, while a write with an old context is kept, as a sibling. A word that means something else is worse than a
//! new one.

use axum::http::HeaderMap;
use causality::Context;

use crate::address::KeyAddress;
use crate::headers::{CONTEXT, put_text, single_text};
use crate::problem::{Kind, Problem};

/// The context that the client passes back, if it does.
pub(crate) fn from_headers(headers: &HeaderMap, address: &KeyAddress) -> Result<Option<Context>, Problem> {
    let Some(token) = single_text(headers, &CONTEXT)? else {
        return Ok(None);
    };
    let context = Context::from_token(token, address.binding())
        .map_err(|error| Problem::new(Kind::InvalidContext, error.to_string()))?;
    Ok(Some(context))
}

/// The token for `context`; nothing where there is nothing to pass back.
pub(crate) fn token(context: &Context, address: &KeyAddress) -> Option<String> {
    (!context.is_empty()).then(|| context.to_token(address.binding()))
}

/// Gives the client the context to pass back.
pub(crate) fn put(headers: &mut HeaderMap, context: &Context, address: &KeyAddress) {
    if let Some(token) = token(context, address) {
        put_text(headers, CONTEXT, &token);
    }
}
