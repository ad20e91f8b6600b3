//! How far movements are, from one look at the cluster to the next.
//!
//! A node tells of the movements that there are now. What began is remembered here, so that what is over counts as moved; what
//! began and ended between two looks is missed, so bytes are told as *at least*. Bytes that no node has told are not zero.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::show::{list, text};

/// What was told last of a movement's bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Bytes {
    done: Option<u64>,
    total: Option<u64>,
}

/// What has been seen.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// The most partitions that were to move at once.
    all: u64,
    /// By partition and session.
    seen: BTreeMap<(u64, u64), Bytes>,
    /// How many bytes are to be sent, if that was foretold.
    predicted: Option<u64>,
}

/// How far it all is.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Progress {
    /// Partitions that have moved, of so many.
    pub(super) moved: u64,
    pub(super) all: u64,
    /// Bytes that were sent, at least.
    pub(super) bytes: Option<u64>,
    /// About how many it will have been.
    pub(super) bytes_all: Option<u64>,
    pub(super) bytes_per_second: Option<f64>,
    pub(super) left: Option<Duration>,
    /// Nodes that something waits for.
    pub(super) waits_for: Vec<String>,
}

impl Tally {
    /// Of a change because of which so many partitions are to move.
    pub(super) fn new(partitions: u64, predicted: Option<u64>) -> Tally {
        Tally { all: partitions, seen: BTreeMap::new(), predicted }
    }

    /// How far it is by a look at the cluster, so long after the beginning.
    pub(super) fn look(&mut self, cluster: &Value, since: Duration) -> Progress {
        let movements = list(&cluster["movements"]);
        let left = (movements.len() as u64).saturating_add(cluster["waiting"].as_u64().unwrap_or(0));
        self.all = self.all.max(left);
        let mut now = BTreeMap::new();
        for movement in movements {
            let key = (movement["partition"].as_u64(), movement["session"].as_u64());
            let (Some(partition), Some(session)) = key else { continue };
            let told =
                Bytes { done: movement["bytes_done"].as_u64(), total: movement["bytes_total"].as_u64() };
            now.insert((partition, session), told);
        }
        for (key, bytes) in &mut self.seen {
            if !now.contains_key(key) {
                bytes.done = bytes.total.or(bytes.done);
            }
        }
        self.seen.extend(now);
        self.progress(left, since, waits_for(movements))
    }

    fn progress(&self, left: u64, since: Duration, waits_for: Vec<String>) -> Progress {
        let told: Vec<u64> = self.seen.values().filter_map(|bytes| bytes.done).collect();
        let bytes = (!told.is_empty()).then(|| told.iter().sum::<u64>());
        let bytes_all = self.predicted.map(|predicted| predicted.max(bytes.unwrap_or(0)));
        let seconds = since.as_secs_f64();
        let bytes_per_second = bytes.filter(|_| seconds > 0.0).map(|bytes| figure(bytes) / seconds);
        let moved = self.all - left;
        let by_bytes = bytes.zip(bytes_all).map(|(bytes, all)| (bytes, all.saturating_sub(bytes)));
        let (done, to_do) = by_bytes.filter(|(done, _)| *done > 0).unwrap_or((moved, left));
        let seconds_left = (done > 0).then(|| seconds * figure(to_do) / figure(done));
        let left = seconds_left.and_then(|left| Duration::try_from_secs_f64(left).ok());
        Progress { moved, all: self.all, bytes, bytes_all, bytes_per_second, left, waits_for }
    }
}

fn waits_for(movements: &[Value]) -> Vec<String> {
    let mut nodes: Vec<String> =
        movements.iter().flat_map(|movement| list(&movement["waits_for"])).map(text).collect();
    nodes.sort_unstable();
    nodes.dedup();
    nodes
}

#[allow(clippy::cast_precision_loss, reason = "figures for people; 2^53 is far away")]
fn figure(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn movement(partition: u64, done: Option<u64>, total: Option<u64>) -> Value {
        json!({
            "partition": partition, "session": 5, "bytes_done": done, "bytes_total": total, "waits_for": ["n4"]
        })
    }

    fn cluster(movements: &[Value], waiting: u64) -> Value {
        json!({"movements": movements, "waiting": waiting})
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// What is over has been sent; what waits has not begun.
    #[test]
    fn what_is_over_counts_as_moved() {
        let mut tally = Tally::new(4, Some(1000));
        let first = [movement(1, Some(50), Some(200)), movement(2, Some(0), Some(300))];
        let progress = tally.look(&cluster(&first, 2), seconds(10));
        assert_eq!((progress.moved, progress.all, progress.bytes), (0, 4, Some(50)));
        assert_eq!((progress.bytes_all, progress.left), (Some(1000), Some(seconds(190))));
        assert_eq!((progress.bytes_per_second, progress.waits_for), (Some(5.0), vec!["n4".to_owned()]));

        let progress = tally.look(&cluster(&[movement(2, Some(50), Some(300))], 1), seconds(50));
        assert_eq!((progress.moved, progress.bytes), (2, Some(250)));
        assert_eq!((progress.bytes_per_second, progress.left), (Some(5.0), Some(seconds(150))));

        let progress = tally.look(&cluster(&[], 0), seconds(60));
        assert_eq!((progress.moved, progress.bytes, progress.waits_for), (4, Some(500), Vec::new()));
    }

    /// Where nobody tells bytes, partitions say how long it takes, and nothing is taken for zero.
    #[test]
    fn what_is_not_told_is_not_zero() {
        let mut tally = Tally::new(4, None);
        let progress = tally.look(&cluster(&[movement(1, None, None)], 3), seconds(10));
        assert_eq!((progress.bytes, progress.bytes_all, progress.left), (None, None, None));
        let progress = tally.look(&cluster(&[movement(2, None, None)], 2), seconds(20));
        assert_eq!((progress.moved, progress.bytes, progress.left), (1, None, Some(seconds(60))));
    }

    /// Other changes on the way are more to do, and not less done.
    #[test]
    fn more_may_come_to_it() {
        let mut tally = Tally::new(2, None);
        assert_eq!(tally.look(&cluster(&[], 1), seconds(1)).moved, 1);
        let progress = tally.look(&cluster(&[], 9), seconds(2));
        assert_eq!((progress.moved, progress.all), (0, 9));
    }

    /// A document without what is looked for is one of a cluster in which nothing moves.
    #[test]
    fn strange_documents_do_no_harm() {
        for document in [json!(null), json!({"movements": [null, {"partition": "x"}], "waiting": -1})] {
            Tally::new(0, None).look(&document, seconds(0));
        }
    }
}
