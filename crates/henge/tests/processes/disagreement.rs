//! Nodes that do not belong together keep apart, and say why.

use crate::common::http::key_path;
use crate::common::servers::Servers;

/// Two nodes with different `[[keyspaces]]` would serve the same keys by different rules. They refuse each other, both logs
/// name the other and what must be the same, and a request that needs both is refused with who is missing.
#[test]
fn peers_with_different_keyspaces_refuse_each_other_in_words() {
    let mut servers = Servers::prepare(2, "[[keyspaces]]\nname = \"carts\"\nr = 1\n");
    servers.configure(2, "[[keyspaces]]\nname = \"carts\"\nr = 2\n");
    servers.launch(1);
    servers.launch(2);
    for (node, other) in [(1, "n2"), (2, "n1")] {
        servers.process(node).wait_for("the reason in the log", |process| {
            let log = process.logged();
            let says = |line: &str| {
                line.contains("founded differently") && line.contains(other) && line.contains("[[keyspaces]]")
            };
            log.lines().any(says).then_some(())
        });
        let path = key_path("default", "key");
        let refused = servers.http(node).put(&path, &[], "value").with_status(503).json();
        assert_eq!(refused["result"], "not-done");
        assert!(refused["detail"].as_str().is_some_and(|text| text.contains(other)), "{refused}");
        let read = servers.http(node).get(&path, &[]).with_status(503).json();
        assert!(read["detail"].as_str().is_some_and(|text| text.contains(other)), "{read}");
        assert_eq!(servers.http(node).states().expect("it answers")[usize::from(2 - node)], "down");
    }
}
