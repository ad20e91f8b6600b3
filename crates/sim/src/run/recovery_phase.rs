//! The phase of the recovery: a majority of those who keep the cluster state is switched off for good, as it seems, and an administrator
//! begins the history again. Then they come back, among themselves first, and elect a leader; then they meet the others.
//!
//! What must hold (INVARIANTS E1, G3): before the recovery nothing is changed, and after it changes are made again; nobody who goes by the
//! new history goes by the old one any more, and in the end all go by the new one. What the lost ones did meanwhile is given up, and so are
//! changes that they alone had agreed on; what clients were told of keys holds as ever, for the owners are the same in both histories.

use std::collections::BTreeMap;
use std::time::Duration;

use api::{Change, Command, Error, KeyspaceSettings, Recovery, Request};
use env::Rng;
use env::disk::CrashMode;
use types::Epoch;

use super::Run;
use crate::network::Place;
use crate::scenario::Recoveries;
use crate::world::{Answer, AskId};

/// How long the administrator tries, and how long all may take to go by the new history.
const WITHIN: Duration = Duration::from_secs(90);

/// What an administrator asks by hand, and how far nodes were seen to be.
#[derive(Default)]
pub(super) struct ByHand {
    asked: Option<AskId>,
    answer: Option<Answer>,
    seen: BTreeMap<Place, (u32, Epoch)>,
}

impl Run {
    pub(super) fn recovery(&mut self) {
        let Some(recoveries) = self.world.scenario().recoveries else { return };
        self.healed = true;
        self.world.heal();
        self.world.start_all();
        self.wait_until_whole();
        let rng = &mut Rng::from_seed(self.world.scenario().seed ^ 0x7265_636f_7665_7200);
        let Some(lost) = self.voters_to_lose(rng) else { return };
        let left: Vec<Place> = self.world.members().filter(|place| !lost.contains(place)).collect();
        self.world.note("", format_args!("! lost for good, as it seems: {lost:?}; left: {left:?}"));
        for place in &lost {
            let mode = if rng.chance(1, 2) { CrashMode::KeepAll } else { CrashMode::LoseUnsynced };
            self.world.switch_off(*place, mode);
        }
        self.let_pass(Duration::from_secs(2));
        if let Answer::Outcome(Ok(_)) = self.ask_by_hand(left[0], create("early")) {
            self.world.violated("nothing is changed without a majority (G3)", "it was".to_owned());
        }
        match recoveries {
            Recoveries::One => self.recover_at_one_of(&left, rng, 1),
            Recoveries::Two => self.recover_on_both_sides(&left, rng),
        }
        self.changes.forget_what_is_there();
        self.lost_ones_come_back(&lost, &left);
    }

    /// A majority of those who vote, as who leads them says; nobody where nobody would be left.
    fn voters_to_lose(&mut self, rng: &mut Rng) -> Option<Vec<Place>> {
        let latest = self.world.now() + WITHIN;
        let mut voters = loop {
            let governed = |place: &Place| self.world.hosts()[*place].shards.first()?.shard.governed();
            let led = self
                .world
                .members()
                .filter_map(|place| governed(&place))
                .find(|one| one.keepers.leader.is_some());
            match led {
                Some(led) => break led.keepers.voters,
                None if self.world.now() >= latest => return None,
                None => self.let_pass(Duration::from_millis(200)),
            }
        };
        rng.shuffle(&mut voters);
        voters.truncate(voters.len() / 2 + 1);
        let lost: Vec<Place> =
            self.world.members().filter(|place| voters.contains(&self.world.hosts()[*place].id)).collect();
        (lost.len() < self.world.members().count()).then_some(lost)
    }

    /// The administrator asks one after the other of those that are left, until one has begun the history again.
    fn recover_at_one_of(&mut self, left: &[Place], rng: &mut Rng, generation: u32) {
        let latest = self.world.now() + WITHIN;
        let mut why = String::new();
        while self.world.now() < latest && self.world.violations().is_empty() {
            let place = rng.pick(left).copied().unwrap_or(0);
            let losing = if generation > 1 { self.names_but(place) } else { Vec::new() };
            let change = Change::Recover(Box::new(Recovery { without: Vec::new(), losing }));
            match self.ask_by_hand(place, change) {
                Answer::Outcome(Ok(_)) => {
                    let (is_at, _) = self.is_at(place).unwrap_or_default();
                    if is_at < generation {
                        let what = format!("{} is at generation {is_at}", self.world.hosts()[place].name);
                        self.world.violated("a recovery is answered when it is made", what);
                    }
                    return self.change_again(left);
                }
                answer => why = format!("{answer:?}"),
            }
            self.let_pass(Duration::from_millis(500));
        }
        self.world.violated("the history can be begun again from what is left (liveness)", why);
    }

    fn names_but(&self, place: Place) -> Vec<String> {
        let others = self.world.members().filter(|other| *other != place);
        others.map(|other| self.world.hosts()[other].name.clone()).collect()
    }

    /// What is left is cut in two, and an administrator begins the history again on each side. Then they meet, and nobody takes in what the
    /// other side has, until one of them is given up by name.
    fn recover_on_both_sides(&mut self, left: &[Place], rng: &mut Rng) {
        let (here, there) = left.split_at(left.len() / 2);
        if here.is_empty() {
            return self.recover_at_one_of(left, rng, 1);
        }
        self.cut_between(here, there);
        self.let_pass(Duration::from_secs(2));
        self.recover_at_one_of(here, rng, 1);
        self.recover_at_one_of(there, rng, 1);
        let histories = |run: &Run| left.iter().map(|place| run.history_of(*place)).collect::<Vec<_>>();
        let before = histories(self);
        self.world.heal_but_keep_off();
        self.let_pass(Duration::from_secs(10));
        if histories(self) != before {
            let what = format!("{before:?} became {:?}", histories(self));
            self.world.violated("two histories of one generation are never mixed (E1)", what);
        }
        let noticed = left.iter().filter(|place| self.has_notices(**place)).count();
        if self.world.violations().is_empty() && noticed == 0 {
            self.world.violated("two histories of one generation are noticed", "nobody says so".to_owned());
        }
        self.recover_at_one_of(left, rng, 2);
    }

    fn history_of(&self, place: Place) -> Option<u64> {
        self.world.hosts()[place].shards.first().map(|running| running.shard.topology().state.history())
    }

    fn has_notices(&self, place: Place) -> bool {
        let governed = self.world.hosts()[place].shards.first().and_then(|running| running.shard.governed());
        governed.is_some_and(|governed| !governed.notices.is_empty())
    }

    /// Changes are made again.
    fn change_again(&mut self, left: &[Place]) {
        let latest = self.world.now() + WITHIN;
        let name = format!("again{}", self.world.now().0);
        while self.world.now() < latest && self.world.violations().is_empty() {
            match self.ask_by_hand(left[0], create(&name)) {
                Answer::Outcome(Ok(_)) => return,
                Answer::Outcome(Err(Error::Invalid(why))) if why.contains("already") => return,
                _ => self.let_pass(Duration::from_secs(1)),
            }
        }
        self.world.violated("changes are made again after a recovery (liveness)", String::new());
    }

    /// They are switched on where nobody else reaches them, and have a majority of the history that they know.
    fn lost_ones_come_back(&mut self, lost: &[Place], left: &[Place]) {
        self.cut_between(lost, left);
        lost.iter().for_each(|place| self.world.switch_on(*place));
        self.let_pass(Duration::from_secs(8));
        let answer = self.ask_by_hand(lost[0], create("unseen"));
        self.world.note("", format_args!("the lost ones by themselves: {answer:?}"));
        self.world.heal();
        let latest = self.world.now() + WITHIN;
        loop {
            self.let_pass(Duration::from_millis(500));
            let behind = self
                .world
                .members()
                .find(|place| self.is_at(*place).is_none_or(|(generation, _)| generation == 0));
            let Some(behind) = behind.filter(|_| self.world.violations().is_empty()) else { return };
            if self.world.now() >= latest {
                let what = format!("{} goes by {:?}", self.world.hosts()[behind].name, self.is_at(behind));
                return self.world.violated("all come to go by the new history (E1, liveness)", what);
            }
        }
    }

    fn cut_between(&mut self, here: &[Place], there: &[Place]) {
        self.world.cut(here, there);
        self.world.cut(there, here);
    }

    /// The generation and epoch by which the slowest shard of a node goes.
    fn is_at(&self, place: Place) -> Option<(u32, Epoch)> {
        let states = self.world.hosts()[place].shards.iter().map(|running| &running.shard.topology().state);
        states.map(|state| (state.generation(), state.epoch())).min()
    }

    /// Time passes; nobody goes back.
    fn let_pass(&mut self, time: Duration) {
        let until = self.world.now() + time;
        while self.world.now() < until && self.world.violations().is_empty() {
            let next = self.world.now() + Duration::from_millis(100);
            self.go_on(next.min(until));
            self.check_that_nobody_goes_back();
        }
    }

    fn check_that_nobody_goes_back(&mut self) {
        for place in self.world.members().collect::<Vec<_>>() {
            let Some(is_at) = self.is_at(place) else { continue };
            let was_at = self.by_hand.seen.insert(place, is_at).unwrap_or_default();
            if is_at < was_at {
                let what =
                    format!("{} went by {was_at:?}, and goes by {is_at:?}", self.world.hosts()[place].name);
                self.world.violated("no node goes back to an earlier state (E1)", what);
            }
        }
    }

    /// Asks, and lets everything go on until there is an answer.
    fn ask_by_hand(&mut self, place: Place, change: Change) -> Answer {
        let timeout = Some(self.world.scenario().timeout);
        let request = Request { command: Command::Change(Box::new(change)), timeout };
        self.by_hand.asked = Some(self.world.ask(place, request));
        self.by_hand.answer = None;
        let latest = self.world.now() + Duration::from_secs(30);
        while self.by_hand.answer.is_none() && self.world.now() < latest && self.world.violations().is_empty()
        {
            self.let_pass(Duration::from_millis(100));
        }
        self.by_hand.answer.take().unwrap_or(Answer::Lost)
    }

    /// Whether what was answered was asked by hand; then it is kept for who asked.
    pub(super) fn answered_by_hand(&mut self, ask: AskId, answer: &Answer) -> bool {
        let is_it = self.by_hand.asked == Some(ask);
        if is_it {
            self.by_hand.answer = Some(answer.clone());
        }
        is_it
    }
}

fn create(name: &str) -> Change {
    let settings = KeyspaceSettings { policy: Some("lww".to_owned()), ..KeyspaceSettings::default() };
    Change::CreateKeyspace { name: name.to_owned(), settings: Box::new(settings) }
}
