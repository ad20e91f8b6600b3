//! Reading a scale, and changing it by one.
//!
//! A change is a loop of read, compare and conditional patch. What an attempt may have done without our knowing shows in
//! the next read, so an answer that is lost costs a round and never a pod.

use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, Error};
use provider::ProviderError;
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

use crate::sets::Scale;
use crate::settings::{Set, Settings};

/// How often a change is attempted.
const ATTEMPTS_MAX: u32 = 12;
/// The wait before the second attempt; it doubles.
const PAUSE: Duration = Duration::from_millis(50);
/// The longest such wait.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// What is to become of a scale.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Change {
    /// One more than `before`.
    Raise {
        before: u32,
        /// Whether an earlier call may have done it.
        is_again: bool,
    },
    /// Without the pod that has this ordinal.
    Lower { ordinal: u32 },
}

/// What is to be done about a scale that was read.
enum Step {
    Done,
    Set(u32),
    Refuse(String),
}

impl Change {
    /// `may_be_done` if an attempt had an answer that says neither yes nor no.
    fn step(self, set: &str, scale: &Scale, may_be_done: bool) -> Step {
        match self {
            Change::Raise { before, is_again } => {
                if scale.replicas == before {
                    Step::Set(before + 1)
                } else if (may_be_done || is_again) && scale.replicas == before + 1 {
                    Step::Done
                } else {
                    let now = scale.replicas;
                    Step::Refuse(format!(
                        "somebody else has set {set} from {before} to {now} replicas meanwhile"
                    ))
                }
            }
            Change::Lower { ordinal } => {
                let wanted = scale.up_to(ordinal);
                if wanted > scale.replicas || wanted == 0 {
                    Step::Done
                } else if wanted == scale.replicas {
                    Step::Set(wanted - 1)
                } else {
                    let last = scale.pod(set, scale.replicas - 1);
                    Step::Refuse(format!(
                        "a StatefulSet ends its last pod first, and that is {last}: drain that one"
                    ))
                }
            }
        }
    }
}

/// Why a request has no answer that says yes.
enum No {
    /// It was not done, and will not be.
    Refused(String),
    /// It was not done, and may be another time.
    NotNow(String),
    /// It may have been done.
    Unknown(String),
}

impl No {
    fn of(error: Error) -> No {
        match error {
            Error::Api(status) if status.code == 409 || status.code == 429 => No::NotNow(told(&status)),
            Error::Api(status) if (400..500).contains(&status.code) => No::Refused(told(&status)),
            Error::Api(status) => No::Unknown(told(&status)),
            Error::BuildRequest(error) => No::Refused(error.to_string()),
            error => No::Unknown(error.to_string()),
        }
    }

    fn why(self) -> String {
        match self {
            No::Refused(why) | No::NotNow(why) | No::Unknown(why) => why,
        }
    }
}

fn told(status: &kube::core::Status) -> String {
    let message: String = status.message.chars().take(300).collect();
    format!("the API answered {} {message}", status.code)
}

/// The time that a call has.
struct Clock {
    end: Instant,
    within: Duration,
}

impl Clock {
    fn new(within: Duration) -> Clock {
        Clock { end: Instant::now() + within, within }
    }

    fn left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    /// No single request may use all the time: a third is enough for a healthy API, and leaves two to find out.
    async fn run<T>(&self, request: impl Future<Output = Result<T, Error>>) -> Result<T, No> {
        let limit = self.left().min(self.within / 3);
        match timeout(limit, request).await {
            Ok(answer) => answer.map_err(No::of),
            Err(_) => Err(No::Unknown(format!("the API did not answer within {limit:?}"))),
        }
    }
}

fn api(client: &Client, settings: &Settings) -> Api<StatefulSet> {
    Api::namespaced(client.clone(), &settings.namespace)
}

async fn read_once(api: &Api<StatefulSet>, set: &Set, clock: &Clock) -> Result<Scale, No> {
    let found = clock.run(api.get(&set.name)).await?;
    Scale::of(&found).map_err(No::Refused)
}

/// What a StatefulSet's scale is.
pub(crate) async fn read(
    client: &Client,
    settings: &Settings,
    set: &Set,
    asked: &str,
) -> Result<Scale, ProviderError> {
    let (api, clock) = (api(client, settings), Clock::new(settings.within));
    let (mut pause, mut attempts) = (PAUSE, 0);
    loop {
        attempts += 1;
        match read_once(&api, set, &clock).await {
            Ok(scale) => return Ok(scale),
            Err(No::NotNow(_) | No::Unknown(_)) if attempts < ATTEMPTS_MAX && clock.left() > pause => {
                sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
            Err(no) => return Err(ProviderError::not_done(asked, format!("{}: {}", set.name, no.why()))),
        }
    }
}

/// Changes a StatefulSet's scale by one, and says what it was changed from or found to be.
pub(crate) async fn change(
    client: &Client,
    settings: &Settings,
    set: &Set,
    asked: &str,
    change: Change,
) -> Result<Scale, ProviderError> {
    let (api, clock) = (api(client, settings), Clock::new(settings.within));
    let (mut pause, mut may_be_done) = (PAUSE, false);
    let mut last = String::new();
    for _ in 0..ATTEMPTS_MAX {
        match attempt(&api, set, &clock, change, may_be_done).await {
            Ok(scale) => return Ok(scale),
            Err(No::Refused(why)) => {
                last = why;
                break;
            }
            Err(No::NotNow(why)) => last = why,
            Err(No::Unknown(why)) => {
                may_be_done = true;
                last = why;
            }
        }
        if clock.left() <= pause {
            last = format!("not done within {:?}: {last}", settings.within);
            break;
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
    let why = format!("{}: {last}", set.name);
    Err(if may_be_done { ProviderError::unknown(asked, why) } else { ProviderError::not_done(asked, why) })
}

async fn attempt(
    api: &Api<StatefulSet>,
    set: &Set,
    clock: &Clock,
    change: Change,
    may_be_done: bool,
) -> Result<Scale, No> {
    let scale = match read_once(api, set, clock).await {
        Ok(scale) => scale,
        // Nothing was done by a read.
        Err(No::Unknown(why)) => return Err(No::NotNow(why)),
        Err(no) => return Err(no),
    };
    let replicas = match change.step(&set.name, &scale, may_be_done) {
        Step::Done => return Ok(scale),
        Step::Refuse(why) => return Err(No::Refused(why)),
        Step::Set(replicas) => replicas,
    };
    let patch = json!({
        "metadata": { "resourceVersion": scale.version },
        "spec": { "replicas": replicas },
    });
    let parameters = PatchParams { field_manager: Some("henge".to_owned()), ..PatchParams::default() };
    let answer = clock.run(api.patch_scale(&set.name, &parameters, &Patch::Merge(&patch))).await?;
    let is_now = answer.spec.and_then(|spec| spec.replicas);
    if is_now == i32::try_from(replicas).ok() {
        return Ok(scale);
    }
    Err(No::Unknown(format!("the API was to set {replicas} replicas, and says {is_now:?}")))
}
