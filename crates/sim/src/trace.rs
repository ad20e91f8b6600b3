//! One line per event: when, where, what. Always hashed, so that two runs can be compared; kept only when asked.

use std::fmt::{Arguments, Write as _};

use types::Instant;

/// What the columns and words of a trace mean.
pub const LEGEND: &str = "\
# time (s)    where  what
#   ->  sent over a connection   -|  there was none   <-  taken from one
#   !   a fault   ?  a client asks   =  a client is told
#   op/round of the coordinator named; p partition; ks keyspace
";

/// Where lines go as they are written.
#[derive(Debug)]
pub struct Trace {
    hash: u64,
    lines: u64,
    print: bool,
    line: String,
}

impl Trace {
    /// A trace that is printed as it is written, or only hashed.
    pub fn new(print: bool) -> Trace {
        if print {
            print!("{LEGEND}");
        }
        Trace { hash: 0xcbf2_9ce4_8422_2325, lines: 0, print, line: String::new() }
    }

    /// Writes a line.
    pub fn line(&mut self, at: Instant, place: &str, what: Arguments<'_>) {
        self.line.clear();
        let (seconds, micros) = (at.0 / 1_000_000_000, at.0 / 1000 % 1_000_000);
        // Writing to a string cannot fail.
        let _ = writeln!(self.line, "{seconds:>4}.{micros:06}  {place:<5}  {what}");
        self.lines += 1;
        self.hash = xxhash_rust::xxh3::xxh3_64_with_seed(self.line.as_bytes(), self.hash);
        if self.print {
            print!("{}", self.line);
        }
    }

    /// What all lines come to; equal runs have equal hashes.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// How many lines were written.
    pub fn lines(&self) -> u64 {
        self.lines
    }
}
