//! Telling people of damage: what was given up at the start, what is found later, and what has come back.

use replica::healing::News;
use storage::GivenUp;

/// What the start has given up.
pub(super) fn say_at_start(given_up: &[GivenUp]) {
    for file in given_up {
        let kept_in = file.kept_in.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
        tracing::warn!(damage = %file.why, %kept_in, "a file cannot be used, and is given up");
    }
}

/// Tells people what was found damaged, and what has come back.
pub(super) fn say(news: &News) {
    match news {
        News::Lost { damages, partitions } => {
            for damage in damages {
                tracing::warn!(%damage, "damage was found: what it was of is missing here");
            }
            tracing::warn!(
                partitions,
                "something was lost to damage: it is fetched from the other owners, and nothing is said of it until then"
            );
        }
        News::Healed { partition, left } => {
            tracing::warn!(%partition, left, "what a partition had lost to damage has come back");
        }
    }
}
