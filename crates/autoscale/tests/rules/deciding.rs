//! Limits, cool-downs, convergence.

use std::collections::BTreeSet;

use autoscale::{Action, Decider, NodeState, NodeView, Policy, Replacement};
use proptest::prelude::*;

use crate::model::{Curve, Delivers, Failure, Model, STEP, Seen, policy};

/// Three hours.
const STEPS: u64 = 3 * 720;

fn curves() -> impl Strategy<Value = Curve> {
    prop_oneof![
        (1_000_u64..60_000).prop_map(Curve::Flat),
        (1_000_u64..60_000, 1_000_u64..60_000, 1_u64..1_000).prop_map(|(from, to, steps)| Curve::Ramp {
            from,
            to,
            steps
        }),
        (1_000_u64..30_000, 0_u64..40_000, 2_u64..600).prop_map(|(low, more, period_steps)| Curve::Saw {
            low,
            high: low + more,
            period_steps
        }),
        (1_000_u64..60_000, 1_u64..80, any::<u64>()).prop_map(|(mean, percent, seed)| Curve::Noise {
            mean,
            percent,
            seed
        }),
    ]
}

fn failures() -> impl Strategy<Value = Vec<Failure>> {
    let failure = (1_u16..12, 0..STEPS, 1_u64..800).prop_map(|(node, from_step, steps)| Failure {
        node,
        from_step,
        steps,
    });
    prop::collection::vec(failure, 0..4)
}

fn provider() -> impl Strategy<Value = Vec<Delivers>> {
    let one = prop_oneof![
        4 => Just(Delivers::Yes),
        1 => Just(Delivers::Refuses),
        1 => Just(Delivers::Never),
        1 => Just(Delivers::Silent),
    ];
    prop::collection::vec(one, 1..6)
}

fn changes(seen: &[Seen]) -> Vec<&Seen> {
    seen.iter().filter(|one| one.decision.action != Action::Nothing).collect()
}

/// What holds of every change at the moment at which it is decided.
fn check_limits(one: &Seen, policy: &Policy) {
    let view = &one.view;
    let is = |wanted: NodeState| view.nodes.iter().any(|node| node.state == wanted);
    let replicas = usize::try_from(view.replicas("dc1")).unwrap();
    let in_rack = |rack: &str| view.nodes.iter().filter(|node| node.rack == rack).count();
    match &one.decision.action {
        Action::AddNode(wanted) => {
            assert!(
                view.nodes.len() + view.requested.len() < usize::try_from(policy.max).unwrap(),
                "{}",
                one.decision
            );
            let max_per_rack = usize::try_from(policy.max_per_rack.unwrap()).unwrap();
            assert!(in_rack(&wanted.rack) < max_per_rack, "{}", one.decision);
            assert!(policy.pool.iter().any(|entry| entry.rack == wanted.rack));
        }
        Action::RetireNode { node, .. } => {
            let remaining: Vec<&NodeView> = view.nodes.iter().filter(|other| other.id != *node).collect();
            assert!(remaining.len() >= usize::try_from(policy.min).unwrap(), "{}", one.decision);
            assert!(remaining.iter().all(|node| node.state == NodeState::Up), "{}", one.decision);
            let racks = |nodes: &[&NodeView]| {
                nodes.iter().map(|node| node.rack.as_str()).collect::<BTreeSet<_>>().len()
            };
            let all: Vec<&NodeView> = view.nodes.iter().collect();
            assert!(
                remaining.len() >= replicas && racks(&remaining) >= racks(&all).min(replicas),
                "{}",
                one.decision
            );
            let used: u64 = view.nodes.iter().map(|node| node.disk_used_bytes).sum();
            let all: u64 = remaining.iter().map(|node| node.disk_bytes).sum();
            assert!(used * 100 <= all * u64::from(policy.target.disk), "{}", one.decision);
            assert!(view.requested.is_empty(), "{}", one.decision);
        }
        Action::ReplaceNode { dead, by, .. } => {
            let node = view.node(*dead).unwrap();
            let NodeState::Down { since } = node.state else { panic!("it lives: {}", one.decision) };
            assert!(view.now.since(since) >= policy.replace_after, "{}", one.decision);
            let up = view.nodes.iter().filter(|node| node.state == NodeState::Up).count();
            assert!(*by != Replacement::Remaining || up >= replicas, "{}", one.decision);
        }
        _ => {}
    }
    assert!(
        !is(NodeState::Joining) && !is(NodeState::Leaving) && view.movements.is_empty(),
        "{}",
        one.decision
    );
}

fn check_pace(seen: &[Seen], policy: &Policy) {
    for pair in changes(seen).windows(2) {
        let between = pair[1].view.now.since(pair[0].view.now);
        assert!(between >= policy.cool_down_out, "{} after {}", pair[1].decision, pair[0].decision);
        let is_in = matches!(pair[1].decision.action, Action::RetireNode { .. });
        assert!(!is_in || between >= policy.cool_down_in, "{} after {}", pair[1].decision, pair[0].decision);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever load, failures and provider: no change is outside of the limits, none comes within a cool-down of another or
    /// while another is under way, and each says why and on which figures.
    #[test]
    fn every_decision_is_within_limits_and_pace(
        nodes in 3_u16..9,
        curve in curves(),
        failures in failures(),
        delivers in provider(),
        data_bytes in 0_u64..4_000,
        (min, max_per_rack, replicas, others) in (1_u32..7, 1_u32..4, 1_u32..4, 0_usize..4),
    ) {
        let policy = Policy { min, max_per_rack: Some(max_per_rack), ..policy() };
        let model = Model::new(nodes, curve).failing(failures).delivering(delivers).holding(data_bytes);
        let mut model = model.needing(replicas).provided_but(others);
        let seen = model.live(&mut Decider::new(policy.clone()), STEPS);
        for one in &seen {
            prop_assert!(!one.decision.reason.is_empty());
            prop_assert_eq!(one.decision.figures.members, one.view.nodes.len());
        }
        changes(&seen).into_iter().for_each(|one| check_limits(one, &policy));
        check_pace(&seen, &policy);
    }

    /// Where load stays as it is, give or take a tenth, the cluster goes one way only, arrives, and rests: within its targets or
    /// at a limit, and without a node that it could do without.
    #[test]
    fn it_converges_under_a_steady_load(nodes in 3_u16..9, mean in 1_000_u64..70_000, seed in any::<u64>()) {
        let policy = policy();
        let mut model = Model::new(nodes, Curve::Noise { mean, percent: 10, seed });
        let mut decider = Decider::new(policy.clone());
        let seen = model.live(&mut decider, STEPS);
        let later = model.live(&mut decider, STEPS);
        let all: Vec<&Seen> = changes(&seen).into_iter().chain(changes(&later)).collect();
        let kinds: BTreeSet<bool> =
            all.iter().map(|one| matches!(one.decision.action, Action::AddNode(_))).collect();
        prop_assert!(kinds.len() <= 1, "there and back again");
        // At the very edge jitter says when the last one goes.
        prop_assert!(all.len() <= 5 && changes(&later).len() <= 1, "{} changes, {} of them late", all.len(), changes(&later).len());
        let figures = &later.last().unwrap().decision.figures;
        let pressure = figures.data_centers[0].pressure_permille;
        let members = u64::try_from(figures.members).unwrap();
        prop_assert!(pressure <= 1_000 || members == u64::from(policy.max), "{figures}");
        // Without one it would be above the lower mark, at least by the tenth that load jitters.
        let without_one = pressure * members / (members - 1).max(1);
        prop_assert!(members == u64::from(policy.min) || without_one * 11 / 10 >= u64::from(policy.low_percent) * 10, "{figures}");
    }

    /// A load that swings faster than `calm` makes no node go that is needed again.
    #[test]
    fn it_does_not_flap_with_a_load_that_swings(
        nodes in 3_u16..9,
        low in 1_000_u64..20_000,
        more in 0_u64..40_000,
        period_steps in 2_u64..110,
    ) {
        let mut model = Model::new(nodes, Curve::Saw { low, high: low + more, period_steps });
        let seen = model.live(&mut Decider::new(policy()), 2 * STEPS);
        let is_in = |one: &&&Seen| matches!(one.decision.action, Action::RetireNode { .. });
        let all = changes(&seen);
        let after_in = all.iter().skip_while(|one| !is_in(one));
        prop_assert!(after_in.clone().all(|one| is_in(&one)), "{}", after_in.map(|one| one.decision.to_string() + "\n").collect::<String>());
    }

    /// After the load has risen and fallen, the nodes are as few as before.
    #[test]
    fn it_grows_and_shrinks_again(high in 30_000_u64..48_000) {
        let mut model = Model::new(3, Curve::Ramp { from: 9_000, to: high, steps: 200 });
        let mut decider = Decider::new(policy());
        let up = model.live(&mut decider, STEPS);
        prop_assert!(up.last().unwrap().view.nodes.len() > 4);
        model.curve = Curve::Flat(9_000);
        let down = model.live(&mut decider, STEPS);
        prop_assert_eq!(down.last().unwrap().view.nodes.len(), 3);
    }

    /// Whoever takes over with no memory decides nothing for a window, and then decides within the same limits.
    #[test]
    fn a_new_leader_watches_first(nodes in 3_u16..9, curve in curves(), at in 1..STEPS) {
        let policy = policy();
        let mut model = Model::new(nodes, curve);
        model.live(&mut Decider::new(policy.clone()), at);
        let seen = model.live(&mut Decider::new(policy.clone()), STEPS);
        let watching = usize::try_from(policy.window.as_secs() / STEP.as_secs()).unwrap();
        prop_assert!(changes(&seen[..watching]).is_empty());
        // It would have had reason to.
        let busy = Model::new(3, Curve::Flat(40_000)).live(&mut Decider::new(policy.clone()), STEPS);
        prop_assert!(changes(&busy[..watching]).is_empty() && !changes(&busy[..=watching]).is_empty());
        changes(&seen).into_iter().for_each(|one| check_limits(one, &policy));
        check_pace(&seen, &policy);
    }

    /// The same views bring the same decisions.
    #[test]
    fn it_is_deterministic(curve in curves(), failures in failures()) {
        let run = || {
            let mut model = Model::new(5, curve).failing(failures.clone());
            let seen = model.live(&mut Decider::new(policy()), 500);
            seen.into_iter().map(|one| one.decision.to_string()).collect::<Vec<_>>()
        };
        prop_assert_eq!(run(), run());
    }
}

/// A provider that never delivers is asked less and less often.
#[test]
fn attempts_in_vain_become_rare() {
    for delivers in [Delivers::Refuses, Delivers::Never, Delivers::Silent] {
        let mut model = Model::new(3, Curve::Flat(40_000)).delivering(vec![delivers]);
        let seen = model.live(&mut Decider::new(policy()), 8 * 720);
        let adds = changes(&seen).into_iter().filter(|one| matches!(one.decision.action, Action::AddNode(_)));
        let attempts = adds.count();
        assert!((4..=12).contains(&attempts), "{delivers:?}: {attempts} attempts in eight hours");
    }
}

/// A node that is dead for good is replaced, and the cluster has all its copies again.
#[test]
fn a_dead_node_is_replaced() {
    for nodes in [3, 4, 5] {
        let failures = vec![Failure { node: 2, from_step: 100, steps: u64::MAX / 2 }];
        let mut model = Model::new(nodes, Curve::Flat(9_000)).failing(failures);
        let seen = model.live(&mut Decider::new(policy()), STEPS);
        let last = &seen.last().unwrap().view;
        assert!(
            last.nodes.len() >= 3 && last.nodes.iter().all(|node| node.state == NodeState::Up),
            "{last:?}"
        );
    }
}

/// Run dry, it says what it would do and nothing is done.
#[test]
fn dry_is_dry() {
    let mut model = Model::new(3, Curve::Flat(40_000));
    let policy = Policy { dry_run: true, ..policy() };
    let seen = model.live(&mut Decider::new(policy.clone()), STEPS);
    assert!(changes(&seen).len() > 10);
    assert_eq!(seen.last().unwrap().view.nodes.len(), 3);
    check_pace(&seen, &policy);
}

/// Turned off, it decides nothing.
#[test]
fn off_is_off() {
    let mut model = Model::new(3, Curve::Flat(40_000));
    let seen = model.live(&mut Decider::new(Policy { enabled: false, ..policy() }), STEPS);
    assert!(changes(&seen).is_empty());
}
