//! The kinds of problem: one each for what a client does differently.

use axum::http::StatusCode;

/// A kind of problem. Its name is the last part of the document's `type`, whose path answers with its meaning.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Invalid,
    InvalidContext,
    ForeignOrigin,
    NoSuchKey,
    NoSuchKeyspace,
    NoSuchRoute,
    MethodNotAllowed,
    BodyTimeout,
    TooManySiblings,
    TooLarge,
    UnsupportedContent,
    ForeignHost,
    ContextRequired,
    Overloaded,
    Internal,
    UnsupportedCondition,
    Unavailable,
    NotReady,
    NotLed,
    Unknown,
    ChangeUnknown,
}

/// One kind in words.
struct Row {
    kind: Kind,
    name: &'static str,
    status: StatusCode,
    title: &'static str,
    meaning: &'static str,
}

const fn row(
    kind: Kind,
    name: &'static str,
    status: StatusCode,
    title: &'static str,
    meaning: &'static str,
) -> Row {
    Row { kind, name, status, title, meaning }
}

/// All kinds in the order of the enum, which is the order of their statuses.
const ROWS: [Row; 21] = [
    row(
        Kind::Invalid,
        "invalid-request",
        StatusCode::BAD_REQUEST,
        "The request cannot be served",
        "Something in the path, the query, a header or the body is not what it must be. Sending the same again gives the same answer; the detail says what would be right.",
    ),
    row(
        Kind::InvalidContext,
        "invalid-context",
        StatusCode::BAD_REQUEST,
        "The context is not one of this key",
        "Henge-Context must be what a read or a write of this very key returned, unchanged. Read the key and pass on what that returns.",
    ),
    row(
        Kind::ForeignOrigin,
        "foreign-origin",
        StatusCode::FORBIDDEN,
        "A page of another origin may not change anything",
        "The request says that a browser sent it on behalf of a page that this node did not serve.",
    ),
    row(
        Kind::NoSuchKey,
        "no-such-key",
        StatusCode::NOT_FOUND,
        "There is no value under this key",
        "It was never written, was deleted, or has expired. Where Henge-Context is given, pass it on when writing the key again.",
    ),
    row(
        Kind::NoSuchKeyspace,
        "no-such-keyspace",
        StatusCode::NOT_FOUND,
        "There is no such keyspace",
        "The path names a keyspace that the cluster does not have; the document lists those that it has.",
    ),
    row(
        Kind::NoSuchRoute,
        "no-such-route",
        StatusCode::NOT_FOUND,
        "There is nothing at this path",
        "/openapi.json lists what there is. A slash within a key is written %2F.",
    ),
    row(
        Kind::MethodNotAllowed,
        "method-not-allowed",
        StatusCode::METHOD_NOT_ALLOWED,
        "This path does not know that method",
        "The Allow header lists the methods that it knows.",
    ),
    row(
        Kind::BodyTimeout,
        "body-timeout",
        StatusCode::REQUEST_TIMEOUT,
        "The body did not arrive in time",
        "Nothing was stored. Send the request again on a new connection.",
    ),
    row(
        Kind::TooManySiblings,
        "too-many-siblings",
        StatusCode::CONFLICT,
        "The key has as many siblings as the keyspace allows",
        "Nothing was stored. Read the key, merge its values, and write the result with the context that the read gave.",
    ),
    row(
        Kind::TooLarge,
        "too-large",
        StatusCode::PAYLOAD_TOO_LARGE,
        "A key, value or record is beyond the keyspace's limit",
        "Nothing was stored. The document says how large it was, where that is known, and how large it may be.",
    ),
    row(
        Kind::UnsupportedContent,
        "unsupported-content",
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "The body is wrapped in a form that would be stored with it",
        "A value is stored as the bytes of the body, and given back as application/octet-stream. Send the bytes themselves.",
    ),
    row(
        Kind::ForeignHost,
        "foreign-host",
        StatusCode::MISDIRECTED_REQUEST,
        "This node does not go by that name",
        "The Host header names neither localhost, nor an IP address, nor a name that this node was configured to answer to.",
    ),
    row(
        Kind::ContextRequired,
        "context-required",
        StatusCode::PRECONDITION_REQUIRED,
        "The keyspace overwrites only with a context",
        "Nothing was stored. Read the key and write with the context that the read gave.",
    ),
    row(
        Kind::Overloaded,
        "overloaded",
        StatusCode::TOO_MANY_REQUESTS,
        "The node has more to do than it can",
        "Nothing was stored. Send the request again after the time that Retry-After gives, and fewer of them.",
    ),
    row(
        Kind::Internal,
        "internal-error",
        StatusCode::INTERNAL_SERVER_ERROR,
        "The node contradicted itself",
        "This is a defect of the server. Whether a write took effect is unknown.",
    ),
    row(
        Kind::UnsupportedCondition,
        "unsupported-condition",
        StatusCode::NOT_IMPLEMENTED,
        "Conditional requests are not served here",
        "Whether a condition holds can only be decided in a strong keyspace. In others write with Henge-Context: what it does not cover stays as a sibling, and nothing is lost.",
    ),
    row(
        Kind::Unavailable,
        "unavailable",
        StatusCode::SERVICE_UNAVAILABLE,
        "Too few owners of the key could be reached",
        "Nothing was stored. Try again, or ask for a lower level with r or w if a weaker answer will do.",
    ),
    row(
        Kind::NotReady,
        "not-ready",
        StatusCode::SERVICE_UNAVAILABLE,
        "This node cannot serve the default keyspace at its own levels",
        "Too many nodes are down for some of the keys.",
    ),
    row(
        Kind::NotLed,
        "not-led",
        StatusCode::SERVICE_UNAVAILABLE,
        "The cluster cannot be changed now",
        "A change needs a majority of the nodes that keep the cluster state, and none can be reached. Nothing was changed, and keys are read and written as before. Try again after the time that Retry-After gives; GET /v1/cluster lists the voters.",
    ),
    row(
        Kind::Unknown,
        "unknown",
        StatusCode::GATEWAY_TIMEOUT,
        "Whether the write took effect is not known",
        "Some owners may hold it, and too few said so in time. Read the key to find out, or write it again: with the same context that is harmless.",
    ),
    row(
        Kind::ChangeUnknown,
        "change-unknown",
        StatusCode::GATEWAY_TIMEOUT,
        "Whether the cluster was changed is not known",
        "The change may have been made, or may yet be. Look at GET /v1/cluster or GET /v1/keyspaces before asking for it again.",
    ),
];

impl Kind {
    /// The kind with this name.
    pub(crate) fn from_name(name: &str) -> Option<Kind> {
        ROWS.iter().find(|row| row.name == name).map(|row| row.kind)
    }

    /// Every kind.
    pub(crate) fn all() -> impl Iterator<Item = Kind> {
        ROWS.iter().map(|row| row.kind)
    }

    /// The path that explains it.
    pub(crate) fn path(self) -> String {
        format!("/problems/{}", self.row().name)
    }

    /// The status that it is answered with.
    pub(crate) fn status(self) -> StatusCode {
        self.row().status
    }

    /// What it is, in a line that is the same for every occurrence.
    pub(crate) fn title(self) -> &'static str {
        self.row().title
    }

    /// What it means and what to do.
    pub(crate) fn meaning(self) -> &'static str {
        self.row().meaning
    }

    /// What became of the request, where there was something to do.
    pub(crate) fn result(self) -> Option<&'static str> {
        match self {
            Kind::NoSuchKey | Kind::NotReady => None,
            Kind::Unknown | Kind::ChangeUnknown | Kind::Internal => Some("unknown"),
            _ => Some("not-done"),
        }
    }

    fn row(self) -> &'static Row {
        &ROWS[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kind is found by its place in the table, so the table must be in the order of the enum.
    #[test]
    fn the_table_is_in_the_order_of_the_enum() {
        for (place, kind) in Kind::all().enumerate() {
            assert_eq!(kind as usize, place);
            assert_eq!(Kind::from_name(kind.row().name), Some(kind));
        }
    }
}
