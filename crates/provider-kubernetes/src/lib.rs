//! The provider `kubernetes`: nodes that are pods of a StatefulSet, for each rack one.
//!
//! A StatefulSet numbers its pods and has no others than the first so many. To add a node is to raise its scale by one; to
//! end one is to lower it by one, which ends the pod with the highest number and no other. So only that node can be retired,
//! and [`Provider::list`] says which it is. It is drained before, as every node is.
//!
//! Always true:
//! - A scale is only ever changed by one, and only from what was read: the patch names the version of the StatefulSet that
//!   it was made for, and the API refuses it if there is a newer one.
//! - After an answer that says neither yes nor no, it is read again, and nothing is patched twice.
//! - Every call ends within a time that was set, however slow the API is.
//!
//! A node is called as its pod is. The pod template sets `HENGE_NODE_ID` from `metadata.name`.
//!
//! A crate of its own, behind a feature of the program, because the client of the API is as much code as all the rest.
//!
//! In reading order: [`settings`], [`sets`], then the calls in `api`.
//!
//! Written about in `docs/autoscaler.md`.

mod api;
pub mod sets;
pub mod settings;

use autoscale::{KubernetesConfig, PolicyError};
use kube::{Client, Config};
use provider::{Order, Provided, Provider, ProviderError};
use tokio::runtime::Runtime;

use api::{Change, change, read};
use sets::Scale;
pub use settings::{Set, Settings};

/// How the API is reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Access {
    /// As the pod's service account or the user's `kubeconfig` has it.
    Inferred,
    /// At an address, without credentials: a proxy on this machine, or a test.
    At(String),
}

/// What was asked last, so that it is known again if it is asked once more.
#[derive(Clone, Debug)]
struct Asked {
    request: String,
    /// The scale before it.
    before: u32,
}

/// Starts and ends pods.
pub struct Kubernetes {
    settings: Settings,
    client: Client,
    /// Runs while a call does, on its thread.
    runtime: Runtime,
    asked: Option<Asked>,
}

impl Kubernetes {
    /// With the settings of `[autoscaler.kubernetes]`. The API is not asked anything yet.
    ///
    /// # Errors
    /// If a setting cannot work, or it cannot be found out how the API is reached.
    pub fn new(config: &KubernetesConfig, access: &Access) -> Result<Kubernetes, PolicyError> {
        let settings = Settings::new(config)?;
        let no = |error: &dyn std::fmt::Display| {
            let why = format!(
                "cannot find out how to reach the API: {error}: run it in a pod, or with a kubeconfig"
            );
            PolicyError::new("provider", "\"kubernetes\"", why)
        };
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| no(&error))?;
        let client = runtime.block_on(async {
            let mut config = match access {
                Access::Inferred => Config::infer().await.map_err(|error| no(&error))?,
                Access::At(address) => Config::new(address.parse().map_err(|error| no(&error))?),
            };
            // What is tried again, and how often, is decided here and not below.
            config.default_retry = false;
            Client::try_from(config).map_err(|error| no(&error))
        })?;
        Ok(Kubernetes { settings, client, runtime, asked: None })
    }

    fn change(&self, asked: &str, set: &Set, change_: Change) -> Result<Scale, ProviderError> {
        self.runtime.block_on(change(&self.client, &self.settings, set, asked, change_))
    }
}

impl Provider for Kubernetes {
    fn add(&mut self, order: &Order) -> Result<String, ProviderError> {
        let wanted = &order.wanted;
        let asked = format!("add {wanted}");
        let Some(set) = self.settings.set_for(&wanted.data_center, &wanted.rack).cloned() else {
            let why = format!(
                "no StatefulSet is set for {}/{}: list it in autoscaler.kubernetes.stateful_sets",
                wanted.data_center, wanted.rack
            );
            return Err(ProviderError::not_done(asked, why));
        };
        let again = self.asked.as_ref().filter(|last| last.request == wanted.request).map(|last| last.before);
        let before = match again {
            Some(before) => before,
            None => self.runtime.block_on(read(&self.client, &self.settings, &set, &asked))?.replicas,
        };
        let done = self.change(&asked, &set, Change::Raise { before, is_again: again.is_some() });
        // What was surely not done may be anybody's when it is seen later.
        let may_be_done = !matches!(done, Err(ProviderError::NotDone { .. }));
        self.asked = may_be_done.then(|| Asked { request: wanted.request.clone(), before });
        done.map(|scale| scale.pod(&set.name, before))
    }

    fn retire(&mut self, name: &str) -> Result<(), ProviderError> {
        let asked = format!("retire {name}");
        let found = self.settings.sets.iter().find_map(|set| Some((set, sets::ordinal(&set.name, name)?)));
        let Some((set, ordinal)) = found else {
            let why =
                "it is a pod of none of autoscaler.kubernetes.stateful_sets: whoever started it must end it";
            return Err(ProviderError::not_done(asked, why));
        };
        self.change(&asked, set, Change::Lower { ordinal }).map(|_| ())
    }

    fn list(&mut self) -> Result<Vec<Provided>, ProviderError> {
        let mut nodes = Vec::new();
        for set in &self.settings.sets {
            let scale = self.runtime.block_on(read(&self.client, &self.settings, set, "list the nodes"))?;
            nodes.extend((0..scale.replicas).map(|place| Provided {
                name: scale.pod(&set.name, place),
                data_center: set.data_center.clone(),
                rack: set.rack.clone(),
                is_running: place < scale.running,
                is_retirable: place + 1 == scale.replicas,
            }));
        }
        nodes.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(nodes)
    }
}
