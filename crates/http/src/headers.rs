//! The header fields that carry what HTTP has no words for.

use api::Marks;
use axum::http::{HeaderMap, HeaderName, HeaderValue};

use crate::problem::Problem;

/// The context: what a read returned, passed back by a write.
pub(crate) const CONTEXT: HeaderName = HeaderName::from_static("henge-context");
/// The importance of the writer, 0 to 255.
pub(crate) const PRIORITY: HeaderName = HeaderName::from_static("henge-priority");
/// When the value expires, in milliseconds since the Unix epoch.
pub(crate) const EXPIRES: HeaderName = HeaderName::from_static("henge-expires");
/// What is weaker about an answer than it might be; absent when nothing is.
pub(crate) const MARKS: HeaderName = HeaderName::from_static("henge-marks");
/// How many distinct owners hold the write as of the answer.
pub(crate) const ACKNOWLEDGED: HeaderName = HeaderName::from_static("henge-acknowledged");
/// Whether there was a value to delete.
pub(crate) const EXISTED: HeaderName = HeaderName::from_static("henge-existed");
/// How many values a key has.
pub(crate) const SIBLINGS: HeaderName = HeaderName::from_static("henge-siblings");
/// The identifier whose hash is the key.
pub(crate) const IDENTIFIER: HeaderName = HeaderName::from_static("henge-identifier");
/// When a value was written, in a part of a multipart body.
pub(crate) const STAMP: &str = "henge-stamp";
/// The vector clock of a value, in a part of a multipart body.
pub(crate) const CLOCK: &str = "henge-clock";

/// The one value of a field that must not come twice: of two contexts, either may be the one that was meant.
pub(crate) fn single<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'a HeaderValue>, Problem> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(Problem::invalid(format!("the header {name} was sent more than once; send it once")));
    }
    Ok(first)
}

/// The same, as text.
pub(crate) fn single_text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Problem> {
    let Some(value) = single(headers, name)? else {
        return Ok(None);
    };
    let text = value.to_str().map_err(|_| {
        Problem::invalid(format!("the header {name} holds bytes that are not visible ASCII characters"))
    })?;
    Ok(Some(text.trim()))
}

/// The writer's importance; zero where it does not say.
pub(crate) fn priority(headers: &HeaderMap) -> Result<u8, Problem> {
    let Some(text) = single_text(headers, &PRIORITY)? else {
        return Ok(0);
    };
    text.parse().map_err(|_| {
        Problem::invalid(format!("the header {PRIORITY} is {text:?}; a priority is a number from 0 to 255"))
    })
}

/// The words for `marks`.
pub(crate) fn mark_words(marks: Marks) -> Vec<&'static str> {
    let mut words = Vec::new();
    if marks.stand_in {
        words.push("stand-in");
    }
    if marks.relaxed_durability {
        words.push("relaxed-durability");
    }
    words
}

/// Says in `headers` what is weaker about the answer, if anything is (INVARIANTS C4).
pub(crate) fn put_marks(headers: &mut HeaderMap, marks: Marks) {
    let words = mark_words(marks).join(", ");
    if !words.is_empty() {
        put_text(headers, MARKS, &words);
    }
}

/// Adds a field whose text this program made itself.
pub(crate) fn put_text(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    // Tokens, numbers and the names of nodes are visible ASCII; were one not, a missing field is better than a panic.
    match HeaderValue::from_str(text) {
        Ok(value) => drop(headers.insert(name, value)),
        Err(_) => tracing::error!(%name, "a value cannot be sent as a header field"),
    }
}
