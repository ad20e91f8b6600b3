//! The majority of those who keep the cluster state is gone: data goes on, changes are refused until the history is begun again, and who
//! comes back from the old one does no harm (INVARIANTS E1, G3).

use crate::common::http::key_path;
use crate::common::patience::wait_until;
use crate::common::process::run;
use crate::common::servers::Servers;

const KEYS: usize = 60;

fn put_all(servers: &Servers, node: u16, what: &str) {
    for key in 0..KEYS {
        let path = key_path("default", &format!("key{key}"));
        assert!(servers.http(node).put(&path, &[], &format!("{what}{key}")).status < 300);
    }
}

fn field(servers: &Servers, node: u16, name: &str) -> serde_json::Value {
    servers.http(node).get("/v1/cluster", &[]).with_status(200).json()[name].clone()
}

/// Five nodes, all of which vote; three are killed at once.
#[test]
fn the_history_is_begun_again_and_those_who_were_lost_follow_it() {
    let mut servers = Servers::start(5, "");
    for node in 1..=5 {
        wait_until(&format!("n{node} to know who leads"), || !field(&servers, node, "leader").is_null());
    }
    put_all(&servers, 1, "before");
    let at = |servers: &Servers, node| servers.http_address(node).to_string();
    run(["recover", "--yes", "--at", &at(&servers, 4)]).refused_with(&["nothing is lost"]);

    [1, 2, 3].into_iter().for_each(|node| servers.kill_unnoticed(node));
    servers.wait_until_seen();
    // Where an owner is left, who asks for one is answered.
    let read = |node: u16, key: usize| {
        servers.http(node).get(&format!("{}?r=one", key_path("default", &format!("key{key}"))), &[]).status
    };
    assert!((0..KEYS).any(|key| read(4, key) == 200), "what is left is served");
    // Where the one that led is left, it finds out first that nobody follows it; what was asked of it before is not known.
    wait_until("changes to be refused with what to do", || {
        let refused = run(["keyspace", "create", "early", "--at", &at(&servers, 5)]);
        refused.code != Some(0) && refused.said.contains("henge recover")
    });

    let planned = run(["recover", "--at", &at(&servers, 5)]);
    assert_eq!(planned.code, Some(0), "{planned:?}");
    for words in
        ["n4: generation 0", "n5 (here): generation 0", "no answer from n1, n2, n3", "Nothing was done"]
    {
        assert!(planned.printed.contains(words), "{words}: {planned:?}");
    }
    assert_eq!(field(&servers, 5, "generation"), 0);
    run(["recover", "--yes", "--without", "n4", "--at", &at(&servers, 5)]).refused_with(&["n4", "answers"]);
    let done = run(["recover", "--yes", "--without", "n3", "--at", &at(&servers, 5)]);
    assert_eq!(done.code, Some(0), "{done:?}");
    for node in [4, 5] {
        wait_until(&format!("n{node} to go by it"), || field(&servers, node, "generation") == 1);
    }
    wait_until("changes to be made again", || {
        run(["keyspace", "create", "later", "--at", &at(&servers, 4)]).code == Some(0)
    });

    [1, 2].into_iter().for_each(|node| servers.launch(node));
    for node in [1, 2] {
        wait_until(&format!("n{node} to go by it"), || field(&servers, node, "generation") == 1);
    }
}
