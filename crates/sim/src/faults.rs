//! What goes wrong, and when.
//!
//! Kinds that were added after the first thirteen are drawn apart and strike apart ([`FaultKind::LATER`]), by a generator of their
//! own: a seed goes on standing for what it drew before there were any. So are losses of disks ([`FaultKind::LOSSES`]) and what
//! machines ail of ([`FaultKind::AILMENTS`]).

mod shapes;

use env::Rng;
use env::disk::CrashMode;

use crate::network::Place;
use crate::random::millis;
use crate::world::{Loss, World};
use shapes::Shape;

/// How long a node stands still at the most, in milliseconds: longer than any request may take.
const PAUSE_MS_MAX: u64 = 8_000;

/// How long a second process under a node's name runs at the most, in milliseconds.
const CLONE_STAYS_MS_MAX: u64 = 8_000;

/// By which factors a slow node is slower.
pub(crate) const SLOWER: [u32; 3] = [3, 10, SLOWEST];

/// The greatest of them.
pub(crate) const SLOWEST: u32 = 50;

/// How much room a full disk has at the most beside what its node keeps back, in bytes: so much is soon written.
pub(crate) const ROOM_LEFT_MAX: u64 = 32 << 10;

/// A kind of fault.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum FaultKind {
    /// A process dies; its machine lives on, and so does what it had handed to the operating system.
    Kill,
    /// A machine stops; what it had not synced is gone.
    PowerCut,
    /// A machine stops; of what it had not synced any part is left.
    TornPowerCut,
    /// All machines stop at once.
    PowerCutEverywhere,
    /// A machine stops in the midst of a change to its disk, perhaps while it starts.
    StopInMidst,
    /// A node is stopped in good order.
    CleanStop,
    /// The nodes fall into two camps that cannot reach each other.
    Split,
    /// One camp reaches the other, which cannot answer.
    OneWay,
    /// Connections break.
    Reset,
    /// Wall clocks jump.
    ClockJump,
    /// All that a node sends and is sent takes long.
    SlowNetwork,
    /// Syncs of a node take long.
    SlowDisk,
    /// Reads of some of a node's tables fail.
    ReadErrors,
    /// Two camps cannot reach each other, but for one node that reaches both.
    Bridge,
    /// Each node reaches two neighbours only.
    Ring,
    /// One node does not reach one other.
    LinkCut,
    /// A node stands still for a while.
    Pause,
    /// A machine comes back with an empty disk.
    Wipe,
    /// A machine comes back with its disk as it was at an earlier time.
    RollBack,
    /// The same, from a copy of its files.
    Copy,
    /// All that a node does and says takes many times as long.
    SlowNode,
    /// Syncs of a node fail.
    FailedSync,
    /// The disk of a node has hardly more room than what the node keeps back.
    FullDisk,
    /// A bit of one node's tables flips; in one run always of the same node, for what all have lost nobody can heal.
    FlippedBlock,
    /// A block of that node's tables is overwritten with one that belongs elsewhere on its disk.
    MisdirectedBlock,
    /// That node's machine loses power, and what it had synced in its commit log is damaged when it comes back.
    DamagedLog,
    /// A file without which a node does not start is damaged while its machine is off: it refuses, and its directory is emptied.
    SpoiltFile,
    /// A second process runs under the name of a node, on a copy or a clone of its disk, and comes to its peers.
    Clone,
    /// A data center is cut off from the others, for longer than other cuts last.
    DataCenterCut,
    /// A node dies when the next write reaches it that it is to pass on, before it has.
    RelayDies,
}

impl FaultKind {
    /// The first kinds there were.
    pub const EARLY: [FaultKind; 13] = [
        FaultKind::Kill,
        FaultKind::PowerCut,
        FaultKind::TornPowerCut,
        FaultKind::PowerCutEverywhere,
        FaultKind::StopInMidst,
        FaultKind::CleanStop,
        FaultKind::Split,
        FaultKind::OneWay,
        FaultKind::Reset,
        FaultKind::ClockJump,
        FaultKind::SlowNetwork,
        FaultKind::SlowDisk,
        FaultKind::ReadErrors,
    ];

    /// The kinds that came later.
    pub const LATER: [FaultKind; 4] =
        [FaultKind::Bridge, FaultKind::Ring, FaultKind::LinkCut, FaultKind::Pause];

    /// Those that a machine's disk comes out of as another: drawn and struck apart once more.
    pub const LOSSES: [FaultKind; 3] = [FaultKind::Wipe, FaultKind::RollBack, FaultKind::Copy];

    /// What a machine may ail of until the next heal: drawn and struck apart too.
    pub const AILMENTS: [FaultKind; 3] = [FaultKind::SlowNode, FaultKind::FailedSync, FaultKind::FullDisk];

    /// What goes wrong between data centers: drawn and struck apart as well.
    pub const BETWEEN: [FaultKind; 2] = [FaultKind::DataCenterCut, FaultKind::RelayDies];

    /// The kinds that no seed draws, for scenarios of their own: they break what some keyspaces promise, unless all else goes
    /// well enough.
    pub const ASKED_FOR: [FaultKind; 5] = [
        FaultKind::FlippedBlock,
        FaultKind::MisdirectedBlock,
        FaultKind::DamagedLog,
        FaultKind::SpoiltFile,
        FaultKind::Clone,
    ];

    /// The kind of this name.
    ///
    /// # Errors
    /// If there is none, with the names that there are.
    pub fn named(name: &str) -> Result<FaultKind, String> {
        let mut all = FaultKind::EARLY
            .into_iter()
            .chain(FaultKind::LATER)
            .chain(FaultKind::LOSSES)
            .chain(FaultKind::AILMENTS)
            .chain(FaultKind::BETWEEN)
            .chain(FaultKind::ASKED_FOR);
        all.clone().find(|kind| format!("{kind:?}").eq_ignore_ascii_case(name)).ok_or_else(|| {
            let names: Vec<String> = all.by_ref().map(|kind| format!("{kind:?}")).collect();
            format!("{name:?} is no kind of fault: want one of {}", names.join(", "))
        })
    }

    /// Whether it is one of those that came later.
    pub fn is_later(self) -> bool {
        FaultKind::LATER.contains(&self) || FaultKind::ASKED_FOR.contains(&self)
    }

    /// How many nodes there must be for it to happen.
    pub fn nodes_needed(self) -> usize {
        match self {
            FaultKind::Reset
            | FaultKind::SlowNetwork
            | FaultKind::Wipe
            | FaultKind::RollBack
            | FaultKind::Copy
            | FaultKind::SpoiltFile
            | FaultKind::Clone
            | FaultKind::RelayDies => 2,
            kind if kind.is_damage() => 3,
            _ => self.shape().map_or(1, Shape::nodes_needed),
        }
    }

    fn shape(self) -> Option<Shape> {
        match self {
            FaultKind::Split => Some(Shape::Camps),
            FaultKind::OneWay => Some(Shape::OneWay),
            FaultKind::Bridge => Some(Shape::Bridge),
            FaultKind::Ring => Some(Shape::Ring),
            FaultKind::LinkCut => Some(Shape::Link),
            FaultKind::DataCenterCut => Some(Shape::DataCenters),
            _ => None,
        }
    }

    /// Whether a run may have nothing that it could happen to: one that has written little, or is never at rest.
    pub fn needs_luck(self) -> bool {
        matches!(
            self,
            FaultKind::ReadErrors | FaultKind::SpoiltFile | FaultKind::Clone | FaultKind::RelayDies
        ) || self.is_damage()
            || self.is_loss()
    }

    /// Whether it damages what one node has in tables and log, and others have too.
    pub fn is_damage(self) -> bool {
        matches!(self, FaultKind::FlippedBlock | FaultKind::MisdirectedBlock | FaultKind::DamagedLog)
    }

    /// Whether there must be other owners of what a node has, where it strikes.
    pub fn needs_others(self) -> bool {
        self.is_loss() || self.is_damage() || self == FaultKind::SpoiltFile
    }

    /// Whether a machine's disk comes out of it as another.
    pub fn is_loss(self) -> bool {
        self.loss().is_some()
    }

    /// Whether a machine ails of it, until it is healed.
    pub fn is_ailment(self) -> bool {
        FaultKind::AILMENTS.contains(&self)
    }

    /// Whether it is of the ways between data centers.
    pub fn is_between(self) -> bool {
        FaultKind::BETWEEN.contains(&self)
    }

    /// What becomes of a machine's disk by it.
    fn loss(self) -> Option<Loss> {
        match self {
            FaultKind::Wipe => Some(Loss::Wiped),
            FaultKind::RollBack => Some(Loss::RolledBack),
            FaultKind::Copy => Some(Loss::Copied),
            _ => None,
        }
    }

    /// Lets it happen, somewhere. False if there was nothing that it could happen to.
    pub fn strike(self, world: &mut World, rng: &mut Rng) -> bool {
        let all: Vec<Place> = (0..world.hosts().len()).collect();
        let up: Vec<Place> = all.iter().copied().filter(|place| world.hosts()[*place].is_up()).collect();
        let Some(&victim) = rng.pick(&up) else {
            return false;
        };
        if let Some(shape) = self.shape() {
            return shape.take(world, rng);
        }
        if let Some(loss) = self.loss() {
            return world.lose_disk(victim, loss);
        }
        match self {
            FaultKind::Kill => world.pull_plug(victim, CrashMode::KeepAll),
            FaultKind::PowerCut => world.pull_plug(victim, CrashMode::LoseUnsynced),
            FaultKind::TornPowerCut => world.pull_plug(victim, CrashMode::KeepSome),
            FaultKind::PowerCutEverywhere => {
                let mode = if rng.chance(1, 2) { CrashMode::LoseUnsynced } else { CrashMode::KeepSome };
                up.iter().for_each(|place| world.pull_plug(*place, mode));
            }
            FaultKind::StopInMidst => {
                let victim = *rng.pick(&all).unwrap_or(&victim);
                world.stop_in_midst(victim, rng.below(40));
            }
            FaultKind::CleanStop => world.stop_cleanly(victim),
            FaultKind::Reset => {
                let others = all.iter().filter(|place| **place != victim);
                let reset: Vec<bool> = others.map(|other| world.reset(*other, victim)).collect();
                return reset.contains(&true);
            }
            FaultKind::ClockJump => world.jump_clock(victim, world.scenario().skew_ms_max),
            FaultKind::SlowNetwork => world.slow_network(victim),
            FaultKind::SlowDisk => world.slow_disk(victim),
            FaultKind::ReadErrors => return world.fail_reads(victim),
            FaultKind::FlippedBlock => return world.flip_bit(),
            FaultKind::MisdirectedBlock => return world.misdirect_block(),
            FaultKind::DamagedLog => return world.damage_log(),
            FaultKind::SpoiltFile => return world.spoil_small_file(victim),
            FaultKind::Clone => {
                let (after, stays) = (millis(rng, 0, 3_000), millis(rng, 500, CLONE_STAYS_MS_MAX));
                return world.clone_node(victim, rng.chance(1, 2), after, stays);
            }
            FaultKind::RelayDies => return world.let_a_relay_die(),
            FaultKind::SlowNode => world.slow_node(victim, *rng.pick(&SLOWER).unwrap_or(&SLOWER[0])),
            FaultKind::FailedSync => world.fail_syncs(victim),
            FaultKind::FullDisk => return world.fill_disk(victim, rng.below(ROOM_LEFT_MAX)),
            FaultKind::Pause => {
                let most_ms = *rng.pick(&[200, 2_000, PAUSE_MS_MAX]).unwrap_or(&PAUSE_MS_MAX);
                let time = millis(rng, 20, most_ms);
                return world.pause(victim, time);
            }
            FaultKind::Split
            | FaultKind::OneWay
            | FaultKind::Bridge
            | FaultKind::Ring
            | FaultKind::LinkCut
            | FaultKind::DataCenterCut
            | FaultKind::Wipe
            | FaultKind::RollBack
            | FaultKind::Copy => return false,
        }
        true
    }
}
