//! What a node that joins weighs, if it does not say.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails its test")]

mod common;

use std::net::SocketAddr;

use api::{Change, NodePlan};
use cluster::Command;
use types::NodeId;

use common::found;

fn plan(weight: Option<f64>, capacity: f64) -> NodePlan {
    NodePlan {
        cluster: None,
        name: "new".to_owned(),
        data_center: "dc1".to_owned(),
        rack: "r9".to_owned(),
        weight,
        capacity,
        resp: None,
        cluster_address: None,
        http: None,
        peer: Some(SocketAddr::from(([127, 0, 0, 1], 9009))),
        replaces: None,
    }
}

/// It weighs beside the member that it asks as its machine does.
#[test]
fn capacity_beside_a_members_is_weight_beside_its_weight() {
    let state = found(3, Vec::new());
    let heavier = state.apply(&Command::Weigh { name: "n2".to_owned(), weight: 2.5 }).unwrap();
    for (state, beside, theirs, own, weight) in [
        (&state, 1, 4.0, 8.0, 2.0),
        (&state, 1, 8.0, 2.0, 0.25),
        (&heavier, 2, 10.0, 8.0, 2.0),
        // Alike in all but a few blocks.
        (&state, 1, 15.82, 15.79, 1.0),
        // Weights have bounds, whatever is measured.
        (&state, 1, 0.001, 1000.0, 1000.0),
        (&state, 1, 1000.0, 0.0, 0.001),
    ] {
        let weighed = state.weighed(plan(None, own), NodeId(beside), theirs);
        assert_eq!(weighed.weight, Some(weight), "{own} beside {theirs}");
    }
}

/// What it says counts, and not what was measured; and where nothing can be told of either, it is like the others.
#[test]
fn what_is_said_counts() {
    let state = found(3, Vec::new());
    assert_eq!(state.weighed(plan(Some(3.0), 8.0), NodeId(1), 1.0).weight, Some(3.0));
    for (own, theirs) in [(f64::NAN, 1.0), (1.0, 0.0), (0.0, 0.0)] {
        let weighed = state.weighed(plan(None, own), NodeId(1), theirs);
        let Command::Join { plan, .. } = state.command_of(&Change::Join(Box::new(weighed))).unwrap() else {
            panic!("a join is a join");
        };
        assert!((plan.weight - 1.0).abs() < f64::EPSILON, "{own} beside {theirs}: {}", plan.weight);
    }
}
