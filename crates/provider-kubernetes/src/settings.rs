//! `[autoscaler.kubernetes]`, checked.

use std::time::Duration;

use autoscale::{KubernetesConfig, PolicyError, StatefulSetConfig, config};

/// How long a change may take if nothing is said.
const WITHIN: Duration = Duration::from_secs(30);

/// A StatefulSet, and where its nodes are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Set {
    /// What it is called.
    pub name: String,
    /// The data center of its nodes.
    pub data_center: String,
    /// Their rack.
    pub rack: String,
}

/// What the provider goes by.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// In which namespace the StatefulSets are.
    pub namespace: String,
    /// How long a call may take, with all attempts.
    pub within: Duration,
    /// For each rack its StatefulSet.
    pub sets: Vec<Set>,
}

impl Settings {
    /// As configured.
    ///
    /// # Errors
    /// If there is no StatefulSet, one stands for two racks or one rack has two, or a name is none.
    pub fn new(config: &KubernetesConfig) -> Result<Settings, PolicyError> {
        let namespace = config.namespace.clone().unwrap_or_else(|| "default".to_owned());
        config::check_name("kubernetes.namespace", &namespace)?;
        if config.stateful_sets.is_empty() {
            let wanted = "want for each rack the StatefulSet whose pods are its nodes";
            return Err(PolicyError::new("kubernetes.stateful_sets", "nothing", wanted));
        }
        let sets = config.stateful_sets.iter().map(set).collect::<Result<Vec<Set>, PolicyError>>()?;
        for (place, set) in sets.iter().enumerate() {
            let is_like = |other: &Set| {
                other.name == set.name || (&other.data_center, &other.rack) == (&set.data_center, &set.rack)
            };
            if sets[..place].iter().any(is_like) {
                let value = format!("{} for {}/{}", set.name, set.data_center, set.rack);
                let wanted = "a StatefulSet is listed once, and so is a rack";
                return Err(PolicyError::new("kubernetes.stateful_sets", value, wanted));
            }
        }
        let within = config::wait("kubernetes.within", config.within.as_deref(), WITHIN)?;
        Ok(Settings { namespace, within, sets })
    }

    /// The StatefulSet of a rack.
    pub fn set_for(&self, data_center: &str, rack: &str) -> Option<&Set> {
        self.sets.iter().find(|set| set.data_center == data_center && set.rack == rack)
    }
}

fn set(config: &StatefulSetConfig) -> Result<Set, PolicyError> {
    let data_center = config.datacenter.clone().unwrap_or_else(|| "dc1".to_owned());
    config::check_name("kubernetes.stateful_sets.name", &config.name)?;
    config::check_name("kubernetes.stateful_sets.datacenter", &data_center)?;
    config::check_name("kubernetes.stateful_sets.rack", &config.rack)?;
    Ok(Set { name: config.name.clone(), data_center, rack: config.rack.clone() })
}
