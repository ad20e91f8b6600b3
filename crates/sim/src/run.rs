//! A run: faults strike while clients work; then some nodes are well and must serve by themselves; then everything heals, and
//! the cluster must serve and agree.
//!
//! ```text
//!  safety      clients work, faults strike           checks: all that watch messages and answers
//!  recovery    most who keep the cluster state are   checks: nothing is changed until the history is begun
//!              lost, and come back                   again; nobody goes back to the old one
//!  core        some are well; what ails the   checks: a majority serves by itself
//!              others lasts
//!  liveness    no faults, all nodes up               checks: requests are done again
//!  agreement   nobody asks anything                   checks: all owners come to hold equal records
//!              every key is read at all its owners,  checks: nothing acknowledged is lost;
//!              twice; the second time after a power          all owners hold equal records, nobody else any
//!              cut of the whole cluster
//! ```

mod changes;
mod core_phase;
mod planned;
mod recovery_phase;
mod repairs;

use std::time::Duration;

use env::Rng;
use env::disk::CrashMode;
use types::Instant;

use crate::faults::FaultKind;
use crate::plan::Borders;
use crate::scenario::Scenario;
use crate::trace::Trace;
use crate::witness::Violation;
use crate::workload::{Figures, Workload, read_all};
use crate::world::{Clones, Happening, World};

/// The alarms of the next faults; clients have the numbers from zero.
const ALARMS: [u64; 5] = [u64::MAX, u64::MAX - 1, u64::MAX - 2, u64::MAX - 3, u64::MAX - 16];

/// A cluster that has healed must be whole again within this time: everybody reaches everybody, and lacks nothing.
const WHOLE_WITHIN: Duration = Duration::from_secs(60);

/// What stand-ins keep must have reached its owners within this time after a heal.
const HANDED_OFF_WITHIN: Duration = Duration::from_secs(60);

/// All owners must hold equal records within this time after that, without anybody reading them.
const EQUAL_WITHIN: Duration = Duration::from_secs(120);

/// All owners must have dropped what was deleted within this time after that.
const COLLECTED_WITHIN: Duration = Duration::from_secs(120);

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// Of this seed.
    pub seed: u64,
    /// Rules that were seen broken, in order.
    pub violations: Vec<Violation>,
    /// What clients were told.
    pub figures: Figures,
    /// How many faults struck.
    pub faults: usize,
    /// How often a healthy core had to serve by itself.
    pub cores: usize,
    /// What became of clones of nodes.
    pub clones: Clones,
    /// The borders at which the victim of a plan has stopped.
    pub borders: Borders,
    /// How much virtual time passed.
    pub simulated: Duration,
    /// What the trace comes to.
    pub trace_hash: u64,
    /// How many lines the trace has.
    pub trace_lines: u64,
}

impl Report {
    /// Whether all rules held.
    pub fn is_clean(&self) -> bool {
        self.violations.is_empty()
    }

    /// What was seen broken, one line each.
    pub fn complaints(&self) -> String {
        let line = |violation: &Violation| {
            let Violation { at, rule, what } = violation;
            format!("  {:.6}s  {rule}: {what}\n", Duration::from_nanos(at.0).as_secs_f64())
        };
        self.violations.iter().map(line).collect()
    }
}

/// Runs what this seed stands for, as [`run_caught`] does.
pub fn run(seed: u64, print: bool) -> Report {
    run_caught(Scenario::from_seed(seed), print)
}

/// Runs a scenario. A panic is a broken rule like any other: nothing that a run does may cause one.
pub fn run_caught(scenario: Scenario, print: bool) -> Report {
    let seed = scenario.seed;
    std::panic::catch_unwind(|| run_scenario(scenario, print)).unwrap_or_else(|panic| {
        let what = panic.downcast_ref::<String>().cloned();
        let what = what.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default();
        let violation = Violation { at: Instant::default(), rule: "nothing panics", what };
        Report {
            seed,
            violations: vec![violation],
            figures: Figures::default(),
            faults: 0,
            cores: 0,
            clones: Clones::default(),
            borders: Borders::new(),
            simulated: Duration::ZERO,
            trace_hash: 0,
            trace_lines: 0,
        }
    })
}

/// Runs a scenario.
pub fn run_scenario(scenario: Scenario, print: bool) -> Report {
    let mut rng = Rng::from_seed(scenario.seed ^ 0x0064_7269_7665_7200);
    let mut world = World::new(scenario, Trace::new(print));
    let workload = Workload::start(&mut world, rng.fork());
    let later_rng = Rng::from_seed(world.scenario().seed ^ 0x6c61_7465_7200_0000);
    let losses_rng = Rng::from_seed(world.scenario().seed ^ 0x6c6f_7373_6573_0000);
    let ailments_rng = Rng::from_seed(world.scenario().seed ^ 0x6169_6c6d_0000_0000);
    let between_rng = Rng::from_seed(world.scenario().seed ^ 0x6265_7477_6565_6e00);
    let (losses, others): (Vec<_>, Vec<_>) = world.scenario().faults.iter().partition(|kind| kind.is_loss());
    let (ailments, others): (Vec<_>, Vec<_>) =
        others.into_iter().partition(|kind: &FaultKind| kind.is_ailment());
    let (between, others): (Vec<_>, Vec<_>) =
        others.into_iter().partition(|kind: &FaultKind| kind.is_between());
    let (later, early) = others.into_iter().partition(|kind: &FaultKind| kind.is_later());
    let repairs = repairs::Repairs::new(world.scenario().seed);
    let changes = changes::Changes::new(world.scenario().seed);
    let mut run = Run {
        world,
        workload,
        schedules: [
            Schedule::new(ALARMS[0], early, rng),
            Schedule::new(ALARMS[1], later, later_rng),
            Schedule::new(ALARMS[2], losses, losses_rng),
            Schedule::new(ALARMS[3], ailments, ailments_rng),
            Schedule::new(ALARMS[4], between, between_rng),
        ],
        struck: Vec::new(),
        power_losses: 0,
        healed: false,
        core: None,
        cores_served: 0,
        repairs,
        changes,
        by_hand: recovery_phase::ByHand::default(),
        watched: planned::Watched::default(),
    };
    for phase in [Run::safety, Run::recovery, Run::healthy_core, Run::liveness, Run::agreement] {
        phase(&mut run);
        if !run.world.violations().is_empty() {
            break;
        }
    }
    run.report()
}

struct Run {
    world: World,
    workload: Workload,
    /// When faults strike: the first kinds, those that came later, losses of disks, what machines ail of, and what goes wrong between
    /// data centers.
    schedules: [Schedule; 5],
    struck: Vec<FaultKind>,
    /// Whether no more faults strike.
    healed: bool,
    /// A core that is well, and what ails the others, while that lasts.
    core: Option<core_phase::Phase>,
    cores_served: usize,
    repairs: repairs::Repairs,
    changes: changes::Changes,
    by_hand: recovery_phase::ByHand,
    watched: planned::Watched,
    /// Losses of power that the books know of.
    power_losses: u64,
}

/// Faults that strike one after another, drawn by a generator of their own.
struct Schedule {
    alarm: u64,
    kinds: Vec<FaultKind>,
    /// Kinds that have not struck yet.
    plan: Vec<FaultKind>,
    rng: Rng,
}

impl Schedule {
    fn new(alarm: u64, kinds: Vec<FaultKind>, rng: Rng) -> Schedule {
        Schedule { alarm, plan: kinds.clone(), kinds, rng }
    }

    /// The next kind: every other time one that has not struck yet.
    fn pick(&mut self) -> Option<FaultKind> {
        let planned = !self.plan.is_empty() && self.rng.chance(1, 2);
        let kinds = if planned { &self.plan } else { &self.kinds };
        self.rng.pick(kinds).copied()
    }
}

impl Run {
    fn safety(&mut self) {
        (0..self.schedules.len()).for_each(|which| self.set_fault_alarm(which));
        self.set_repair_alarm();
        self.set_change_alarm();
        self.go_by_plan();
        let mut until = self.world.now() + self.world.scenario().safety;
        // A long plan takes its time, and so does a cluster that is hardly ever up; but not for ever.
        let latest = until + Duration::from_secs(60);
        loop {
            self.go_on(until);
            let enough = self.outstanding().iter().all(|kind| kind.needs_luck())
                && self.workload.figures().written >= self.writes_wanted();
            if enough || until >= latest || !self.world.violations().is_empty() {
                break;
            }
            until = until + Duration::from_secs(1);
        }
        if self.world.violations().is_empty() {
            self.check_not_empty();
        }
    }

    fn liveness(&mut self) {
        self.healed = true;
        self.world.heal();
        self.world.end_clone();
        for place in 0..self.world.hosts().len() {
            self.world.jump_clock(place, self.world.scenario().skew_ms_max.min(500));
        }
        if let Some(place) = self.world.damaged_place() {
            // What is damaged is to be found before the cluster counts as healed, and not where memory hides it.
            self.world.pull_plug(place, CrashMode::KeepAll);
        }
        self.world.start_all();
        self.ask_for_repairs_after_the_heal();
        self.workload.rest(&mut self.world, true);
        self.wait_until_whole();
        self.wait_for_changes();
        self.workload.keep_to(&self.world.members().collect::<Vec<_>>());
        self.workload.rest(&mut self.world, false);
        let before = self.workload.figures();
        self.go_on(self.world.now() + self.world.scenario().liveness);
        self.workload.rest(&mut self.world, true);
        let rest = self.world.scenario().timeout * 2;
        self.go_on(self.world.now() + rest);
        if self.world.violations().is_empty() {
            self.check_served(before, self.workload.figures());
        }
    }

    /// A healed cluster does what it is asked. Writes to one key at once may outrank each other, which leaves a few of
    /// them unknown; and a network that loses messages without a word never heals. What a stand-in keeps may still be on its way, and who
    /// demands it is told so (seed 800331).
    fn check_served(&mut self, before: Figures, after: Figures) {
        let done = after.done - before.done;
        let on_its_way = after.on_its_way - before.on_its_way;
        let (not_done, unknown) =
            ((after.not_done - before.not_done).saturating_sub(on_its_way), after.unknown - before.unknown);
        let lossy = self.world.scenario().network.lost_one_in > 0;
        if done == 0 || (!lossy && (not_done > 0 || unknown * 10 > done)) {
            let what = format!("{done} requests were done, {not_done} were not, of {unknown} nobody knows");
            self.world.violated("a healed cluster serves (liveness)", what);
        }
    }

    fn agreement(&mut self) {
        self.wait_for_changes();
        self.wait_for_handoff();
        self.wait_for_exchange();
        self.wait_for_repairs();
        self.wait_for_collection();
        self.read_everything();
        if !self.world.violations().is_empty() {
            return;
        }
        let all: Vec<usize> = self.world.members().collect();
        for place in all {
            self.world.pull_plug(place, CrashMode::LoseUnsynced);
        }
        self.workload.power_was_cut();
        self.world.start_all();
        self.wait_until_whole();
        self.wait_for_handoff();
        self.read_everything();
        self.wait_for_exchange();
        self.wait_for_collection();
        self.world.check_nobody_waits();
    }

    /// Lets time pass; clients and faults do as they do.
    fn go_on(&mut self, until: Instant) {
        while let Some(happening) = self.world.step(until) {
            if self.world.power_losses() > self.power_losses {
                self.power_losses = self.world.power_losses();
                self.workload.power_was_cut();
            }
            match happening {
                Happening::Answered(ask, answer) => {
                    if let Some(answer) = self.workload.answered(&mut self.world, ask, answer)
                        && !self.answered_by_hand(ask, &answer)
                    {
                        self.change_answered(ask, &answer);
                    }
                }
                Happening::Alarm(alarm) if ALARMS.contains(&alarm) => {
                    self.strike(ALARMS.iter().position(|one| *one == alarm).unwrap_or_default());
                }
                Happening::Alarm(core_phase::ALARM) => self.go_on_with_others(),
                Happening::Alarm(repairs::ALARM) => self.ask_for_a_repair(),
                Happening::Alarm(changes::ALARM) => self.ask_for_a_change(),
                Happening::Alarm(client) => {
                    let client = usize::try_from(client).expect("the number of a client");
                    self.workload.alarm(&mut self.world, client);
                }
                Happening::Internal => {}
            }
            self.look_for_borders();
            // One broken rule breaks others: the first is the one to look at.
            if !self.world.violations().is_empty() {
                break;
            }
        }
        self.world.check_nobody_waits();
    }

    fn set_fault_alarm(&mut self, which: usize) {
        let schedule = &mut self.schedules[which];
        if schedule.kinds.is_empty() {
            return;
        }
        let usual = u64::try_from(self.world.scenario().fault_gap.as_millis()).unwrap_or(1_000);
        let after = crate::random::millis(&mut schedule.rng, usual / 4, usual * 2);
        self.world.set_alarm(after, schedule.alarm);
    }

    fn strike(&mut self, which: usize) {
        let schedule = &mut self.schedules[which];
        // What needs luck is not waited for: a cluster that was hardly ever up is left alone then, to be a cluster at all.
        let over = self.world.now() > Instant::default() + self.world.scenario().safety
            && schedule.plan.iter().all(|kind| kind.needs_luck());
        if self.healed {
            return;
        }
        let may_heal = (self.world.has_cuts() || self.world.ails()) && schedule.rng.chance(1, 2);
        if over || may_heal && !self.world.is_cut_for_long() {
            self.world.heal();
        }
        if !over {
            self.strike_one(which);
            self.set_fault_alarm(which);
        }
    }

    fn strike_one(&mut self, which: usize) {
        let schedule = &mut self.schedules[which];
        let Some(kind) = schedule.pick() else {
            return;
        };
        if !kind.strike(&mut self.world, &mut schedule.rng) {
            return;
        }
        schedule.plan.retain(|planned| *planned != kind);
        self.struck.push(kind);
    }

    /// Kinds of fault that have not struck yet.
    fn outstanding(&self) -> Vec<FaultKind> {
        self.schedules.iter().flat_map(|schedule| schedule.plan.iter().copied()).collect()
    }

    fn writes_wanted(&self) -> u64 {
        10 * self.world.scenario().clients as u64
    }

    fn check_not_empty(&mut self) {
        let figures = self.workload.figures();
        if figures.written < self.writes_wanted() {
            let what = format!("{} writes were acknowledged: {figures:?}", figures.written);
            self.world.violated("a run is not empty", what);
        }
        let mut outstanding = self.outstanding();
        outstanding.retain(|kind| !kind.needs_luck());
        if !outstanding.is_empty() {
            let what = format!("these never struck: {outstanding:?}");
            self.world.violated("every kind of fault strikes", what);
        }
    }

    /// Where the network goes on losing messages without a word, each lost one holds up a round of comparing for as long as
    /// its patience. Rounds go one at a time, and in a large cluster there are a thousand and more (seeds 106040, 108908, 714123).
    fn longer_where_lossy(&self, within: Duration) -> Duration {
        within * if self.world.scenario().network.lost_one_in > 0 { 12 } else { 1 }
    }

    fn wait_until_whole(&mut self) {
        let within = self.longer_where_lossy(WHOLE_WITHIN);
        let latest = self.world.now() + within;
        while !self.world.is_whole() || !self.world.is_current() || self.workload.is_busy() {
            if !self.world.violations().is_empty() {
                return;
            }
            if self.world.now() >= latest {
                let busy = if self.workload.is_busy() { "clients wait for answers, " } else { "" };
                let (why, stand) = (self.world.why_not_whole(), crate::agreement::healings(&self.world));
                let what = format!("not whole after {within:?}: {busy}{why}; {stand}");
                return self.world.violated("a healed cluster is whole again (liveness)", what);
            }
            self.go_on(self.world.now() + Duration::from_millis(50));
        }
    }

    /// When faults are over, what stand-ins keep reaches its owners, without anybody reading it (INVARIANTS A3, F1).
    fn wait_for_handoff(&mut self) {
        let latest = self.world.now() + HANDED_OFF_WITHIN;
        loop {
            let hints = crate::agreement::hints(&self.world);
            if hints == 0 || !self.world.violations().is_empty() {
                return;
            }
            if self.world.now() >= latest {
                let what = format!("{hints} are still kept after {HANDED_OFF_WITHIN:?}");
                return self.world.violated("hints reach their owners (A3, liveness)", what);
            }
            self.go_on(self.world.now() + Duration::from_millis(250));
        }
    }

    /// When faults are over, all owners come to hold the same, without anybody reading it (INVARIANTS F1).
    fn wait_for_exchange(&mut self) {
        let within = self.longer_where_lossy(EQUAL_WITHIN);
        let latest = self.world.now() + within;
        loop {
            let different = crate::agreement::disagreements(&self.world);
            let Some(first) = different.first().filter(|_| self.world.violations().is_empty()) else {
                return;
            };
            if self.world.now() >= latest {
                let what = format!("{} keys differ after {within:?}, the first: {first}", different.len());
                return self.world.violated("owners become equal without a client (F1, liveness)", what);
            }
            self.go_on(self.world.now() + Duration::from_millis(500));
        }
    }

    /// When all is well, all owners drop what was deleted, or has ended, without anybody's doing (INVARIANTS D1).
    fn wait_for_collection(&mut self) {
        let within = self.longer_where_lossy(COLLECTED_WITHIN);
        let latest = self.world.now() + within;
        let walls = self.world.hosts().iter().map(|host| host.moment(self.world.now()).wall);
        let past_for_all = walls.min().unwrap_or_default();
        loop {
            let dead = crate::agreement::dead(&self.world, past_for_all);
            let Some(first) = dead.first().filter(|_| self.world.violations().is_empty()) else {
                return;
            };
            if self.world.now() >= latest {
                let stand = crate::agreement::collections(&self.world);
                let what = format!("{} deletes are kept after {within:?}: {first}; {stand}", dead.len());
                return self.world.violated("deletes are dropped in the end (D1, liveness)", what);
            }
            self.go_on(self.world.now() + Duration::from_millis(500));
        }
    }

    fn read_everything(&mut self) {
        for (keyspace, key) in self.workload.keys() {
            if !self.world.violations().is_empty() {
                return;
            }
            let answer = self.read_one(keyspace, &key);
            self.workload.check_last(&mut self.world, (keyspace, &key), &answer);
        }
        self.world.pass(Duration::from_secs(5));
    }

    /// Asks all owners of a key, again where the network loses messages.
    fn read_one(&mut self, keyspace: types::KeyspaceId, key: &bytes::Bytes) -> crate::world::Answer {
        let mut tries = 0;
        loop {
            tries += 1;
            let hosts: Vec<usize> = self.world.members().collect();
            let place = self.schedules[0].rng.pick(&hosts).copied().unwrap_or(0);
            let answer = self.world.ask_and_wait(place, read_all(keyspace, key.clone()));
            let lossy = self.world.scenario().network.lost_one_in > 0;
            if tries >= 5 || !lossy || matches!(answer, crate::world::Answer::Outcome(Ok(_))) {
                return answer;
            }
        }
    }

    fn report(self) -> Report {
        Report {
            seed: self.world.scenario().seed,
            violations: self.world.violations().to_vec(),
            figures: self.workload.figures(),
            faults: self.struck.len(),
            cores: self.cores_served,
            clones: self.world.clones(),
            borders: self.watched.stopped_at,
            simulated: self.world.now().since(Instant::default()),
            trace_hash: self.world.trace().hash(),
            trace_lines: self.world.trace().lines(),
        }
    }
}
