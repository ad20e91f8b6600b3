//! What nodes hear of each other by gossip: a second opinion on who is down, and no word from strangers (INVARIANTS E9).

use crate::common::patience::wait_until;
use crate::common::process::{Signal, run};
use crate::common::resp::Reply;
use crate::common::servers::Servers;

/// What a node has heard of another, as `GET /v1/members` shows it.
fn heard(servers: &Servers, node: u16, of: usize) -> serde_json::Value {
    servers.http(node).get("/v1/members", &[]).with_status(200).json()["members"][of - 1].clone()
}

/// A node that holds still is found down by the others together, and not by one alone; nobody waits for it any more, and a
/// write that needs it is refused at once instead of being left to its deadline. It is taken back when it goes on.
#[test]
fn a_silent_node_is_down_when_two_agree_and_up_when_it_goes_on() {
    let mut servers = Servers::start(3, "");
    let heard_of_all = || (1..=3).all(|node| (1..=3).all(|of| heard(&servers, node, of)["verdict"] == "up"));
    wait_until("everybody to have heard of everybody", heard_of_all);
    let before = heard(&servers, 1, 3);
    servers.process(3).signal(Signal::Stop);
    for node in [1, 2] {
        wait_until("two observers to find n3 down", || {
            let third = heard(&servers, node, 3);
            third["verdict"] == "down" && third["suspected_by"] == serde_json::json!(["n1", "n2"])
        });
        wait_until("the node to act on it", || {
            servers.http(node).states().is_some_and(|all| all[2] == "down")
        });
    }
    let mut resp = servers.resp(1, "default");
    assert_eq!(resp.ask(&["SET", "key", "without n3"]), Reply::ok());
    assert!(resp.ask(&["KV.PUT", "key", "refused", "W", "all"]).error().starts_with("UNAVAILABLE"));
    let address = servers.http_address(1).to_string();
    let shown = run(["members", "--at", &address]);
    let third = shown.printed.lines().find(|line| line.contains("n3")).unwrap_or_default();
    assert!(shown.code == Some(0) && third.contains("down") && third.contains("n1 n2"), "{shown:?}");

    servers.process(3).signal(Signal::Continue);
    servers.wait_until_seen();
    wait_until("n3 to be heard again, in the same life", || {
        let after = heard(&servers, 1, 3);
        after["verdict"] == "up"
            && after["generation"] == before["generation"]
            && after["heartbeat"].as_u64() > before["heartbeat"].as_u64()
    });
    assert_eq!(servers.resp(3, "default").ask(&["GET", "key"]), Reply::value("without n3"));
}

/// A node that was restarted is heard under a later generation, whatever its peers remember of the life before.
#[test]
fn a_new_life_is_told_from_the_old_one() {
    let mut servers = Servers::start(3, "");
    wait_until("n1 to have heard of n3", || heard(&servers, 1, 3)["verdict"] == "up");
    let before = heard(&servers, 1, 3);
    servers.kill(3);
    servers.launch(3);
    servers.wait_until_seen();
    wait_until("n1 to hear the new life", || {
        let after = heard(&servers, 1, 3);
        after["verdict"] == "up" && after["generation"].as_u64() > before["generation"].as_u64()
    });
}

/// What is sealed with another secret is counted and dropped. The node that sent it is not heard, which is not the same as
/// down: its connections stand, so it serves.
#[test]
fn a_node_with_another_secret_is_not_heard_and_serves() {
    let mut servers = Servers::prepare(3, "");
    for node in 1..=3 {
        let path = servers.data(node).with_extension("secret");
        let secret = if node == 3 { "another secret of the operator" } else { "the secret of this cluster" };
        std::fs::write(&path, secret).expect("the target directory takes files");
        let text = std::fs::read_to_string(servers.config_path(node)).expect("it was written");
        let text = text.replace("[cluster]\n", &format!("[cluster]\nsecret_file = {path:?}\n"));
        std::fs::write(servers.config_path(node), text).expect("the target directory takes files");
        servers.launch(node);
    }
    servers.wait_until_seen();
    wait_until("n1 and n2 to hear each other, and to refuse n3", || {
        heard(&servers, 1, 2)["verdict"] == "up"
            && heard(&servers, 2, 1)["verdict"] == "up"
            && [1, 2, 3].iter().all(|&node| servers.figure(node, "gossip_refused_total") > 0.0)
    });
    for (node, of) in [(1, 3), (2, 3), (3, 1), (3, 2)] {
        assert_eq!(heard(&servers, node, of)["verdict"], "never heard", "n{of} at n{node}");
    }
    servers.wait_until_seen();
    let mut resp = servers.resp(3, "default");
    assert_eq!(resp.ask(&["KV.PUT", "key", "to all", "W", "all"]).array()[1], Reply::Integer(3));
}

/// A secret that cannot be read, or is too short, keeps the node from starting, and says which file and what to do.
#[test]
fn a_secret_that_cannot_serve_is_refused_at_the_start() {
    let servers = Servers::prepare(1, "");
    let path = servers.data(1).with_extension("secret");
    let text = std::fs::read_to_string(servers.config_path(1)).expect("it was written");
    let text = text.replace("[cluster]\n", &format!("[cluster]\nsecret_file = {path:?}\n"));
    std::fs::write(servers.config_path(1), text).expect("the target directory takes files");
    servers.run(1).refused_with(&["cluster.secret_file", "n1.secret", "cannot be read"]);
    std::fs::write(&path, "short").expect("the target directory takes files");
    servers.run(1).refused_with(&["cluster.secret_file", "5 bytes", "at least 16", "openssl rand"]);
}
