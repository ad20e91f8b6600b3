//! `[autoscaler]`, checked when a node starts: also what its provider is told, so that nobody learns of a wrong path by a cluster that
//! does not grow.

use anyhow::Result;
use autoscale::{
    AutoscalerConfig, CommandConfig, KubernetesConfig, LocalConfig, Policy, PolicyError, ProviderKind,
};
use provider::{Command, Local, Provider};

/// What a node's autoscaler is started with.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(super) policy: Policy,
    local: LocalConfig,
    command: CommandConfig,
    kubernetes: KubernetesConfig,
}

impl Settings {
    /// Of the section; nothing where it is turned off.
    pub(crate) fn of(config: &AutoscalerConfig) -> Result<Option<Settings>> {
        let policy = config.policy()?;
        if !policy.enabled {
            return Ok(None);
        }
        let settings = Settings {
            policy,
            local: config.local.clone(),
            command: config.command.clone(),
            kubernetes: config.kubernetes.clone(),
        };
        settings.provider()?;
        Ok(Some(settings))
    }

    /// The provider's word.
    pub(super) fn provider_word(&self) -> &'static str {
        let word = ProviderKind::WORDS.into_iter().find(|(_, kind)| *kind == self.policy.provider);
        word.filter(|_| self.needs_provider()).map_or("none", |(word, _)| word)
    }

    /// Whether there may be nodes of a provider's: none may be started where the pool is empty, and none were where nothing is said of it.
    fn needs_provider(&self) -> bool {
        let is_told = match self.policy.provider {
            ProviderKind::Local => self.local != LocalConfig::default(),
            ProviderKind::Command => self.command != CommandConfig::default(),
            ProviderKind::Kubernetes => self.kubernetes != KubernetesConfig::default(),
        };
        is_told || !self.policy.pool.is_empty()
    }

    /// Whoever starts and ends nodes; nobody where none may be started.
    pub(super) fn provider(&self) -> Result<Option<Box<dyn Provider>>, PolicyError> {
        if !self.needs_provider() {
            return Ok(None);
        }
        Ok(Some(match self.policy.provider {
            ProviderKind::Local => Box::new(Local::new(&self.local)?),
            ProviderKind::Command => Box::new(Command::new(&self.command)?),
            ProviderKind::Kubernetes => kubernetes(&self.kubernetes)?,
        }))
    }
}

#[cfg(feature = "kubernetes")]
fn kubernetes(config: &KubernetesConfig) -> Result<Box<dyn Provider>, PolicyError> {
    use provider_kubernetes::{Access, Kubernetes};
    Ok(Box::new(Kubernetes::new(config, &Access::Inferred)?))
}

#[cfg(not(feature = "kubernetes"))]
fn kubernetes(_: &KubernetesConfig) -> Result<Box<dyn Provider>, PolicyError> {
    let wanted = "this program was built without it: build it with `cargo build --release --features kubernetes`, or use the provider \
                  command";
    Err(PolicyError::new("provider", "\"kubernetes\"", wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Result<Option<Settings>> {
        Settings::of(&toml::from_str(text)?)
    }

    #[test]
    fn what_is_turned_off_is_checked_and_not_run() {
        assert!(settings("").expect("nothing is wrong with it").is_none());
        let error = settings("min = 0").expect_err("no cluster has no nodes").to_string();
        assert!(error.contains("autoscaler.min = 0") && error.contains("usually 3"), "{error}");
    }

    /// Who only wants dead nodes replaced by those that remain needs nobody who starts nodes.
    #[test]
    fn without_a_pool_no_provider_is_needed() {
        let settings =
            settings("enabled = true\nreplace_after = \"5m\"").expect("enough").expect("turned on");
        assert_eq!(settings.provider_word(), "none");
        assert!(settings.provider().expect("none is needed").is_none());
    }

    #[test]
    fn what_a_provider_lacks_is_told_at_the_start() {
        let pool = "enabled = true\nmax = 5\n[[pool]]\nrack = \"r4\"\n";
        let error = settings(pool).expect_err("no root").to_string();
        assert!(error.contains("autoscaler.local.root") && error.contains("absolute"), "{error}");
        let error =
            settings(&format!("provider = \"command\"\n{pool}")).expect_err("no programs").to_string();
        assert!(error.contains("autoscaler.command.add"), "{error}");
    }

    #[cfg(not(feature = "kubernetes"))]
    #[test]
    fn a_provider_that_was_not_built_in_is_told() {
        let text = "enabled = true\nprovider = \"kubernetes\"\n[[pool]]\nrack = \"r4\"\n";
        let error = settings(text).expect_err("not built in").to_string();
        assert!(error.contains("--features kubernetes"), "{error}");
    }
}
