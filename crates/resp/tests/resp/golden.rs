//! Golden scripts: commands and their exact replies, in `testdata/`.
//!
//! ```text
//! # Why this block is here.
//! SET k v
//! GET k
//! ---
//! +OK
//! $1
//! v
//! ```
//!
//! Lines before `---` are what a client sends, as inline words put into an array; all of one block are one read, and all
//! replies to it are sent before the next. `b> GET k` is another connection. `!advance MILLIS`, `!cluster` (a connection
//! to the cluster listener) and `!raw BYTES` direct the test. Replies are shown line by line, with what is not printable
//! escaped. `GOLDEN_ACCEPT=1 cargo test` writes down what comes now; read the difference before you commit it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use resp::{Clients, ListenerKind};

use crate::support::connection::array;
use crate::support::{Connection, FakeStore};

#[test]
fn scripts_are_answered_as_written_down() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let mut scripts: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    scripts.sort();
    assert!(scripts.len() >= 8, "the scripts are where they should be");
    let failures: Vec<String> = scripts.iter().filter_map(|script| check(script)).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn check(script: &Path) -> Option<String> {
    let written = fs::read_to_string(script).unwrap();
    let now = replay(&written);
    if written == now {
        return None;
    }
    if std::env::var_os("GOLDEN_ACCEPT").is_some() {
        fs::write(script, now).unwrap();
        return None;
    }
    let line = written.lines().zip(now.lines()).position(|(a, b)| a != b);
    let at = line.unwrap_or_else(|| written.lines().count().min(now.lines().count()));
    let (was, is) = (written.lines().nth(at).unwrap_or("(end)"), now.lines().nth(at).unwrap_or("(end)"));
    Some(format!("{}:{}\n  written: {was}\n  now:     {is}", script.display(), at + 1))
}

struct Stage {
    store: FakeStore,
    clients: Rc<Clients>,
    kind: ListenerKind,
    connections: BTreeMap<String, Connection>,
}

/// The script with the replies of now.
fn replay(script: &str) -> String {
    let mut stage = Stage {
        store: FakeStore::new(),
        clients: Rc::default(),
        kind: ListenerKind::OneStore,
        connections: BTreeMap::new(),
    };
    let blocks: Vec<String> = script.split("\n\n").map(|block| stage.block(block)).collect();
    let mut text = blocks.join("\n\n").trim_end().to_owned();
    text.push('\n');
    text
}

impl Stage {
    fn block(&mut self, block: &str) -> String {
        let mut shown = String::new();
        let mut reads: Vec<(String, Vec<u8>)> = Vec::new();
        for line in block.lines().take_while(|line| *line != "---") {
            let _ = writeln!(shown, "{line}");
            self.line(line, &mut reads);
        }
        if reads.is_empty() {
            return shown.trim_end().to_owned();
        }
        shown.push_str("---");
        let names_shown = reads.len() > 1;
        for (name, bytes) in reads {
            if names_shown {
                let _ = write!(shown, "\n{name}<");
            }
            let (store, clients, kind) = (&self.store, &self.clients, self.kind);
            let connection =
                self.connections.entry(name).or_insert_with(|| Connection::new(store, clients, kind));
            connection.receive(&bytes);
            shown.push_str(&lines(&connection.send()));
            if connection.session.is_over() {
                shown.push_str("\n(closed)");
            }
        }
        shown
    }

    fn line(&mut self, line: &str, reads: &mut Vec<(String, Vec<u8>)>) {
        if line.starts_with('#') {
            return;
        }
        if let Some(millis) = line.strip_prefix("!advance ") {
            return self.store.advance(millis.parse().unwrap());
        }
        if line == "!cluster" {
            self.kind = ListenerKind::RedisCluster;
            return;
        }
        let (name, command) = line.split_once("> ").unwrap_or(("a", line));
        let bytes = match command.strip_prefix("!raw ") {
            Some(raw) => resp::frame::inline::split(format!("\"{raw}\"").as_bytes()).unwrap().concat(),
            None => array(command),
        };
        match reads.last_mut() {
            Some((last, read)) if last == name => read.extend(bytes),
            _ => reads.push((name.to_owned(), bytes)),
        }
    }
}

/// One line for each line of the protocol, so that a reply with a line break in it is seen to have one.
fn lines(reply: &str) -> String {
    let escape = |line: &str| {
        let escaped =
            line.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() });
        escaped.collect::<String>()
    };
    reply.split_terminator("\r\n").fold(String::new(), |mut text, line| {
        // An empty line would end the block.
        let _ = write!(text, "\n{}", if line.is_empty() { "(empty)".to_owned() } else { escape(line) });
        text
    })
}
