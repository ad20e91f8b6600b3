//! What the provider keeps.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use autoscale::{LocalConfig, Wanted};
use provider::{Local, Order, Provider, ProviderError};

const TESTS: [(&str, fn()); 12] = [
    ("a_request_is_one_process", a_request_is_one_process),
    ("a_node_is_told_who_it_is", a_node_is_told_who_it_is),
    ("another_leader_knows_what_was_started", another_leader_knows_what_was_started),
    ("a_node_that_does_not_stop_is_ended_by_force", a_node_that_does_not_stop_is_ended_by_force),
    ("a_node_that_ends_at_once_is_told_with_its_reason", a_node_that_ends_at_once_is_told_with_its_reason),
    ("a_node_that_is_slow_to_listen_is_left_alone", a_node_that_is_slow_to_listen_is_left_alone),
    ("a_number_that_is_somebody_elses_is_not_ended", a_number_that_is_somebody_elses_is_not_ended),
    ("a_process_that_was_not_written_down_is_found", a_process_that_was_not_written_down_is_found),
    ("a_node_that_died_is_listed_until_it_is_ended", a_node_that_died_is_listed_until_it_is_ended),
    ("names_and_directories_are_never_used_again", names_and_directories_are_never_used_again),
    ("a_list_that_cannot_be_read_is_left_alone", a_list_that_cannot_be_read_is_left_alone),
    ("two_that_work_at_once_are_told_apart", two_that_work_at_once_are_told_apart),
];

/// Runs the tests, or the one of this name.
pub(crate) fn run(filter: Option<&str>) -> ExitCode {
    settings_are_checked();
    for (name, test) in TESTS {
        if filter.is_none_or(|filter| name.contains(filter)) {
            println!("test {name} ...");
            test();
        }
    }
    println!("all passed");
    ExitCode::SUCCESS
}

/// A root of the test's own. Nodes that a failed run has left there are ended.
fn root(test: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("local-{test}"));
    if path.join("nodes.json").exists()
        && let Ok(nodes) = local(&path).list()
    {
        nodes.iter().for_each(|node| drop(local(&path).retire(&node.name)));
    }
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    path
}

fn config(root: &Path) -> LocalConfig {
    LocalConfig {
        root: Some(root.to_owned()),
        arguments: vec!["--shards".to_owned(), "1".to_owned()],
        stop_within: Some("20s".to_owned()),
        ..LocalConfig::default()
    }
}

/// A provider as another node would make it: it has no memory.
fn local(root: &Path) -> Local {
    Local::new(&config(root)).unwrap()
}

/// One that starts a script.
fn scripted(root: &Path, script: &str, config: LocalConfig) -> Local {
    let (path, new) = (root.join("binary"), root.join("binary.new"));
    std::fs::write(&new, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::rename(&new, &path).unwrap();
    Local::new(&LocalConfig { binary: Some(path), ..config }).unwrap()
}

fn order(request: &str) -> Order {
    let wanted = Wanted {
        request: request.to_owned(),
        name: "auto".to_owned(),
        data_center: "dc1".to_owned(),
        rack: "r4".to_owned(),
        weight_thousandths: 500,
    };
    let seeds = vec!["127.0.0.1:9001".to_owned()];
    Order { wanted, cluster: "example".to_owned(), seeds, replaces: None }
}

fn not_done(result: Result<impl std::fmt::Debug, ProviderError>) -> String {
    match result {
        Err(error @ ProviderError::NotDone { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

/// The names of the nodes, with whether they run.
fn nodes(root: &Path) -> Vec<(String, bool)> {
    local(root).list().unwrap().into_iter().map(|node| (node.name, node.is_running)).collect()
}

/// What the list says of the process of the only node.
fn pid(root: &Path) -> String {
    let list: serde_json::Value =
        serde_json::from_slice(&std::fs::read(root.join("nodes.json")).unwrap()).unwrap();
    list["nodes"][0]["process"]["pid"].to_string()
}

fn edit(root: &Path, change: impl FnOnce(&mut serde_json::Value)) {
    let path = root.join("nodes.json");
    let mut list: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    change(&mut list["nodes"][0]["process"]);
    std::fs::write(&path, list.to_string()).unwrap();
}

/// The same request starts one process, and is the same node.
fn a_request_is_one_process() {
    let root = root("request");
    let mut provider = local(&root);
    let name = provider.add(&order("e1")).unwrap();
    let first = pid(&root);
    assert_eq!(provider.add(&order("e1")).unwrap(), name);
    assert_eq!(pid(&root), first);
    let other = provider.add(&order("e2")).unwrap();
    assert_eq!(nodes(&root), [(name.clone(), true), (other.clone(), true)]);
    provider.retire(&name).unwrap();
    provider.retire(&other).unwrap();
    // Who asks again under a request that has had its end gets no new node.
    let error = not_done(provider.add(&order("e1")));
    assert!(error.contains("another request"), "{error}");
}

/// It is given its name, place, weight and seeds, and nothing of the environment of whoever starts it but the cluster's.
fn a_node_is_told_who_it_is() {
    let root = root("told");
    let mut provider = local(&root);
    let name = provider.add(&order("e1")).unwrap();
    let words = std::fs::read_to_string(root.join(&name).join("words")).unwrap();
    assert!(!words.contains("--replaces"), "{words}");
    for pair in [
        "--node-id\nauto-1",
        "--datacenter\ndc1",
        "--rack\nr4",
        "--weight\n0.5",
        "--cluster-name\nexample",
        "--seeds\n127.0.0.1:9001",
        "--shards\n1",
    ] {
        assert!(words.contains(pair), "{pair} in {words}");
    }
    let environment = std::fs::read_to_string(root.join(&name).join("environment")).unwrap();
    assert_eq!(environment, "HENGE_CLUSTER_SECRET=s");
    let heir = provider.add(&Order { replaces: Some("n4".to_owned()), ..order("e2") }).unwrap();
    let words = std::fs::read_to_string(root.join(&heir).join("words")).unwrap();
    assert!(words.contains("--replaces\nn4"), "{words}");
    provider.retire(&name).unwrap();
    provider.retire(&heir).unwrap();
}

/// A provider that begins anew lists what was started before it and ends it; what has ended stays so.
fn another_leader_knows_what_was_started() {
    let root = root("leaders");
    let name = local(&root).add(&order("e1")).unwrap();
    assert_eq!(nodes(&root), [(name.clone(), true)]);
    local(&root).retire(&name).unwrap();
    assert_eq!(nodes(&root), []);
    local(&root).retire(&name).unwrap();
    let error = not_done(local(&root).retire("n1"));
    assert!(error.contains("not in the list"), "{error}");
}

/// Who ignores that it is asked to stop is ended by force, in bounded time.
fn a_node_that_does_not_stop_is_ended_by_force() {
    let root = root("stubborn");
    let this = std::env::current_exe().unwrap();
    let config = LocalConfig { stop_within: Some("200ms".to_owned()), ..config(&root) };
    let mut provider = scripted(&root, &format!("trap '' TERM\nexec '{}' \"$@\"", this.display()), config);
    let name = provider.add(&order("e1")).unwrap();
    provider.retire(&name).unwrap();
    assert_eq!(nodes(&root), []);
}

/// The last line of its log says why, and nothing is left in the list.
fn a_node_that_ends_at_once_is_told_with_its_reason() {
    let root = root("dies");
    let mut provider = scripted(&root, "echo 'node.memory is too little' >&2; exit 3", config(&root));
    let error = not_done(provider.add(&order("e1")));
    assert!(error.contains("node.memory is too little") && error.contains("auto-1.log"), "{error}");
    assert_eq!(nodes(&root), []);
    let config = LocalConfig { binary: Some(PathBuf::from("/nowhere/henge")), ..config(&root) };
    let error = not_done(Local::new(&config).unwrap().add(&order("e2")));
    assert!(error.contains("/nowhere/henge"), "{error}");
    let error = not_done(local(&root).add(&Order { seeds: Vec::new(), ..order("e3") }));
    assert!(error.contains("seeds"), "{error}");
}

/// It may be reading a large store; whether it joins is the autoscaler's to see.
fn a_node_that_is_slow_to_listen_is_left_alone() {
    let root = root("slow");
    let config = LocalConfig { start_within: Some("100ms".to_owned()), ..config(&root) };
    let mut provider = scripted(&root, "exec sleep 60", config);
    let name = provider.add(&order("e1")).unwrap();
    assert_eq!(nodes(&root), [(name.clone(), true)]);
    provider.retire(&name).unwrap();
}

/// A process that only has the number of the one that was started is not touched.
fn a_number_that_is_somebody_elses_is_not_ended() {
    let root = root("number");
    let mut provider = local(&root);
    let name = provider.add(&order("e1")).unwrap();
    let kept = std::fs::read(root.join("nodes.json")).unwrap();
    let mut innocent = Command::new("sleep").arg("60").spawn().unwrap();
    // Its own, of a process that began before it and has ended.
    edit(&root, |process| {
        process["pid"] = innocent.id().into();
        process["began_ticks"] = (process["began_ticks"].as_u64().unwrap() - 1).into();
    });
    assert_eq!(nodes(&root), [(name.clone(), false)]);
    local(&root).retire(&name).unwrap();
    assert!(innocent.try_wait().unwrap().is_none(), "it was ended");
    // Nor one of the same number and beginning, of another start of the machine.
    std::fs::write(root.join("nodes.json"), &kept).unwrap();
    edit(&root, |process| process["boot"] = "another".into());
    assert_eq!(nodes(&root), [(name.clone(), false)]);
    std::fs::write(root.join("nodes.json"), &kept).unwrap();
    assert_eq!(nodes(&root), [(name.clone(), true)]);
    provider.retire(&name).unwrap();
    innocent.kill().unwrap();
    innocent.wait().unwrap();
}

/// Whoever starts a process and dies before it has written down which leaves nothing behind that nobody knows.
fn a_process_that_was_not_written_down_is_found() {
    let root = root("unwritten");
    let mut provider = local(&root);
    let name = provider.add(&order("e1")).unwrap();
    edit(&root, |process| *process = serde_json::Value::Null);
    assert_eq!(nodes(&root), [(name.clone(), true)]);
    assert_eq!(local(&root).add(&order("e1")).unwrap(), name);
    local(&root).retire(&name).unwrap();
    assert_eq!(nodes(&root), []);
}

/// It is not forgotten, for the cluster may still have it as a member.
fn a_node_that_died_is_listed_until_it_is_ended() {
    let root = root("died");
    let name = local(&root).add(&order("e1")).unwrap();
    assert!(Command::new("kill").args(["-KILL", &pid(&root)]).status().unwrap().success());
    // The signal is on its way; to ask for what has ended comes to the same.
    while nodes(&root) != [(name.clone(), false)] {
        std::thread::yield_now();
    }
    local(&root).retire(&name).unwrap();
    assert_eq!(nodes(&root), []);
}

/// What is left of a node is nobody else's to begin with.
fn names_and_directories_are_never_used_again() {
    let root = root("names");
    std::fs::create_dir_all(root.join("auto-2")).unwrap();
    let mut provider = local(&root);
    let first = provider.add(&order("e1")).unwrap();
    provider.retire(&first).unwrap();
    let second = provider.add(&order("e2")).unwrap();
    assert_eq!((first.as_str(), second.as_str()), ("auto-1", "auto-3"));
    assert!(root.join("auto-1").exists(), "its data is the operator's to delete");
    provider.retire(&second).unwrap();
}

/// It is named, and not replaced by an empty one.
fn a_list_that_cannot_be_read_is_left_alone() {
    let root = root("damaged");
    for text in ["{\"version\": 1, \"last_nu", "{\"version\": 9, \"last_number\": 0, \"nodes\": []}"] {
        std::fs::write(root.join("nodes.json"), text).unwrap();
        let error = not_done(local(&root).add(&order("e1")));
        assert!(error.contains("nodes.json"), "{error}");
        assert_eq!(std::fs::read_to_string(root.join("nodes.json")).unwrap(), text);
    }
    std::fs::remove_file(root.join("nodes.json")).unwrap();
}

/// A leader that does not know yet that it is none does no harm.
fn two_that_work_at_once_are_told_apart() {
    let root = root("lock");
    let lock = std::fs::File::create(root.join("lock")).unwrap();
    lock.lock().unwrap();
    let error = not_done(local(&root).add(&order("e1")));
    assert!(error.contains("another node is at work in it"), "{error}");
    drop(lock);
    assert_eq!(nodes(&root), []);
}

/// What cannot work is named with what would.
fn settings_are_checked() {
    for (config, words) in [
        (LocalConfig::default(), ["autoscaler.local.root", "absolute"]),
        (
            LocalConfig { root: Some("data".into()), ..LocalConfig::default() },
            ["autoscaler.local.root", "\"data\""],
        ),
        (
            LocalConfig { stop_within: Some("soon".to_owned()), ..config(Path::new("/tmp")) },
            ["autoscaler.local.stop_within", "soon"],
        ),
    ] {
        let error = Local::new(&config).unwrap_err().to_string();
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    }
}
