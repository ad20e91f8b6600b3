//! Hooks as operators write them: shell scripts that do what they are asked, refuse, hang, and print rubbish.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a script that cannot be written fails its test")]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use autoscale::{CommandConfig, Wanted};
use provider::{Command, Order, Provider, ProviderError};

/// A directory of the test's own, empty.
fn directory(test: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("hooks-{test}"));
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    path
}

/// A provider whose three programs are one script, which is told by its first argument which it is.
fn scripted(test: &str, within: &str, script: &str) -> (Command, PathBuf) {
    let directory = directory(test);
    let path = directory.join("hook");
    // Renamed into its place: what is still open for writing cannot be run.
    let new = directory.join("hook.new");
    std::fs::write(&new, format!("#!/bin/sh\ncd '{}' || exit 9\n{script}\n", directory.display())).unwrap();
    std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::rename(&new, &path).unwrap();
    let words = |action: &str| vec!["/bin/sh".to_owned(), path.display().to_string(), action.to_owned()];
    let config = CommandConfig {
        add: words("add"),
        retire: words("retire"),
        list: words("list"),
        within: Some(within.to_owned()),
    };
    (Command::new(&config).unwrap(), directory)
}

fn order(request: &str) -> Order {
    let wanted = Wanted {
        request: request.to_owned(),
        name: "auto".to_owned(),
        data_center: "dc1".to_owned(),
        rack: "r4".to_owned(),
        weight_thousandths: 2_500,
    };
    Order {
        wanted,
        cluster: "example".to_owned(),
        seeds: vec!["127.0.0.1:9001".to_owned(), "127.0.0.1:9002".to_owned()],
        replaces: None,
    }
}

fn not_done(result: Result<impl std::fmt::Debug, ProviderError>) -> String {
    match result {
        Err(error @ ProviderError::NotDone { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

fn unknown(result: Result<impl std::fmt::Debug, ProviderError>) -> String {
    match result {
        Err(error @ ProviderError::Unknown { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

/// A hook that keeps a file for each node, as an example of the contract.
const KEEPS_FILES: &str = r#"
cat > told.json
case "$1" in
add)
    if [ ! -e "request-$HENGE_AUTOSCALER_REQUEST" ]; then
        count=$(ls | grep -c '^request-')
        echo "$HENGE_AUTOSCALER_NAME-$((count + 1))" > "request-$HENGE_AUTOSCALER_REQUEST"
    fi
    echo "{\"node\": \"$(cat "request-$HENGE_AUTOSCALER_REQUEST")\"}" ;;
retire)
    for file in request-*; do
        [ "$(cat "$file")" = "$HENGE_AUTOSCALER_NODE" ] && rm "$file"
    done
    exit 0 ;;
list)
    separator=
    printf '{"nodes": ['
    for file in request-*; do
        [ -e "$file" ] || continue
        printf '%s{"node": "%s", "rack": "r4"}' "$separator" "$(cat "$file")"
        separator=', '
    done
    echo ']}' ;;
esac
"#;

/// The same request is the same node, and what was ended is ended.
#[test]
fn a_node_is_added_once_listed_and_retired() {
    let (mut provider, _) = scripted("contract", "20s", KEEPS_FILES);
    assert_eq!(provider.list().unwrap(), []);
    assert_eq!(provider.add(&order("e1")).unwrap(), "auto-1");
    assert_eq!(provider.add(&order("e1")).unwrap(), "auto-1");
    assert_eq!(provider.add(&order("e2")).unwrap(), "auto-2");
    let nodes = provider.list().unwrap();
    let names: Vec<(&str, &str, bool)> =
        nodes.iter().map(|node| (node.name.as_str(), node.rack.as_str(), node.is_retirable)).collect();
    assert_eq!(names, [("auto-1", "r4", true), ("auto-2", "r4", true)]);
    provider.retire("auto-1").unwrap();
    provider.retire("auto-1").unwrap();
    assert_eq!(provider.list().unwrap().len(), 1);
}

/// What a hook is told stands in its input, whole, on one line.
#[test]
fn a_hook_is_told_all_that_was_decided() {
    let (mut provider, directory) = scripted("told", "20s", KEEPS_FILES);
    provider.add(&order("e7-dc1-r4-1")).unwrap();
    let told = std::fs::read_to_string(directory.join("told.json")).unwrap();
    assert_eq!(
        told,
        "{\"version\":1,\"action\":\"add\",\"request\":\"e7-dc1-r4-1\",\"name\":\"auto\",\"datacenter\":\"dc1\",\"rack\":\"r4\",\
         \"weight\":2.5,\"cluster\":\"example\",\"seeds\":[\"127.0.0.1:9001\",\"127.0.0.1:9002\"]}\n"
    );
    provider.add(&Order { replaces: Some("n4".to_owned()), ..order("e8-dc1-r4-1") }).unwrap();
    let told = std::fs::read_to_string(directory.join("told.json")).unwrap();
    assert!(told.contains(",\"replaces\":\"n4\"}"), "{told}");
    provider.retire("auto-1").unwrap();
    let told = std::fs::read_to_string(directory.join("told.json")).unwrap();
    assert_eq!(told, "{\"version\":1,\"action\":\"retire\",\"node\":\"auto-1\"}\n");
}

/// An exit code says that nothing was done, and the last line on standard error why.
#[test]
fn a_hook_may_refuse() {
    let script = "echo looking for a machine >&2; echo 'no machine is free' >&2; exit 3";
    let (mut provider, _) = scripted("refuses", "20s", script);
    let error = not_done(provider.add(&order("e1")));
    assert!(error.contains("add a node in dc1/r4 (e1)") && error.contains("no machine is free"), "{error}");
    assert!(error.contains("exit status: 3"), "{error}");
    not_done(provider.retire("auto-1"));
    not_done(provider.list());
}

/// A hook that hangs is killed with all that it has started, and what it has done is not known.
#[test]
fn a_hook_that_hangs_is_killed_with_its_children() {
    let script = "(sleep 60; echo > late) & echo $! > child; echo 'still at it' >&2; wait";
    let (mut provider, directory) = scripted("hangs", "500ms", script);
    let error = unknown(provider.add(&order("e1")));
    assert!(error.contains("500ms") && error.contains("still at it"), "{error}");
    let child = std::fs::read_to_string(directory.join("child")).unwrap();
    let state = || std::fs::read_to_string(format!("/proc/{}/stat", child.trim())).unwrap_or_default();
    let is_gone = |state: &str| state.is_empty() || state.contains(") Z") || state.contains(") X");
    // The signal is on its way; one that did not get it would end by itself, and say so.
    while !is_gone(&state()) {
        std::thread::yield_now();
    }
    assert!(!directory.join("late").exists(), "it was not killed");
}

/// A program that ignores the wish to end is killed all the same.
#[test]
fn a_hook_that_is_stubborn_is_killed() {
    let (mut provider, _) = scripted("stubborn", "300ms", "trap '' TERM INT HUP; while :; do sleep 1; done");
    unknown(provider.list());
}

/// Rubbish is shown, with what was to be answered.
#[test]
fn rubbish_is_not_believed() {
    for (number, (answer, words)) in [
        ("", ["answered ``", "{\"node\": \"auto-1\"}"]),
        ("all is well", ["all is well", "{\"node\": \"auto-1\"}"]),
        ("{\"node\": 7}", ["{\"node\": 7}", "auto-1"]),
        ("{\"node\": \"../etc\"}", ["../etc", "1 to 64 letters"]),
        ("{\"node\": \"\"}", ["\"\"", "1 to 64 letters"]),
    ]
    .into_iter()
    .enumerate()
    {
        let (mut provider, _) = scripted(&format!("rubbish-{number}"), "20s", &format!("echo '{answer}'"));
        let error = unknown(provider.add(&order("e1")));
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
        unknown(provider.list());
    }
}

/// An answer without an end fills no memory.
#[test]
fn an_endless_answer_is_cut_off() {
    let (mut provider, _) = scripted("endless", "60s", "exec yes '{\"node\": \"auto-1\"}'");
    let error = unknown(provider.add(&order("e1")));
    assert!(error.contains("more than 1048576 bytes"), "{error}");
}

/// Much that is complained does not stop a hook that does its work.
#[test]
fn much_may_be_said_on_standard_error() {
    let script = "yes complaint | head -n 100000 >&2; echo '{\"node\": \"auto-1\"}'";
    let (mut provider, _) = scripted("loud", "60s", script);
    assert_eq!(provider.add(&order("e1")).unwrap(), "auto-1");
}

/// A hook that starts something which keeps its output open has no answer that has an end, and is told so.
#[test]
fn an_answer_must_have_an_end() {
    let (mut provider, directory) =
        scripted("open", "20s", "sleep 60 & echo $! > child; echo '{\"node\": \"auto-1\"}'");
    let error = unknown(provider.add(&order("e1")));
    let child = std::fs::read_to_string(directory.join("child")).unwrap();
    std::process::Command::new("kill").arg(child.trim()).status().unwrap();
    assert!(error.contains("holds its standard output open"), "{error}");
}

/// One that redirects its output may start what it likes, and that lives on.
#[test]
fn what_a_hook_has_started_lives_on() {
    let script = "sleep 60 > /dev/null 2>&1 & echo $! > child; echo '{\"node\": \"auto-1\"}'";
    let (mut provider, directory) = scripted("starts", "20s", script);
    assert_eq!(provider.add(&order("e1")).unwrap(), "auto-1");
    let child = std::fs::read_to_string(directory.join("child")).unwrap();
    let ended = std::process::Command::new("kill").arg(child.trim()).status().unwrap();
    assert!(ended.success(), "it did not run any more");
}

/// A program that is not there has done nothing.
#[test]
fn a_program_that_is_not_there_is_named() {
    let nowhere = || vec!["/nowhere/hook".to_owned()];
    let config = CommandConfig { add: nowhere(), retire: nowhere(), list: nowhere(), within: None };
    let error = not_done(Command::new(&config).unwrap().add(&order("e1")));
    assert!(error.contains("/nowhere/hook"), "{error}");
}

/// What is not set is named.
#[test]
fn a_program_must_be_set_for_each() {
    let word = || vec!["hook".to_owned()];
    let config = CommandConfig { add: word(), retire: word(), ..CommandConfig::default() };
    let error = Command::new(&config).unwrap_err().to_string();
    assert!(error.contains("autoscaler.command.list") && error.contains("a program"), "{error}");
    let config = CommandConfig { list: word(), within: Some("soon".to_owned()), ..config };
    let error = Command::new(&config).unwrap_err().to_string();
    assert!(error.contains("autoscaler.command.within") && error.contains("soon"), "{error}");
}
