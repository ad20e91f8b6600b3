//! Two data centers, of which one goes dark: the other answers at local levels all the while, and when the first is back both have what
//! was written meanwhile (INVARIANTS A1, F2).

use crate::common::http::key_path;
use crate::common::patience::wait_until;
use crate::common::process::run;
use crate::common::servers::Servers;

const KEYS: usize = 60;

fn path(key: usize, query: &str) -> String {
    format!("{}{query}", key_path("spread", &format!("key-{key}")))
}

/// Puts keys through a node, each of which must be acknowledged at the levels of the keyspace.
#[track_caller]
fn put(servers: &Servers, node: u16, keys: std::ops::Range<usize>) {
    for key in keys {
        let answer = servers.http(node).put(&path(key, ""), &[], &format!("value {key}"));
        assert!(answer.status < 300, "key-{key}: {} {}", answer.status, answer.text());
    }
}

#[track_caller]
fn assert_there(servers: &Servers, node: u16, keys: std::ops::Range<usize>, query: &str) {
    for key in keys {
        let found = servers.http(node).get(&path(key, query), &[]).with_status(200);
        assert_eq!(found.text(), format!("value {key}"));
    }
}

/// Two nodes in each of two data centers, which come to the first by their start.
fn two_by_two() -> Servers {
    let mut servers = Servers::prepare(4, "");
    for node in 1..=4 {
        let how = if node == 1 { "bootstrap = true".to_owned() } else { servers.seeds(&[1]) };
        let data_center = if node <= 2 { "dc1" } else { "dc2" };
        servers.configure_in(node, data_center, &format!("{how}\npartitions = 8\n"));
        servers.launch(node);
    }
    for node in 1..=4 {
        wait_until(&format!("n{node} to see all settled"), || {
            let cluster = servers.http(node).get("/v1/cluster", &[]).with_status(200).json();
            let members = cluster["nodes"].as_array().cloned().unwrap_or_default();
            let are_settled = members.iter().all(|one| one["state"] == "up" && one["standing"] == "settled");
            let moves =
                !cluster["movements"].as_array().is_some_and(Vec::is_empty) || cluster["waiting"] != 0;
            members.len() == 4 && are_settled && !moves && !cluster["leader"].is_null()
        });
    }
    let at = servers.http_address(1).to_string();
    let levels = ["--n", "dc1=2,dc2=2", "--r", "local-quorum", "--w", "local-quorum", "--at", &at];
    let made = run(["keyspace", "create", "spread"].into_iter().chain(levels));
    assert_eq!(made.code, Some(0), "{made:?}");
    for node in 1..=4 {
        wait_until(&format!("n{node} to know the keyspace"), || {
            servers.http(node).get("/v1/keyspaces/spread", &[]).status == 200
        });
    }
    servers
}

#[test]
fn a_data_center_goes_dark_and_comes_back() {
    let mut servers = two_by_two();
    put(&servers, 1, 0..KEYS / 3);
    assert_there(&servers, 3, 0..KEYS / 3, "?r=each-quorum");

    // Nobody has noticed when the next write comes, and it does not wait for those.
    servers.kill_unnoticed(3);
    servers.kill_unnoticed(4);
    put(&servers, 2, KEYS / 3..KEYS);
    assert_there(&servers, 1, 0..KEYS, "");
    let refused = servers.http(1).put(&path(KEYS, "?w=each-quorum"), &[], "value");
    assert!(refused.status >= 500, "{}: {}", refused.status, refused.text());

    servers.launch(3);
    servers.launch(4);
    let at = servers.http_address(1).to_string();
    wait_until("a repair to find everything equal", || run(["repair", "--at", &at]).code == Some(0));
    assert_there(&servers, 4, 0..KEYS, "?r=local-quorum");
    assert_there(&servers, 3, 0..KEYS, "?r=all");
    // What came to half the data centers alone is everywhere, or nowhere: it was not refused for good.
    let doubted = servers.http(1).get(&path(KEYS, "?r=all"), &[]).status;
    assert_eq!(servers.http(4).get(&path(KEYS, "?r=all"), &[]).status, doubted);
}
