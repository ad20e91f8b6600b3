//! Golden scripts of the exchange: what two owners say to each other in a round, as text that people read and review.
//!
//! A script says what happens, and below each line stands, indented, what comes of it: what is sent, and how a round ends.
//! `HENGE_ACCEPT=1 cargo test -p henge-replica --test golden` writes the files anew; the change is then reviewed as a diff.
//! Both owners are real: nothing of what they say is in the script.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a script that is wrong fails its test")]

mod stage;
#[path = "../support/mod.rs"]
mod support;
mod text;

use std::path::PathBuf;

use stage::Stage;

fn play(script: &str) -> String {
    let mut stage = Stage::default();
    let mut played = String::new();
    for line in script.lines().filter(|line| !line.starts_with("    ")) {
        played.push_str(line);
        played.push('\n');
        if !line.is_empty() && !line.starts_with('#') {
            println!("{line}");
            for came in stage.perform(line) {
                println!("    {came}");
                played.push_str("    ");
                played.push_str(came.trim_end());
                played.push('\n');
            }
        }
    }
    played
}

/// Every script in `testdata` plays as it is written there.
#[test]
fn owners_say_what_the_scripts_say() {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let accept = std::env::var_os("HENGE_ACCEPT").is_some();
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    let mut changed = Vec::new();
    for path in paths {
        println!("\n{}", path.display());
        let script = std::fs::read_to_string(&path).unwrap();
        let played = play(&script);
        if played == script {
            continue;
        }
        if accept {
            std::fs::write(&path, played).unwrap();
        } else {
            let mut lines = script.lines().zip(played.lines()).enumerate();
            let first = lines.find(|(_, (was, is))| was != is);
            let at = first.map_or_else(
                || "its length differs".to_owned(),
                |(number, (was, is))| format!("line {}:\n  was {was}\n  is  {is}", number + 1),
            );
            changed.push(format!("{}: {at}", path.display()));
        }
    }
    assert!(changed.is_empty(), "HENGE_ACCEPT=1 accepts this:\n{}", changed.join("\n"));
}
