//! The settings of a keyspace, as a client gives them. What they mean is understood behind all front ends, in one place; here only
//! their names and kinds are checked.

use api::KeyspaceSettings;
use serde::Deserialize;
use utoipa::ToSchema;

/// A new keyspace. What is left out is the default.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "carts", "n": 3, "preset": "quorum", "quorum": "strict"}))]
pub(crate) struct NewKeyspaceDocument {
    /// What it is to be called: 1 to 64 letters, digits, dots, dashes and underscores.
    #[schema(example = "carts")]
    pub(super) name: String,
    #[serde(flatten)]
    pub(super) settings: SettingsDocument,
}

/// Settings of a keyspace. What is left out stays as it is, or is the default of a new one.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"n": "dc1=2,dc2=1", "r": "quorum", "w": 2}))]
pub(crate) struct SettingsDocument {
    /// What `SELECT` takes; the next free number of a new keyspace where it is left out. It stays what it is.
    number: Option<u32>,
    /// How many owners each key has in each data center: `3`, or `dc1=2,dc2=1`.
    #[schema(value_type = Option<String>, example = "3")]
    n: Option<NumberOrText>,
    /// How many owners answer a read: a number, or `one`, `two`, `three`, `quorum`, `all`, `local-one`, `local-quorum`,
    /// `each-quorum`.
    #[schema(value_type = Option<String>, example = "quorum")]
    r: Option<NumberOrText>,
    /// How many owners hold a write before it is acknowledged, as `r`.
    #[schema(value_type = Option<String>, example = "quorum")]
    w: Option<NumberOrText>,
    /// `r` and `w` by a name: `fast-read`, `fast-write` or `quorum`.
    #[schema(example = "quorum")]
    preset: Option<String>,
    /// What becomes of concurrent writes: `siblings`, `lww` or `priority`. It stays what it is.
    #[schema(example = "siblings")]
    policy: Option<String>,
    /// `sloppy` or `strict`.
    #[schema(example = "sloppy")]
    quorum: Option<String>,
    /// When a write is acknowledged: once it is synced (`always`), or before (`interval`).
    #[schema(example = "always")]
    durability: Option<String>,
    /// Whether overwriting needs a context.
    require_context: Option<bool>,
    /// Whether all its keys may be deleted at once.
    allow_flush: Option<bool>,
    /// The classic size threshold of vector clocks; 0 is none.
    max_clock_entries: Option<u32>,
    /// The longest value, in bytes.
    value_bytes_max: Option<u64>,
}

/// What may be written as a number or as a text.
#[derive(Deserialize)]
#[serde(untagged, expecting = "want a number or a text")]
enum NumberOrText {
    Number(u32),
    Text(String),
}

impl NumberOrText {
    fn into_text(self) -> String {
        match self {
            NumberOrText::Number(number) => number.to_string(),
            NumberOrText::Text(text) => text,
        }
    }
}

impl From<SettingsDocument> for KeyspaceSettings {
    fn from(document: SettingsDocument) -> KeyspaceSettings {
        KeyspaceSettings {
            number: document.number,
            n: document.n.map(NumberOrText::into_text),
            r: document.r.map(NumberOrText::into_text),
            w: document.w.map(NumberOrText::into_text),
            preset: document.preset,
            policy: document.policy,
            quorum: document.quorum,
            durability: document.durability,
            require_context: document.require_context,
            allow_flush: document.allow_flush,
            max_clock_entries: document.max_clock_entries,
            value_bytes_max: document.value_bytes_max,
        }
    }
}
