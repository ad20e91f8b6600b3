//! `GET /v1/autoscaler`: whether the autoscaler decides on this node, and what it has decided of late.

use api::{AutoscalerFigures, AutoscalerStatus, DataCenterLoad, DecisionOutcome, DecisionStatus};
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::front::Shared;
use crate::params::{NoParams, Params};
use crate::problem::ProblemDocument;

/// The autoscaler, as one node knows it. It decides on the node that leads those who keep the cluster state, and on no other.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "node": "n1", "leader": "n1", "enabled": true, "decides": true, "dry_run": false, "provider": "local", "min": 3, "max": 5,
    "trouble": null, "latest": null, "decisions": []
}))]
pub(crate) struct AutoscalerDocument {
    /// The node that says so.
    node: String,
    /// The node that leads, where it decides; null where nobody does or the answering node has not heard of it.
    leader: Option<String>,
    /// Whether the answering node was started with an autoscaler.
    enabled: bool,
    /// Whether it decides here. Elsewhere there is nothing to be seen of it: ask the leader.
    decides: bool,
    /// Whether decisions are only told.
    dry_run: bool,
    /// `local`, `command`, `kubernetes`, or `none` where no nodes may be started.
    #[schema(example = "local")]
    provider: &'static str,
    /// The fewest members that there may be.
    min: u32,
    /// The most.
    max: u32,
    /// What stands in its way; null where nothing does.
    trouble: Option<String>,
    /// What it decided last, which mostly is to do nothing.
    latest: Option<DecisionDocument>,
    /// The last decisions to do something, the latest last.
    decisions: Vec<DecisionDocument>,
}

/// One decision.
#[derive(Serialize, ToSchema)]
pub(crate) struct DecisionDocument {
    /// When it was taken, in milliseconds since the Unix epoch.
    at: u64,
    /// The epoch of the cluster state that it was taken on.
    epoch: u64,
    /// What is to be done, in words.
    action: String,
    /// Why, in words.
    reason: String,
    /// Whether it is only told.
    dry_run: bool,
    /// `nothing` was to be done or it was only told, it is being `asked` for, has `begun`, or was `refused`.
    #[schema(example = "begun")]
    outcome: &'static str,
    /// What there is to say of that: the name of a node that was started, or why it was refused.
    detail: String,
    /// The numbers that it was taken on.
    figures: FiguresDocument,
}

/// The numbers that a decision was taken on.
#[derive(Serialize, ToSchema)]
pub(crate) struct FiguresDocument {
    /// Members.
    members: usize,
    /// Those that serve and stay.
    up: usize,
    /// Those that take partitions over.
    joining: usize,
    /// Those that give their partitions away.
    leaving: usize,
    /// Those that are down.
    down: usize,
    /// What the provider has started and is no member.
    requested: usize,
    /// Partitions that move, or are to.
    movements: usize,
    /// What is left of the wait before a change for more room.
    cool_down_out_left_ms: u64,
    /// What is left of the wait before a node is retired.
    cool_down_in_left_ms: u64,
    /// Of each data center.
    data_centers: Vec<DataCenterDocument>,
}

/// The load of a data center.
#[derive(Serialize, ToSchema)]
pub(crate) struct DataCenterDocument {
    /// Its name.
    name: String,
    /// Its nodes that serve and stay.
    up: usize,
    /// Those that are down.
    down: usize,
    /// Operations per second, smoothed.
    operations_per_second: u64,
    /// How many its nodes are good for; null where that is not known.
    operations_per_second_max: Option<u64>,
    /// Busy cores, in thousandths, smoothed.
    cpu_permille: u64,
    /// How full the disks are, or the fullest of them, in thousandths; null where that is not known.
    disk_permille: Option<u64>,
    /// The use of what is scarcest over its target, in thousandths.
    pressure_permille: u64,
    /// The same by the most that was asked for of late.
    pressure_peak_permille: u64,
}

impl From<DecisionStatus> for DecisionDocument {
    fn from(decision: DecisionStatus) -> DecisionDocument {
        let (outcome, detail) = match decision.outcome {
            DecisionOutcome::Nothing => ("nothing", String::new()),
            DecisionOutcome::Asked => ("asked", String::new()),
            DecisionOutcome::Began(detail) => ("begun", detail),
            DecisionOutcome::Refused(why) => ("refused", why),
        };
        DecisionDocument {
            at: decision.at.0,
            epoch: decision.epoch.0,
            action: decision.action,
            reason: decision.reason,
            dry_run: decision.is_dry,
            outcome,
            detail,
            figures: FiguresDocument::from(decision.figures),
        }
    }
}

impl From<AutoscalerFigures> for FiguresDocument {
    fn from(figures: AutoscalerFigures) -> FiguresDocument {
        FiguresDocument {
            members: figures.members,
            up: figures.up,
            joining: figures.joining,
            leaving: figures.leaving,
            down: figures.down,
            requested: figures.requested,
            movements: figures.movements,
            cool_down_out_left_ms: figures.cool_down_out_left_ms,
            cool_down_in_left_ms: figures.cool_down_in_left_ms,
            data_centers: figures.data_centers.into_iter().map(DataCenterDocument::from).collect(),
        }
    }
}

impl From<DataCenterLoad> for DataCenterDocument {
    fn from(load: DataCenterLoad) -> DataCenterDocument {
        DataCenterDocument {
            name: load.name,
            up: load.up,
            down: load.down,
            operations_per_second: load.operations_per_second,
            operations_per_second_max: load.operations_per_second_max,
            cpu_permille: load.cpu_permille,
            disk_permille: load.disk_permille,
            pressure_permille: load.pressure_permille,
            pressure_peak_permille: load.pressure_peak_permille,
        }
    }
}

/// The autoscaler, as this node knows it.
#[utoipa::path(
    get,
    path = "/v1/autoscaler",
    operation_id = "get_autoscaler",
    tag = "cluster",
    responses(
        (status = 200, description = "The autoscaler, as this node knows it", body = AutoscalerDocument),
        (status = "default", description = "A problem", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get(State(front): State<Shared>, _: Params<NoParams>) -> Json<AutoscalerDocument> {
    let status = front.status();
    let autoscaler = front.options.autoscaler.as_ref().map(|autoscaler| autoscaler.status());
    let enabled = autoscaler.is_some();
    let AutoscalerStatus { decides, dry_run, provider, min, max, trouble, latest, decisions } =
        autoscaler.unwrap_or_else(|| AutoscalerStatus { provider: "none", ..AutoscalerStatus::default() });
    Json(AutoscalerDocument {
        node: status.this_node().name.clone(),
        leader: status.group.leader.clone(),
        enabled,
        decides,
        dry_run,
        provider,
        min,
        max,
        trouble,
        latest: latest.map(DecisionDocument::from),
        decisions: decisions.into_iter().map(DecisionDocument::from).collect(),
    })
}
