//! What happens in a drill, and what is claimed of it.
//!
//! What must hold: what a keyspace does in a failure is judged only once every node has noticed the failure. Before that no
//! node can know what to refuse; its clients wait for their deadlines, and are told that nothing is known.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::checks;
use super::load::{COUNTER, Load, count_of};
use super::report::{Verdict, names};
use super::ring::Choice;
use super::stage::Stage;
use super::tally::Phase;
use crate::lab::order::Order;

const ALL: &[usize] = &[0, 1, 2];
/// The node that is killed, and the others.
const VICTIM: usize = 1;
const SURVIVORS: &[usize] = &[0, 2];
/// The two sides of the cut.
const LARGE: &[usize] = &[0, 1];
const SMALL: &[usize] = &[2];

const CALM: Duration = Duration::from_secs(4);
const KILLED: Duration = Duration::from_secs(5);
const CUT: Duration = Duration::from_secs(7);
const HEALED: Duration = Duration::from_secs(3);

/// How long replicas may take to become equal.
const EQUAL_MAX: Duration = Duration::from_secs(30);

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
    stage: Stage<'a>,
    verdict: Verdict,
}

impl<'a> Script<'a> {
    pub(super) fn new(stage: Stage<'a>) -> Script<'a> {
        Script { stage, verdict: Verdict::default() }
    }

    /// Whether all went as it must.
    pub(super) fn run(mut self) -> Result<bool> {
        self.stage.wait_until("all nodes to reach each other", ALL, &[true; 3])?;
        for (node, choice) in ALL.iter().flat_map(|node| Choice::ALL.map(|choice| (*node, choice))) {
            // A new node answers for its keys a moment after it has met the others.
            self.stage.put(node, choice, "begun", "", None)?;
        }
        let nodes = self.stage.addresses.iter().enumerate();
        let nodes: Vec<String> =
            nodes.map(|(node, address)| format!("{} at http://{address}", names(&[node]))).collect();
        self.stage.report.say(&format!("a ring of three nodes, N=3: {}", nodes.join(", ")));
        for choice in Choice::ALL {
            self.stage.report.say(&format!("keyspace {:<9} {}", choice.name(), choice.words()));
        }
        self.stage.put(0, Choice::Always, MEETING, BEFORE, None)?;
        self.stage.report.say("clients of each keyspace write and read at each node");
        let mut load = Load::start(&self.stage.shared, &self.stage.addresses)?;
        self.calm()?;
        self.kill()?;
        let before = self.stage.doors[0].get(Choice::Always, MEETING, None).context;
        self.cut(before.as_deref())?;
        self.heal()?;
        load.stop();
        self.end()
    }

    fn calm(&mut self) -> Result<()> {
        self.stage.wait(CALM)?;
        self.stage.show(Phase::Calm, &[ALL]);
        let mut keys = 0;
        let mut unequal = Vec::new();
        for choice in Choice::ALL {
            let acknowledged = self.stage.shared.acknowledged(choice);
            keys += acknowledged.len();
            unequal.extend(checks::unequal(&self.stage.addresses, choice, &acknowledged, EQUAL_MAX));
            let counts = self.stage.shared.tally().within(Phase::Calm, choice, ALL);
            self.verdict.claim(
                CALM_TITLE,
                counts.is_all_done(),
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
        self.stage.order(Phase::Killing, &Order::Kill { nodes: vec![victim.clone()] })?;
        self.stage.wait_until("the others to notice", SURVIVORS, &[true, false, true])?;
        self.stage.shared.set_phase(Phase::Killed);
        self.stage.wait(KILLED)?;
        self.stage.order(Phase::Returning, &Order::Restart { nodes: vec![victim.clone()] })?;
        self.stage.show(Phase::Killing, &[SURVIVORS, &[VICTIM]]);
        self.stage.show(Phase::Killed, &[SURVIVORS, &[VICTIM]]);
        for choice in [Choice::Always, Choice::Majority] {
            let counts = self.stage.shared.tally().within(Phase::Killed, choice, SURVIVORS);
            self.verdict.claim(
                KILL_TITLE,
                counts.is_all_done(),
                format!("{}: clients of the other nodes saw no error once that was known", choice.name()),
            );
        }
        let counts = self.stage.shared.tally().within(Phase::Killed, Choice::Every, SURVIVORS);
        let holds = counts.accepted == 0 && counts.refused > 0 && counts.unread == 0;
        self.verdict.claim(KILL_TITLE, holds, "every: the other nodes refused writes and answered reads");
        self.stage.wait_until("the node to be back", ALL, &[true; 3])?;
        self.stage.report.say("every node has noticed");
        self.stage.show(Phase::Returning, &[ALL]);
        Ok(())
    }

    fn cut(&mut self, before: Option<&str>) -> Result<()> {
        let sides = [LARGE, SMALL].map(|side| side.iter().map(|node| names(&[*node])).collect()).to_vec();
        self.stage.order(Phase::Cutting, &Order::Cut { sides })?;
        let began = Instant::now();
        self.stage.wait_until("the large side to notice", LARGE, &[true, true, false])?;
        self.stage.wait_until("the small side to notice", SMALL, &[false, false, true])?;
        self.stage.show(Phase::Cutting, &[LARGE, SMALL]);
        self.stage
            .report
            .say(&format!("every node has noticed, after {:.1} s", began.elapsed().as_secs_f64()));
        self.stage.shared.set_phase(Phase::Cut);
        for (side, node) in [(LARGE, 0), (SMALL, 2)] {
            self.stage.put(node, Choice::Always, MEETING, &names(side), before)?;
        }
        self.stage.wait(CUT)
    }

    fn heal(&mut self) -> Result<()> {
        self.stage.order(Phase::Healing, &Order::Heal {})?;
        self.stage.show(Phase::Cut, &[LARGE, SMALL]);
        self.claim_of_the_cut();
        self.stage.wait_until("all nodes to reach each other", ALL, &[true; 3])?;
        self.stage.shared.set_phase(Phase::Healed);
        self.stage.report.say("every node has noticed");
        self.stage.show(Phase::Healing, &[LARGE, SMALL]);
        let met = checks::from_all(&self.stage.doors[0], Choice::Always, MEETING);
        let mut values = met.map(|read| read.values).unwrap_or_default();
        values.sort();
        let holds = values == [names(LARGE), names(SMALL)];
        self.verdict.claim(
            title(Choice::Always),
            holds,
            format!("what both sides wrote to one key met at the heal, as siblings: {values:?}"),
        );
        self.stage.wait(HEALED)?;
        self.stage.show(Phase::Healed, &[ALL]);
        Ok(())
    }

    fn claim_of_the_cut(&mut self) {
        let shared = Arc::clone(&self.stage.shared);
        let tally = shared.tally();
        let accepts = |choice, nodes| {
            let counts = tally.within(Phase::Cut, choice, nodes);
            counts.accepted > 0 && counts.refused + counts.unknown + counts.unanswered == 0
        };
        let refuses = |choice, node| {
            let counts = tally.within(Phase::Cut, choice, &[node]);
            counts.accepted == 0 && counts.refused > 0
        };
        let (always, every, majority) = (Choice::Always, Choice::Every, Choice::Majority);
        let both = accepts(always, LARGE) && accepts(always, SMALL);
        self.verdict.claim(title(always), both, "both sides accepted every write");
        let seen = tally.seen(Phase::Cut, always, SMALL);
        let (stale, age) = (seen.stale, seen.stalest.as_secs_f64());
        let text = format!("stale reads were seen: {stale} at {}, the oldest {age:.1} s old", names(SMALL));
        self.verdict.claim(title(always), stale > 0, text);
        let none = ALL.iter().all(|node| refuses(every, *node));
        self.verdict.claim(title(every), none, "every node, on either side, refused every write");
        let small = SMALL.iter().all(|node| refuses(majority, *node));
        self.verdict.claim(title(majority), accepts(majority, LARGE), "the large side accepted every write");
        self.verdict.claim(title(majority), small, "the small side refused every write");
    }

    /// What is left in the end; first of all whether it is all there, read from every replica before anything mends them.
    fn end(mut self) -> Result<bool> {
        self.stage
            .report
            .say("the clients have stopped; every acknowledged write is read, from all replicas");
        let (mut count, mut lost, mut unread) = (0, Vec::new(), Vec::new());
        for choice in Choice::ALL {
            let keys = self.stage.shared.acknowledged(choice);
            count += keys.len();
            let missing = checks::missing(&self.stage.addresses, choice, &keys);
            lost.extend(missing.lost.iter().map(|key| named(choice, key)));
            unread.extend(missing.unread.iter().map(|key| named(choice, key)));
            let counted = self.stage.shared.counted(choice);
            let found = checks::from_all(&self.stage.doors[0], choice, COUNTER).map(|read| count_of(&read));
            match found {
                None => unread.push(named(choice, COUNTER)),
                Some(found) if found < counted => {
                    lost.push(format!("{} at {found}, not {counted}", named(choice, COUNTER)));
                }
                Some(_) => {}
            }
            if choice.is_strict() {
                let stale = self.stage.shared.tally().stale_reads(choice);
                let text = format!("no read was stale at any time, of {} keys and a counter", keys.len());
                self.verdict.claim(title(choice), stale == 0, text);
            }
        }
        for door in &self.stage.doors {
            door.repair()?;
        }
        let mut unequal = Vec::new();
        for choice in Choice::ALL {
            let mut keys = self.stage.shared.acknowledged(choice);
            // What no replica has is told already.
            keys.retain(|key| !lost.contains(&named(choice, key)));
            keys.push(COUNTER.to_owned());
            if choice == Choice::Always {
                keys.push(MEETING.to_owned());
            }
            unequal.extend(checks::unequal(&self.stage.addresses, choice, &keys, EQUAL_MAX));
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
        self.stage.report.say("done");
        self.verdict.print();
        println!("\nacknowledged writes lost: {}, of {count}{}", lost.len(), but(&lost));
        Ok(lost.is_empty() && count > 0 && self.verdict.holds())
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
