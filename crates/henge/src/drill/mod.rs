//! `henge dev drill`: half a minute in which a ring loses a node and is cut in two, watched by clients of three keyspaces, one
//! for each choice of the CAP theorem.
//!
//! It starts a ring of its own, in a directory of its own that is removed at the end, lets clients write and read all the
//! while, kills a node, starts it again, cuts the network, heals it, and then says what clients saw and whether that is what
//! each keyspace promises. [`ring`] is the cluster, [`load`] the clients, [`stage`] where they meet, [`script`] what happens and [`checks`] what is
//! looked at in the end. What must hold: an acknowledged write that is gone makes the drill fail, and so does a claim that
//! was not seen to hold.

mod checks;
mod counter;
mod door;
mod load;
mod report;
mod ring;
mod script;
mod stage;
mod tally;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};

use self::script::Script;
use self::stage::Stage;
use crate::lab::Lab;
use crate::{server, signals};

/// Runs the drill.
pub(crate) fn run() -> Result<ExitCode> {
    server::start_logging("off");
    let interrupted = listen_for_interrupts()?;
    let scratch = Scratch::new()?;
    let configs = ring::configs(&scratch.0)?;
    let addresses = configs.iter().map(|config| config.listen.http.context("every node here serves HTTP"));
    let addresses = addresses.collect::<Result<Vec<_>>>()?;
    let mut lab = Lab::start(configs.into_iter().map(Ok))?;
    let verdict = Script::new(Stage::new(&mut lab, addresses, interrupted)).run();
    lab.stop();
    Ok(if verdict? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Set when somebody wants the drill to end.
fn listen_for_interrupts() -> Result<Arc<AtomicBool>> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let set = Arc::clone(&interrupted);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(signals::asked_to_stop());
        set.store(true, Ordering::SeqCst);
    })?;
    Ok(interrupted)
}

/// A directory for the ring, gone with the drill.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Scratch> {
        let dir = std::env::temp_dir().join(format!("henge-drill-{}", std::process::id()));
        let made = |dir: &Path| std::fs::create_dir(dir);
        made(&dir).with_context(|| format!("cannot make {} for the drill", dir.display()))?;
        Ok(Scratch(dir))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
