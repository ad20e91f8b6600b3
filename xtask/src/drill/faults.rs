//! What happens to the nodes of a drill, one thing after the other.
//!
//! What must hold: what is promised to survive, and no more, is done. As many nodes as one likes may be killed or held still; but a
//! disk is only wiped or damaged while every other owner has all of it, so a drill waits for that before.

use std::fmt;
use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use env::Rng;

use super::damage::{self, Kind};
use super::load::Shared;
use super::ring::{Ring, Started};
use super::whole::{self, Meanwhile};

/// How long a node is held still, or not heard.
const HELD: Duration = Duration::from_secs(10);

/// A while in which nothing is done, so that what comes next strikes nodes that are at work.
const CALM: Duration = Duration::from_millis(1500);

/// Something that is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    /// `kill -9` of one node, which is started again.
    Kill,
    /// Of two.
    KillTwo,
    /// Of all at once.
    KillAll,
    /// One is held still for ten seconds.
    Pause,
    /// One is killed, and its directory emptied.
    Wipe,
    /// One is killed, and its directory replaced by what it was some time ago.
    Restore,
    /// One is killed, and a bit flipped in one of its files.
    Flip(Kind),
    /// For ten seconds nothing comes from one node to another, though the other direction goes on.
    OneWay,
}

impl Fault {
    /// All of them, or all that this network can do.
    pub(super) fn all(with_one_way: bool) -> Vec<Fault> {
        let mut all =
            vec![Fault::Kill, Fault::KillTwo, Fault::KillAll, Fault::Pause, Fault::Wipe, Fault::Restore];
        all.extend(
            [
                Kind::Log,
                Kind::Table,
                Kind::Manifest,
                Kind::Current,
                Kind::Identity,
                Kind::Division,
                Kind::Lives,
            ]
            .map(Fault::Flip),
        );
        if with_one_way {
            all.push(Fault::OneWay);
        }
        all
    }

    /// What clients see meanwhile is counted under this name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Fault::Kill => "kill -9",
            Fault::KillTwo => "kill -9 of two",
            Fault::KillAll => "kill -9 of all",
            Fault::Pause => "SIGSTOP",
            Fault::Wipe => "wiped",
            Fault::Restore => "put back to before",
            Fault::Flip(Kind::Log) => "damaged log",
            Fault::Flip(Kind::Table) => "damaged table",
            Fault::Flip(Kind::Manifest) => "damaged manifest",
            Fault::Flip(Kind::Current) => "damaged CURRENT",
            Fault::Flip(Kind::Identity) => "damaged identity",
            Fault::Flip(Kind::Division) => "damaged division",
            Fault::Flip(Kind::Lives) => "damaged lives",
            Fault::OneWay => "one-way loss",
        }
    }

    /// Whether a copy of what is stored goes.
    fn takes_a_copy(self) -> bool {
        matches!(self, Fault::Wipe | Fault::Restore | Fault::Flip(_))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Does things to the nodes, and says so.
pub(super) struct Striker<'a> {
    pub(super) ring: &'a mut Ring,
    pub(super) shared: &'a Shared,
    pub(super) rng: Rng,
    pub(super) began: Instant,
}

impl Striker<'_> {
    fn say(&self, words: &str) {
        println!("{:>7.1} s  {words}", self.began.elapsed().as_secs_f64());
    }

    /// Does one thing, and gives whether it could be done.
    pub(super) fn strike(&mut self, fault: Fault) -> Result<bool> {
        self.shared.set_part("calm", &[]);
        sleep(CALM);
        // A kill as well: what it costs clients of the others is counted, of a ring that lacks nothing else.
        if fault.takes_a_copy() || fault == Fault::Kill {
            let took = whole::wait(self.ring, Meanwhile::Writes)?;
            self.say(&format!("every owner has all, after {:.1} s", took.as_secs_f64()));
        }
        let mut nodes: Vec<usize> = (0..self.ring.nodes()).collect();
        self.rng.shuffle(&mut nodes);
        let is_done = match fault {
            Fault::Kill => self.kill(fault, &nodes[..1]).map(|()| true),
            Fault::KillTwo => self.kill(fault, &nodes[..2]).map(|()| true),
            Fault::KillAll => self.kill(fault, &nodes).map(|()| true),
            Fault::Pause => self.pause(nodes[0]).map(|()| true),
            Fault::Wipe => self.wipe(nodes[0]).map(|()| true),
            Fault::Restore => self.restore(nodes[0]).map(|()| true),
            Fault::Flip(kind) => self.flip(fault, kind, &nodes),
            Fault::OneWay => self.one_way(nodes[0], nodes[1]).map(|()| true),
        };
        self.shared.set_part("calm", &[]);
        match self.ring.fallen()? {
            Some(said) => bail!("{said}"),
            None => is_done.with_context(|| format!("while: {fault}")),
        }
    }

    fn kill(&mut self, fault: Fault, nodes: &[usize]) -> Result<()> {
        self.shared.set_part(fault.name(), nodes);
        for &node in nodes {
            self.ring.kill(node)?;
        }
        let away = Duration::from_millis(self.rng.below(3000));
        self.say(&format!("{} killed, for {:.1} s", names(nodes), away.as_secs_f64()));
        sleep(away);
        for &node in nodes {
            self.ring.must_start(node)?;
        }
        self.say(&format!("{} back", names(nodes)));
        Ok(())
    }

    fn pause(&mut self, node: usize) -> Result<()> {
        self.shared.set_part(Fault::Pause.name(), &[node]);
        self.ring.signal(node, "STOP")?;
        self.say(&format!("{} held still", names(&[node])));
        sleep(HELD);
        self.ring.signal(node, "CONT")?;
        self.say(&format!("{} goes on", names(&[node])));
        Ok(())
    }

    fn wipe(&mut self, node: usize) -> Result<()> {
        self.shared.set_part(Fault::Wipe.name(), &[node]);
        self.ring.kill(node)?;
        fs::remove_dir_all(self.ring.data(node))?;
        self.say(&format!("{} killed, its directory emptied", names(&[node])));
        self.ring.must_start(node)?;
        self.say(&format!("{} back", names(&[node])));
        Ok(())
    }

    fn restore(&mut self, node: usize) -> Result<()> {
        self.shared.set_part(Fault::Restore.name(), &[node]);
        let (data, copy) = (self.ring.data(node), self.ring.data(node).with_extension("before"));
        self.ring.kill(node)?;
        copy_directory(&data, &copy)?;
        self.ring.must_start(node)?;
        sleep(Duration::from_secs(2));
        // What was written since is on the other owners too, before it is taken from this one.
        self.shared.set_part("calm", &[]);
        whole::wait(self.ring, Meanwhile::Writes)?;
        self.shared.set_part(Fault::Restore.name(), &[node]);
        self.ring.kill(node)?;
        fs::remove_dir_all(&data)?;
        fs::rename(&copy, &data)?;
        self.say(&format!("{} killed, its directory put back to what it was", names(&[node])));
        self.ring.must_start(node)?;
        self.say(&format!("{} back", names(&[node])));
        Ok(())
    }

    /// Flips a bit at the first of these nodes that has such a file.
    fn flip(&mut self, fault: Fault, kind: Kind, nodes: &[usize]) -> Result<bool> {
        for &node in nodes {
            self.shared.set_part(fault.name(), &[node]);
            self.ring.kill(node)?;
            let Some((path, at)) = damage::flip(&self.ring.data(node), kind, &mut self.rng)? else {
                self.ring.must_start(node)?;
                continue;
            };
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            self.say(&format!("{} killed, a bit of {name} flipped at byte {at}", names(&[node])));
            match self.ring.start(node)? {
                Started::Serves => self.say(&format!("{} back", names(&[node]))),
                Started::Refused(said) if !kind.is_healed() && said.contains(&name) => {
                    self.say(&format!(
                        "{} refuses, and names the file; its directory is emptied",
                        names(&[node])
                    ));
                    fs::remove_dir_all(self.ring.data(node))?;
                    self.ring.must_start(node)?;
                    self.say(&format!("{} back", names(&[node])));
                }
                Started::Refused(said) => bail!("n{} does not start: {said}", node + 1),
            }
            return Ok(true);
        }
        self.say(&format!("{fault}: no node has such a file yet"));
        Ok(false)
    }

    fn one_way(&mut self, from: usize, to: usize) -> Result<()> {
        self.shared.set_part(Fault::OneWay.name(), &[from, to]);
        self.ring.net.cut(from, to)?;
        self.say(&format!("nothing comes from n{} to n{}; the other direction goes on", from + 1, to + 1));
        sleep(HELD);
        self.ring.net.heal(from, to)?;
        self.say(&format!("n{} is heard again by n{}", from + 1, to + 1));
        Ok(())
    }
}

fn names(nodes: &[usize]) -> String {
    let each: Vec<String> = nodes.iter().map(|node| format!("n{}", node + 1)).collect();
    each.join(", ")
}

/// Copies files and directories; nodes keep nothing else.
fn copy_directory(from: &std::path::Path, to: &std::path::Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let (path, target) = {
            let entry = entry?;
            (entry.path(), to.join(entry.file_name()))
        };
        if path.is_dir() {
            copy_directory(&path, &target)?;
        } else {
            fs::copy(&path, &target)?;
        }
    }
    Ok(())
}
