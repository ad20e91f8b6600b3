//! Disks that are lost, rolled back, or replaced by a copy, and nodes that notice.
//!
//! What must hold: nothing that was acknowledged is only where it is lost. More losses at a time than a keyspace's W allows
//! for would lose writes by right; so a disk is touched only while everybody runs and holds the same as everybody else.

use std::path::Path;

use env::disk::{CrashMode, Image};
use node::{LIVES_FILE, Lives};

use wire::Hello;

use super::World;
use crate::agreement;
use crate::host::{DATA_DIR, Host};
use crate::network::Place;

/// What becomes of a disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loss {
    /// It is empty.
    Wiped,
    /// All of it is as it was at an earlier time.
    RolledBack,
    /// Its files are copies of what they were at an earlier time.
    Copied,
}

/// A disk as it was at some time.
#[derive(Clone, Debug)]
pub(super) struct Earlier {
    image: Image,
    /// How its node introduced itself then.
    run: Hello,
}

impl World {
    /// A machine stops, and starts again on another disk. False where that would be too much, or there is no earlier time that
    /// its peers would know it by: then the present is remembered for the next time.
    pub fn lose_disk(&mut self, place: Place, loss: Loss) -> bool {
        let earlier = self.images[place].clone();
        if loss != Loss::Wiped && earlier.as_ref().is_none_or(|earlier| !self.is_noticed(place, &earlier.run))
        {
            self.images[place].get_or_insert_with(|| Earlier {
                image: self.hosts[place].disk.image(),
                run: self.hosts[place].shards[0].shard.hello(),
            });
            return false;
        }
        if !self.can_lose_a_disk() || !self.others_keep_the_state(place) {
            return false;
        }
        let image = earlier.filter(|_| loss != Loss::Wiped).map(|earlier| earlier.image).unwrap_or_default();
        self.images[place] = None;
        self.crash(place, CrashMode::LoseUnsynced, &format!("its disk is {loss:?}"));
        self.hosts[place].disk.put_back(&image, loss == Loss::Copied);
        self.relapsed[place] = loss == Loss::RolledBack;
        self.witness.forget(self.hosts[place].id);
        self.start_later(place);
        true
    }

    /// Whether all others would notice that a node comes back as it was at an earlier time, also after a power cut.
    fn is_noticed(&self, place: Place, earlier: &Hello) -> bool {
        // However often it was started before it met anybody.
        let next = Hello { first_stint: u32::MAX, run: 0, ..earlier.clone() };
        let path = Path::new(DATA_DIR).join(LIVES_FILE);
        let mut others = (0..self.hosts().len()).filter(|other| *other != place);
        others.all(|other| {
            let file = self.hosts[other].disk.read_durable(&path).unwrap_or_default();
            Lives::would_supersede(&file, &next)
        })
    }

    /// Whether everybody runs, lacks nothing, and holds the same as everybody else, on disks that keep what they are given.
    pub(super) fn can_lose_a_disk(&self) -> bool {
        self.is_whole()
            && !self.hosts.iter().any(|host| host.ailments.syncs_fail)
            && self.relapsed.iter().all(|relapsed| !relapsed)
            && agreement::hints(self) == 0
            && agreement::disagreements(self).is_empty()
    }

    /// Whether those who keep the cluster state can go on without what this machine has of it. Where a single one keeps it, changes
    /// that nobody else has heard of are lost with its disk by right.
    fn others_keep_the_state(&self, place: Place) -> bool {
        if !self.scenario.changes {
            return true;
        }
        let governed = |host: &Host| host.shards.first().and_then(|running| running.shard.governed());
        let leads = |host: &&Host| governed(host).is_some_and(|shown| shown.keepers.leader == Some(host.id));
        let Some(voters) = self.hosts.iter().filter(|host| host.is_up()).find(leads).and_then(governed)
        else {
            return false;
        };
        let voters = voters.keepers.voters;
        let others =
            self.hosts.iter().enumerate().filter(|(at, host)| *at != place && voters.contains(&host.id));
        let able = others.filter(|(_, host)| governed(host).is_some_and(|shown| shown.has_log)).count();
        able * 2 > voters.len()
    }

    /// Whether a node lacks something, or will as soon as its peers have told it that it was rolled back.
    pub fn is_catching_up(&self, place: Place) -> bool {
        self.relapsed[place] || self.hosts[place].lacks_something()
    }

    /// A node gives up the life of its data directory, because a peer has seen a later one.
    pub(super) fn renounces(&mut self, place: Place, why: &str) {
        if self.clone_place() == Some(place) {
            return self.clone_renounces(why);
        }
        if self.had_to_give_way(place) {
            self.witness.begins_anew(self.hosts[place].id);
        } else if !std::mem::take(&mut self.relapsed[place]) {
            let what = format!("{}: {why}", self.hosts[place].name);
            return self.violated("no life is given up without a cause (E7)", what);
        }
        let renounced = self.hosts[place].shards.first().map(|running| running.shard.renounce());
        if let Some(Err(error)) = renounced {
            self.trace.line(self.now, &self.hosts[place].name, format_args!("! could not renounce: {error}"));
            self.relapsed[place] = true;
        }
        self.crash(place, CrashMode::KeepAll, &format!("it begins a new life: {why}"));
        self.start_later(place);
    }
}
