//! Nodes more and nodes less, what comes before a node more, a partition that is moved or halved, and how finely the ring is cut.

use std::time::Duration;

use super::{Decider, DownCount, Obstacles, Verdict, wide};
use crate::action::Action;
use crate::change::Kind;
use crate::cut;
use crate::hot;
use crate::load::{Pressure, Use};
use crate::room;
use crate::text::{count, percent, time};
use crate::view::View;

impl Decider {
    pub(super) fn too_few(&self, view: &View, obstacles: &mut Obstacles) -> Option<Verdict> {
        let up = |data_center: &str| view.within(data_center).filter(|node| node.is_up()).count();
        let members = |data_center: &str| view.within(data_center).count();
        // Those that are down come back or are replaced: only members that are lacking are added.
        let lacking = view.needs.iter().find(|needs| {
            let members = u32::try_from(members(&needs.data_center)).unwrap_or(u32::MAX);
            members > 0 && members < needs.replicas
        });
        if let Some(needs) = lacking {
            let there_are = count(wide(members(&needs.data_center)), "node");
            let why = format!("{} has {there_are}, and N is {}", needs.data_center, needs.replicas);
            if let Some(verdict) = self.add(view, &needs.data_center, &why, obstacles) {
                return Some(verdict);
            }
        }
        if view.nodes.len() >= usize::try_from(self.policy.min).unwrap_or(usize::MAX) {
            return None;
        }
        let there_are = count(wide(view.nodes.len()), "node");
        let why = format!("there are {there_are}, and min is {}", self.policy.min);
        let names = self.by_pressure(view);
        names
            .iter()
            .rev()
            .filter(|(_, name)| up(name) > 0)
            .find_map(|(_, name)| self.add(view, name, &why, obstacles))
    }

    pub(super) fn too_hot(&self, view: &View, obstacles: &mut Obstacles) -> Option<Verdict> {
        let verdict = hot::relief(view, &self.policy, &self.load)?;
        match self.changes.pause(view.now, Kind::Shift) {
            Some(pause) => {
                obstacles.add(pause);
                None
            }
            None => Some(verdict),
        }
    }

    pub(super) fn too_coarse(&self, view: &View, obstacles: &mut Obstacles) -> Option<Verdict> {
        let verdict = cut::too_coarse(view, &self.policy)?;
        match self.changes.pause(view.now, Kind::Shift) {
            Some(pause) => {
                obstacles.add(pause);
                None
            }
            None => Some(verdict),
        }
    }

    /// Only where all is calm, and no node is to be retired: that moves partitions anyway.
    pub(super) fn too_fine(
        &self,
        view: &View,
        watched: Duration,
        obstacles: &mut Obstacles,
    ) -> Option<Verdict> {
        self.is_calm(view, watched).ok()?;
        match (cut::too_fine(view, &self.policy, &self.load)?, self.changes.pause(view.now, Kind::Shift)) {
            (Ok(verdict), None) => Some(verdict),
            (Ok(_), Some(pause)) => {
                obstacles.add(pause);
                None
            }
            (Err(why), _) => {
                obstacles.add(why);
                None
            }
        }
    }

    pub(super) fn too_much(&self, view: &View, obstacles: &mut Obstacles) -> Option<Verdict> {
        let names = self.by_pressure(view);
        names.iter().rev().take_while(|(permille, _)| *permille > 1_000).find_map(|(_, name)| {
            let pressure = self.pressure(view, name);
            self.add(view, name, &format!("{name} is at {pressure}"), obstacles)
        })
    }

    pub(super) fn too_little(
        &self,
        view: &View,
        watched: Duration,
        obstacles: &mut Obstacles,
    ) -> Option<Verdict> {
        if let Err(why) = self.is_calm(view, watched) {
            obstacles.add(why);
            return None;
        }
        let names = self.by_pressure(view);
        let pause = self.changes.pause(view.now, Kind::Retire);
        for (_, name) in &names {
            let demand = self.load.peak_demand(view, name);
            match (room::spare(view, &self.policy, name, demand), &pause) {
                (Ok(_), Some(pause)) => obstacles.add(pause.clone()),
                (Ok((node, after)), None) => {
                    let (after, low) = (percent(after), percent(u64::from(self.policy.low_percent) * 10));
                    let calm = time(self.policy.calm);
                    let reason = format!(
                        "without {} {name} is at {after} of its targets by the most of the last {calm}, below {low}",
                        node.name
                    );
                    return Some((Action::RetireNode { node: node.id, name: node.name.clone() }, reason));
                }
                (Err(why), _) => obstacles.add(format!("load is within its targets; {why}")),
            }
        }
        None
    }

    /// Whether load has been low for so long that there may be less to bear it.
    fn is_calm(&self, view: &View, watched: Duration) -> Result<(), String> {
        if let Some(node) = view.nodes.iter().find(|node| !node.is_up()) {
            return Err(format!("no node is retired while {} is down", node.name));
        }
        let names = self.by_pressure(view);
        if let Some((permille, name)) = names.iter().rev().find(|(permille, _)| *permille > 1_000) {
            return Err(format!("{name} is at {} of its targets", percent(*permille)));
        }
        if watched < self.policy.calm {
            let (watched, calm) = (time(watched), time(self.policy.calm));
            return Err(format!(
                "load is within its targets; no node is retired before all has been calm for {calm}, watched for {watched}"
            ));
        }
        let left = self.changes.left_of(view.now, self.policy.cool_down_in);
        if left > Duration::ZERO {
            let left = time(left);
            return Err(format!(
                "load is within its targets; no node is retired within {left} of the last change"
            ));
        }
        Ok(())
    }

    /// Adds a node to a data center, where there is room and no pause.
    fn add(&self, view: &View, data_center: &str, why: &str, obstacles: &mut Obstacles) -> Option<Verdict> {
        let DownCount { down, all } = DownCount::of(view, data_center);
        if down > 0 && down * 2 >= all {
            obstacles.add(format!(
                "{why}, but {down} of {all} nodes of {data_center} are down: it may be cut off"
            ));
            return None;
        }
        if let Some(pause) = self.changes.pause(view.now, Kind::Add) {
            obstacles.add(format!("{why}, but {pause}"));
            return None;
        }
        match room::place(view, &self.policy, data_center, None) {
            Ok(entry) => {
                let wanted = room::wanted(view, entry, self.changes.attempts(Kind::Add) + 1);
                Some((Action::AddNode(wanted), why.to_owned()))
            }
            Err(no) => {
                obstacles.add(format!("{why}, but {no}"));
                None
            }
        }
    }

    /// Data centers in which somebody serves, with their pressure in thousandths, the lowest first.
    fn by_pressure<'a>(&self, view: &'a View) -> Vec<(u64, &'a str)> {
        let mut names: Vec<&str> =
            view.nodes.iter().filter(|node| node.is_up()).map(|node| node.data_center.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        let mut by_pressure: Vec<(u64, &str)> =
            names.into_iter().map(|name| (self.pressure(view, name).permille, name)).collect();
        by_pressure.sort_unstable();
        by_pressure
    }

    fn pressure(&self, view: &View, data_center: &str) -> Pressure {
        let demand = self.load.demand(view, data_center);
        Use::now(view, data_center, demand, &self.policy).pressure(self.policy.target)
    }
}
