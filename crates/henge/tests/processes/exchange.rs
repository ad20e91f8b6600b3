//! Owners that differ become equal without being read, and at once where somebody asks for it: INVARIANTS F1.

use crate::common::patience::wait_until;
use crate::common::process::run;
use crate::common::resp::Reply;
use crate::common::servers::Servers;

/// One owner is enough for a write, and nobody stands in: what is away misses it, and keeps no hint.
const KEYSPACES: &str = "[[keyspaces]]\nname = \"default\"\nquorum = \"strict\"\nw = \"one\"\nr = \"one\"\n";

/// One of three owners is killed, misses writes, and comes back. `henge repair` names who cannot be compared while it is
/// away; when it is back, it says what was mended, and the owner then answers for itself.
#[test]
fn an_owner_that_missed_writes_is_repaired_when_asked_and_by_itself() {
    let mut servers = Servers::start(3, KEYSPACES);
    servers.kill(3);
    let mut connection = servers.resp(1, "default");
    let keys: Vec<String> = (0..40).map(|number| format!("key{number}")).collect();
    for key in &keys {
        assert_eq!(connection.ask(&["SET", key.as_str(), "missed"]), Reply::ok());
    }
    let address = servers.http_address(1).to_string();
    run(["repair", "--at", &address]).refused_with(&["n3 cannot be reached"]);

    servers.launch(3);
    servers.wait_until_seen();
    wait_until("a repair to find everything equal", || run(["repair", "--at", &address]).code == Some(0));
    let mut third = servers.resp(3, "default");
    for key in &keys {
        assert_eq!(third.ask(&["GET", key.as_str()]), Reply::value("missed"), "{key} at its owner n3");
    }
    assert!(servers.figure(3, "exchange_fetched_total") + servers.figure(1, "exchange_sent_total") > 0.0);
    let again = run(["repair", "--at", &address]);
    assert!(again.code == Some(0) && again.printed.contains("differ still"), "{again:?}");
}
