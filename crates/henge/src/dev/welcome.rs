//! What `henge dev` says when it is ready: where everything is, and what to try.

use std::path::Path;
use std::time::Duration;

use cluster::{ClusterState, MemberConfig};

use crate::cli::Dev;

/// Prints it.
pub(super) fn print_welcome(arguments: &Dev, members: &[MemberConfig], state: &ClusterState, took: Duration) {
    let count = match members.len() {
        1 => "one node".to_owned(),
        more => format!("a ring of {more} nodes"),
    };
    println!("Henge {}: {count}, ready in {:.1} s\n", env!("CARGO_PKG_VERSION"), took.as_secs_f64());
    println!("  node   Redis clients    Redis Cluster clients   HTTP");
    for member in members {
        let text = |address: &Option<String>| address.clone().unwrap_or_default();
        println!(
            "  {:<6} {:<16} {:<23} http://{}",
            member.id,
            text(&member.resp),
            text(&member.cluster),
            text(&member.http)
        );
    }
    let last = u16::try_from(members.len() - 1).unwrap_or(0);
    let (first_port, last_port, http) =
        (arguments.resp_port, arguments.resp_port + last, arguments.http_port + last / 2);
    println!("\nAny node serves any key. Try:");
    println!("  redis-cli -p {first_port} set greeting hello");
    println!("  redis-cli -p {last_port} get greeting");
    println!("  curl http://127.0.0.1:{http}/v1/keyspaces/default/keys/greeting");
    println!("  {} get greeting{}", program(), at_option(arguments));
    println!("\nKeyspaces:");
    for keyspace in state.keyspaces() {
        println!(
            "  {} {:<9} {}, N={} R={} W={}, durability {}: {}",
            keyspace.number,
            keyspace.name,
            keyspace.policy,
            keyspace.n_text(),
            keyspace.r,
            keyspace.w,
            keyspace.durability,
            keyspace.model()
        );
    }
    if members.len() > 1 {
        let (program, data) = (program(), data_option(arguments));
        println!("\nLet it fail, from another terminal; `{program} dev heal{data}` mends the network:");
        println!("  {program} dev kill 2{data}        pause, resume and restart go likewise");
        println!("  {program} dev cut 1/{}{data}", rest(members.len()));
        println!("  {program} dev slow {} 200ms{data}", members.len());
    }
    let data = std::path::absolute(&arguments.data).unwrap_or_else(|_| arguments.data.clone());
    println!("\nThe data is in {} and is there again at the next start. Stop with Ctrl-C.", data.display());
}

/// All nodes but the first, as a side of a cut.
fn rest(nodes: usize) -> String {
    (2..=nodes).map(|node| node.to_string()).collect::<Vec<_>>().join(",")
}

fn data_option(arguments: &Dev) -> String {
    if arguments.data == Path::new("henge-data") {
        String::new()
    } else {
        format!(" --data {}", arguments.data.display())
    }
}

fn at_option(arguments: &Dev) -> String {
    if arguments.http_port == 8001 {
        String::new()
    } else {
        format!(" --at 127.0.0.1:{}", arguments.http_port)
    }
}

/// How the user calls this program: by name if it is on the path, else as it was called.
fn program() -> String {
    let called = std::env::args().next().unwrap_or_else(|| "henge".to_owned());
    let on_path = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| Path::new(&dir).join("henge").is_file()));
    if on_path { "henge".to_owned() } else { called }
}
