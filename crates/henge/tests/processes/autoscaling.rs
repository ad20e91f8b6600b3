//! The cluster decides by its load and its dead which nodes there are, on the node that leads and through what an operator could do.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use serde_json::Value;

use crate::common::http::key_path;
use crate::common::patience::wait_until;
use crate::common::process::run;
use crate::common::resp::{Reply, Resp};
use crate::common::scratch::Scratch;
use crate::common::servers::Servers;

const KEYS: usize = 120;

/// Gossip in shorter rounds, so that who is dead is known sooner.
const GOSSIP: &str = "[gossip]\ninterval_ms = 200\n";

/// Waits that make no difference to what is decided, only to when.
const SHORT: &str = "window = \"2s\"\ncalm = \"3s\"\ncool_down_out = \"2s\"\ncool_down_in = \"2s\"\n";

/// Nodes that found a cluster together, each with this `[autoscaler]`.
fn founded(count: u16, autoscaler: &str) -> Servers {
    let mut servers = Servers::prepare(count, "");
    for node in 1..=count {
        let how = if node == 1 { "bootstrap = true".to_owned() } else { servers.seeds(&[1]) };
        let section = format!("[autoscaler]\nenabled = true\n{SHORT}{autoscaler}");
        servers.configure_alone(node, &format!("{how}\npartitions = 16\n{GOSSIP}{section}"));
        servers.launch(node);
    }
    servers
}

/// The members that are settled, as a node sees it, where nothing is to move.
fn settled(servers: &Servers, node: u16) -> Option<Vec<String>> {
    let seen = servers.http(node).get("/v1/cluster", &[]).json();
    let members = seen["nodes"].as_array()?;
    let is_settled = members.iter().all(|member| member["state"] == "up" && member["standing"] == "settled");
    let moves = !seen["movements"].as_array()?.is_empty() || seen["waiting"] != 0;
    let names = members.iter().filter_map(|member| member["id"].as_str()).map(str::to_owned);
    (is_settled && !moves).then(|| names.collect())
}

/// What the node that leads says of the autoscaler, asked through any other.
fn of_leader(servers: &Servers, node: u16) -> Value {
    let at = servers.http_address(node).to_string();
    let ended = run(["autoscaler", "--json", "--at", &at]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    serde_json::from_str(&ended.printed).expect("what was asked for is JSON")
}

/// The decisions that were taken, with what came of each.
fn decisions(document: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let all = document["decisions"].as_array().cloned().unwrap_or_default();
    all.iter().map(|one| (text(&one["action"]), text(&one["outcome"]))).collect()
}

/// A node that stays down for `replace_after` is taken out without anybody asking: those that remain get its partitions, and every key
/// that was acknowledged is read from every owner. Whoever does not lead says who does.
#[test]
fn a_node_that_stays_dead_is_replaced_by_those_that_remain() {
    let mut servers = founded(4, "min = 3\nmax = 4\nreplace_after = \"2s\"\n");
    wait_until("four nodes to be settled", || settled(&servers, 1).is_some_and(|names| names.len() == 4));
    for key in 0..KEYS {
        let path = key_path("default", &format!("key%20{key}"));
        assert!(servers.http(1).put(&path, &[], &format!("value {key}")).status < 300);
    }
    servers.kill_unnoticed(4);
    let remain = ["n1", "n2", "n3"].map(str::to_owned);
    wait_until("those that remain to be all", || settled(&servers, 2).is_some_and(|names| names == remain));
    for key in 0..KEYS {
        let path = format!("{}?r=all", key_path("default", &format!("key%20{key}")));
        assert_eq!(servers.http(3).get(&path, &[]).with_status(200).text(), format!("value {key}"));
    }

    let leads = |node: u16| servers.figure(node, "autoscaler_decides") == 1.0;
    let (leaders, others): (Vec<u16>, Vec<u16>) = (1..=3).partition(|&node| leads(node));
    assert_eq!(leaders.len(), 1, "one node decides");
    let document = of_leader(&servers, others[0]);
    assert_eq!(document["node"], format!("n{}", leaders[0]).as_str());
    let replaced = ("replace n4 by those that remain".to_owned(), "begun".to_owned());
    assert!(decisions(&document).contains(&replaced), "{document}");
    assert!(servers.figure(leaders[0], "autoscaler_replaced_total") >= 1.0);
    let elsewhere = servers.http(others[0]).get("/v1/autoscaler", &[]).with_status(200).json();
    assert_eq!((elsewhere["decides"].clone(), &elsewhere["leader"]), (Value::Bool(false), &document["node"]));
}

/// Where those that remain are too few for N, the provider is asked for a node that takes the place of the dead one.
#[test]
fn a_dead_node_is_replaced_by_a_new_one_where_those_that_remain_are_too_few() {
    let scratch = Scratch::new();
    let root = scratch.join("auto");
    let _provided = Provided(root.clone());
    let section = format!(
        "min = 3\nmax = 3\nreplace_after = \"2s\"\ntarget = {{ cpu_percent = 95, disk_percent = 95 }}\n\
         [autoscaler.local]\nroot = {root:?}\narguments = [\"--memory\", \"64MiB\"]\n[[autoscaler.pool]]\nrack = \"r4\"\n"
    );
    let mut servers = founded(3, &section);
    wait_until("three nodes to be settled", || settled(&servers, 1).is_some_and(|names| names.len() == 3));
    for key in 0..KEYS {
        let path = key_path("default", &format!("key%20{key}"));
        assert!(servers.http(1).put(&path, &[], &format!("value {key}")).status < 300);
    }
    servers.kill_unnoticed(3);
    let wanted = ["n1", "n2", "auto-1"].map(str::to_owned);
    wait_until("a new node in its place", || settled(&servers, 1).is_some_and(|names| names == wanted));
    for key in 0..KEYS {
        let path = format!("{}?r=all", key_path("default", &format!("key%20{key}")));
        assert_eq!(servers.http(2).get(&path, &[]).with_status(200).text(), format!("value {key}"));
    }
}

/// A partition goes to the node that is named, with all keys: first as a plan, then for good.
#[test]
fn a_partition_goes_where_somebody_wants_it() {
    let servers = founded(4, "min = 4\nmax = 4\n");
    wait_until("four nodes to be settled", || settled(&servers, 1).is_some_and(|names| names.len() == 4));
    for key in 0..KEYS {
        let path = key_path("default", &format!("key%20{key}"));
        assert!(servers.http(1).put(&path, &[], &format!("value {key}")).status < 300);
    }
    // All but one of four own each partition.
    let owners = || -> Vec<String> {
        let ring = servers.http(2).get("/v1/ring", &[]).with_status(200).json();
        let first = ring["slots"][0]["owners"].as_array().cloned().unwrap_or_default();
        first.iter().filter_map(|owner| owner.as_str()).map(str::to_owned).collect()
    };
    let before = owners();
    let names: Vec<String> = (1..=4).map(|node| format!("n{node}")).collect();
    let to = names.iter().find(|name| !before.contains(name)).expect("one of four does not own it");
    let at = servers.http_address(3).to_string();
    let foreseen = run(["partition", "move", "0", "--to", to, "--at", &at, "--dry-run"]);
    assert!(foreseen.code == Some(0) && foreseen.printed.contains(to.as_str()), "{foreseen:?}");
    assert_eq!(owners(), before);
    let moved = run(["partition", "move", "0", "--to", to, "--at", &at]);
    assert_eq!(moved.code, Some(0), "{moved:?}");
    wait_until("n2 to have heard of it", || owners().contains(to));
    for key in 0..KEYS {
        let path = format!("{}?r=all", key_path("default", &format!("key%20{key}")));
        assert_eq!(servers.http(4).get(&path, &[]).with_status(200).text(), format!("value {key}"));
    }
    run(["partition", "move", "0", "--to", to, "--at", &at]).refused_with(&[to, "already"]);
    run(["partition", "move", "999", "--to", to, "--at", &at]).refused_with(&["p999", "16"]);
}

/// A client that writes one key after the other until it is dropped.
struct Load {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Load {
    fn start(address: SocketAddr) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut connection = Resp::connect(address);
            for key in (0_u32..).take_while(|_| !stopped.load(Ordering::Relaxed)) {
                let words = ["SET".to_owned(), format!("load {}", key % 500), key.to_string()];
                assert_eq!(connection.ask(&words), Reply::ok());
            }
        });
        Load { stop, thread: Some(thread) }
    }

    /// Ends it; it was answered all the time.
    fn end(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().expect("it was started").join().expect("every write was acknowledged");
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Where the provider keeps its nodes, which are ended when it is dropped.
struct Provided(PathBuf);

impl Provided {
    /// The processes that run on a directory below it, by their numbers.
    fn processes(&self) -> Vec<String> {
        let processes = std::fs::read_dir("/proc").expect("tests run on Linux").flatten();
        let numbers = processes.filter_map(|entry| entry.file_name().to_str().map(str::to_owned));
        let is_ours = |number: &String| {
            let line = std::fs::read(Path::new("/proc").join(number).join("cmdline")).unwrap_or_default();
            let root = self.0.as_os_str().as_encoded_bytes();
            number.parse::<u32>().is_ok() && line.split(|byte| *byte == 0).any(|word| word.starts_with(root))
        };
        numbers.filter(is_ours).collect()
    }
}

impl Drop for Provided {
    fn drop(&mut self) {
        for number in self.processes() {
            let _ = Command::new("kill").args(["-s", "KILL", &number]).status();
        }
    }
}

/// Under a load the provider is asked for a node, which joins; when the load is over it is drained, and its process ended. Clients
/// notice nothing of it.
#[test]
fn a_cluster_grows_under_load_and_shrinks_when_it_is_over() {
    let scratch = Scratch::new();
    let root = scratch.join("auto");
    let provided = Provided(root.clone());
    let config = scratch.join("node.toml");
    let limits = "min = 3\nmax = 4\noperations_per_second = 20\ntarget = { operations_percent = 50, cpu_percent = 95, disk_percent = 95 }\n";
    let provider = format!(
        "[autoscaler.local]\nroot = {root:?}\narguments = [\"--memory\", \"64MiB\", \"--config\", {config:?}]\n\
         [[autoscaler.pool]]\nrack = \"r4\"\n"
    );
    std::fs::write(&config, format!("{GOSSIP}[autoscaler]\nenabled = true\n{SHORT}{limits}{provider}"))
        .expect("the target directory takes files");
    let servers = founded(3, &format!("{limits}{provider}"));
    wait_until("three nodes to be settled", || settled(&servers, 1).is_some_and(|names| names.len() == 3));

    let load = Load::start(servers.resp_address(1));
    wait_until("a fourth node", || settled(&servers, 1).is_some_and(|names| names.len() == 4));
    assert_eq!(settled(&servers, 1).expect("nothing moves")[3], "auto-1");
    assert_eq!(provided.processes().len(), 1);
    load.end();
    wait_until("three nodes again", || settled(&servers, 1).is_some_and(|names| names.len() == 3));
    wait_until("the fourth to be ended", || provided.processes().is_empty());
}
