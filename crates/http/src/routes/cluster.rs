//! `GET /v1/cluster`: the members and what moves between them, as this node sees it.

use api::{MovementStatus, NodeStatus, Status};
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
    "name": "example", "epoch": 1, "partitions": 256, "node": "n1", "version": "0.1.0", "started": 1767225600000_u64,
    "nodes": [{
        "id": "n1", "number": 1, "state": "up", "standing": "settled", "datacenter": "dc1", "rack": "r1", "weight": 1.0,
        "partitions": 86, "replicas": 256, "resp": "127.0.0.1:7001", "cluster": "127.0.0.1:7101",
        "http": "127.0.0.1:8001", "peer": "127.0.0.1:9001"
    }],
    "movements": [{
        "partition": 17, "session": 5, "stage": "filling", "from": ["n1"], "to": ["n4"], "keyspaces": ["default"],
        "bytes_total": 4194304, "bytes_done": 1048576, "waits_for": ["n4"]
    }],
    "waiting": 42, "merging": false, "voters": ["n1", "n2", "n3"], "leader": "n2", "term": 3, "generation": 0, "notices": []
}))]
pub(crate) struct ClusterDocument {
    /// The cluster's name.
    name: String,
    /// The number of the committed version of the cluster state.
    epoch: u64,
    /// How many partitions there are.
    partitions: u32,
    /// The node that says so.
    node: String,
    /// Its version.
    version: String,
    /// When it started, in milliseconds since the Unix epoch.
    started: u64,
    /// All members, in the order of their numbers.
    nodes: Vec<NodeDocument>,
    /// The partitions that move between nodes, in order.
    movements: Vec<MovementDocument>,
    /// How many more are to move, and do not yet.
    waiting: u32,
    /// Whether each two partitions are to become one, and go to where they can.
    merging: bool,
    /// The nodes that keep the cluster state: a majority of them decides on changes.
    voters: Vec<String>,
    /// The one that leads them; null where nobody does or the answering node has not heard of it.
    leader: Option<String>,
    /// The number of the term in which he does.
    term: u64,
    /// How often the history of the cluster state was begun again, because the majority of the voters was lost for good.
    generation: u32,
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
    /// The first of `gone` (for good), `down`, `joining` or `leaving`, and `up` that is so, as the answering node sees it.
    #[schema(example = "up")]
    state: &'static str,
    /// How it stands to the cluster, whether or not it can be reached: `joining`, `settled`, `leaving` or `gone`.
    #[schema(example = "settled")]
    standing: &'static str,
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
            standing: node.standing.as_str(),
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

/// A partition that moves.
#[derive(Serialize, ToSchema)]
pub(crate) struct MovementDocument {
    /// Its number.
    partition: u16,
    /// Which of its movements: the epoch in which that began.
    session: u64,
    /// How far it is: `filling`, `switched` or `clearing`.
    #[schema(example = "filling")]
    stage: &'static str,
    /// The nodes that give it away.
    from: Vec<String>,
    /// The nodes that get it.
    to: Vec<String>,
    /// The keyspaces whose owners become others.
    keyspaces: Vec<String>,
    /// About how many bytes all who get it are to be sent; null where the answering node does not know.
    bytes_total: Option<u64>,
    /// How many of them they have; null where the answering node does not know.
    bytes_done: Option<u64>,
    /// The nodes that it waits for; null where the answering node does not know. The leader does.
    waits_for: Option<Vec<String>>,
}

impl From<&MovementStatus> for MovementDocument {
    fn from(movement: &MovementStatus) -> MovementDocument {
        MovementDocument {
            partition: movement.partition,
            session: movement.session.0,
            stage: movement.stage,
            from: movement.from.clone(),
            to: movement.to.clone(),
            keyspaces: movement.keyspaces.clone(),
            bytes_total: movement.bytes_total,
            bytes_done: movement.bytes_done,
            waits_for: movement.waits_for.clone(),
        }
    }
}

impl From<&Status> for ClusterDocument {
    fn from(status: &Status) -> ClusterDocument {
        ClusterDocument {
            name: status.name.clone(),
            epoch: status.epoch.0,
            partitions: status.partitions,
            node: status.this_node().name.clone(),
            version: status.version.clone(),
            started: status.started.0,
            nodes: status.nodes.iter().map(NodeDocument::from).collect(),
            movements: status.movements.iter().map(MovementDocument::from).collect(),
            waiting: status.waiting,
            merging: status.is_merging,
            voters: status.group.voters.clone(),
            leader: status.group.leader.clone(),
            term: status.group.term,
            generation: status.group.generation,
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
