//! The node's errors as problems. The texts are the node's own; here they get a status and their figures.

use api::{Action, Error, Status};
use axum::http::{HeaderValue, header};

use super::{Facts, Kind, Problem};

/// How long a client is asked to wait before it tries again, in seconds: the least that the header can say.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

impl Problem {
    /// The problem that the node's error is.
    pub(crate) fn from_error(error: Error, status: &Status) -> Problem {
        let detail = error.to_string();
        match error {
            Error::Unavailable { action, level, needed, got, owners, .. } => {
                let facts =
                    Facts { action: Some(action_word(action)), ..quorum_facts(level, needed, got, owners) };
                Problem::new(Kind::Unavailable, detail).with_facts(facts).and_retry_later()
            }
            Error::Unknown { level, needed, got, owners, .. } => {
                let facts = Facts { action: Some("write"), ..quorum_facts(level, needed, got, owners) };
                Problem::new(Kind::Unknown, detail).with_facts(facts)
            }
            Error::Overloaded(_) => Problem::overloaded(detail),
            Error::Invalid(_) => Problem::invalid(detail),
            Error::TooLarge { bytes, limit, keyspace, .. } => {
                let facts = Facts { bytes: Some(bytes), ..limit_facts(limit, keyspace) };
                Problem::new(Kind::TooLarge, detail).with_facts(facts)
            }
            Error::TooManySiblings { siblings, keyspace } => {
                let siblings = u64::try_from(siblings).unwrap_or(u64::MAX);
                let facts = Facts { siblings: Some(siblings), keyspace: Some(keyspace), ..Facts::default() };
                Problem::new(Kind::TooManySiblings, detail).with_facts(facts)
            }
            Error::ContextRequired(keyspace) => {
                let facts = Facts { keyspace: Some(keyspace), ..Facts::default() };
                Problem::new(Kind::ContextRequired, detail).with_facts(facts)
            }
            Error::NoSuchKeyspace(name) => Problem::no_such_keyspace(&name, status),
            Error::NotLed(_) => Problem::new(Kind::NotLed, detail).and_retry_later(),
            Error::ChangeUnknown(_) => Problem::new(Kind::ChangeUnknown, detail),
        }
    }

    /// The node, or this front end, has more to do than it can.
    pub(crate) fn overloaded(detail: impl Into<String>) -> Problem {
        Problem::new(Kind::Overloaded, detail).and_retry_later()
    }

    /// A body that is longer than the keyspace's values may be; refused before all of it was read, so that its own
    /// length may be unknown.
    pub(crate) fn body_too_large(bytes: Option<u64>, limit: u64, keyspace: &str) -> Problem {
        let length = bytes.map_or("longer".to_owned(), |bytes| format!("{bytes} bytes"));
        let detail = format!("the value is {length}; the limit of keyspace {keyspace} is {limit} bytes");
        let facts = Facts { bytes, ..limit_facts(limit, keyspace.to_owned()) };
        Problem::new(Kind::TooLarge, detail).with_facts(facts)
    }

    /// The cluster has no keyspace of that name.
    pub(crate) fn no_such_keyspace(name: &str, status: &Status) -> Problem {
        let keyspaces: Vec<String> = status.keyspaces.iter().map(|keyspace| keyspace.name.clone()).collect();
        let detail = format!("there is no keyspace {name:?}; there are: {}", keyspaces.join(", "));
        let facts = Facts { keyspace: Some(name.to_owned()), keyspaces: Some(keyspaces), ..Facts::default() };
        Problem::new(Kind::NoSuchKeyspace, detail).with_facts(facts)
    }

    fn and_retry_later(self) -> Problem {
        self.with_header(header::RETRY_AFTER, RETRY_AFTER)
    }
}

fn quorum_facts(level: quorum::Level, needed: u8, got: u8, owners: u8) -> Facts {
    Facts {
        level: Some(level.to_string()),
        needed: Some(needed.into()),
        got: Some(got.into()),
        owners: Some(owners.into()),
        ..Facts::default()
    }
}

fn limit_facts(limit: u64, keyspace: String) -> Facts {
    Facts { limit: Some(limit), keyspace: Some(keyspace), ..Facts::default() }
}

fn action_word(action: Action) -> &'static str {
    match action {
        Action::Read => "read",
        Action::Write => "write",
    }
}
