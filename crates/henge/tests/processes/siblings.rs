//! Concurrent writes, through chosen coordinators.

use crate::common::dev::Dev;
use crate::common::http::{Http, key_path};
use crate::common::resp::{Reply, Resp};

/// The values of `KV.GET`, each with its clock as the literature writes it.
#[track_caller]
fn kv_get(connection: &mut Resp, key: &str) -> Vec<(String, String)> {
    let reply = connection.ask(&["KV.GET", key]);
    let values = reply.array()[1].array().iter();
    values.map(|value| (value.array()[0].text().to_owned(), clock_text(&value.array()[1]))).collect()
}

fn clock_text(clock: &Reply) -> String {
    let entry = |entry: &Reply| match entry.array() {
        [node, Reply::Integer(counter)] => format!("[{},{counter}]", node.text()),
        other => panic!("no entry of a clock: {other:?}"),
    };
    let entries: Vec<String> = clock.array().iter().map(entry).collect();
    format!("({})", entries.join(","))
}

/// Writes through one node; with a context, in place of what the read that gave it showed.
#[track_caller]
fn put(node: &Http, path: &str, context: Option<&str>, value: &str) {
    let headers: Vec<(&str, &str)> = context.map(|token| ("henge-context", token)).into_iter().collect();
    node.put(path, &headers, value).with_status(204);
}

/// The walk by which vector clocks are taught: D1([Sx,1]) -> D2([Sx,2]) -> D3([Sx,2],[Sy,1]) and D4([Sx,2],[Sz,1]) in
/// conflict -> D5([Sx,3],[Sy,1],[Sz,1]), with n1, n2, n3 for Sx, Sy, Sz. On a fresh partition the counters are exactly these.
#[test]
fn the_classic_walk_gives_the_classic_clocks() {
    let dev = Dev::start();
    let [x, y, z] = [1, 2, 3].map(|node| dev.http(node));
    let path = key_path("siblings", "walk");
    let mut resp = Resp::connect_to(dev.resp_address(2), "siblings");
    let mut clocks_are = |wanted: &[(&str, &str)]| {
        let wanted: Vec<(String, String)> =
            wanted.iter().map(|(value, clock)| ((*value).to_owned(), (*clock).to_owned())).collect();
        for node in [&x, &y, &z] {
            let mut shown = node.read(&path).values();
            shown.sort();
            assert_eq!(shown, wanted);
        }
        let mut shown = kv_get(&mut resp, "walk");
        shown.sort();
        assert_eq!(shown, wanted);
    };

    put(&x, &path, None, "D1");
    clocks_are(&[("D1", "([n1,1])")]);

    put(&x, &path, Some(&x.read(&path).context()), "D2");
    clocks_are(&[("D2", "([n1,2])")]);

    let of_d2 = x.read(&path).context();
    put(&y, &path, Some(&of_d2), "D3");
    clocks_are(&[("D3", "([n1,2],[n2,1])")]);
    put(&z, &path, Some(&of_d2), "D4");
    clocks_are(&[("D3", "([n1,2],[n2,1])"), ("D4", "([n1,2],[n3,1])")]);

    put(&x, &path, Some(&z.read(&path).context()), "D5");
    clocks_are(&[("D5", "([n1,3],[n2,1],[n3,1])")]);
}

/// Two writers who know nothing of each other: both values stay, a plain read says so and picks none, and a write with
/// the context of a read replaces both.
#[test]
fn blind_puts_through_two_nodes_are_siblings_until_a_put_with_their_context() {
    let dev = Dev::start();
    let path = key_path("siblings", "cart");
    put(&dev.http(1), &path, None, "milk");
    put(&dev.http(2), &path, None, "bread");

    let mut resp = Resp::connect_to(dev.resp_address(3), "siblings");
    for command in ["GET", "STRLEN"] {
        let refused = resp.ask(&[command, "cart"]);
        assert!(refused.error().starts_with("CONFLICT 2 siblings"), "{refused:?}");
        assert!(refused.error().contains("KV.GET"), "{refused:?}");
    }
    let shown = dev.http(3).read(&path).with_status(300);
    assert_eq!(shown.header("henge-siblings"), "2");
    let mut values = shown.values();
    values.sort();
    assert_eq!(values, [("bread".into(), "([n2,1])".into()), ("milk".into(), "([n1,1])".into())]);

    put(&dev.http(3), &path, Some(&shown.context()), "milk and bread");
    assert_eq!(resp.ask(&["GET", "cart"]), Reply::value("milk and bread"));
    assert_eq!(dev.http(1).get(&path, &[]).with_status(200).text(), "milk and bread");
}

/// Who asks for multipart gets each sibling's bytes as they are, with its clock beside them.
#[test]
fn siblings_come_as_multipart_to_those_who_ask_for_it() {
    let dev = Dev::start();
    let path = key_path("siblings", "cart");
    put(&dev.http(1), &path, None, "milk");
    put(&dev.http(2), &path, None, "bread");
    let answer = dev.http(3).get(&path, &[("accept", "multipart/mixed")]).with_status(300);
    let boundary =
        answer.header("content-type").strip_prefix("multipart/mixed; boundary=").expect("a boundary");
    let text = answer.text();
    let mut parts: Vec<(&str, bool)> = text
        .split(&format!("--{boundary}"))
        .filter_map(|part| part.split_once("\r\n\r\n"))
        .map(|(fields, body)| (body.trim_end_matches("\r\n"), fields.contains("henge-clock: n")))
        .collect();
    parts.sort_unstable();
    assert_eq!(parts, [("bread", true), ("milk", true)]);
}

/// Blind puts through one node are as concurrent as through two, and a delete without a context covers all that it reads.
#[test]
fn a_delete_covers_all_siblings_that_it_read() {
    let dev = Dev::start();
    let path = key_path("siblings", "cart");
    for value in ["milk", "bread"] {
        put(&dev.http(1), &path, None, value);
    }
    let mut resp = Resp::connect_to(dev.resp_address(2), "siblings");
    assert_eq!(kv_get(&mut resp, "cart").len(), 2);
    assert_eq!(resp.ask(&["DEL", "cart"]), Reply::Integer(1));
    for node in 1..=3 {
        dev.http(node).get(&path, &[]).with_status(404);
    }
}
