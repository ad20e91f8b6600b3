//! INVARIANTS B3: k interleaved read-modify-write clients leave at most k siblings.

use causality::{Context, Siblings};
use proptest::prelude::*;

use crate::given::{dot, version};

const REPLICAS: usize = 3;
const CLIENTS: usize = 4;

#[derive(Clone, Debug)]
enum Step {
    Read { client: usize, replica: usize },
    Write { client: usize, replica: usize },
    Copy { from: usize, to: usize },
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..CLIENTS, 0..REPLICAS).prop_map(|(client, replica)| Step::Read { client, replica }),
        (0..CLIENTS, 0..REPLICAS).prop_map(|(client, replica)| Step::Write { client, replica }),
        (0..REPLICAS, 0..REPLICAS).prop_map(|(from, to)| Step::Copy { from, to }),
    ]
}

struct World {
    replicas: Vec<Siblings>,
    counters: Vec<u64>,
    clients: Vec<Context>,
}

impl World {
    fn new() -> World {
        World {
            replicas: vec![Siblings::new(); REPLICAS],
            counters: vec![0; REPLICAS],
            clients: vec![Context::Empty; CLIENTS],
        }
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Read { client, replica } => self.learn(client, &self.replicas[replica].context()),
            Step::Write { client, replica } => self.write(client, replica),
            Step::Copy { from, to } => self.replicas[to] = self.replicas[to].merge(&self.replicas[from]),
        }
    }

    fn write(&mut self, client: usize, replica: usize) {
        self.counters[replica] += 1;
        let dot = dot(replica as u64, self.counters[replica]);
        let passed = &self.clients[client];
        let record = self.replicas[replica].put(passed, version(dot)).expect("nobody forgets here");
        let known = record.context_after(passed, dot).expect("causal");
        self.replicas[replica] = record;
        self.learn(client, &known);
    }

    fn learn(&mut self, client: usize, context: &Context) {
        self.clients[client] = self.clients[client].merge(context).expect("causal");
    }

    fn everything(&self) -> Siblings {
        self.replicas.iter().fold(Siblings::new(), |merged, replica| merged.merge(replica))
    }
}

proptest! {
    /// Each client remembers what it read and wrote, from whichever replica, however stale; after every step all
    /// replicas together hold at most one value per client.
    #[test]
    fn k_interleaved_clients_leave_at_most_k_siblings(steps in prop::collection::vec(any_step(), 0..60)) {
        let mut world = World::new();
        for step in &steps {
            world.take(step);
            prop_assert!(world.everything().versions().len() <= CLIENTS);
        }
    }

    /// When all have met and one client reads and writes, one value is left, and what is known is a plain vector again.
    #[test]
    fn a_read_and_a_write_after_all_met_leave_one_value(steps in prop::collection::vec(any_step(), 0..40)) {
        let mut world = World::new();
        steps.iter().for_each(|step| world.take(step));
        world.replicas = vec![world.everything(); REPLICAS];
        world.take(&Step::Read { client: 0, replica: 1 });
        world.take(&Step::Write { client: 0, replica: 2 });
        let merged = world.everything();
        prop_assert_eq!(merged.versions().len(), 1);
        prop_assert!(merged.seen().dots().is_empty(), "dots beside the vector fold in once their actor's record arrives");
    }
}
