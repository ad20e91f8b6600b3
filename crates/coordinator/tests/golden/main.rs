//! Golden scripts of the coordinator: what it wants done as a client asks, an owner answers, a connection breaks, time goes by.
//!
//! `HENGE_ACCEPT=1 cargo test -p henge-coordinator --test golden` writes the files anew. The owners are the script: none of them runs.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a script that is wrong fails its test")]

mod script;
mod text;

use std::path::Path;

use script::Stage;

/// Every script in `testdata` plays as it is written there.
#[test]
fn the_coordinator_does_what_its_scripts_say() {
    golden::check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata"), || {
        let mut stage = Stage::default();
        move |line: &str| stage.perform(line)
    });
}
