//! Switching machines on and off, and pulling plugs.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cluster::ClusterState;
use env::SimDisk;
use env::disk::CrashMode;
use node::{NodeOptions, Wanted};

use super::damage::tables_of;
use super::{Event, World, random_skew};
use crate::host::DATA_DIR;
use crate::network::{LinkId, Place};
use crate::sabotage::Sabotage;

impl World {
    /// Switches a machine on. One that stops in the midst of its start is switched on again later.
    pub(super) fn start(&mut self, place: Place) {
        if self.hosts[place].is_up() || self.hosts[place].has_left {
            return;
        }
        self.put_identity_back(place);
        mend_reads(&self.hosts[place].disk);
        self.mend_syncs(place);
        self.hosts[place].doubts_its_disk = false;
        self.hosts[place].slow_until = self.now;
        let mut rng = self.rng.fork();
        let options = self.options_of(place);
        let first = self.first_of(place);
        let host = &mut self.hosts[place];
        let started = host.start(self.now, &first, options, &mut rng);
        if host.disk.is_down() {
            self.crash(place, CrashMode::KeepSome, "its start was cut short");
            self.start_later(place);
            return;
        }
        if let Err(node::OpenError::Removed { .. }) = started {
            return self.leaves(place, "it finds that it has left");
        }
        if let Err(error) = started {
            let what = format!("{} cannot start: {error}", self.hosts[place].name);
            self.violated("a node starts on what a crash left", what);
            return;
        }
        let shards = self.hosts[place].shards.len();
        self.trace.line(self.now, &self.hosts[place].name, format_args!("started, shards={shards}"));
        self.witness.verdicts.starts(self.now, self.hosts[place].id);
        self.check_promises(place);
        let others: Vec<Place> = (0..self.founded.members().len() + self.scenario.spares)
            .filter(|other| self.hosts[*other].id != self.hosts[place].id)
            .collect();
        self.network.start(self.now, place, &others, &mut self.queue);
        self.feed_nothing(place);
    }

    /// The node's settings at this start. Where the scenario asks for it, it is now and then divided otherwise than before.
    pub(super) fn options_of(&mut self, place: Place) -> NodeOptions {
        let drawn = &mut self.divisions[place];
        // To be divided otherwise takes as much room as there is data.
        if self.scenario.redivides && self.hosts[place].ailments.capacity.is_none() && self.rng.chance(1, 3) {
            *drawn = *self.rng.pick(&self.scenario.shards).unwrap_or(drawn);
        }
        NodeOptions { shards: Wanted::Exactly(*drawn), ..self.options.clone() }
    }

    /// A new node has work of its own to begin, such as a flush that a crash interrupted.
    fn feed_nothing(&mut self, place: Place) {
        for at in self.hosts[place].seats(place) {
            if let Some(running) = self.hosts[place].running(at.shard) {
                running.turn_due = true;
            }
            self.queue.put(self.now, Event::TurnEnd(at, self.hosts[place].life));
        }
    }

    /// What this node said it had stored, before it stopped, it must hold now (INVARIANTS A4).
    fn check_promises(&mut self, place: Place) {
        let host = &self.hosts[place];
        if self.clone_place() == Some(place) || self.damaged_place() == Some(place) && host.lacks_something()
        {
            // What a node cannot read it has told nobody that it still has, and a clone has promised nothing.
            return;
        }
        match host.contents() {
            Ok(contents) => {
                self.witness.started(host.id, &contents, &mut self.violations, self.now);
            }
            Err(_) if self.damaged_place() == Some(place) => {}
            Err(why) => self.violated("a store can be read after a crash", why),
        }
    }

    /// Stops a node; `mode` says what is left of what it had not synced. It will be started again after a while.
    pub fn pull_plug(&mut self, place: Place, mode: CrashMode) {
        if self.hosts[place].is_up() {
            self.crash(place, mode, "stopped");
            self.start_later(place);
        }
    }

    /// Stops a node, and its machine stays off until the next heal.
    pub fn switch_off(&mut self, place: Place, mode: CrashMode) {
        self.kept_off[place] = true;
        self.pull_plug(place, mode);
    }

    /// Switches on a machine that was switched off.
    pub fn switch_on(&mut self, place: Place) {
        self.kept_off[place] = false;
        self.start(place);
    }

    /// Heals all cuts. Machines that were switched off stay so.
    pub fn heal_but_keep_off(&mut self) {
        let kept_off = self.kept_off.clone();
        self.heal();
        self.kept_off = kept_off;
    }

    /// Ends a node in good order. It will be started again after a while.
    pub fn stop_cleanly(&mut self, place: Place) {
        // Who stands still does not hear that it is to stop.
        if !self.hosts[place].is_up() || self.is_still(place) {
            return;
        }
        for at in self.hosts[place].seats(place) {
            self.end_turn(at);
            if !self.hosts[place].is_up() {
                return;
            }
        }
        self.lose_clients(place);
        let mut rng = self.rng.fork();
        let closed = self.hosts[place].close(&mut rng);
        if self.hosts[place].disk.is_down() {
            self.crash(place, CrashMode::KeepSome, "stopped in the midst of its end");
        } else if let Err(error) = closed
            && !self.hosts[place].doubts_its_disk
        {
            self.violated("a node stops in good order", error.to_string());
        }
        self.trace.line(self.now, &self.hosts[place].name, format_args!("! stopped in good order"));
        self.network.stop(self.now, place, true, &mut self.queue);
        self.start_later(place);
    }

    /// The machine stops in the midst of the change to its disk that follows so many others.
    pub fn stop_in_midst(&mut self, place: Place, changes: u64) {
        self.hosts[place].disk.fail_after(changes);
    }

    /// Whether the machine has stopped in the midst of a change; then it is crashed here.
    pub(super) fn stop_if_down(&mut self, place: Place) -> bool {
        let down = self.hosts[place].is_up() && self.hosts[place].disk.is_down();
        if down {
            self.crash(place, CrashMode::KeepSome, "stopped in the midst of a change to its disk");
            self.start_later(place);
        }
        down
    }

    /// Gives a machine another skew of its wall clock.
    pub fn jump_clock(&mut self, place: Place, skew_ms_max: u64) {
        let skew = random_skew(&mut self.rng, skew_ms_max);
        self.hosts[place].clock.set_skew_ms(self.now, skew);
        self.trace.line(self.now, &self.hosts[place].name, format_args!("! its clock jumps to {skew} ms"));
    }

    /// Cuts the ways from these nodes to those, until all cuts heal.
    pub fn cut(&mut self, from: &[Place], to: &[Place]) {
        self.trace.line(self.now, "", format_args!("! cut from {from:?} to {to:?}"));
        self.network.cut(self.now, from, to, &mut self.queue);
    }

    /// Heals all cuts, nodes that stand still, and whatever machines ail of.
    pub fn heal(&mut self) {
        self.trace.line(self.now, "", format_args!("! heal"));
        self.between.heals();
        self.resume_all();
        let clone = self.clone_place().map(|place| (place, self.kept_off[place]));
        self.kept_off.fill(false);
        clone.into_iter().for_each(|(place, off)| self.kept_off[place] = off);
        self.network.heal(self.now, &mut self.queue);
        for host in &mut self.hosts {
            host.slow_disk = false;
            mend_reads(&host.disk);
        }
        self.relieve_all();
    }

    /// Whether anything is cut.
    pub fn has_cuts(&self) -> bool {
        self.network.has_cuts()
    }

    /// Breaks the connection that one node made with another. True if there was one.
    pub fn reset(&mut self, caller: Place, called: Place) -> bool {
        let (here, there) = (&self.hosts[caller].name, &self.hosts[called].name);
        self.trace.line(self.now, here, format_args!("! connection with {there} is reset"));
        self.network.reset(self.now, LinkId { caller, called }, &mut self.queue)
    }

    /// All that this node sends or is sent takes long, until the next heal.
    pub fn slow_network(&mut self, place: Place) {
        self.trace.line(self.now, &self.hosts[place].name, format_args!("! its network is slow"));
        self.network.slow_down(place);
    }

    /// Syncs take long, until the next heal.
    pub fn slow_disk(&mut self, place: Place) {
        self.trace.line(self.now, &self.hosts[place].name, format_args!("! its disk is slow"));
        self.hosts[place].slow_disk = true;
    }

    /// Reads of about half of a node's tables fail, until the next heal or until it starts again. False if it has none.
    pub fn fail_reads(&mut self, place: Place) -> bool {
        let mut tables = tables_of(&self.hosts[place].disk);
        self.rng.shuffle(&mut tables);
        tables.truncate(tables.len().div_ceil(2));
        let host = &self.hosts[place];
        self.trace.line(self.now, &host.name, format_args!("! reads of {} tables fail", tables.len()));
        tables.iter().for_each(|table| host.disk.fail_reads(table, true));
        !tables.is_empty()
    }

    /// Switches on all machines that are off, at once.
    pub fn start_all(&mut self) {
        for place in self.members().collect::<Vec<_>>() {
            self.hosts[place].disk.fail_after(u64::MAX / 2);
            self.start(place);
        }
    }

    pub(super) fn crash(&mut self, place: Place, mode: CrashMode, why: &str) {
        self.end_pause(place);
        self.lose_clients(place);
        let mut rng = self.rng.fork();
        self.hosts[place].crash(mode, &mut rng);
        self.power_losses += u64::from(mode != CrashMode::KeepAll);
        self.trace.line(self.now, &self.hosts[place].name, format_args!("! {why} ({mode:?})"));
        self.network.stop(self.now, place, mode == CrashMode::KeepAll, &mut self.queue);
    }

    /// A node says that it is no member any more, and stops.
    pub(super) fn leaves(&mut self, place: Place, why: &str) {
        self.trace.line(self.now, &self.hosts[place].name, format_args!("has left"));
        self.hosts[place].has_left = true;
        if self.hosts[place].is_up() {
            self.crash(place, CrashMode::KeepAll, why);
        }
    }

    /// The state that a node was told when it came to be a member.
    pub(super) fn first_of(&self, place: Place) -> Arc<ClusterState> {
        Arc::clone(self.hosts[place].first.as_ref().unwrap_or(&self.founded))
    }

    /// A machine that may join the cluster and has not: which is next, if there is one.
    pub fn next_spare(&self) -> Option<Place> {
        let machines = self.founded.members().len() + self.scenario.spares;
        (self.joined < machines).then_some(self.joined)
    }

    /// The node of the next spare machine has asked until it was told that it is a member, if it is one; whether it is.
    pub fn joins_at_last(&mut self) -> bool {
        let before = self.joined;
        self.joins_as_of(Some(Arc::clone(&self.latest)));
        self.joined > before
    }

    /// The node of the next spare machine has been told by a seed that it is a member: it starts.
    pub fn joins(&mut self, seed: Place) {
        let known =
            self.hosts[seed].shards.first().map(|running| Arc::clone(&running.shard.topology().state));
        self.joins_as_of(known);
    }

    fn joins_as_of(&mut self, known: Option<Arc<ClusterState>>) {
        let Some(place) = self.next_spare() else { return };
        let name = &self.hosts[place].name;
        let Some((state, id)) =
            known.and_then(|state| Some((Arc::clone(&state), state.member_by_name(name)?.id)))
        else {
            // The seed has stopped before it could say so: who wants to join asks again.
            return;
        };
        self.trace.line(self.now, name, format_args!("has joined, as {id}"));
        self.hosts[place].id = id;
        self.hosts[place].first = Some(state);
        self.joined += 1;
        self.start(place);
        for other in 0..self.joined {
            if self.hosts[other].is_up() && other != place {
                self.network.start(self.now, other, &[place], &mut self.queue);
            }
        }
    }

    pub(super) fn start_later(&mut self, place: Place) {
        let at: Duration = self.pause_before_restart();
        self.queue.put(self.now + at, Event::Start(place));
    }

    fn put_identity_back(&mut self, place: Place) {
        if !self.sabotage(Sabotage::ReuseStints) {
            return;
        }
        let path = Path::new(DATA_DIR).join("identity");
        let disk = &self.hosts[place].disk;
        match &self.identities[place] {
            Some(bytes) => disk.write_file(&path, bytes.clone()),
            None => self.identities[place] = disk.read_file(&path),
        }
    }
}

fn mend_reads(disk: &SimDisk) {
    tables_of(disk).iter().for_each(|table| disk.fail_reads(table, false));
}
