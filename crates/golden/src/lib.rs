//! Golden scripts: what a state machine does, step by step, as text that people read and review. For tests alone.
//!
//! A script says what happens, one thing a line, and below each line stands, indented by four spaces, what comes of it. Empty lines
//! and those that begin with `#` are for the reader. With `HENGE_ACCEPT=1` in the environment the files are written anew, and the
//! change is then reviewed as a diff.

use std::fmt::Write;
use std::path::{Path, PathBuf};

/// By what a consequence is told from what happens.
const INDENT: &str = "    ";

/// Set in the environment, what comes of the scripts is written into them.
const ACCEPT: &str = "HENGE_ACCEPT";

/// Plays each script of a directory on a stage of its own, which is told each line and lists what comes of it.
///
/// # Panics
/// If something else comes of a script than what stands in it, with the first line that differs; and if there are no scripts, or one cannot
/// be read or written.
pub fn check<Stage: FnMut(&str) -> Vec<String>>(dir: &Path, stage: impl Fn() -> Stage) {
    let accept = std::env::var_os(ACCEPT).is_some();
    let mut differ = Vec::new();
    for path in scripts(dir) {
        // Shown where a script goes wrong.
        println!("\n{}", path.display());
        let script =
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let played = play(&script, stage());
        if played == script {
            continue;
        }
        if accept {
            std::fs::write(&path, played).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        } else {
            differ.push(format!("{}: {}", path.display(), first_difference(&script, &played)));
        }
    }
    assert!(differ.is_empty(), "{ACCEPT}=1 accepts this:\n{}", differ.join("\n"));
}

fn scripts(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} has no scripts", dir.display());
    paths
}

/// A script as it would be if what comes of it were right.
fn play(script: &str, mut stage: impl FnMut(&str) -> Vec<String>) -> String {
    let mut played = String::new();
    for line in script.lines().filter(|line| !line.starts_with(INDENT)) {
        let _ = writeln!(played, "{line}");
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        println!("{line}");
        for came in stage(line) {
            println!("{INDENT}{came}");
            let _ = writeln!(played, "{INDENT}{}", came.trim_end());
        }
    }
    played
}

fn first_difference(was: &str, is: &str) -> String {
    let mut lines = was.lines().zip(is.lines()).enumerate();
    lines.find(|(_, (was, is))| was != is).map_or_else(
        || "its length differs".to_owned(),
        |(number, (was, is))| format!("line {}:\n  was {was}\n  is  {is}", number + 1),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What stood below a line is not taken for granted, and what is for the reader is kept.
    #[test]
    fn a_script_is_played_and_its_consequences_are_written_anew() {
        let script = "# two things\n\nring\n    a wrong bell\nknock\n";
        let played =
            play(script, |line| if line == "ring" { vec!["a bell ".to_owned()] } else { Vec::new() });
        assert_eq!(played, "# two things\n\nring\n    a bell\nknock\n");
        assert_eq!(first_difference(script, &played), "line 4:\n  was     a wrong bell\n  is      a bell");
    }
}
