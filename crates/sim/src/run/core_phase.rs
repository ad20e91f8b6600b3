//! The phase of the healthy core: some nodes are well, what ails the others lasts, and the core must serve by itself.
//!
//! It comes between faults that strike anybody and a heal of everything. Where there is no such core, and where one of its
//! nodes is yet to be compared with all other owners before it answers, the phase is left out.

use std::time::Duration;

use env::Rng;

use super::{Run, WHOLE_WITHIN};
use crate::healthy_core::HealthyCore;
use crate::workload::serving::Served;

/// The alarm for what happens to the others again and again.
pub(super) const ALARM: u64 = u64::MAX - 4;

/// How often it does, in milliseconds: twice as often at the most.
const AGAIN_EVERY_MS: u64 = 2_000;

/// For how long the core is asked.
const ASKED_FOR: Duration = Duration::from_secs(2);

/// A healthy core, while the phase goes on.
pub(super) struct Phase {
    core: HealthyCore,
    rng: Rng,
}

impl Run {
    pub(super) fn healthy_core(&mut self) {
        let scenario = self.world.scenario();
        // Which nodes are enough of those that own a key is known where nobody changes that.
        let may_be = scenario.healthy_core && !scenario.changes;
        let wanted = may_be.then(|| HealthyCore::choose(scenario, self.world.cluster()));
        let Some(core) = wanted.flatten() else { return };
        let rng = Rng::from_seed(self.world.scenario().seed ^ 0x6f75_7473_6964_6572);
        self.leave_the_others(core.clone(), rng);
        if self.wait_until_formed(&core) {
            self.ask_the_core(core);
        }
        self.core = None;
        self.workload.keep_to(&(0..self.world.hosts().len()).collect::<Vec<_>>());
    }

    /// Everybody is well for a moment, in which clients get their last answers; then only the core is.
    fn leave_the_others(&mut self, core: HealthyCore, mut rng: Rng) {
        self.healed = true;
        self.world.heal();
        self.world.end_clone();
        for place in core.places() {
            self.world.jump_clock(*place, self.world.scenario().skew_ms_max.min(500));
        }
        self.world.start_all();
        self.rest();
        self.world.note("", format_args!("! {}", core.describe(&self.world)));
        core.leave_others(&mut self.world, &mut rng);
        self.workload.keep_to(core.places());
        self.core = Some(Phase { core, rng });
        self.set_alarm_for_others();
    }

    /// Lets clients get their answers and begin nothing.
    fn rest(&mut self) {
        self.workload.rest(&mut self.world, true);
        let latest = self.world.now() + self.world.scenario().timeout * 2;
        while self.workload.is_busy() && self.world.now() < latest && self.world.violations().is_empty() {
            self.go_on(self.world.now() + Duration::from_millis(20));
        }
    }

    /// The core finds out who is there: true if it did. False if one of its nodes is to catch up first, or a rule was broken.
    fn wait_until_formed(&mut self, core: &HealthyCore) -> bool {
        let within = self.longer_where_lossy(WHOLE_WITHIN);
        let latest = self.world.now() + within;
        while !core.is_formed(&self.world) {
            if core.is_catching_up(&self.world) {
                self.world.note("", format_args!("one of the core is yet to catch up"));
                return false;
            }
            if self.world.now() >= latest {
                let what = format!("not so after {within:?}: {}", core.describe(&self.world));
                self.world.violated("a healthy core finds together (liveness)", what);
            }
            if !self.world.violations().is_empty() {
                return false;
            }
            self.go_on(self.world.now() + Duration::from_millis(50));
        }
        true
    }

    fn ask_the_core(&mut self, core: HealthyCore) {
        let described = core.describe(&self.world);
        self.workload.watch(core);
        self.workload.rest(&mut self.world, false);
        self.go_on(self.world.now() + ASKED_FOR);
        self.rest();
        let served = self.workload.end_watch();
        self.world.note("", format_args!("the core has done {}, refused {}", served.done, served.refused));
        self.cores_served += 1;
        if self.world.violations().is_empty() {
            self.check_core_served(&described, &served);
        }
    }

    /// What the core is enough for is done, but for writes of one key that outrank each other; and what it is too few for is
    /// refused for certain. A network that loses messages without a word may make either late.
    fn check_core_served(&mut self, core: &str, served: &Served) {
        let Served { done, outranked, failed, vague, .. } = served;
        let lossy = self.world.scenario().network.lost_one_in > 0;
        if *done == 0 || (!lossy && (!failed.is_empty() || outranked * 10 > *done)) {
            let what = format!(
                "{core}: {done} requests were done, {outranked} were outranked, {} failed, the first: {}",
                failed.len(),
                failed.iter().take(3).map(String::as_str).collect::<Vec<_>>().join("; ")
            );
            self.world.violated("a healthy core serves whatever the others do (liveness)", what);
        }
        if let Some(first) = vague.first().filter(|_| !lossy) {
            let what = format!("{core}: {} had no definite answer in time, the first: {first}", vague.len());
            self.world.violated("what a core cannot do it refuses for certain (A5, liveness)", what);
        }
    }

    /// What happens to the others again and again happens again.
    pub(super) fn go_on_with_others(&mut self) {
        if let Some(Phase { core, rng }) = &mut self.core {
            core.go_on(&mut self.world, rng);
            self.set_alarm_for_others();
        }
    }

    fn set_alarm_for_others(&mut self) {
        if let Some(Phase { rng, .. }) = &mut self.core {
            let after = crate::random::millis(rng, AGAIN_EVERY_MS / 2, AGAIN_EVERY_MS);
            self.world.set_alarm(after, ALARM);
        }
    }
}
