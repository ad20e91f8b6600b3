//! Machines that ail and go on: slow in all that they do, with a disk that fails to sync, with one that is full.
//!
//! What must hold: a node stops by itself only where a sync has failed, and says so; one whose disk is full does not stop, and
//! takes values in again as soon as there is room (INVARIANTS A4, H4).

use env::disk::CrashMode;

use super::World;
use crate::host::Ailments;
use crate::network::Place;

impl World {
    /// All that a node does, and all that it sends or is sent, takes so many times as long, until the next heal.
    pub fn slow_node(&mut self, place: Place, factor: u32) {
        self.trace.line(self.now, &self.hosts[place].name, format_args!("! is {factor} times slower"));
        self.hosts[place].ailments.slower = Some(factor);
        self.network.make_slower(place, factor);
    }

    /// Every sync of a node fails, until the next heal or until it starts again.
    pub fn fail_syncs(&mut self, place: Place) {
        self.trace.line(self.now, &self.hosts[place].name, format_args!("! its syncs fail"));
        self.hosts[place].ailments.syncs_fail = true;
        self.hosts[place].doubts_its_disk = true;
        self.hosts[place].disk.fail_syncs(true);
    }

    /// A node's disk has so much room beside what the node keeps back, until the next heal. False if it is full already.
    pub fn fill_disk(&mut self, place: Place, room: u64) -> bool {
        let reserve = self.scenario.disk_reserve_bytes();
        let host = &mut self.hosts[place];
        if host.ailments.capacity.is_some() {
            return false;
        }
        host.ailments.capacity = Some(host.disk.used_bytes() + reserve + room);
        host.disk.set_capacity(host.ailments.capacity);
        self.trace.line(self.now, &host.name, format_args!("! its disk is full but for {room} bytes"));
        true
    }

    /// Whether any machine ails.
    pub fn ails(&self) -> bool {
        self.hosts.iter().any(|host| host.ailments != Ailments::default())
    }

    /// A node stops by itself.
    pub(super) fn stops(&mut self, place: Place, why: &str) {
        // One that failed before the last heal may be heard of only now.
        if !self.hosts[place].doubts_its_disk || !why.contains("sync") {
            let what = format!("{}: {why}", self.hosts[place].name);
            return self.violated("no node stops without a cause", what);
        }
        // Either only its process is started again, or somebody takes it for wise to begin with the machine.
        let mode = if self.rng.chance(1, 2) { CrashMode::KeepAll } else { CrashMode::LoseUnsynced };
        self.crash(place, mode, &format!("it stops by itself: {why}"));
        self.start_later(place);
    }

    pub(super) fn mend_syncs(&mut self, place: Place) {
        self.hosts[place].ailments.syncs_fail = false;
        self.hosts[place].disk.fail_syncs(false);
    }

    /// No machine ails any more.
    pub(super) fn relieve_all(&mut self) {
        for place in 0..self.hosts.len() {
            self.mend_syncs(place);
            self.hosts[place].disk.set_capacity(None);
            self.hosts[place].ailments = Ailments::default();
        }
    }
}
