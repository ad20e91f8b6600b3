//! Whatever is asked of a cluster state, in whatever order: it stays sound, everybody who applies the same comes to the same, and
//! every change ends.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use api::Replaced;
use cluster::{ClusterState, Command, Keyspace, Progress, Refused, Report, Stage, Standing, Step};
use common::{found, member};
use proptest::prelude::*;
use ring::ReplicaCount;
use types::{Epoch, NodeId};

/// What somebody may ask for.
#[derive(Clone, Debug)]
enum Ask {
    Join {
        data_center: bool,
        rack: u8,
        replace: Option<(u8, bool)>,
    },
    Drain(u8),
    Remove(u8),
    Weigh(u8, u8),
    Cancel(u8),
    Create {
        n: u8,
    },
    Alter {
        n: u8,
    },
    Drop,
    Halve,
    Merge,
    KeepHalves,
    MovePartition(u16, Option<u8>, u8),
    /// The cluster goes on by itself, by so many commands.
    GoOn(u8),
}

fn ask() -> impl Strategy<Value = Ask> {
    prop_oneof![
        4 => (any::<bool>(), 0..3_u8, proptest::option::weighted(0.3, any::<(u8, bool)>()))
            .prop_map(|(data_center, rack, replace)| Ask::Join { data_center, rack, replace }),
        2 => any::<u8>().prop_map(Ask::Drain),
        2 => any::<u8>().prop_map(Ask::Remove),
        1 => (any::<u8>(), 1..5_u8).prop_map(|(who, weight)| Ask::Weigh(who, weight)),
        2 => any::<u8>().prop_map(Ask::Cancel),
        1 => (1..5_u8).prop_map(|n| Ask::Create { n }),
        2 => (1..5_u8).prop_map(|n| Ask::Alter { n }),
        1 => Just(Ask::Drop),
        1 => Just(Ask::Halve),
        2 => Just(Ask::Merge),
        1 => Just(Ask::KeepHalves),
        3 => (any::<u16>(), proptest::option::weighted(0.3, any::<u8>()), any::<u8>())
            .prop_map(|(partition, from, to)| Ask::MovePartition(partition, from, to)),
        12 => (1..20_u8).prop_map(Ask::GoOn),
    ]
}

/// The command that is meant, as things are.
fn command(ask: &Ask, state: &ClusterState, fresh: &mut u32) -> Option<Command> {
    let name = |who: u8| {
        let members = state.members();
        members[usize::from(who) % members.len()].name.clone()
    };
    let last = state.keyspaces().last().unwrap();
    Some(match ask {
        Ask::Join { data_center, rack, replace } => {
            *fresh += 1;
            let data_center = if *data_center { "dc1" } else { "dc2" };
            let plan = member(&format!("new{fresh}"), data_center, &format!("r{rack}"));
            let replaces = replace.map(|(who, hands_over)| Replaced { name: name(who), hands_over });
            Command::Join { plan: Box::new(plan), replaces }
        }
        Ask::Drain(who) => Command::Drain { names: vec![name(*who)], below_n: who % 2 == 0 },
        Ask::Remove(who) => Command::Remove { name: name(*who), below_n: who % 2 == 0, lose_data: false },
        Ask::Weigh(who, weight) => Command::Weigh { name: name(*who), weight: f64::from(*weight) },
        Ask::Cancel(who) => Command::Cancel { name: name(*who) },
        Ask::Create { n } => {
            *fresh += 1;
            let keyspace = Keyspace::new(0, &format!("ks{fresh}"));
            let keyspace = Keyspace { n: ReplicaCount::Everywhere(*n), ..keyspace };
            Command::CreateKeyspace { keyspace: Box::new(keyspace), number: None }
        }
        Ask::Alter { n } => {
            let keyspace = Keyspace { n: ReplicaCount::Everywhere(*n), ..last.clone() };
            Command::AlterKeyspace { keyspace: Box::new(keyspace), since: last.since }
        }
        Ask::Drop => Command::DropKeyspace { keyspace: last.id, name: last.name.clone() },
        // As many as a test has time for.
        Ask::Halve if state.partition_count() >= 128 => return None,
        Ask::Halve => Command::Halve { partitions: state.partitions().count() },
        Ask::Merge => Command::Merge { partitions: state.partitions().count() },
        Ask::KeepHalves => Command::KeepHalves,
        Ask::MovePartition(partition, from, to) => {
            // Now and then one that there is not.
            let partition = types::PartitionId(partition % (state.partitions().count() + 1));
            let of = state.partitions().count();
            Command::MovePartition { partition, of, from: from.map(name), to: name(*to) }
        }
        Ask::GoOn(_) => return None,
    })
}

/// What nodes report that are all up, and do at once what the state asks of them.
fn reports(state: &ClusterState) -> Progress {
    let mut progress = Progress::default();
    let step = |(partition, movement): (&types::PartitionId, &cluster::Movement)| Step {
        partition: *partition,
        session: movement.session,
        stage: movement.stage,
    };
    for one in state.members().iter().filter(|one| one.standing != Standing::Gone) {
        let done = state.movements().iter().map(step).collect();
        progress.report(one.id, Report { adopted: state.epoch(), done, shards: 1, ..Report::default() });
    }
    progress
}

/// Goes on by so many commands; whether there was always one.
fn go_on(
    state: &mut ClusterState,
    commands: usize,
    check: &mut impl FnMut(&ClusterState, &ClusterState),
) -> bool {
    for _ in 0..commands {
        let Some(next) = reports(state).next(state, |_| true, |_| false).into_iter().next() else {
            return false;
        };
        let after = state.apply(&next).unwrap();
        check(state, &after);
        *state = after;
    }
    true
}

/// What holds of every state, and of every step from one to the next.
fn check(before: &ClusterState, after: &ClusterState) {
    assert_eq!(after.epoch(), Epoch(before.epoch().0 + 1));
    let is_recut = before.partitions() != after.partitions();
    let is_joined = before.partition_count() == 2 * after.partition_count();
    if is_recut {
        assert!(is_joined || after.partition_count() == 2 * before.partition_count());
        assert!(after.partitions().iter().all(|one| after.since(one) == after.epoch()), "all is refused");
    }
    // In what follows a half is compared with what the whole was, or is now.
    let finer = before.partitions().max(after.partitions());
    let (before, after) = (&before.cut_finer(finer).unwrap(), &after.cut_finer(finer).unwrap());
    if is_joined {
        assert!(before.may_join_halves() && !after.is_merging());
        for keyspace in before.keyspaces() {
            for partition in before.partitions().iter() {
                let owners = |state: &ClusterState| state.owners(keyspace.id, partition).to_vec();
                assert_eq!(owners(before), owners(after), "in this order, for the first leads");
            }
        }
    }
    if is_recut {
        assert_eq!(before.movements(), after.movements());
        let waiting = |state: &ClusterState| state.waiting_to_move().collect::<Vec<_>>();
        assert_eq!(waiting(before), waiting(after));
    }
    assert_eq!(after.founding(), before.founding());
    assert_eq!(&ClusterState::decode(&after.encode()).unwrap(), after);
    let staying = |data_center: &str| {
        let here = after.members().iter().filter(|one| one.data_center == data_center);
        here.filter(|one| one.standing.stays()).count()
    };
    for keyspace in after.keyspaces() {
        for partition in after.partitions().iter() {
            let owners = after.all_owners(keyspace.id, partition);
            let distinct: BTreeSet<NodeId> = owners.read.iter().copied().collect();
            assert_eq!(distinct.len(), owners.read.len(), "each owner once");
            assert!(!owners.read.is_empty(), "everything has an owner");
            assert!(owners.holders().all(|node| after.member(node).is_some()), "owners are members");
            let was = before.all_owners(keyspace.id, partition);
            // Nobody here says that data may be lost.
            let is_whole = |state: &ClusterState, read: &[NodeId]| {
                let is_there = |node: &NodeId| state.member(*node).unwrap().standing != Standing::Gone;
                read.iter().any(is_there)
            };
            assert!(!is_whole(before, was.read) || is_whole(after, owners.read), "there is a copy left");
            let fresh = before.keyspace(keyspace.id).is_none();
            let sets = |owners: &cluster::Owners<'_>| {
                let sorted = |nodes: &[NodeId]| nodes.iter().copied().collect::<BTreeSet<_>>();
                (sorted(owners.read), sorted(owners.also_written), sorted(owners.clearing))
            };
            if !fresh && sets(&was) != sets(&owners) {
                assert_eq!(
                    after.since(partition),
                    after.epoch(),
                    "whoever routed by the old owners is refused"
                );
            }
            // Sets that follow each other share a member whose quorum counts: who reads now is who was written before.
            if !fresh {
                let written = |owners: &cluster::Owners<'_>| {
                    let (read, also, _) = sets(owners);
                    if also.is_empty() { vec![read] } else { vec![read, also] }
                };
                assert!(
                    written(&was).contains(&sets(&owners).0),
                    "whoever answers reads was written to before"
                );
            }
        }
    }
    // At rest everybody has what the rings say.
    if after.movements().is_empty() && after.waiting_to_move().next().is_none() {
        for keyspace in after.keyspaces() {
            let copies: usize = after
                .data_centers()
                .iter()
                .map(|name| keyspace.n.in_data_center(name).min(staying(name)))
                .sum();
            for partition in after.partitions().iter() {
                assert_eq!(after.owners(keyspace.id, partition).len(), copies);
            }
        }
        let nothing_is_left = |one: &cluster::Member| {
            let holds = |partition| after.holds(one.id, partition);
            one.standing == Standing::Leaving && !after.partitions().iter().any(holds)
        };
        let is_at_rest = |one: &cluster::Member| one.standing == Standing::Settled || nothing_is_left(one);
        assert!(after.members().iter().all(is_at_rest));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn histories_are_sound_and_end(asks in proptest::collection::vec(ask(), 1..14)) {
        let mut state = found(4, Vec::new());
        let (mut fresh, mut log) = (0, Vec::new());
        let (mut node_ids, mut keyspace_ids) = (BTreeMap::new(), BTreeMap::new());
        let mut names_stay = |state: &ClusterState| {
            for one in state.members() {
                assert_eq!(node_ids.entry(one.id).or_insert_with(|| one.name.clone()), &one.name);
            }
            for one in state.keyspaces() {
                assert_eq!(keyspace_ids.entry(one.id).or_insert_with(|| one.name.clone()), &one.name);
            }
        };
        for ask in &asks {
            if let Ask::GoOn(commands) = ask {
                go_on(&mut state, usize::from(*commands), &mut check);
            } else if let Some(command) = command(ask, &state, &mut fresh) {
                let again = Command::decode(&command.encode()).map(|command| command.encode());
                prop_assert_eq!(again, Some(command.encode()));
                if let Ok(after) = state.apply(&command) {
                    check(&state, &after);
                    log.push((state.clone(), command, after.fingerprint()));
                    state = after;
                }
            }
            names_stay(&state);
        }
        // Every change ends, in so many commands at the most: a few for each partition.
        prop_assert!(!go_on(&mut state, 20_000, &mut check), "it goes on for ever");
        prop_assert!(state.movements().is_empty() && state.waiting_to_move().next().is_none());
        prop_assert!(!state.is_merging(), "what is to be merged is in the end");
        prop_assert!(state.members().iter().all(|one| one.standing == Standing::Settled), "who leaves is let go");
        // Whoever applies the same comes to the same.
        for (before, command, fingerprint) in log {
            let before = ClusterState::decode(&before.encode()).unwrap();
            prop_assert_eq!(before.apply(&command).unwrap().fingerprint(), fingerprint);
        }
    }
}

/// A command that comes again, or late, changes nothing.
#[test]
fn steps_are_taken_once() {
    let state = found(3, Vec::new());
    let state =
        state.apply(&Command::Join { plan: Box::new(member("n4", "dc1", "r4")), replaces: None }).unwrap();
    let partition = state.waiting_to_move().next().unwrap();
    let begin = Command::Begin { partitions: vec![partition] };
    let state = state.apply(&begin).unwrap();
    assert!(matches!(state.apply(&begin), Err(Refused::Because(_))));
    let session = state.movement(partition).unwrap().session;
    let step = Step { partition, session, stage: Stage::Filling };
    let advance = Command::Advance { steps: vec![step], of: state.partitions().count() };
    let state = state.apply(&advance).unwrap();
    assert_eq!(state.movement(partition).unwrap().stage, Stage::Switched);
    assert!(state.apply(&advance).is_err());
}

/// Partitions that began to move at once have one session. What was said of one of them by the numbers of before a split is not
/// said of the one that has its number now.
#[test]
fn steps_and_reports_of_before_a_split_are_of_other_partitions() {
    let state = found(3, Vec::new());
    let state =
        state.apply(&Command::Join { plan: Box::new(member("n4", "dc1", "r4")), replaces: None }).unwrap();
    let state = state.apply(&Command::Begin { partitions: state.waiting_to_move().collect() }).unwrap();
    let steps: Vec<Step> = state
        .movements()
        .iter()
        .map(|(partition, movement)| Step {
            partition: *partition,
            session: movement.session,
            stage: movement.stage,
        })
        .collect();
    let late = Command::Advance { steps: steps.clone(), of: state.partitions().count() };
    let mut progress = Progress::default();
    for one in state.members() {
        progress.report(
            one.id,
            Report { adopted: state.epoch(), done: steps.clone(), shards: 1, ..Report::default() },
        );
    }
    let is_going_on = |state: &ClusterState| {
        let next = progress.next(state, |_| false, |_| false);
        next.iter().any(|command| matches!(command, Command::Advance { .. }))
    };
    assert!(is_going_on(&state));
    let halved = state.apply(&Command::Halve { partitions: state.partitions().count() }).unwrap();
    let of_another = |step: &&Step| {
        halved.movement(step.partition).is_some_and(|movement| movement.session == step.session)
    };
    assert!(steps.iter().any(|step| of_another(&step)), "the numbers are used again under the same session");
    assert!(!is_going_on(&halved));
    assert!(halved.apply(&late).is_err());
    assert_eq!(halved.movements().len(), 2 * state.movements().len(), "both halves go on");
}

/// Who asked when there were fewer partitions has been overtaken, and a slot is not halved.
#[test]
fn partitions_are_halved_once_for_each_who_asks_for_it() {
    let mut state = found(3, Vec::new());
    let halve = Command::Halve { partitions: state.partitions().count() };
    state = state.apply(&halve).unwrap();
    assert!(matches!(state.apply(&halve), Err(Refused::Because(why)) if why.contains("look again")));
    while state.partition_count() < 16_384 {
        state = state.apply(&Command::Halve { partitions: state.partitions().count() }).unwrap();
    }
    let refused = state.apply(&Command::Halve { partitions: 16_384 }).unwrap_err();
    assert!(refused.to_string().contains("single slot"), "{refused}");
}

/// Everybody reports so many shards.
fn reports_of_shards(state: &ClusterState, shards: u8) -> Progress {
    let mut progress = Progress::default();
    for one in state.members() {
        progress.report(one.id, Report { adopted: state.epoch(), shards, ..Report::default() });
    }
    progress
}

/// Halves of the same owners are joined when nothing moves, every member is heard of, and none has more shards than there are to be
/// partitions; then all that was routed before is refused. Whoever asked for it when there were more was overtaken.
#[test]
fn halves_are_joined_when_every_member_can_go_by_that() {
    let few = ring::Partitions::new(16).unwrap();
    let state = ClusterState::found(cluster::FoundingPlan { partitions: few, ..common::plan(3) }).unwrap();
    let count = state.partitions().count();
    let state = state.apply(&Command::Halve { partitions: count }).unwrap();
    let merge = Command::Merge { partitions: 2 * count };
    assert!(state.apply(&Command::JoinHalves { partitions: 2 * count }).is_err(), "nobody has asked for it");
    let merging = state.apply(&merge).unwrap();
    assert!(
        merging.is_merging() && merging.may_join_halves(),
        "what was halved and not changed since is in pairs"
    );
    assert!(merging.apply(&merge).unwrap_err().to_string().contains("--cancel"));
    assert!(merging.apply(&Command::Halve { partitions: 2 * count }).is_err());
    let next =
        |progress: &Progress, is_up: &dyn Fn(NodeId) -> bool| progress.next(&merging, is_up, |_| false);
    let shards = u8::try_from(count).unwrap();
    assert_eq!(next(&reports_of_shards(&merging, shards + 1), &|_| true), []);
    assert_eq!(next(&reports_of_shards(&merging, shards), &|node| node != NodeId(2)), []);
    assert_eq!(
        reports_of_shards(&merging, 1).hinders_joining(&merging, |node| node != NodeId(2)),
        [NodeId(2)]
    );
    let join = Command::JoinHalves { partitions: 2 * count };
    assert_eq!(next(&reports_of_shards(&merging, shards), &|_| true), std::slice::from_ref(&join));
    let joined = merging.apply(&join).unwrap();
    assert_eq!((joined.partitions().count(), joined.is_merging()), (count, false));
    assert!(
        joined.apply(&join).is_err() && joined.apply(&merge).unwrap_err().to_string().contains("look again")
    );
    let kept = merging.apply(&Command::KeepHalves).unwrap();
    assert!(!kept.is_merging() && kept.apply(&Command::KeepHalves).is_err() && kept.apply(&join).is_err());
}

/// A switch waits until no quorum of the old owners may answer what was routed before, whoever seems to be up.
#[test]
fn a_switch_waits_for_refusals() {
    let state = found(3, Vec::new());
    let state =
        state.apply(&Command::Join { plan: Box::new(member("n4", "dc1", "r4")), replaces: None }).unwrap();
    let partition = state.waiting_to_move().next().unwrap();
    let state = state.apply(&Command::Begin { partitions: vec![partition] }).unwrap();
    let session = state.movement(partition).unwrap().session;
    let step = Step { partition, session, stage: Stage::Filling };
    let state = state.apply(&Command::Advance { steps: vec![step], of: state.partitions().count() }).unwrap();
    let old = state.all_owners(state.default_keyspace().id, partition).also_written.to_vec();
    let mut progress = Progress::default();
    let goes_on = |progress: &Progress| {
        progress
            .next(&state, |_| false, |_| false)
            .iter()
            .any(|command| matches!(command, Command::Advance { .. }))
    };
    assert!(!goes_on(&progress));
    progress.report(old[0], Report { adopted: state.epoch(), shards: 1, ..Report::default() });
    assert!(!goes_on(&progress), "two of three may still be a quorum");
    progress.report(old[1], Report { adopted: Epoch(state.epoch().0 - 1), shards: 1, ..Report::default() });
    assert!(!goes_on(&progress), "he goes by the state before");
    progress.report(old[1], Report { adopted: state.epoch(), shards: 1, ..Report::default() });
    assert!(goes_on(&progress), "one of three is none");
    assert_eq!(progress.waits_for(&state, partition, |_| true), Vec::new());
}

/// Nothing silently leaves fewer nodes than N, and what asks for that says so.
#[test]
fn leaving_below_n_is_to_be_asked_for() {
    let state = found(3, Vec::new());
    let drain = |below_n| Command::Drain { names: vec!["n1".to_owned()], below_n };
    let refused = state.apply(&drain(false)).unwrap_err().to_string();
    assert_eq!(
        refused,
        "data center dc1 would be left with 2 nodes, and keyspace default keeps 3 replicas there: add a node first, or lower n \
         (`henge keyspace alter`), or say --below-n and have fewer replicas"
    );
    let state = state.apply(&drain(true)).unwrap();
    assert_eq!(state.member_by_name("n1").unwrap().standing, Standing::Leaving);
    assert!(state.apply(&Command::Drain { names: vec!["n1".to_owned()], below_n: true }).is_err());
}

/// The last copy of something is not given up without a word; those who have yet to get theirs do not count, however many stay.
#[test]
fn the_last_copy_is_not_given_up_without_a_word() {
    let mut state = found(4, Vec::new());
    for fresh in ["n5", "n6", "n7"] {
        let plan = Box::new(member(fresh, "dc1", fresh));
        state = state.apply(&Command::Join { plan, replaces: None }).unwrap();
    }
    let remove = |name: &str, lose_data| Command::Remove { name: name.to_owned(), below_n: true, lose_data };
    state = state.apply(&remove("n1", false)).unwrap();
    state = state.apply(&remove("n2", false)).unwrap();
    let refused = state.apply(&remove("n3", false)).unwrap_err().to_string();
    assert!(refused.starts_with("n3 has the last copy of "), "{refused}");
    assert!(refused.ends_with("bring it back, or say --lose-data and go on without"), "{refused}");
    let replaces = Some(Replaced { name: "n3".to_owned(), hands_over: false });
    let in_its_place = Command::Join { plan: Box::new(member("n8", "dc1", "n8")), replaces };
    let refused = state.apply(&in_its_place).unwrap_err().to_string();
    assert!(refused.ends_with("(`henge node remove n3 --lose-data`)"), "{refused}");
    let plan = state.plan_of(&remove("n3", true)).unwrap();
    assert!(plan.notes[0].starts_with("n3 has the last copy of "), "{:?}", plan.notes);
    let state = state.apply(&remove("n3", true)).unwrap();
    assert!(state.apply(&in_its_place).is_ok(), "what it had was given up already");
}

/// Of two who alter a keyspace at once, one is told to look again; the policy is for ever; a dropped id is never used again.
#[test]
fn keyspaces_change_in_one_order() {
    let state = found(3, Vec::new());
    let create =
        |name: &str| Command::CreateKeyspace { keyspace: Box::new(Keyspace::new(0, name)), number: None };
    let state = state.apply(&create("carts")).unwrap();
    assert!(matches!(state.apply(&create("carts")), Err(Refused::Exists { .. })));
    let carts = state.keyspace_by_name("carts").unwrap().clone();
    let alter = |allow_flush, require_context| Command::AlterKeyspace {
        keyspace: Box::new(Keyspace { allow_flush, require_context, ..carts.clone() }),
        since: carts.since,
    };
    let state = state.apply(&alter(true, false)).unwrap();
    assert_eq!(state.apply(&alter(false, true)), Err(Refused::Overtaken { since: state.epoch() }));
    let state = state.apply(&Command::DropKeyspace { keyspace: carts.id, name: "carts".to_owned() }).unwrap();
    assert!(state.was_dropped(carts.id) && state.keyspace(carts.id).is_none());
    let state = state.apply(&create("carts")).unwrap();
    let again = state.keyspace_by_name("carts").unwrap();
    assert!(again.id > carts.id && again.number == carts.number);
    let default = state.default_keyspace();
    let drop = Command::DropKeyspace { keyspace: default.id, name: default.name.clone() };
    assert!(state.apply(&drop).is_err());
}

/// Who leaves is a member for as long as he is needed, though he has nothing: as one of two who vote on the state he takes the
/// majority with him. Once he is not, he is let go; and nobody is who stays by then.
#[test]
fn who_leaves_is_let_go_when_nobody_needs_him() {
    let plan = Box::new(member("n4", "dc1", "r4"));
    let state = found(3, Vec::new()).apply(&Command::Join { plan, replaces: None }).unwrap();
    let joiner = state.member_by_name("n4").unwrap().id;
    let dismiss = Command::Dismiss { nodes: vec![joiner] };
    assert!(state.apply(&dismiss).is_err(), "he stays");
    let cancelled = state.apply(&Command::Cancel { name: "n4".to_owned() }).unwrap();
    assert_eq!(cancelled.member(joiner).unwrap().standing, Standing::Leaving);
    let next = |is_needed: bool| reports(&cancelled).next(&cancelled, |_| true, |_| is_needed);
    assert_eq!(next(true), []);
    assert_eq!(next(false), std::slice::from_ref(&dismiss));
    let gone = cancelled.apply(&dismiss).unwrap();
    assert!(gone.was_removed(joiner) && gone.member(joiner).is_none());
    assert!(gone.apply(&dismiss).is_err(), "once");
    let again = cancelled.apply(&Command::Cancel { name: "n4".to_owned() }).unwrap();
    assert!(again.apply(&dismiss).is_err(), "he stays again");
}

/// Whoever takes another's place takes exactly his claims: a dead one's, and one's that hands over what it has.
#[test]
fn a_replacement_moves_nothing_else() {
    let state = found(5, Vec::new());
    let old = state.member_by_name("n2").unwrap().id;
    for (hands_over, standing) in [(false, Standing::Gone), (true, Standing::Leaving)] {
        let plan = Box::new(member("n9", "dc1", "r2"));
        let replaces = Some(Replaced { name: "n2".to_owned(), hands_over });
        let next = state.apply(&Command::Join { plan, replaces }).unwrap();
        let fresh = next.member_by_name("n9").unwrap().id;
        let put = |node: NodeId| if node == old { fresh } else { node };
        let claims = |state: &ClusterState| state.rings().ring("dc1").unwrap().claims().collect::<Vec<_>>();
        assert_eq!(claims(&next), claims(&state).into_iter().map(put).collect::<Vec<_>>());
        assert_eq!(next.member(old).unwrap().standing, standing);
        assert_eq!(next.was_removed(old), !hands_over);
    }
}

/// A new owner is waited for, one that stays has nothing to do; but where a data center is to keep fewer copies, whoever stays may
/// be the one that has missed a write, and is waited for too.
#[test]
fn who_stays_is_waited_for_where_there_are_to_be_fewer_copies() {
    let join = |state: ClusterState| {
        let plan = Box::new(member("n4", "dc1", "r4"));
        state.apply(&Command::Join { plan, replaces: None }).unwrap()
    };
    let begin = |state: ClusterState| {
        let partitions: Vec<_> = state.waiting_to_move().collect();
        state.apply(&Command::Begin { partitions }).unwrap()
    };
    let state = begin(join(found(3, Vec::new())));
    let keyspace = state.default_keyspace().clone();
    let nobody = Progress::default();
    for partition in state.movements().keys() {
        let owners = state.all_owners(keyspace.id, *partition);
        let new: Vec<NodeId> =
            owners.also_written.iter().copied().filter(|node| !owners.read.contains(node)).collect();
        assert_eq!(nobody.waits_for(&state, *partition, |_| true), new);
    }
    let fewer = Keyspace { n: ReplicaCount::Everywhere(2), ..Keyspace::new(1, "fewer") };
    let state = found(3, vec![Keyspace::new(1, "fewer")]);
    let made = state.keyspace_by_name("fewer").unwrap().clone();
    let to = Keyspace { n: fewer.n, ..made.clone() };
    let state =
        begin(state.apply(&Command::AlterKeyspace { keyspace: Box::new(to), since: made.since }).unwrap());
    for partition in state.movements().keys() {
        let mut new = state.all_owners(made.id, *partition).also_written.to_vec();
        new.sort_unstable();
        assert_eq!(nobody.waits_for(&state, *partition, |_| true), new);
    }
    assert!(!state.movements().is_empty());
}
