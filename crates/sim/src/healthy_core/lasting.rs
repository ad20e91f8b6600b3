//! What is wrong with a node for good, made of a kind of fault: what strikes once elsewhere lasts here, or strikes again and
//! again.
//!
//! What must hold: until the next heal nobody but this node suffers from it directly. What it cuts has the node at one end.

use std::time::Duration;

use env::Rng;
use env::disk::CrashMode;

use crate::faults::{FaultKind, ROOM_LEFT_MAX, SLOWER};
use crate::network::Place;
use crate::world::World;

/// How long a node stands still that never goes on.
const FOR_GOOD: Duration = Duration::from_secs(24 * 3600);

/// What is wrong with a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Lasting {
    /// It is down.
    Down(CrashMode),
    /// It dies, starts again, and dies.
    Dying(CrashMode),
    /// It reaches nobody of the core, and nobody of the core reaches it.
    CutOff,
    /// It is heard, and does not hear.
    Deaf,
    /// It hears, and is not heard.
    Mute,
    /// Some of the core reach it and some do not; or they do in one direction.
    CutOffFromSome,
    /// Its connections break again and again.
    Resetting,
    /// It stands still.
    Still,
    /// All that it sends and is sent takes long.
    SlowNetwork,
    /// Its syncs take long.
    SlowDisk,
    /// All that it does takes many times as long.
    SlowNode,
    /// Its syncs fail, in each of its lives.
    FailingSyncs,
    /// Its disk is full.
    FullDisk,
    /// Reads of some of its tables fail.
    ReadErrors,
    /// Its wall clock jumps again and again.
    JumpingClock,
}

impl Lasting {
    /// Made of one of these kinds of fault; a node that is down, where none of them is of that sort.
    pub(super) fn draw(kinds: &[FaultKind], rng: &mut Rng) -> Lasting {
        let kind = rng.pick(kinds).copied().unwrap_or(FaultKind::CleanStop);
        let (again, other) = (rng.chance(1, 2), rng.chance(1, 2));
        let stopped = |mode| if again { Lasting::Dying(mode) } else { Lasting::Down(mode) };
        match kind {
            FaultKind::Kill => stopped(CrashMode::KeepAll),
            FaultKind::PowerCut => stopped(CrashMode::LoseUnsynced),
            FaultKind::TornPowerCut | FaultKind::StopInMidst => stopped(CrashMode::KeepSome),
            FaultKind::Split | FaultKind::DataCenterCut => Lasting::CutOff,
            FaultKind::OneWay if other => Lasting::Deaf,
            FaultKind::OneWay => Lasting::Mute,
            FaultKind::Bridge | FaultKind::Ring | FaultKind::LinkCut => Lasting::CutOffFromSome,
            FaultKind::Reset => Lasting::Resetting,
            FaultKind::Pause => Lasting::Still,
            FaultKind::SlowNetwork => Lasting::SlowNetwork,
            FaultKind::SlowDisk => Lasting::SlowDisk,
            FaultKind::SlowNode => Lasting::SlowNode,
            FaultKind::FailedSync => Lasting::FailingSyncs,
            FaultKind::FullDisk => Lasting::FullDisk,
            FaultKind::ReadErrors => Lasting::ReadErrors,
            FaultKind::ClockJump => Lasting::JumpingClock,
            FaultKind::CleanStop
            | FaultKind::RelayDies
            | FaultKind::PowerCutEverywhere
            | FaultKind::Wipe
            | FaultKind::RollBack
            | FaultKind::Copy
            | FaultKind::FlippedBlock
            | FaultKind::MisdirectedBlock
            | FaultKind::DamagedLog
            | FaultKind::SpoiltFile
            | FaultKind::Clone => Lasting::Down(CrashMode::KeepAll),
        }
    }

    /// Whether nobody of the core can reach it.
    pub(super) fn is_out_of_reach(self) -> bool {
        matches!(self, Lasting::Down(_) | Lasting::CutOff | Lasting::Deaf | Lasting::Mute | Lasting::Still)
    }

    /// Whether it can be reached now and then, and is lost again.
    pub(super) fn comes_and_goes(self) -> bool {
        matches!(self, Lasting::Dying(_) | Lasting::Resetting | Lasting::FailingSyncs)
    }

    /// Whether it takes long for what it does.
    pub(super) fn is_slow(self) -> bool {
        matches!(self, Lasting::SlowNode | Lasting::SlowNetwork | Lasting::SlowDisk)
    }

    /// Lets it happen.
    pub(super) fn begin(self, world: &mut World, place: Place, core: &[Place], rng: &mut Rng) {
        match self {
            Lasting::Down(mode) => world.switch_off(place, mode),
            Lasting::CutOff => cut(world, place, core, (true, true)),
            Lasting::Deaf => cut(world, place, core, (false, true)),
            Lasting::Mute => cut(world, place, core, (true, false)),
            Lasting::CutOffFromSome => {
                let mut some = core.to_vec();
                rng.shuffle(&mut some);
                let most = some.len().saturating_sub(1).max(1) as u64;
                some.truncate(usize::try_from(1 + rng.below(most)).unwrap_or(1));
                let ways = *rng.pick(&[(true, true), (true, false), (false, true)]).unwrap_or(&(true, true));
                cut(world, place, &some, ways);
            }
            Lasting::Still => {
                world.pause(place, FOR_GOOD);
            }
            Lasting::SlowNetwork => world.slow_network(place),
            Lasting::SlowDisk => world.slow_disk(place),
            Lasting::SlowNode => world.slow_node(place, *rng.pick(&SLOWER).unwrap_or(&SLOWER[0])),
            Lasting::FullDisk => {
                world.fill_disk(place, rng.below(ROOM_LEFT_MAX));
            }
            Lasting::ReadErrors => {
                world.fail_reads(place);
            }
            Lasting::Dying(_) | Lasting::Resetting | Lasting::FailingSyncs | Lasting::JumpingClock => {
                self.go_on(world, place, core, rng);
            }
        }
    }

    /// Lets it happen again, where it is of that sort.
    pub(super) fn go_on(self, world: &mut World, place: Place, core: &[Place], rng: &mut Rng) {
        match self {
            Lasting::Dying(mode) if rng.chance(1, 2) => world.pull_plug(place, mode),
            Lasting::Resetting => {
                for other in core {
                    let (caller, called) = if rng.chance(1, 2) { (place, *other) } else { (*other, place) };
                    world.reset(caller, called);
                }
            }
            Lasting::FailingSyncs
                if world.hosts()[place].is_up() && !world.hosts()[place].ailments.syncs_fail =>
            {
                world.fail_syncs(place);
            }
            Lasting::JumpingClock => world.jump_clock(place, world.scenario().skew_ms_max),
            _ => {}
        }
    }
}

/// Cuts the ways from a node to others, and from them to it, as `ways` says.
fn cut(world: &mut World, place: Place, others: &[Place], (there, back): (bool, bool)) {
    if there {
        world.cut(&[place], others);
    }
    if back {
        world.cut(others, &[place]);
    }
}
