//! Golden scripts of decisions: a cluster as the script has it, and what is decided on it, in words.
//!
//! `HENGE_ACCEPT=1 cargo test -p henge-autoscale --test golden` writes the files anew.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a script that is wrong fails its test")]

mod stage;

use std::path::Path;

use stage::Stage;

/// Every script in `testdata` plays as it is written there.
#[test]
fn it_decides_what_the_scripts_say() {
    golden::check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata"), || {
        let mut stage = Stage::default();
        move |line: &str| stage.perform(line)
    });
}
