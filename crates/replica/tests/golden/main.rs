//! Golden scripts of the exchange: what two owners say to each other in a round, and how it ends.
//!
//! `HENGE_ACCEPT=1 cargo test -p henge-replica --test golden` writes the files anew. Both owners are real: nothing of what they
//! say is in the script.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a script that is wrong fails its test")]

mod stage;
#[path = "../support/mod.rs"]
mod support;
mod text;

use std::path::Path;

use stage::Stage;

/// Every script in `testdata` plays as it is written there.
#[test]
fn owners_say_what_the_scripts_say() {
    golden::check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata"), || {
        let mut stage = Stage::default();
        move |line: &str| stage.perform(line)
    });
}
