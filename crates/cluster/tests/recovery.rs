//! A history that is begun again: whatever an earlier one, or another that was begun at once, has said or says yet, is not of it.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod common;

use cluster::{ClusterState, Command, EPOCHS_OF_A_GENERATION, Keyspace, Standing, generation_of};
use common::{found, member};
use types::{Epoch, PartitionId};

fn join(state: &ClusterState, name: &str) -> ClusterState {
    let plan = Box::new(member(name, "dc1", name));
    state.apply(&Command::Join { plan, replaces: None }).unwrap()
}

fn create(state: &ClusterState, name: &str) -> ClusterState {
    let keyspace = Box::new(Keyspace::new(9, name));
    state.apply(&Command::CreateKeyspace { keyspace, number: None }).unwrap()
}

/// Five nodes of which one has joined since, and some partitions move.
fn before() -> ClusterState {
    let state = join(&found(4, vec![Keyspace::new(1, "carts")]), "n5");
    state.apply(&Command::Begin { partitions: (0..64).map(PartitionId).collect() }).unwrap()
}

/// Whatever was routed by the lost history is earlier than what the new one asks for (E1), however far that had come.
#[test]
fn all_owners_and_settings_are_since_an_epoch_above_all_of_the_lost_history() {
    let before = before();
    let lost = (0..50).fold(before.clone(), |state, number| create(&state, &format!("unseen{number}")));
    let again = before.begun_again(0, 77, &[]).unwrap();
    assert_eq!((again.generation(), generation_of(again.epoch())), (1, 1));
    assert!(again.epoch() > lost.epoch() && generation_of(lost.epoch()) == 0);
    for partition in again.partitions().iter() {
        assert_eq!(again.since(partition), again.epoch());
        for keyspace in again.keyspaces() {
            assert!(again.since_in(keyspace.id, partition) > lost.since_in(keyspace.id, partition));
        }
    }
}

#[test]
fn what_was_there_and_what_moved_is_carried_on() {
    let before = before();
    let again = before.begun_again(0, 77, &[]).unwrap();
    assert_eq!(again.founding(), before.founding());
    assert_eq!(again.members(), before.members());
    assert_eq!(again.movements(), before.movements());
    for partition in again.partitions().iter() {
        for keyspace in again.keyspaces() {
            assert_eq!(again.all_owners(keyspace.id, partition), before.all_owners(keyspace.id, partition));
        }
    }
}

/// E8 and D4: what the lost ones may have numbered, and nobody has seen, has a number that nothing else gets.
#[test]
fn numbers_that_may_have_been_given_unseen_are_not_given_again() {
    let before = before();
    let lost = create(&join(&before, "unseen"), "unseen");
    let again = create(&join(&before.begun_again(0, 77, &[]).unwrap(), "n6"), "other");
    let unseen = lost.member_by_name("unseen").unwrap().id;
    assert_ne!(again.member_by_name("n6").unwrap().id, unseen);
    assert!(again.was_removed(unseen), "who comes with it is told that he is no member any more");
    let keyspace = |state: &ClusterState, name| state.keyspace_by_name(name).unwrap().id;
    assert_ne!(keyspace(&again, "other"), keyspace(&lost, "unseen"));
    assert!(again.was_dropped(keyspace(&lost, "unseen")));
}

/// Two sides of a cut: one generation, two histories. Nothing that both count is the same on both.
#[test]
fn two_histories_that_are_begun_at_once_share_no_epoch_and_no_id() {
    let before = before();
    let histories = [77_u64, 4_000_000_123].map(|history| before.begun_again(0, history, &[]).unwrap());
    let [here, there] = &histories;
    assert_eq!(here.generation(), there.generation());
    assert_ne!(here.history(), there.history());
    assert_ne!(here.fingerprint(), there.fingerprint());
    assert!(here.epoch().0.abs_diff(there.epoch().0) >= 1_000_000);
    let made = histories.map(|state| create(&state, "carts2").keyspace_by_name("carts2").unwrap().id);
    assert_ne!(made[0], made[1]);
}

#[test]
fn who_is_lost_for_good_goes_with_the_first_state_of_the_new_history() {
    let names = ["n1".to_owned(), "n2".to_owned()];
    let again = before().begun_again(0, 77, &names).unwrap();
    for name in &names {
        assert_eq!(again.member_by_name(name).unwrap().standing, Standing::Gone);
    }
    assert!(again.waiting_to_move().count() > 0, "others get what they had");
    assert!(before().begun_again(0, 77, &["nobody".to_owned()]).is_err());
}

#[test]
fn each_generation_comes_after_all_that_were_heard_of() {
    let once = before().begun_again(0, 5, &[]).unwrap();
    let twice = once.begun_again(0, 3, &[]).unwrap();
    assert_eq!((twice.generation(), twice.history()), (2, 3));
    assert!(twice.epoch() > once.epoch() && twice.epoch() >= Epoch(2 * EPOCHS_OF_A_GENERATION));
    let after = before().begun_again(6, 3, &[]).unwrap();
    assert_eq!(after.generation(), 7);
    assert!(before().begun_again(u32::MAX, 3, &[]).is_err());
}

/// It is kept as bytes of its own format, and those of the first history are what they were.
#[test]
fn it_is_kept_with_the_number_of_its_history() {
    let again = before().begun_again(0, u64::MAX, &[]).unwrap();
    let bytes = again.encode();
    assert_eq!(bytes[4..6], [3, 0]);
    assert_eq!(before().encode()[4..6], [2, 0]);
    let read = ClusterState::decode(&bytes).unwrap();
    assert_eq!((&read, read.fingerprint()), (&again, again.fingerprint()));
    let next = create(&read, "next");
    assert_eq!((next.generation(), next.history()), (1, u64::MAX));
}
