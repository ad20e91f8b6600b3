//! What goes wrong, and what is asked meanwhile.

use std::time::Duration;

use consensus::{Change, MemberId};
use env::Rng;

use crate::world::World;

pub(crate) struct Chaos {
    rng: Rng,
    /// How much goes wrong: some seeds have hardly any faults, so that much is agreed on between them.
    faults_of_ten: u64,
}

impl Chaos {
    pub(crate) fn new(seed: u64) -> Chaos {
        let mut rng = Rng::from_seed(seed ^ 0x00c0_ffee);
        let faults_of_ten = 1 + rng.below(6);
        Chaos { rng, faults_of_ten }
    }

    pub(crate) fn run(&mut self, world: &mut World, steps: u32) {
        for _ in 0..steps {
            if world.checker.violation.is_some() {
                return;
            }
            let pause = Duration::from_millis(5 + self.rng.below(60));
            world.run_for(pause);
            self.ask(world);
            if self.rng.chance(self.faults_of_ten, 10) {
                self.spoil(world);
            }
        }
    }

    fn ask(&mut self, world: &mut World) {
        for leader in world.leaders() {
            for _ in 0..self.rng.below(8) {
                world.propose(leader);
            }
            world.read(leader);
            if self.rng.chance(3, 10) {
                self.change(world, leader);
            }
            if self.rng.chance(1, 25)
                && let Some(to) = self.pick(world)
            {
                world.hand_over(leader, to);
            }
        }
    }

    /// As fast as the leader takes them: the trap is in changes that follow each other closely.
    fn change(&mut self, world: &mut World, leader: MemberId) {
        let membership = world.membership();
        let learner = self.rng.pick(&membership.learners().iter().copied().collect::<Vec<_>>()).copied();
        let voter = self.rng.pick(&membership.voters().iter().copied().collect::<Vec<_>>()).copied();
        let fresh = Change::AddLearner(MemberId(world.next_id));
        let change = match self.rng.below(4) {
            0 if membership.learners().len() < 3 => fresh,
            1 => voter.map_or(fresh, Change::Remove),
            _ => learner.map_or(fresh, Change::Promote),
        };
        world.change(leader, change);
    }

    fn pick(&mut self, world: &World) -> Option<MemberId> {
        self.rng.pick(&world.members.keys().copied().collect::<Vec<_>>()).copied()
    }

    fn spoil(&mut self, world: &mut World) {
        let Some(id) = self.pick(world) else { return };
        let leader = world.leaders().first().copied().unwrap_or(id);
        let victim = if self.rng.chance(1, 2) { leader } else { id };
        let millis = 10 + self.rng.below(600);
        let duration = Duration::from_millis(millis);
        match self.rng.below(9) {
            0 | 1 => world.crash(victim, duration),
            2 => world.stand_still(victim, duration),
            3 => self.cut_off(world, victim, true),
            4 => self.cut_off(world, victim, false),
            5 => self.split(world),
            6 => {
                world.network.lost = self.rng.below(300);
                world.network.doubled = self.rng.below(200);
                world.network.delay_millis_max = 1 + self.rng.below(80);
            }
            // Everybody at once.
            7 if self.rng.chance(1, 3) => {
                for id in world.members.keys().copied().collect::<Vec<_>>() {
                    world.crash(id, duration);
                }
            }
            _ => world.network.heal(),
        }
    }

    /// From all others, in one direction or in both.
    fn cut_off(&mut self, world: &mut World, id: MemberId, is_both: bool) {
        let is_deaf = self.rng.chance(1, 2);
        for other in world.members.keys().copied().collect::<Vec<_>>() {
            if is_both || is_deaf {
                world.network.cuts.insert((other, id));
            }
            if is_both || !is_deaf {
                world.network.cuts.insert((id, other));
            }
        }
        world.checker.counts.note(if is_both { "cut" } else { "one-way cut" });
    }

    fn split(&mut self, world: &mut World) {
        let side = |rng: &mut Rng| rng.chance(1, 2);
        let sides: Vec<(MemberId, bool)> =
            world.members.keys().map(|id| (*id, side(&mut self.rng))).collect();
        for (a, side_a) in &sides {
            for (b, side_b) in &sides {
                if side_a != side_b {
                    world.network.cuts.insert((*a, *b));
                }
            }
        }
        world.checker.counts.note("cut");
    }

    /// All but a bare majority of the voters: cut off in some directions, slow, crashing and standing still again and again.
    pub(crate) fn spoil_a_minority_for_good(&mut self, world: &mut World) {
        let membership = world.membership();
        let mut voters: Vec<MemberId> = membership.voters().iter().copied().collect();
        self.rng.shuffle(&mut voters);
        let core = voters.split_off((voters.len() - 1) / 2);
        let rest: Vec<MemberId> = world.members.keys().filter(|id| !core.contains(id)).copied().collect();
        for other in &rest {
            for id in world.members.keys().copied().collect::<Vec<_>>() {
                for way in [(*other, id), (id, *other)] {
                    if self.rng.chance(1, 2) {
                        world.network.cuts.insert(way);
                    }
                }
            }
            for round in 0..20 {
                world.crash_later(*other, Duration::from_millis(round * 500 + self.rng.below(500)));
            }
        }
    }
}
