//! `GET /v1/cluster`: the members, as this node sees them.

use api::{NodeStatus, Status};
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::front::Shared;
use crate::params::{NoParams, Params};
use crate::problem::ProblemDocument;

/// The cluster as one node sees it.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "name": "example", "epoch": 1, "node": "n1", "version": "0.1.0", "started": 1767225600000_u64,
    "nodes": [{
        "id": "n1", "number": 1, "state": "up", "datacenter": "dc1", "rack": "r1", "weight": 1.0,
        "partitions": 86, "replicas": 256, "resp": "127.0.0.1:7001", "cluster": "127.0.0.1:7101",
        "http": "127.0.0.1:8001", "peer": "127.0.0.1:9001"
    }],
    "movements": [], "notices": []
}))]
pub(crate) struct ClusterDocument {
    /// The cluster's name.
    name: String,
    /// The number of the committed version of the cluster state.
    epoch: u64,
    /// The node that says so.
    node: String,
    /// Its version.
    version: String,
    /// When it started, in milliseconds since the Unix epoch.
    started: u64,
    /// All members, in the order of their numbers.
    nodes: Vec<NodeDocument>,
    /// Partitions on the move between nodes. None are while membership is fixed.
    #[schema(value_type = Vec<Object>)]
    movements: [(); 0],
    /// What people should know: under-replicated keyspaces, quorum modes that act as another, relaxed durability.
    notices: Vec<String>,
}

/// A member.
#[derive(Serialize, ToSchema)]
pub(crate) struct NodeDocument {
    /// What people call it.
    #[schema(example = "n1")]
    id: String,
    /// What the cluster state calls it.
    number: u16,
    /// `up`, `down`, `joining` or `leaving`, as the answering node sees it.
    #[schema(example = "up")]
    state: &'static str,
    /// Its data center.
    datacenter: String,
    /// Its rack.
    rack: String,
    /// Its capacity, relative to the others'.
    weight: f64,
    /// How many partitions it is first owner of.
    partitions: u32,
    /// How many replicas of partitions it keeps, by the `default` keyspace's N.
    replicas: u32,
    /// Where it speaks RESP as one store.
    #[schema(example = "127.0.0.1:7001")]
    resp: Option<String>,
    /// Where it speaks RESP as a Redis Cluster.
    cluster: Option<String>,
    /// Where it speaks HTTP.
    http: Option<String>,
    /// Where its peers reach it.
    peer: Option<String>,
}

impl From<&NodeStatus> for NodeDocument {
    fn from(node: &NodeStatus) -> NodeDocument {
        NodeDocument {
            id: node.name.clone(),
            number: node.id.0,
            state: node.state.as_str(),
            datacenter: node.data_center.clone(),
            rack: node.rack.clone(),
            weight: node.weight,
            partitions: node.partitions,
            replicas: node.replicas,
            resp: node.resp.map(|address| address.to_string()),
            cluster: node.cluster.map(|address| address.to_string()),
            http: node.http.map(|address| address.to_string()),
            peer: node.peer.map(|address| address.to_string()),
        }
    }
}

impl From<&Status> for ClusterDocument {
    fn from(status: &Status) -> ClusterDocument {
        ClusterDocument {
            name: status.name.clone(),
            epoch: status.epoch.0,
            node: status.this_node().name.clone(),
            version: status.version.clone(),
            started: status.started.0,
            nodes: status.nodes.iter().map(NodeDocument::from).collect(),
            movements: [],
            notices: status.notices.clone(),
        }
    }
}

/// The members of the cluster.
#[utoipa::path(
    get,
    path = "/v1/cluster",
    operation_id = "get_cluster",
    tag = "cluster",
    responses(
        (status = 200, description = "The cluster as this node sees it", body = ClusterDocument),
        (status = "default", description = "A problem", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get(State(front): State<Shared>, _: Params<NoParams>) -> Json<ClusterDocument> {
    Json(ClusterDocument::from(&*front.status()))
}
