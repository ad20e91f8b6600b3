//! `henge get`, `put`, `del`, `status`, `ring` and `explain`, as a person and as a script use them.

use crate::common::dev::Dev;
use crate::common::process::{Ended, run};

/// Runs a command at a node.
fn at(dev: &Dev, node: u16, words: &[&str]) -> Ended {
    let address = dev.http_address(node).to_string();
    run(words.iter().copied().chain(["--at", &address]))
}

/// Scripts rely on it: 0 and the bytes alone for a value, 1 and nothing on standard output for none.
#[test]
fn get_put_and_del_tell_scripts_what_they_did() {
    let dev = Dev::start();
    let put = at(&dev, 1, &["put", "greeting", "hello"]);
    assert_eq!(put.code, Some(0), "{put:?}");
    assert!(put.printed.contains("stored on") && put.printed.contains("context: "), "{put:?}");
    let get = at(&dev, 2, &["get", "greeting"]);
    assert_eq!((get.code, get.printed.as_str()), (Some(0), "hello"));
    let del = at(&dev, 3, &["del", "greeting"]);
    assert_eq!((del.code, del.printed.as_str()), (Some(0), "deleted\n"));
    let gone = at(&dev, 1, &["get", "greeting"]);
    assert_eq!((gone.code, gone.printed.as_str()), (Some(1), ""));
    let again = at(&dev, 2, &["del", "greeting"]);
    assert_eq!((again.code, again.printed.as_str()), (Some(0), "there was nothing to delete\n"));
}

/// Levels and keyspaces that do not exist are errors that say what there is, not defaults.
#[test]
fn what_a_command_cannot_do_it_says_with_what_would_be_right() {
    let dev = Dev::start();
    at(&dev, 1, &["get", "k", "--keyspace", "nowhere"]).refused_with(&["nowhere", "default", "siblings"]);
    at(&dev, 1, &["get", "k", "--r", "most"]).refused_with(&["most", "quorum"]);
    at(&dev, 1, &["put", "k", "v", "--w", "9"]).refused_with(&["9"]);
    at(&dev, 1, &["put", "k", "v", "--context", "nonsense"]).refused_with(&["context"]);
    let nobody = dev.peer_address(3).port() + 1;
    run(["get", "k", "--at", &format!("127.0.0.1:{nobody}")]).refused_with(&["is it running?", "--at"]);
}

/// Siblings are shown with their clocks, and the context that is printed replaces them all.
#[test]
fn siblings_are_listed_with_a_context_that_resolves_them() {
    let dev = Dev::start();
    for (node, value) in [(1, "milk"), (2, "bread")] {
        assert_eq!(at(&dev, node, &["put", "cart", value, "--keyspace", "siblings"]).code, Some(0));
    }
    let both = at(&dev, 3, &["get", "cart", "--keyspace", "siblings"]);
    for words in ["2 siblings", "milk   ([n1, 1])", "bread   ([n2, 1])"] {
        assert!(both.printed.contains(words), "{words} in {}", both.printed);
    }
    let context = both.printed.lines().find_map(|line| line.strip_prefix("context: ")).expect("a context");
    let put = at(&dev, 3, &["put", "cart", "milk, bread", "--keyspace", "siblings", "--context", context]);
    assert_eq!(put.code, Some(0), "{put:?}");
    assert_eq!(at(&dev, 1, &["get", "cart", "--keyspace", "siblings"]).printed, "milk, bread");
}

/// What an operator asks first: who is there, and what do the keyspaces promise.
#[test]
fn status_shows_every_node_and_what_each_keyspace_promises() {
    let dev = Dev::start();
    let status = at(&dev, 2, &["status"]);
    assert_eq!(status.code, Some(0), "{status:?}");
    let row = |first: &str| {
        let is_row = |line: &&str| line.split_whitespace().next() == Some(first);
        status
            .printed
            .lines()
            .find(is_row)
            .unwrap_or_else(|| panic!("{first} in {}", status.printed))
            .to_owned()
    };
    for node in ["n1", "n2", "n3"] {
        assert!(row(node).contains(" up "), "{}", row(node));
    }
    assert!(row("default").contains("lww") && row("default").contains("eventual"));
    assert!(row("siblings").contains("quorum") && row("siblings").contains("always"));
}

/// Every slot has owners, and the ring says which.
#[test]
fn ring_shows_owners_for_every_slot_without_a_gap() {
    let dev = Dev::start();
    let ring = at(&dev, 1, &["ring"]);
    let ranges = ring.printed.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let (first, last) = words.next()?.split_once('-')?;
        Some((first.parse::<u32>().ok()?, last.parse::<u32>().ok()?, words.count()))
    });
    let end = ranges.fold(0, |next, (first, last, owners)| {
        assert_eq!((first, owners), (next, 3));
        last + 1
    });
    assert_eq!(end, 16_384, "{}", ring.printed);
}

/// `explain` answers the question behind most others: where does my key live and what does each owner hold of it?
#[test]
fn explain_shows_what_each_owner_holds() {
    let dev = Dev::start();
    // All owners must hold it, or one might rightly be shown without.
    assert_eq!(at(&dev, 1, &["put", "{user1}.name", "Ada", "--w", "all"]).code, Some(0));
    let explained = at(&dev, 3, &["explain", "{user1}.name"]);
    assert_eq!(explained.code, Some(0), "{explained:?}");
    // CRC16 of `user1` as the Redis Cluster specification computes it.
    assert!(explained.printed.contains("slot 8106"), "{}", explained.printed);
    for node in ["n1", "n2", "n3"] {
        let holds = |line: &str| line.split_whitespace().take(2).eq([node, "found"]);
        assert!(explained.printed.lines().any(holds), "{node} in {}", explained.printed);
    }
    let absent = at(&dev, 2, &["explain", "nothing-here"]);
    assert_eq!(absent.printed.matches("absent").count(), 3, "{}", absent.printed);
}

/// The pages that packagers install come out of the binary itself.
#[test]
fn completions_and_the_manual_page_are_printed() {
    let completions = run(["completions", "bash"]);
    assert!(completions.code == Some(0) && completions.printed.contains("_henge"));
    let manual = run(["man"]);
    assert!(manual.code == Some(0) && manual.printed.contains(".TH henge"));
}
