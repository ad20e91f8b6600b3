//! Partitions are halved under load, and nobody notices but who asks how many there are (INVARIANTS A1, E1).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crate::common::http::{Http, key_path};
use crate::common::patience::wait_until;
use crate::common::process::run;
use crate::common::resp::Reply;
use crate::common::servers::Servers;

const KEYS: usize = 120;

/// Nodes that are divided in three ways: what a partition was to one shard its halves are to the same.
const MACHINES: [&str; 3] = [
    "memory = \"256MiB\"\nshards = 4\n",
    "memory = \"64MiB\"\nshards = 1\n",
    "memory = \"128MiB\"\nshards = 2\n",
];

/// A client that writes and reads until it is stopped, at the node with this address.
struct Client {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<usize>,
}

impl Client {
    fn begin(name: &'static str, node: Http) -> Client {
        let stop = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut written = 0;
            while !is_over.load(Ordering::Relaxed) {
                let path = key_path("default", &format!("{name}-{written}"));
                let put = node.put(&path, &[], name);
                assert!(put.status < 300, "{name} was refused: {} {}", put.status, put.text());
                assert_eq!(node.get(&path, &[]).with_status(200).text(), name);
                written += 1;
            }
            written
        });
        Client { stop, thread }
    }

    /// How many keys it wrote: `name-0` and so on.
    fn end(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("a client is never refused")
    }
}

fn partitions(servers: &Servers, node: u16) -> u64 {
    let seen = servers.http(node).get("/v1/cluster", &[]).with_status(200).json();
    seen["partitions"].as_u64().unwrap_or_default()
}

/// Every key, read from every owner, is what was put.
#[track_caller]
fn assert_all_there(servers: &Servers, node: u16, name: &str, keys: usize) {
    for key in 0..keys {
        let path = format!("{}?r=all", key_path("default", &format!("{name}-{key}")));
        assert_eq!(servers.http(node).get(&path, &[]).with_status(200).text(), name, "{name}-{key}");
    }
}

/// Two of three nodes serve clients while partitions are halved twice; a scan that was begun before ends after, and misses nothing.
/// The third slept through it: it starts with what it has on its disk, and is one of all owners that answer. So is one that starts
/// again.
#[test]
fn clients_and_a_node_that_was_down_notice_nothing_of_a_split() {
    let mut servers = Servers::prepare(3, "");
    for (node, lines) in (1..).zip(MACHINES) {
        servers.configure_with(node, lines, "");
        servers.launch(node);
    }
    servers.wait_until_seen();
    // Those who keep the cluster state begin when all of them have met.
    wait_until("all to know who leads", || {
        let leads =
            |node| servers.http(node).get("/v1/cluster", &[]).with_status(200).json()["leader"].clone();
        (1..=3).all(|node| leads(node).is_string() && leads(node) == leads(1))
    });
    for key in 0..KEYS {
        assert!(servers.http(1).put(&key_path("default", &format!("old-{key}")), &[], "old").status < 300);
    }
    servers.stop(3);
    wait_until("both to see that the third is down", || {
        (1..=2).all(|node| servers.http(node).states().is_some_and(|states| states[2] == "down"))
    });
    wait_until("one of the two to lead", || {
        let leader = servers.http(1).get("/v1/cluster", &[]).with_status(200).json()["leader"].clone();
        leader == "n1" || leader == "n2"
    });
    let clients = [Client::begin("a", servers.http(1)), Client::begin("b", servers.http(2))];
    let mut scanner = servers.resp(1, "0");
    let Reply::Array(page) = scanner.ask(&["SCAN", "0", "COUNT", "20"]) else { panic!("SCAN gives a page") };
    let (mut cursor, mut found) = (page[0].text().to_owned(), page[1].array().to_vec());

    let at = servers.http_address(1).to_string();
    let foreseen = run(["partition", "halve", "--dry-run", "--at", &at]);
    assert!(foreseen.code == Some(0) && foreseen.printed.contains("would become 512"), "{foreseen:?}");
    for expected in [512, 1024] {
        let halved = run(["partition", "halve", "--at", &at]);
        assert!(halved.code == Some(0) && halved.printed.contains(&expected.to_string()), "{halved:?}");
        assert_eq!(partitions(&servers, 1), expected);
    }
    let body = br#"{"partitions": 256}"#;
    let json = [("content-type", "application/json")];
    let late = servers.http(2).try_ask("POST", "/v1/partitions/halve", &json, body).expect("it answers");
    assert!(late.with_status(400).text().contains("look again"));

    while cursor != "0" {
        let Reply::Array(page) = scanner.ask(&["SCAN", &cursor, "COUNT", "200"]) else {
            panic!("SCAN gives a page")
        };
        cursor = page[0].text().to_owned();
        found.extend(page[1].array().to_vec());
    }
    for key in 0..KEYS {
        let name = format!("old-{key}");
        assert!(found.iter().any(|one| one.text() == name), "{name} is missed by a scan");
    }
    let written = clients.map(Client::end);
    assert!(written.iter().all(|written| *written > 0));

    servers.launch(3);
    wait_until("the third to have heard of it", || partitions(&servers, 3) == 1024);
    servers.wait_until_seen();
    let all = [("old", KEYS), ("a", written[0]), ("b", written[1])];
    for (name, keys) in all {
        servers.http(3).try_ask("POST", "/v1/repair", &[], b"").expect("it answers");
        wait_until("the third to have what it missed", || {
            let last = format!("{}?r=all", key_path("default", &format!("{name}-{}", keys - 1)));
            servers.http(3).get(&last, &[]).status == 200
        });
        assert_all_there(&servers, 3, name, keys);
    }
    servers.stop(1);
    servers.launch(1);
    servers.wait_until_seen();
    for (name, keys) in all {
        assert_all_there(&servers, 1, name, keys);
    }
}
