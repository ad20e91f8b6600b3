//! What goes wrong, and when.

use env::Rng;
use env::disk::CrashMode;

use crate::network::Place;
use crate::world::World;

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
}

impl FaultKind {
    /// All kinds.
    pub const ALL: [FaultKind; 13] = [
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

    /// Whether one node alone cannot suffer it.
    pub fn needs_peers(self) -> bool {
        matches!(self, FaultKind::Split | FaultKind::OneWay | FaultKind::Reset | FaultKind::SlowNetwork)
    }

    /// Whether a cluster that has written little has nothing that it could happen to.
    pub fn needs_tables(self) -> bool {
        self == FaultKind::ReadErrors
    }

    /// Lets it happen, somewhere. False if there was nothing that it could happen to.
    pub fn strike(self, world: &mut World, rng: &mut Rng) -> bool {
        let all: Vec<Place> = (0..world.hosts().len()).collect();
        let up: Vec<Place> = all.iter().copied().filter(|place| world.hosts()[*place].is_up()).collect();
        let Some(&victim) = rng.pick(&up) else {
            return false;
        };
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
            FaultKind::Split | FaultKind::OneWay => return self.cut(world, all, rng),
            FaultKind::Reset => {
                let others = all.iter().filter(|place| **place != victim);
                let reset: Vec<bool> = others.map(|other| world.reset(*other, victim)).collect();
                return reset.contains(&true);
            }
            FaultKind::ClockJump => world.jump_clock(victim, world.scenario().skew_ms_max),
            FaultKind::SlowNetwork => world.slow_network(victim),
            FaultKind::SlowDisk => world.slow_disk(victim),
            FaultKind::ReadErrors => return world.fail_reads(victim),
        }
        true
    }

    fn cut(self, world: &mut World, mut all: Vec<Place>, rng: &mut Rng) -> bool {
        if world.has_cuts() {
            world.heal();
        }
        rng.shuffle(&mut all);
        let most = all.len().saturating_sub(1) as u64;
        let (one, other) = all.split_at(usize::try_from(1 + rng.below(most)).unwrap_or(1));
        world.cut(one, other);
        if self == FaultKind::Split {
            world.cut(other, one);
        }
        true
    }
}
