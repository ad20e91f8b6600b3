//! Waiting until every node has again all that it owns.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::ring::Ring;

/// Far beyond what it takes.
const PATIENCE: Duration = Duration::from_secs(240);

const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Whether clients are writing meanwhile, so that owners differ all the time by what is just under way.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Meanwhile {
    Writes,
    Nothing,
}

/// Waits until all see all, nothing is missing, no hint waits, and a comparison of everything that began now has ended and,
/// where nobody writes, left no difference.
pub(super) fn wait(ring: &mut Ring, meanwhile: Meanwhile) -> Result<Duration> {
    let began = Instant::now();
    until(ring, began, &|ring| lacking(ring, &["missing_partitions", "hints_waiting"]))?;
    for node in 0..ring.nodes() {
        ring.door(node).repair()?;
    }
    let mut names = vec!["missing_partitions", "exchange_hurried_pairs", "exchange_uncompared_pairs"];
    if meanwhile == Meanwhile::Nothing {
        names.extend(["hints_waiting", "exchange_differing_keys", "exchange_stuck_pairs", "trees_unbuilt"]);
    }
    until(ring, began, &|ring| lacking(ring, &names))?;
    Ok(began.elapsed())
}

fn until(ring: &mut Ring, began: Instant, lacks: &dyn Fn(&Ring) -> Result<Option<String>>) -> Result<()> {
    loop {
        if let Some(said) = ring.fallen()? {
            bail!("{said}");
        }
        // A node that does not answer may be busy; one that never does is said at the end.
        let lacking = lacks(ring).unwrap_or_else(|error| Some(format!("{error:#}")));
        let Some(lacking) = lacking else { return Ok(()) };
        if began.elapsed() > PATIENCE {
            bail!("not whole after {PATIENCE:?}: {lacking}");
        }
        sleep(LOOK_EVERY);
    }
}

/// What is not as it should be: who does not see whom, or which of these figures is not 0.
fn lacking(ring: &Ring, names: &[&str]) -> Result<Option<String>> {
    for node in 0..ring.nodes() {
        let door = ring.door(node);
        let seen = door.sees_up()?;
        if let Some(other) = seen.iter().position(|is_up| !is_up) {
            return Ok(Some(format!("n{} does not see n{}", node + 1, other + 1)));
        }
        let figures = door.figures()?;
        for name in names {
            let value = figures.get(name)?;
            if value != 0.0 {
                return Ok(Some(format!("n{}: henge_{name} is {value}", node + 1)));
            }
        }
    }
    Ok(None)
}
