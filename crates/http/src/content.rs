//! What a request that writes may say of its body and its conditions.
//!
//! A value is the bytes of the body and nothing else is kept of it, so a content type is not asked for: a client that
//! sends none, or the one that its library sends by itself, means its bytes all the same. What is refused is a wrapping
//! that would be stored along with the value (`curl -F`, compressed bodies), part of a value, and conditions, which a
//! server that cannot check them must not pass over in silence.

use axum::http::{HeaderMap, HeaderName, header};

use utoipa::ToSchema;

use crate::headers::single_text;
use crate::problem::{Kind, Problem};

/// Bytes, as they are.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
pub(crate) struct Octets(#[allow(dead_code)] Vec<u8>); // Only its name is used, by the macros that describe handlers.

/// A condition that the request makes, if it makes one.
pub(crate) fn condition(headers: &HeaderMap) -> Option<&'static HeaderName> {
    static CONDITIONS: [HeaderName; 4] =
        [header::IF_MATCH, header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE, header::IF_UNMODIFIED_SINCE];
    CONDITIONS.iter().find(|name| headers.contains_key(*name))
}

/// Refuses what would be stored otherwise than it was meant.
pub(crate) fn check_content(headers: &HeaderMap) -> Result<(), Problem> {
    if let Some(condition) = condition(headers) {
        let detail = format!(
            "{condition} cannot be checked in this keyspace; pass the context of a read in Henge-Context"
        );
        return Err(Problem::new(Kind::UnsupportedCondition, detail));
    }
    if headers.contains_key(header::CONTENT_RANGE) {
        return Err(Problem::invalid(
            "Content-Range asks to write a part of a value; a value is written as a whole",
        ));
    }
    if let Some(coding) = single_text(headers, &header::CONTENT_ENCODING)?
        && !coding.eq_ignore_ascii_case("identity")
    {
        let detail =
            format!("the body is encoded as {coding}, which would be stored with it and not told to readers");
        return Err(Problem::new(Kind::UnsupportedContent, detail));
    }
    let content_type = single_text(headers, &header::CONTENT_TYPE)?.unwrap_or_default();
    if content_type.to_ascii_lowercase().starts_with("multipart/") {
        let detail = format!(
            "the body is {content_type}: a form around the value; send the value's bytes (curl: --data-binary)"
        );
        return Err(Problem::new(Kind::UnsupportedContent, detail));
    }
    Ok(())
}
