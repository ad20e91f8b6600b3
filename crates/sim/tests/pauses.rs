//! A node that stands still: who else is held up by it, and what it does when it goes on.

use std::time::Duration;

use api::{Command, KeyRequest, Operation, Reply, Request};
use bytes::Bytes;
use sim::scenario::{REGISTERS, Scenario};
use sim::trace::Trace;
use sim::world::Happening;
use sim::{Answer, World};

const PAUSE: Duration = Duration::from_secs(3);

fn put(key: &str) -> Request {
    let operation = Operation::put(Bytes::from_static(b"value"));
    let key = Bytes::copy_from_slice(key.as_bytes());
    Request::new(Command::Key(KeyRequest { keyspace: REGISTERS, key, operation }))
}

fn is_written(answer: &Answer) -> bool {
    matches!(answer, Answer::Outcome(Ok(Reply::Written(_))))
}

/// Three nodes, and the first stands still.
fn with_one_still() -> World {
    let mut world = World::new(Scenario::calm(3, 3), Trace::new(false));
    world.pass(Duration::from_secs(1));
    assert!(world.pause(0, PAUSE));
    world
}

/// A majority of the owners goes on without it.
#[test]
fn the_others_serve_while_one_stands_still() {
    let mut world = with_one_still();
    let until = world.now() + PAUSE / 2;
    let mut written = 0;
    while world.now() < until {
        written += usize::from(is_written(&world.ask_and_wait(1, put(&format!("k{written}")))));
    }
    assert!(written > 100, "{written} in {:?}", PAUSE / 2);
    assert!(!world.is_whole(), "it stands still yet");
    assert!(world.violations().is_empty(), "{:?}", world.violations());
}

/// What it is asked meanwhile waits, and is answered as soon as it goes on.
#[test]
fn what_it_was_asked_is_answered_when_it_goes_on() {
    let mut world = with_one_still();
    let goes_on = world.now() + PAUSE;
    let ask = world.ask(0, put("k"));
    let latest = goes_on + Duration::from_secs(5);
    loop {
        match world.step(latest) {
            Some(Happening::Answered(id, answer)) if id == ask => {
                assert!(!matches!(answer, Answer::Refused | Answer::Lost), "{answer:?}");
                break;
            }
            Some(_) => {}
            None => panic!("no answer"),
        }
    }
    assert!(world.now() >= goes_on, "answered at {:?}, and it went on at {goes_on:?}", world.now());
    world.check_nobody_waits();
    assert!(world.violations().is_empty(), "{:?}", world.violations());
}

/// A machine that stops while its node stands still leaves nobody waiting.
#[test]
fn what_it_was_asked_is_lost_with_its_machine() {
    let mut world = with_one_still();
    let ask = world.ask(0, put("k"));
    world.pass(Duration::from_millis(100));
    world.pull_plug(0, env::disk::CrashMode::LoseUnsynced);
    let latest = world.now() + Duration::from_secs(1);
    let mut answered = None;
    while let Some(happening) = world.step(latest) {
        if let Happening::Answered(id, answer) = happening
            && id == ask
        {
            answered = Some(answer);
        }
    }
    assert_eq!(answered, Some(Answer::Lost));
    world.start_all();
    world.pass(Duration::from_secs(5));
    assert!(world.is_whole());
    assert!(is_written(&world.ask_and_wait(0, put("again"))));
}
