//! `GET /v1/hot`: which keys and partitions of this node are asked for most.

use api::{HotKey, PartitionHeat, Status};
use axum::Json;
use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use utoipa::ToSchema;

use crate::front::Shared;
use crate::params::{NoParams, Params};
use crate::problem::ProblemDocument;

/// What is asked for most of one node, over about the last minute. Counted are clients' reads and writes where they reach records, on each
/// owner that they reach: rates of samples, and therefore about right.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "node": "n1",
    "keys": [{
        "keyspace": "default", "key": "user:1", "key_base64": "dXNlcjox", "partition": 17,
        "reads_per_second": 812.4, "writes_per_second": 31.0, "missed_per_second": 2.1
    }],
    "partitions": [{ "partition": 17, "reads_per_second": 901.0, "writes_per_second": 77.5, "bytes_per_second": 1048576.0 }]
}))]
pub(crate) struct HotDocument {
    /// The node that says so.
    node: String,
    /// The keys that are asked for most, the hottest first. Each that gets more than one of 64 of the requests is among them.
    keys: Vec<HotKeyDocument>,
    /// The partitions that are asked for most, the hottest first.
    partitions: Vec<PartitionDocument>,
}

/// A key that is asked for often.
#[derive(Serialize, ToSchema)]
pub(crate) struct HotKeyDocument {
    /// The keyspace that it is in.
    #[schema(example = "default")]
    keyspace: String,
    /// The key; what of it is no UTF-8 is shown as U+FFFD.
    #[schema(example = "user:1")]
    key: String,
    /// The key's bytes.
    #[schema(content_encoding = "base64", example = "dXNlcjox")]
    key_base64: String,
    /// The partition that it is in.
    partition: u16,
    /// Reads that reach this node's records.
    reads_per_second: f64,
    /// Writes and deletes that do.
    writes_per_second: f64,
    /// How much more it may be, because the key was not watched all the time.
    missed_per_second: f64,
}

/// A partition that is asked for often.
#[derive(Serialize, ToSchema)]
pub(crate) struct PartitionDocument {
    /// Its number.
    partition: u16,
    /// Reads that reach this node's records.
    reads_per_second: f64,
    /// Writes and deletes that do.
    writes_per_second: f64,
    /// Bytes of records that are read and written.
    bytes_per_second: f64,
}

/// As finely as anybody reads it.
fn rounded(rate: f64) -> f64 {
    (rate * 10.0).round() / 10.0
}

impl HotKeyDocument {
    fn of(key: &HotKey, status: &Status) -> HotKeyDocument {
        let keyspace = status.keyspace_by_id(key.keyspace);
        HotKeyDocument {
            keyspace: keyspace.map_or_else(|| key.keyspace.to_string(), |keyspace| keyspace.name.clone()),
            key: String::from_utf8_lossy(&key.key).into_owned(),
            key_base64: STANDARD.encode(&key.key),
            partition: key.partition.0,
            reads_per_second: rounded(key.reads_per_second),
            writes_per_second: rounded(key.writes_per_second),
            missed_per_second: rounded(key.missed_per_second),
        }
    }
}

impl From<&PartitionHeat> for PartitionDocument {
    fn from(heat: &PartitionHeat) -> PartitionDocument {
        PartitionDocument {
            partition: heat.partition.0,
            reads_per_second: rounded(heat.reads_per_second),
            writes_per_second: rounded(heat.writes_per_second),
            bytes_per_second: rounded(heat.bytes_per_second),
        }
    }
}

/// Which keys and partitions of this node are asked for most.
#[utoipa::path(
    get,
    path = "/v1/hot",
    operation_id = "get_hot",
    tag = "cluster",
    responses(
        (status = 200, description = "What is asked for most of this node", body = HotDocument),
        (status = "default", description = "A problem", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get(State(front): State<Shared>, _: Params<NoParams>) -> Json<HotDocument> {
    let (status, heat) = (front.status(), front.heat());
    Json(HotDocument {
        node: status.this_node().name.clone(),
        keys: heat.keys.iter().map(|key| HotKeyDocument::of(key, &status)).collect(),
        partitions: heat.partitions.iter().map(PartitionDocument::from).collect(),
    })
}
