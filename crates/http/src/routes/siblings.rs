//! Values with their context and clocks: what a key with siblings answers (300), and what a single value answers to a
//! client that asks for JSON (200).

use api::{Found, ShownValue};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use utoipa::ToSchema;

use crate::accept::Form;
use crate::address::KeyAddress;
use crate::headers::{SIBLINGS, mark_words, put_text};
use crate::{context, multipart};

/// All values of a key.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "context": "AQAAAAABAgMEBQ",
    "values": [
        {"value": "bWlsaw==", "clock": [["n1", 2], ["n2", 1]], "stamp": "1767225600000.0", "expires": null, "priority": 0},
        {"value": "YnJlYWQ=", "clock": [["n1", 2], ["n3", 1]], "stamp": "1767225600004.0", "expires": null, "priority": 0}
    ]
}))]
pub(crate) struct SiblingsDocument {
    /// What to pass back as `Henge-Context` when writing the key: the write then replaces all these values.
    context: Option<String>,
    /// The values, in an order that every node agrees on.
    values: Vec<ValueDocument>,
    /// What is weaker about the answer: `stand-in`, `relaxed-durability`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    marks: Vec<&'static str>,
}

/// One value.
#[derive(Serialize, ToSchema)]
pub(crate) struct ValueDocument {
    /// Its bytes, in Base64 (RFC 4648, section 4).
    #[schema(content_encoding = "base64", example = "bWlsaw==")]
    value: String,
    /// The vector clock: for each node the number of the last of its writes that this value knows of. A node with
    /// several stints has an entry for each, `node/stint`.
    #[schema(example = json!([["n1", 2], ["n2", 1]]))]
    clock: Vec<(String, u64)>,
    /// When it was written, by the hybrid clock of who made it: milliseconds since the Unix epoch, and a count.
    #[schema(example = "1767225600000.0")]
    stamp: String,
    /// When it expires, in milliseconds since the Unix epoch.
    #[schema(example = json!(null))]
    expires: Option<u64>,
    /// The importance of its writer.
    #[schema(example = 0)]
    priority: u8,
}

impl From<&ShownValue> for ValueDocument {
    fn from(shown: &ShownValue) -> ValueDocument {
        ValueDocument {
            value: STANDARD.encode(&shown.value),
            clock: shown.clock.clone(),
            stamp: shown.stamp.to_string(),
            expires: shown.expires.map(|expires| expires.0),
            priority: shown.priority,
        }
    }
}

/// The answer that shows all values found of a key.
pub(super) struct Siblings<'a> {
    pub(super) address: &'a KeyAddress,
    pub(super) found: &'a Found,
    pub(super) form: Form,
    /// What every answer about the key says.
    pub(super) headers: HeaderMap,
}

impl IntoResponse for Siblings<'_> {
    fn into_response(mut self) -> Response {
        let count = self.found.values.len();
        let status = if count > 1 { StatusCode::MULTIPLE_CHOICES } else { StatusCode::OK };
        put_text(&mut self.headers, SIBLINGS, &count.to_string());
        let (content_type, body) = match self.form {
            Form::Multipart => multipart::encode(&self.found.values),
            Form::Json | Form::Raw => self.json(),
        };
        (status, [(header::CONTENT_TYPE, content_type)], self.headers, body).into_response()
    }
}

impl Siblings<'_> {
    fn json(&self) -> (HeaderValue, Vec<u8>) {
        let document = SiblingsDocument {
            context: context::token(&self.found.context, self.address),
            values: self.found.values.iter().map(ValueDocument::from).collect(),
            marks: mark_words(self.found.marks),
        };
        // A document is strings and numbers only, which always can be written.
        let body = serde_json::to_vec(&document).unwrap_or_default();
        (HeaderValue::from_static("application/json"), body)
    }
}
