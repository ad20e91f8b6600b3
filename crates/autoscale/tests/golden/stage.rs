//! The stage: a decider, a cluster that changes as the script says, and a clock.
//!
//! ```text
//! policy KEY=VALUE ...      begins, with keys of `[autoscaler]` (target_cpu and so on for the targets)
//! pool RACK=NODES ...       what may be started in dc1; DC/RACK=NODES elsewhere
//! needs DC=N ...
//! node NAME KEY=VALUE ...   a member as it is from now on: state, dc, rack, weight, ops, max, cpu, disk=USED/ALL, partitions
//! gone NAME
//! hot NAME pNUMBER=OPS ... [owners=NAME,...] [whole]
//! moving pNUMBER FROM TO [held=NAME] | waiting NUMBER | moved
//! ring PARTITIONS [whole] [merging]
//! requested NAME RACK | joined NAME
//! began [NAME] | refused WHY
//! leader                    another begins, with no memory
//! time LENGTH               a decision every five seconds; told are those that are something, and the last one
//! decide                    one, with its figures
//! ```

use std::time::Duration;

use autoscale::{
    AutoscalerConfig, DataCenterNeeds, Decider, Decision, HotPartition, MovementView, NodeState, NodeView,
    Outcome, Requested, View,
};
use types::{Epoch, Instant, NodeId, PartitionId};

const STEP: Duration = Duration::from_secs(5);

#[derive(Default)]
pub(crate) struct Stage {
    config: String,
    pool: String,
    decider: Option<Decider>,
    view: View,
}

impl Stage {
    /// Performs a line: what is decided, a line for each decision.
    pub(crate) fn perform(&mut self, line: &str) -> Vec<String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let pairs: Vec<(&str, &str)> = words.iter().filter_map(|word| word.split_once('=')).collect();
        match words[0] {
            "policy" => self.policy(&pairs),
            "pool" => self.pool(&pairs),
            "needs" => {
                let needs = |(name, n): &(&str, &str)| DataCenterNeeds {
                    data_center: (*name).to_owned(),
                    replicas: n.parse().unwrap(),
                };
                self.view.needs = pairs.iter().map(needs).collect();
            }
            "node" => self.node(words[1], &pairs),
            "gone" => {
                let id = self.id(words[1]);
                self.view.nodes.retain(|node| node.id != id);
                self.view.epoch.0 += 1;
            }
            "hot" => self.hot(&words, &pairs),
            "moving" => {
                let (from, to) = (self.id(words[2]), self.id(words[3]));
                self.view.movements.push(MovementView {
                    partition: partition(words[1]),
                    from,
                    to,
                    held_up_by: pairs.first().map(|(_, name)| self.id(name)),
                });
                self.view.epoch.0 += 1;
            }
            "ring" => {
                self.view.partitions = words[1].parse().unwrap();
                self.view.is_splittable = !words.contains(&"whole");
                self.view.is_merging = words.contains(&"merging");
                self.view.epoch.0 += 1;
            }
            "waiting" => {
                self.view.waiting = words[1].parse().unwrap();
                self.view.epoch.0 += 1;
            }
            "moved" => {
                self.view.movements.clear();
                self.view.waiting = 0;
                self.view.epoch.0 += 1;
            }
            "requested" => self.view.requested.push(Requested {
                name: words[1].to_owned(),
                data_center: "dc1".to_owned(),
                rack: words[2].to_owned(),
            }),
            "joined" | "ended" => self.view.requested.retain(|one| one.name != words[1]),
            "began" => {
                let node = words.get(1).map(|name| (*name).to_owned());
                self.outcome(Outcome::Began { node });
            }
            "refused" => self.outcome(Outcome::Refused { why: words[1..].join(" ") }),
            "leader" => self.decider = None,
            "time" => return self.time(words[1]),
            "decide" => {
                let decision = self.decide();
                return vec![decision.to_string()];
            }
            other => panic!("no such line: {other}"),
        }
        Vec::new()
    }

    fn policy(&mut self, pairs: &[(&str, &str)]) {
        let (mut config, mut targets) = ("enabled = true\n".to_owned(), Vec::new());
        for (key, value) in pairs {
            let value = match value.parse::<u64>() {
                Err(_) if *value != "true" => format!("\"{value}\""),
                _ => (*value).to_owned(),
            };
            match key.strip_prefix("target_") {
                Some(key) => targets.push(format!("{key}_percent = {value}")),
                None => config.push_str(&format!("{key} = {value}\n")),
            }
        }
        self.config = format!("{config}target = {{ {} }}\n", targets.join(", "));
        self.view.now = Instant::default() + Duration::from_secs(1_000);
        self.view.epoch = Epoch(1);
        self.view.needs = vec![DataCenterNeeds { data_center: "dc1".to_owned(), replicas: 3 }];
    }

    fn pool(&mut self, pairs: &[(&str, &str)]) {
        for (place, nodes) in pairs {
            let (data_center, rack) = place.split_once('/').unwrap_or(("dc1", place));
            self.pool.push_str(&format!(
                "[[pool]]\ndatacenter = \"{data_center}\"\nrack = \"{rack}\"\nnodes = {nodes}\n"
            ));
        }
    }

    fn node(&mut self, name: &str, pairs: &[(&str, &str)]) {
        let now = self.view.now;
        if self.view.nodes.iter().all(|node| node.name != name) {
            let id = self.view.nodes.iter().map(|node| node.id.0).max().map_or(1, |most| most + 1);
            self.view.nodes.push(NodeView {
                id: NodeId(id),
                name: name.to_owned(),
                state: NodeState::Up,
                data_center: "dc1".to_owned(),
                rack: format!("r{id}"),
                weight_thousandths: 1_000,
                cpu_permille: 0,
                operations_per_second: 0,
                operations_per_second_max: None,
                disk_used_bytes: 0,
                disk_bytes: 0,
                partitions: 64,
                hottest: Vec::new(),
                is_provided: name.starts_with("auto"),
                is_retirable: name.starts_with("auto"),
            });
            self.view.epoch.0 += 1;
        }
        let node = self.view.nodes.iter_mut().find(|node| node.name == name).unwrap();
        for (key, value) in pairs {
            let number = || value.parse::<u64>().unwrap();
            match *key {
                "state" => {
                    node.state = match *value {
                        "up" => NodeState::Up,
                        "joining" => NodeState::Joining,
                        "leaving" => NodeState::Leaving,
                        "down" => NodeState::Down { since: now },
                        other => panic!("no such state: {other}"),
                    };
                }
                "dc" => node.data_center = (*value).to_owned(),
                "rack" => node.rack = (*value).to_owned(),
                "weight" => node.weight_thousandths = u32::try_from(number() * 1_000).unwrap(),
                "ops" => node.operations_per_second = number(),
                "max" => node.operations_per_second_max = Some(number()),
                "cpu" => node.cpu_permille = u32::try_from(number() * 10).unwrap(),
                "partitions" => node.partitions = u32::try_from(number()).unwrap(),
                "retirable" => node.is_retirable = *value == "yes",
                "disk" => {
                    let (used, all) = value.split_once('/').unwrap();
                    (node.disk_used_bytes, node.disk_bytes) = (used.parse().unwrap(), all.parse().unwrap());
                }
                other => panic!("no such key of a node: {other}"),
            }
        }
    }

    fn hot(&mut self, words: &[&str], pairs: &[(&str, &str)]) {
        let owners = pairs.iter().find(|(key, _)| *key == "owners").map_or(words[1], |(_, names)| names);
        let owners: Vec<NodeId> = owners.split(',').map(|name| self.id(name)).collect();
        let hot = |(name, rate): &(&str, &str)| HotPartition {
            partition: partition(name),
            operations_per_second: rate.parse().unwrap(),
            owners: owners.clone(),
            is_splittable: !words.contains(&"whole"),
        };
        let hottest = pairs.iter().filter(|(key, _)| *key != "owners").map(hot).collect();
        let node = self.view.nodes.iter_mut().find(|node| node.name == words[1]).unwrap();
        node.hottest = hottest;
    }

    fn id(&self, name: &str) -> NodeId {
        self.view.nodes.iter().find(|node| node.name == name).unwrap_or_else(|| panic!("no node {name}")).id
    }

    fn outcome(&mut self, outcome: Outcome) {
        let now = self.view.now;
        self.decider.as_mut().expect("something was decided").outcome(now, outcome);
    }

    fn decide(&mut self) -> Decision {
        let (config, pool) = (&self.config, &self.pool);
        let decider = self.decider.get_or_insert_with(|| {
            let config: AutoscalerConfig = toml::from_str(&format!("{config}{pool}")).unwrap();
            Decider::new(config.policy().unwrap())
        });
        decider.decide(&self.view)
    }

    fn time(&mut self, length: &str) -> Vec<String> {
        let (digits, unit) = length.split_at(length.len() - 1);
        let seconds = digits.parse::<u64>().unwrap() * if unit == "m" { 60 } else { 1 };
        let began = self.view.now;
        let mut told = Vec::new();
        loop {
            let decision = self.decide();
            let after = self.view.now.since(began);
            let is_last = after + STEP > Duration::from_secs(seconds);
            if is_last || decision.action != autoscale::Action::Nothing {
                let dry = if decision.is_dry { "dry run: " } else { "" };
                told.push(format!("+{} s {dry}{}: {}", after.as_secs(), decision.action, decision.reason));
            }
            if is_last {
                return told;
            }
            self.view.now = self.view.now + STEP;
        }
    }
}

fn partition(name: &str) -> PartitionId {
    PartitionId(name.trim_start_matches('p').parse().unwrap())
}
