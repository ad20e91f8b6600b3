//! What happens in a drill, and what is claimed of it.
//!
//! What must hold: what a keyspace does in a failure is judged only once every node has noticed the failure. Before that no
//! node can know what to refuse; its clients wait for their deadlines, and are told that nothing is known.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::checks;
use super::door::Door;
use super::load::{COUNTER, Load, Shared};
use super::report::{Report, Verdict, names};
use super::ring::Choice;
use super::tally::{Ending, Phase};
use crate::lab::Lab;
use crate::lab::order::Order;

const ALL: &[usize] = &[0, 1, 2];
/// The node that is killed, and the others.
const VICTIM: usize = 1;
const SURVIVORS: &[usize] = &[0, 2];
/// The two sides of the cut.
const LARGE: &[usize] = &[0, 1];
const SMALL: &[usize] = &[2];

const CALM: Duration = Duration::from_secs(4);
const KILLED: Duration = Duration::from_secs(4);
const CUT: Duration = Duration::from_secs(5);
const HEALED: Duration = Duration::from_secs(3);

/// How long nodes may take to notice a change. They take some seconds.
const NOTICE_MAX: Duration = Duration::from_secs(30);

/// How long replicas may take to become equal.
const EQUAL_MAX: Duration = Duration::from_secs(30);

/// How often something is looked at that is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The key that both sides of the cut write, and what they find there.
const MEETING: &str = "meeting";
const BEFORE: &str = "before the cut";

const CUT_TITLE: [(&str, Choice); 3] = [
    ("Cut, and always writable: available, not consistent", Choice::Always),
    ("Cut, and strict with W=N: consistent, nowhere available for writes", Choice::Every),
    ("Cut, and a strict majority: consistent, available on the large side", Choice::Majority),
];

fn title(choice: Choice) -> &'static str {
    CUT_TITLE.iter().find(|(_, of)| *of == choice).map_or("", |(title, _)| title)
}

const CALM_TITLE: &str = "Nothing is cut: consistent and available";
const KILL_TITLE: &str = "A node is killed";
const END_TITLE: &str = "In the end";

/// A drill under way.
pub(super) struct Script<'a> {
    lab: &'a mut Lab,
    addresses: Vec<SocketAddr>,
    doors: Vec<Door>,
    shared: Arc<Shared>,
    interrupted: Arc<AtomicBool>,
    report: Report,
    verdict: Verdict,
}

impl<'a> Script<'a> {
    pub(super) fn new(
        lab: &'a mut Lab,
        addresses: Vec<SocketAddr>,
        interrupted: Arc<AtomicBool>,
    ) -> Script<'a> {
        Script {
            lab,
            doors: addresses.iter().map(|address| Door::new(*address)).collect(),
            addresses,
            shared: Arc::new(Shared::new()),
            interrupted,
            report: Report::new(),
            verdict: Verdict::default(),
        }
    }

    /// Whether all went as it must.
    pub(super) fn run(mut self) -> Result<bool> {
        self.wait_until("all nodes to reach each other", ALL, &[true; 3])?;
        let nodes = self.addresses.iter().enumerate();
        let nodes: Vec<String> =
            nodes.map(|(node, address)| format!("{} at http://{address}", names(&[node]))).collect();
        self.report.say(&format!("a ring of three nodes, N=3: {}", nodes.join(", ")));
        for choice in Choice::ALL {
            self.report.say(&format!("keyspace {:<9} {}", choice.name(), choice.words()));
        }
        self.expect_good(0, MEETING, BEFORE, None)?;
        self.report.say("clients of each keyspace write and read at each node");
        let mut load = Load::start(&self.shared, &self.addresses)?;
        self.calm()?;
        self.kill()?;
        let before = self.doors[0].get(Choice::Always, MEETING, None).context;
        self.cut(before.as_deref())?;
        self.heal()?;
        load.stop();
        self.end()
    }

    fn calm(&mut self) -> Result<()> {
        self.wait(CALM)?;
        self.show(Phase::Calm, &[ALL]);
        let mut keys = 0;
        let mut unequal = Vec::new();
        for choice in Choice::ALL {
            let acknowledged = self.shared.acknowledged(choice);
            keys += acknowledged.len();
            unequal.extend(checks::unequal(&self.addresses, choice, &acknowledged, EQUAL_MAX));
            let counts = self.shared.tally().at(Phase::Calm, choice, ALL);
            let failed = counts.refused + counts.unknown + counts.unanswered + counts.unread;
            self.verdict.claim(
                CALM_TITLE,
                failed == 0 && counts.accepted > 0,
                format!("{}: every write and every read was done, at every node", choice.name()),
            );
        }
        self.verdict.claim(
            CALM_TITLE,
            unequal.is_empty() && keys > 0,
            format!("the replicas of all {keys} keys written by then are equal{}", but(&unequal)),
        );
        Ok(())
    }

    fn kill(&mut self) -> Result<()> {
        let victim = names(&[VICTIM]);
        self.order(Phase::Killing, &Order::Kill { nodes: vec![victim.clone()] })?;
        self.wait_until("the others to notice", SURVIVORS, &[true, false, true])?;
        self.shared.set_phase(Phase::Killed);
        self.wait(KILLED)?;
        self.order(Phase::Returning, &Order::Restart { nodes: vec![victim.clone()] })?;
        self.show(Phase::Killing, &[SURVIVORS, &[VICTIM]]);
        self.show(Phase::Killed, &[SURVIVORS, &[VICTIM]]);
        for choice in [Choice::Always, Choice::Majority] {
            let counts = self.shared.tally().at(Phase::Killed, choice, SURVIVORS);
            let failed = counts.refused + counts.unknown + counts.unanswered + counts.unread;
            self.verdict.claim(
                KILL_TITLE,
                failed == 0 && counts.accepted > 0,
                format!("{}: clients of the other nodes saw no error once that was known", choice.name()),
            );
        }
        let counts = self.shared.tally().at(Phase::Killed, Choice::Every, SURVIVORS);
        let holds = counts.accepted == 0 && counts.refused > 0 && counts.unread == 0;
        self.verdict.claim(KILL_TITLE, holds, "every: the other nodes refused writes and answered reads");
        self.wait_until("the node to be back", ALL, &[true; 3])?;
        self.report.say("every node has noticed");
        self.show(Phase::Returning, &[ALL]);
        Ok(())
    }

    fn cut(&mut self, before: Option<&str>) -> Result<()> {
        let sides = [LARGE, SMALL].map(|side| side.iter().map(|node| names(&[*node])).collect()).to_vec();
        self.order(Phase::Cutting, &Order::Cut { sides })?;
        let began = Instant::now();
        self.wait_until("the large side to notice", LARGE, &[true, true, false])?;
        self.wait_until("the small side to notice", SMALL, &[false, false, true])?;
        self.show(Phase::Cutting, &[LARGE, SMALL]);
        self.report.say(&format!("every node has noticed, after {:.1} s", began.elapsed().as_secs_f64()));
        self.shared.set_phase(Phase::Cut);
        for (side, node) in [(LARGE, 0), (SMALL, 2)] {
            self.expect_good(node, MEETING, &names(side), before)?;
        }
        self.wait(CUT)
    }

    fn heal(&mut self) -> Result<()> {
        self.order(Phase::Healing, &Order::Heal {})?;
        self.show(Phase::Cut, &[LARGE, SMALL]);
        self.claim_of_the_cut();
        self.wait_until("all nodes to reach each other", ALL, &[true; 3])?;
        self.shared.set_phase(Phase::Healed);
        self.report.say("every node has noticed");
        self.show(Phase::Healing, &[LARGE, SMALL]);
        let met = self.doors[0].get(Choice::Always, MEETING, Some("all"));
        let mut values = met.values;
        values.sort();
        let holds = values == [names(LARGE), names(SMALL)];
        self.verdict.claim(
            title(Choice::Always),
            holds,
            format!("what both sides wrote to one key met at the heal, as siblings: {values:?}"),
        );
        self.wait(HEALED)?;
        self.show(Phase::Healed, &[ALL]);
        Ok(())
    }

    fn claim_of_the_cut(&mut self) {
        let shared = Arc::clone(&self.shared);
        let tally = shared.tally();
        let accepts = |choice, nodes| {
            let counts = tally.at(Phase::Cut, choice, nodes);
            counts.accepted > 0 && counts.refused + counts.unknown + counts.unanswered == 0
        };
        let refuses = |choice, node| {
            let counts = tally.at(Phase::Cut, choice, &[node]);
            counts.accepted == 0 && counts.refused > 0
        };
        let (always, every, majority) = (Choice::Always, Choice::Every, Choice::Majority);
        let both = accepts(always, LARGE) && accepts(always, SMALL);
        self.verdict.claim(title(always), both, "both sides accepted every write");
        let stale = tally.at(Phase::Cut, always, SMALL).stale;
        let text = format!("stale reads were seen: {stale} at {}", names(SMALL));
        self.verdict.claim(title(always), stale > 0, text);
        let none = ALL.iter().all(|node| refuses(every, *node));
        self.verdict.claim(title(every), none, "every node, on either side, refused every write");
        let small = SMALL.iter().all(|node| refuses(majority, *node));
        self.verdict.claim(title(majority), accepts(majority, LARGE), "the large side accepted every write");
        self.verdict.claim(title(majority), small, "the small side refused every write");
    }

    /// What is left in the end; first of all whether it is all there, read from every replica before anything mends them.
    fn end(mut self) -> Result<bool> {
        self.report.say("the clients have stopped; every acknowledged write is read, from all replicas");
        let (mut count, mut lost, mut unread) = (0, Vec::new(), Vec::new());
        for choice in Choice::ALL {
            let keys = self.shared.acknowledged(choice);
            count += keys.len();
            let missing = checks::missing(&self.addresses, choice, &keys);
            lost.extend(missing.lost.iter().map(|key| named(choice, key)));
            unread.extend(missing.unread.iter().map(|key| named(choice, key)));
            let counted = self.shared.counted(choice);
            let found = super::load::count_of(&self.doors[0].get(choice, COUNTER, Some("all")));
            if found < counted {
                lost.push(format!("{}/{COUNTER}: {counted}, found {found}", choice.name()));
            }
            if choice.is_strict() {
                let stale = self.shared.tally().stale_reads(choice);
                let text = format!("no read was stale at any time, of {} keys and a counter", keys.len());
                self.verdict.claim(title(choice), stale == 0, text);
            }
        }
        for door in &self.doors {
            door.repair()?;
        }
        let mut unequal = Vec::new();
        for choice in Choice::ALL {
            let mut keys = self.shared.acknowledged(choice);
            // What no replica has is told already.
            keys.retain(|key| !lost.contains(&named(choice, key)));
            keys.push(COUNTER.to_owned());
            if choice == Choice::Always {
                keys.push(MEETING.to_owned());
            }
            unequal.extend(checks::unequal(&self.addresses, choice, &keys, EQUAL_MAX));
        }
        self.verdict.claim(
            END_TITLE,
            unequal.is_empty(),
            format!("all replicas of every key are equal again{}", but(&unequal)),
        );
        self.verdict.claim(
            END_TITLE,
            unread.is_empty(),
            format!("every acknowledged write could be read from all replicas{}", but(&unread)),
        );
        self.report.say("done");
        self.verdict.print();
        println!("\nacknowledged writes lost: {}, of {count}{}", lost.len(), but(&lost));
        Ok(lost.is_empty() && count > 0 && self.verdict.holds())
    }

    /// Tells the laboratory, and from then on counts what clients see as of this phase.
    fn order(&mut self, phase: Phase, order: &Order) -> Result<()> {
        self.shared.set_phase(phase);
        for line in self.lab.carry_out(order)? {
            self.report.say(&line);
        }
        Ok(())
    }

    fn show(&self, phase: Phase, groups: &[&[usize]]) {
        self.report.seen(&self.shared.tally(), phase, groups);
    }

    /// Writes a key of the keyspace that is always writable.
    fn expect_good(&self, node: usize, key: &str, value: &str, context: Option<&str>) -> Result<()> {
        let began = Instant::now();
        while self.doors[node].put(Choice::Always, key, value, context).ending != Ending::Good {
            if began.elapsed() > NOTICE_MAX {
                bail!("{} does not accept a write in keyspace {}", names(&[node]), Choice::Always.name());
            }
            self.wait(LOOK_EVERY)?;
        }
        Ok(())
    }

    fn wait(&self, time: Duration) -> Result<()> {
        let began = Instant::now();
        while began.elapsed() < time {
            if self.interrupted.load(Ordering::SeqCst) {
                bail!("the drill was interrupted");
            }
            thread::sleep(LOOK_EVERY.min(time));
        }
        Ok(())
    }

    /// Waits until each of these nodes takes all nodes for what they are.
    fn wait_until(&self, what: &str, nodes: &[usize], up: &[bool]) -> Result<()> {
        let began = Instant::now();
        loop {
            let sees = |node: &usize| self.doors[*node].sees_up().is_ok_and(|seen| seen == up);
            if nodes.iter().all(sees) {
                return Ok(());
            }
            if began.elapsed() > NOTICE_MAX {
                bail!("waited {NOTICE_MAX:?} for {what}, in vain");
            }
            self.wait(LOOK_EVERY)?;
        }
    }
}

fn named(choice: Choice, key: &str) -> String {
    format!("{}/{key}", choice.name())
}

/// The first few of what is not as it should be.
fn but(keys: &[String]) -> String {
    match keys {
        [] => String::new(),
        [first, ..] if keys.len() > 3 => format!("; not so {} of them, such as {first}", keys.len()),
        few => format!("; not so {}", few.join(", ")),
    }
}
