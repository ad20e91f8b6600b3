//! Disks that are lost, rolled back, or replaced by a copy, and nodes that notice.
//!
//! What must hold: nothing that was acknowledged is only where it is lost. More losses at a time than a keyspace's W allows
//! for would lose writes by right; so a disk is touched only while everybody runs and holds the same as everybody else.

use env::disk::{CrashMode, Image};

use super::World;
use crate::agreement;
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

impl World {
    /// A machine stops, and starts again on another disk. False where that would be too much, or there is no earlier time: then
    /// the present is remembered for the next time.
    pub fn lose_disk(&mut self, place: Place, loss: Loss) -> bool {
        if !self.can_lose_a_disk() {
            return false;
        }
        let image = match (loss, self.images[place].take()) {
            (Loss::Wiped, _) => Image::default(),
            (_, Some(image)) => image,
            (_, None) => {
                self.images[place] = Some(self.hosts[place].disk.image());
                return false;
            }
        };
        self.crash(place, CrashMode::LoseUnsynced, &format!("its disk is {loss:?}"));
        self.hosts[place].disk.put_back(&image, loss == Loss::Copied);
        self.relapsed[place] = loss == Loss::RolledBack;
        self.witness.forget(self.hosts[place].id);
        self.start_later(place);
        true
    }

    /// Whether everybody runs, lacks nothing, and holds the same as everybody else.
    fn can_lose_a_disk(&self) -> bool {
        self.is_whole()
            && self.relapsed.iter().all(|relapsed| !relapsed)
            && agreement::hints(self) == 0
            && agreement::disagreements(self).is_empty()
    }

    /// A node gives up the life of its data directory, because a peer has seen a later one.
    pub(super) fn renounces(&mut self, place: Place, why: &str) {
        if !std::mem::take(&mut self.relapsed[place]) {
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
