//! The walk of Dynamo's figure 3, end to end: three nodes, chosen coordinators, the clocks as a client is shown them.

use std::time::Duration;

use api::{Command, Detail, ExpiryChange, Found, KeyRequest, Operation, Reply, Request};
use bytes::Bytes;
use causality::Context;
use sim::scenario::{SIBLINGS, Scenario};
use sim::trace::Trace;
use sim::{Answer, World};

const KEY: &[u8] = b"cart";

struct Walk(World);

impl Walk {
    fn ask(&mut self, node: &str, operation: Operation) -> Reply {
        let place = self.0.place_of(node);
        let key = Bytes::from_static(KEY);
        let request = Request::new(Command::Key(KeyRequest { keyspace: SIBLINGS, key, operation }));
        match self.0.ask_and_wait(place, request) {
            Answer::Outcome(Ok(reply)) => reply,
            other => panic!("{node}: {other:?}"),
        }
    }

    /// Writes through this node, on top of what `context` covers; returns what the writer knows then.
    fn put(&mut self, node: &str, value: &'static str, context: &Context) -> Context {
        let value = Bytes::from_static(value.as_bytes());
        let context = Some(context.clone());
        let put = Operation::Put { value, context, write: None, expiry: ExpiryChange::Clear, priority: 0 };
        match self.ask(node, put) {
            Reply::Written(written) => written.context,
            other => panic!("{other:?}"),
        }
    }

    fn get(&mut self, node: &str) -> Found {
        match self.ask(node, Operation::Get { read: None, context: None, detail: Detail::Clocks }) {
            Reply::Found(found) => found,
            other => panic!("{other:?}"),
        }
    }
}

/// Values and clocks as a client prints them, sorted.
fn printed(found: &Found) -> Vec<String> {
    let one = |value: &api::ShownValue| {
        let clock: Vec<String> =
            value.clock.iter().map(|(node, counter)| format!("[{node},{counter}]")).collect();
        format!("{}({})", String::from_utf8_lossy(&value.value), clock.join(","))
    };
    let mut values: Vec<String> = found.values.iter().map(one).collect();
    values.sort();
    values
}

/// D1([Sx,1]) -> D2([Sx,2]) -> D3([Sx,2],[Sy,1]) and D4([Sx,2],[Sz,1]) -> D5([Sx,3],[Sy,1],[Sz,1]).
#[test]
fn the_clocks_of_the_classic_walk_are_printed_as_in_the_paper() {
    let nodes = ["Sx", "Sy", "Sz"].map(str::to_owned).to_vec();
    let mut world = World::new(Scenario { nodes, ..Scenario::calm(7, 3) }, Trace::new(false));
    world.pass(Duration::from_secs(1));
    let mut walk = Walk(world);

    let after_d1 = walk.put("Sx", "D1", &Context::Empty);
    assert_eq!(printed(&walk.get("Sy")), ["D1([Sx,1])"]);
    let after_d2 = walk.put("Sx", "D2", &after_d1);
    assert_eq!(printed(&walk.get("Sz")), ["D2([Sx,2])"]);

    walk.put("Sy", "D3", &after_d2);
    assert_eq!(printed(&walk.get("Sx")), ["D3([Sx,2],[Sy,1])"]);
    walk.put("Sz", "D4", &after_d2);
    for node in ["Sx", "Sy", "Sz"] {
        assert_eq!(
            printed(&walk.get(node)),
            ["D3([Sx,2],[Sy,1])", "D4([Sx,2],[Sz,1])"],
            "in conflict, at {node}"
        );
    }

    let reconciled = walk.get("Sy").context;
    walk.put("Sx", "D5", &reconciled);
    for node in ["Sx", "Sy", "Sz"] {
        assert_eq!(printed(&walk.get(node)), ["D5([Sx,3],[Sy,1],[Sz,1])"], "at {node}");
    }
    assert!(walk.0.violations().is_empty(), "{:?}", walk.0.violations());
}
