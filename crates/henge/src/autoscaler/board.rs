//! What is shown of the autoscaler: the last decisions, and figures.
//!
//! What must hold: it is bounded, whatever is decided; and the last decision is shown whether or not there was anything to do.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use api::{
    AutoscalerFigures, AutoscalerStatus, Autoscaling, Counter, DataCenterLoad, DecisionOutcome,
    DecisionStatus,
};
use autoscale::{Action, Decision};
use types::WallTime;

use super::settings::Settings;

/// How many decisions to do something are kept.
const DECISIONS_MAX: usize = 256;

/// Which decision, of those that were to do something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct DecisionNumber(u64);

/// Shared by who decides and who shows it.
#[derive(Debug)]
pub(super) struct Board(Mutex<Shown>);

#[derive(Debug)]
struct Shown {
    /// Without the decisions.
    status: AutoscalerStatus,
    decisions: VecDeque<(DecisionNumber, DecisionStatus)>,
    next: u64,
    counts: Counts,
}

/// Since the start of the node.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Counts {
    looks: u64,
    added: u64,
    retired: u64,
    replaced: u64,
    moved: u64,
    split: u64,
    merged: u64,
    ended: u64,
    refused: u64,
}

impl Board {
    pub(super) fn new(settings: &Settings) -> Board {
        let policy = &settings.policy;
        let status = AutoscalerStatus {
            dry_run: policy.dry_run,
            provider: settings.provider_word(),
            min: policy.min,
            max: policy.max,
            ..AutoscalerStatus::default()
        };
        let (decisions, counts) = (VecDeque::new(), Counts::default());
        Board(Mutex::new(Shown { status, decisions, next: 0, counts }))
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it decides here. What was decided while it did stays to be seen.
    pub(super) fn decides(&self, decides: bool) {
        let mut shown = self.shown();
        shown.status.decides = decides;
        if !decides {
            (shown.status.latest, shown.status.trouble) = (None, None);
        }
    }

    /// What stands in its way now.
    pub(super) fn trouble(&self, trouble: Option<String>) {
        self.shown().status.trouble = trouble;
    }

    /// Something was decided; its number, if there is something to be done.
    pub(super) fn decided(&self, at: WallTime, decision: &Decision) -> Option<DecisionNumber> {
        let mut shown = self.shown();
        shown.counts.looks += 1;
        let is_nothing = decision.action == Action::Nothing;
        if !is_nothing && !decision.is_dry {
            shown.counts.count(&decision.action);
        }
        let status = decision_status(at, decision);
        shown.status.latest = Some(status.clone());
        (!is_nothing).then(|| shown.keep(status))
    }

    /// A node that has left was asked to be ended, without a decision.
    pub(super) fn ends(&self, at: WallTime, name: &str) -> DecisionNumber {
        let mut shown = self.shown();
        shown.counts.ended += 1;
        let (action, reason) = (format!("end {name}"), "it has handed over what it had, and left".to_owned());
        let outcome = DecisionOutcome::Asked;
        shown.keep(DecisionStatus { at, action, reason, outcome, ..DecisionStatus::default() })
    }

    /// What came of a decision.
    pub(super) fn outcome(&self, number: DecisionNumber, outcome: DecisionOutcome) {
        let mut shown = self.shown();
        shown.counts.refused += u64::from(matches!(outcome, DecisionOutcome::Refused(_)));
        if let Some((_, decision)) = shown.decisions.iter_mut().rev().find(|(one, _)| *one == number) {
            decision.outcome = outcome;
        }
    }
}

impl Shown {
    fn keep(&mut self, status: DecisionStatus) -> DecisionNumber {
        self.next += 1;
        let number = DecisionNumber(self.next);
        if self.decisions.len() == DECISIONS_MAX {
            self.decisions.pop_front();
        }
        self.decisions.push_back((number, status));
        number
    }
}

impl Counts {
    fn count(&mut self, action: &Action) {
        let count = match action {
            Action::Nothing => return,
            Action::AddNode(_) => &mut self.added,
            Action::RetireNode { .. } => &mut self.retired,
            Action::ReplaceNode { .. } => &mut self.replaced,
            Action::EndRequested { .. } => &mut self.ended,
            Action::MovePartition { .. } => &mut self.moved,
            Action::SplitPartition { .. } | Action::SplitAll => &mut self.split,
            Action::MergePartitions => &mut self.merged,
        };
        *count += 1;
    }
}

fn decision_status(at: WallTime, decision: &Decision) -> DecisionStatus {
    let figures = &decision.figures;
    let data_center = |load: &autoscale::DataCenterFigures| DataCenterLoad {
        name: load.name.clone(),
        up: load.up,
        down: load.down,
        operations_per_second: load.operations_per_second,
        operations_per_second_max: load.operations_per_second_max,
        cpu_permille: load.cpu_permille,
        disk_permille: load.disk_permille,
        pressure_permille: load.pressure_permille,
        pressure_peak_permille: load.pressure_peak_permille,
    };
    DecisionStatus {
        at,
        epoch: decision.epoch,
        action: decision.action.to_string(),
        reason: decision.reason.clone(),
        is_dry: decision.is_dry,
        outcome: DecisionOutcome::Nothing,
        figures: AutoscalerFigures {
            members: figures.members,
            up: figures.up,
            joining: figures.joining,
            leaving: figures.leaving,
            down: figures.down,
            requested: figures.requested,
            movements: figures.movements,
            cool_down_out_left_ms: figures.cool_down_out_left_ms,
            cool_down_in_left_ms: figures.cool_down_in_left_ms,
            data_centers: figures.data_centers.iter().map(data_center).collect(),
        },
    }
}

impl Autoscaling for Board {
    fn status(&self) -> AutoscalerStatus {
        let shown = self.shown();
        let decisions = shown.decisions.iter().map(|(_, decision)| decision.clone()).collect();
        AutoscalerStatus { decisions, ..shown.status.clone() }
    }

    #[allow(clippy::cast_precision_loss, reason = "figures for people and graphs; 2^53 is far away")]
    fn counters(&self) -> Vec<Counter> {
        let shown = self.shown();
        let Counts { looks, added, retired, replaced, moved, split, merged, ended, refused } = shown.counts;
        let latest = shown.status.latest.as_ref();
        let pressures = latest.into_iter().flat_map(|latest| &latest.figures.data_centers);
        let pressure = pressures.map(|load| load.pressure_permille).max().unwrap_or(0);
        let counter = |name, help, value: u64| Counter { name, help, value: value as f64 };
        vec![
            counter(
                "autoscaler_decides",
                "Whether the autoscaler decides on this node, which leads.",
                u64::from(shown.status.decides),
            ),
            counter(
                "autoscaler_in_trouble",
                "Whether something stands in its way.",
                u64::from(shown.status.trouble.is_some()),
            ),
            counter("autoscaler_looks_total", "Times that it looked at the cluster and decided.", looks),
            Counter {
                name: "autoscaler_pressure",
                help: "The use of what is scarcest over its target, in the data center where that is greatest; 1 is at the target.",
                value: pressure as f64 / 1_000.0,
            },
            counter("autoscaler_added_total", "Decisions to start a node.", added),
            counter("autoscaler_retired_total", "Decisions to retire a node.", retired),
            counter("autoscaler_replaced_total", "Decisions to replace a dead node.", replaced),
            counter("autoscaler_moved_total", "Decisions to move a hot partition.", moved),
            counter("autoscaler_split_total", "Decisions to halve partitions.", split),
            counter("autoscaler_merged_total", "Decisions to merge partitions.", merged),
            counter("autoscaler_ended_total", "Nodes that were no members, asked to be ended.", ended),
            counter("autoscaler_refused_total", "Decisions that could not be carried out.", refused),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board() -> Board {
        let config = toml::from_str("enabled = true\nmin = 3\nmax = 5").expect("right");
        Board::new(&Settings::of(&config).expect("right").expect("turned on"))
    }

    fn decision(action: Action) -> Decision {
        Decision {
            action,
            reason: "because".to_owned(),
            is_dry: false,
            epoch: types::Epoch(4),
            at: types::Instant(0),
            figures: autoscale::Figures::default(),
        }
    }

    fn end(name: &str) -> Action {
        Action::EndRequested { name: name.to_owned() }
    }

    /// Nothing to do is shown as the latest, and takes no decision's place.
    #[test]
    fn nothing_is_shown_and_not_kept() {
        let board = board();
        let number = board.decided(WallTime(1), &decision(end("auto-1"))).expect("something to do");
        board.outcome(number, DecisionOutcome::Began("auto-1".to_owned()));
        assert_eq!(board.decided(WallTime(2), &decision(Action::Nothing)), None);
        let status = board.status();
        assert_eq!(status.latest.expect("shown").action, "nothing");
        assert_eq!(status.decisions.len(), 1);
        assert_eq!(status.decisions[0].outcome, DecisionOutcome::Began("auto-1".to_owned()));
        assert_eq!((status.min, status.max, status.provider), (3, 5, "none"));
    }

    /// What is kept is bounded, and an outcome of what is kept no more is passed over.
    #[test]
    fn the_last_decisions_are_kept() {
        let board = board();
        let first = board.decided(WallTime(0), &decision(end("auto-0")));
        for number in 1..=300_u64 {
            board.decided(WallTime(number), &decision(end(&format!("auto-{number}"))));
        }
        board.outcome(first.expect("something to do"), DecisionOutcome::Refused("no".to_owned()));
        let status = board.status();
        assert_eq!(status.decisions.len(), DECISIONS_MAX);
        assert_eq!(status.decisions[0].action, "end auto-45, which is no member");
        let value =
            |name: &str| board.counters().into_iter().find(|one| one.name == name).map(|one| one.value);
        assert_eq!(value("autoscaler_ended_total"), Some(301.0));
        assert_eq!(value("autoscaler_refused_total"), Some(1.0));
        assert_eq!(value("autoscaler_looks_total"), Some(301.0));
    }
}
