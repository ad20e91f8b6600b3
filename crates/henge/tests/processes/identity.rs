//! INVARIANTS B1 and E7: a node whose data directory is emptied, rolled back, copied or used twice. It does not answer for what
//! it lost, it does not take itself for who it was, and it has everything again when it has caught up.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::patience::wait_until;
use crate::common::process::Process;
use crate::common::resp::Reply;
use crate::common::servers::Servers;

const KEYS: usize = 50;

/// Three nodes, and keys that all of them hold.
fn filled() -> Servers {
    let servers = Servers::start(3, "");
    put(&servers, "before");
    servers
}

fn put(servers: &Servers, value: &str) {
    let mut resp = servers.resp(1, "default");
    for number in 0..KEYS {
        let reply = resp.ask(&["KV.PUT", &format!("key-{number}"), value, "W", "2"]);
        assert!(matches!(reply, Reply::Array(_)), "{reply:?}");
    }
}

/// What node 3 says of a key by itself, or why it does not.
fn alone(servers: &Servers, number: usize) -> Reply {
    servers.resp(3, "default").ask(&["KV.GET", &format!("key-{number}"), "R", "1"])
}

/// Whatever is read through node 3, now and until it has caught up, is the value and never that there is none.
#[track_caller]
fn assert_is_true_until_whole(servers: &Servers, value: &str) {
    let mut number = 0;
    wait_until("n3 to have caught up", || {
        number += 1;
        let reply = alone(servers, number % KEYS);
        let is_value = format!("{reply:?}").contains(&format!("{:?}", Reply::value(value)));
        let is_refused = matches!(&reply, Reply::Error(why) if why.starts_with("UNAVAILABLE"));
        assert!(is_value || is_refused, "key-{} is {reply:?}", number % KEYS);
        servers.figure(3, "missing_partitions") == 0.0
    });
    servers.wait_until_seen();
    let mut resp = servers.resp(3, "default");
    for number in 0..KEYS {
        let reply = resp.ask(&["KV.GET", &format!("key-{number}"), "R", "all"]);
        let shown = format!("{reply:?}");
        assert!(shown.contains(&format!("{:?}", Reply::value(value))), "key-{number} is {shown}");
    }
}

fn identity(servers: &Servers) -> Vec<u8> {
    fs::read(servers.data(3).join("identity")).expect("a node that runs has one")[12..20].to_vec()
}

/// All files below a directory, with what is in them.
fn files(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("can be listed").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push((path.clone(), fs::read(&path).expect("can be read")));
        }
    }
    found
}

#[test]
fn an_emptied_node_says_nothing_of_what_it_lost_and_catches_up() {
    let mut servers = filled();
    let before = identity(&servers);
    servers.kill(3);
    fs::remove_dir_all(servers.data(3)).expect("can be emptied");
    servers.launch(3);
    assert_is_true_until_whole(&servers, "before");
    assert_ne!(identity(&servers), before, "an empty directory is a new life");
}

#[test]
fn a_node_on_a_copy_of_its_directory_begins_a_new_life_and_catches_up() {
    let mut servers = filled();
    servers.kill(3);
    let copies = files(&servers.data(3));
    servers.launch(3);
    servers.wait_until_seen();
    let before = identity(&servers);
    put(&servers, "after");
    servers.kill(3);
    fs::remove_dir_all(servers.data(3)).expect("can be emptied");
    for (path, bytes) in &copies {
        fs::create_dir_all(path.parent().expect("it is in a directory")).expect("can be made");
        fs::write(path, bytes).expect("can be written");
    }
    servers.launch(3);
    assert!(servers.process(3).logged().contains("this data directory is a copy"));
    assert_is_true_until_whole(&servers, "after");
    assert_ne!(identity(&servers), before, "a copy is a new life");
}

/// The files are the same ones with what they held before, as after a volume was rolled back: only its peers can tell.
#[test]
fn a_node_that_was_rolled_back_is_told_so_begins_a_new_life_and_catches_up() {
    let mut servers = filled();
    servers.kill(3);
    let before = files(&servers.data(3));
    servers.launch(3);
    servers.wait_until_seen();
    let life = identity(&servers);
    put(&servers, "after");
    servers.kill(3);
    for (path, _) in files(&servers.data(3)) {
        if !before.iter().any(|(earlier, _)| *earlier == path) {
            fs::remove_file(path).expect("can be removed");
        }
    }
    for (path, bytes) in &before {
        // Keeps the file and changes what is in it.
        fs::write(path, bytes).expect("can be written");
    }
    servers.launch(3);
    wait_until("n3 to begin a new life", || identity(&servers) != life);
    let third = servers.process(3);
    third.wait_for("n3 to serve again", |third| {
        (third.logged().matches(" serving ").count() > 1).then_some(())
    });
    assert_is_true_until_whole(&servers, "after");
    assert!(servers.process(3).logged().contains("rolled back to an earlier state"));
}

/// A second process on a copy of a directory whose node runs: it is not let in, and the node goes on.
#[test]
fn of_two_processes_with_one_identity_the_second_is_not_let_in() {
    let mut servers = filled();
    servers.kill(3);
    let copy = servers.data(3).with_extension("copy");
    for (path, bytes) in files(&servers.data(3)) {
        let path = copy.join(path.strip_prefix(servers.data(3)).expect("it is in there"));
        fs::create_dir_all(path.parent().expect("it is in a directory")).expect("can be made");
        fs::write(path, bytes).expect("can be written");
    }
    servers.launch(3);
    servers.wait_until_seen();
    let (config, said) = (servers.config_path(3), servers.data(3).with_extension("said"));
    let arguments = [
        "server",
        "--config",
        config.to_str().expect("a plain name"),
        "--data-dir",
        copy.to_str().expect("a plain name"),
    ];
    let elsewhere = ["--resp", "127.0.0.1:0", "--http", "127.0.0.1:0", "--peer", "127.0.0.1:0"];
    let mut second = Process::start(&said, "second", arguments.into_iter().chain(elsewhere));
    second.wait_for("the second to be refused", |process| {
        process.logged().contains("two must not run under one node.id").then_some(())
    });
    let mut resp = servers.resp(3, "default");
    for number in 0..KEYS {
        let reply = resp.ask(&["KV.PUT", &format!("key-{number}"), "goes on", "W", "all"]);
        assert!(matches!(reply, Reply::Array(_)), "{reply:?}");
    }
    second.kill();
}
