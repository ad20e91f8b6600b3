//! Somebody asks nodes to compare all that they have with other owners, as `henge repair` does: now and then while faults strike,
//! of some nodes as soon as all is healed, and of one more when all is quiet.
//!
//! What must hold: what is asked for when all is healed comes to its end in time, and finds that all agree.

use std::time::Duration;

use api::{Command, Request};
use env::Rng;

use super::Run;
use crate::network::Place;
use crate::random::millis;

/// The alarm for the next request.
pub(super) const ALARM: u64 = u64::MAX - 5;

/// The usual pause between two of them, in milliseconds.
const USUAL_GAP_MS: u64 = 3_000;

/// What was asked for after a heal must be done within this time after all owners hold the same, for each so many pairs of a shard:
/// it compares one after the other, and each takes a round trip at least (seed 714138, with 2,880 of them).
const REPAIRED_WITHIN: Duration = Duration::from_secs(120);
const PAIRS_MEANT: u64 = 1_024;

/// Whom to ask, drawn by a generator of its own, and who was asked after the heal.
pub(super) struct Repairs {
    rng: Rng,
    asked: Vec<Place>,
}

impl Repairs {
    pub(super) fn new(seed: u64) -> Repairs {
        Repairs { rng: Rng::from_seed(seed ^ 0x7265_7061_6972_6572), asked: Vec::new() }
    }
}

impl Run {
    /// While faults strike: the next time.
    pub(super) fn set_repair_alarm(&mut self) {
        if self.world.scenario().repairs {
            let after = millis(&mut self.repairs.rng, USUAL_GAP_MS / 4, USUAL_GAP_MS * 2);
            self.world.set_alarm(after, ALARM);
        }
    }

    /// It is time for one. When all is healed it is no more.
    pub(super) fn ask_for_a_repair(&mut self) {
        if !self.healed || self.core.is_some() {
            self.ask_one();
            self.set_repair_alarm();
        }
    }

    /// All is healed, and not everybody has noticed yet: about half of the nodes are asked, and one more.
    pub(super) fn ask_for_repairs_after_the_heal(&mut self) {
        self.repairs.asked.clear();
        if !self.world.scenario().repairs {
            return;
        }
        for place in 0..self.world.hosts().len() {
            if self.repairs.rng.chance(1, 2) {
                self.ask(place);
            }
        }
        self.ask_one();
    }

    /// Those that were asked since the heal have compared all with everybody, and all agree; so has one that is asked now.
    pub(super) fn wait_for_repairs(&mut self) {
        if self.world.scenario().repairs {
            self.wait_for_those_asked();
            self.ask_one();
            self.wait_for_those_asked();
        }
    }

    fn ask_one(&mut self) {
        let places = self.world.hosts().len() as u64;
        let place = usize::try_from(self.repairs.rng.below(places)).unwrap_or(0);
        self.ask(place);
    }

    fn ask(&mut self, place: Place) {
        self.world.ask(place, Request::new(Command::Repair));
        self.repairs.asked.push(place);
    }

    fn wait_for_those_asked(&mut self) {
        let shards = self.world.hosts().iter().flat_map(|host| &host.shards);
        let pairs = shards.map(|running| running.shard.replica().exchange().pairs).max().unwrap_or(0);
        let many = u32::try_from(pairs.div_ceil(PAIRS_MEANT).max(1)).unwrap_or(u32::MAX);
        let within = self.longer_where_lossy(REPAIRED_WITHIN * many);
        let latest = self.world.now() + within;
        // A request that is on its way arrives first.
        self.go_on(self.world.now() + Duration::from_millis(50));
        loop {
            let left = self.repairs.asked.iter().find_map(|place| self.left_to_compare(*place));
            let Some(left) = left.filter(|_| self.world.violations().is_empty()) else {
                self.repairs.asked.clear();
                return;
            };
            if self.world.now() >= latest {
                let what = format!("not after {within:?}: {left}");
                return self.world.violated("a repair ends, and all agree (F1, liveness)", what);
            }
            self.go_on(self.world.now() + Duration::from_millis(500));
        }
    }

    /// What a node has yet to do before `henge repair` calls all of it whole, in words; nothing if that is nothing.
    fn left_to_compare(&self, place: Place) -> Option<String> {
        let host = &self.world.hosts()[place];
        let left = host.shards.iter().map(|running| running.shard.replica().exchange()).find(|figures| {
            let left = [figures.hurried, figures.uncompared, figures.unreachable, figures.unbuilt];
            left.iter().chain(&[figures.differing, figures.stuck]).any(|count| *count > 0)
        });
        left.map(|figures| format!("{}: {figures:?}", host.name))
    }
}
