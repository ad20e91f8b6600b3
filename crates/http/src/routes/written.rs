//! The answer to a write that is done.

use api::Written;
use axum::Json;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::accept::Form;
use crate::address::KeyAddress;
use crate::context;
use crate::headers::{ACKNOWLEDGED, mark_words, put_marks, put_text};

/// A write that is done: as many distinct owners hold it as were asked for.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"context": "AQAAAAABAgMEBQ", "acknowledged": 2}))]
pub(crate) struct WrittenDocument {
    /// Covers the write and what it replaced: what to pass back when writing the key again.
    context: Option<String>,
    /// How many distinct owners hold it as of this answer.
    acknowledged: u8,
    /// What is weaker about the answer: `stand-in`, `relaxed-durability`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    marks: Vec<&'static str>,
}

impl WrittenDocument {
    pub(super) fn new(address: &KeyAddress, written: &Written) -> WrittenDocument {
        WrittenDocument {
            context: context::token(&written.context, address),
            acknowledged: written.acknowledged,
            marks: mark_words(written.marks),
        }
    }
}

/// The header fields that tell of a write.
pub(super) fn headers(address: &KeyAddress, written: &Written) -> HeaderMap {
    let mut headers = HeaderMap::new();
    context::put(&mut headers, &written.context, address);
    put_text(&mut headers, ACKNOWLEDGED, &written.acknowledged.to_string());
    put_marks(&mut headers, written.marks);
    headers
}

/// 204 with everything in header fields, or 200 with a body where JSON was asked for.
pub(super) fn answer(address: &KeyAddress, written: &Written, form: Form) -> Response {
    let headers = headers(address, written);
    match form {
        Form::Json => (StatusCode::OK, headers, Json(WrittenDocument::new(address, written))).into_response(),
        Form::Raw | Form::Multipart => (StatusCode::NO_CONTENT, headers).into_response(),
    }
}
