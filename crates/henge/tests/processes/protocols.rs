//! INVARIANTS K3 and K4: bytes of one protocol are never commands of another, and lengths that are only claimed cost
//! nothing.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use crate::common::dev::{Dev, NODES};
use crate::common::patience::LIMIT;
use crate::common::resp::Reply;

/// Sends bytes, and gives all that comes back until the node closes. Fails if it does not.
#[track_caller]
fn exchange(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).expect("the node listens");
    stream.set_read_timeout(Some(LIMIT)).expect("a socket takes options");
    // A node that has closed already does not take the rest, which is as it should be.
    let _ = stream.write_all(bytes);
    let mut received = Vec::new();
    match stream.read_to_end(&mut received) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("{address} does not close"),
        // A close before all was read shows as a reset.
        Ok(_) | Err(_) => {}
    }
    String::from_utf8_lossy(&received).into_owned()
}

/// A page can make a browser send HTTP to any port. Its first line ends the connection, so no later line is a command.
#[test]
fn http_to_the_resp_ports_closes_before_anything_runs() {
    let dev = Dev::start();
    for address in [dev.resp_address(1), dev.cluster_address(1)] {
        for request in [
            "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nSET smuggled value\r\n",
            "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nSET smuggled value\r\n",
            "PING\r\nHost: 127.0.0.1\r\nSET smuggled value\r\n",
        ] {
            assert!(!exchange(address, request.as_bytes()).contains("OK"), "{request}");
        }
    }
    assert_eq!(dev.resp(2).ask(&["EXISTS", "smuggled"]), Reply::Integer(0));
}

/// The reverse: RESP is no HTTP, and a command in a body is a body.
#[test]
fn resp_to_the_http_port_is_a_bad_request() {
    let dev = Dev::start();
    let answer = exchange(dev.http_address(1), b"*3\r\n$3\r\nSET\r\n$8\r\nsmuggled\r\n$1\r\nv\r\n");
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    let inline = exchange(dev.http_address(1), b"SET smuggled value\r\n\r\n");
    assert!(inline.starts_with("HTTP/1.1 400"), "{inline}");
    assert_eq!(dev.resp(1).ask(&["EXISTS", "smuggled"]), Reply::Integer(0));
}

/// Whoever does not introduce itself as a peer is no peer, and the ring goes on undisturbed.
#[test]
fn garbage_to_the_peer_port_closes() {
    let mut dev = Dev::start();
    let claims_four_gib = [0xff; 64];
    let small_frame_of_nonsense = [&16_u32.to_le_bytes()[..], &[7; 20]].concat();
    for garbage in
        [&claims_four_gib[..], &small_frame_of_nonsense, b"GET / HTTP/1.1\r\n\r\n", b"*1\r\n$4\r\nPING\r\n"]
    {
        let answer = exchange(dev.peer_address(1), garbage);
        assert!(!answer.contains("PONG") && !answer.contains("HTTP"), "{answer}");
    }
    assert_eq!(dev.resp(1).ask(&["SET", "key", "value"]), Reply::ok());
    assert_eq!(dev.resp(2).ask(&["GET", "key"]), Reply::value("value"));
    assert_eq!(dev.process().logged(), "", "strangers are no errors");
}

/// Memory follows the bytes received, not the lengths claimed: hundreds of connections that announce huge values, or many
/// elements, and send nothing, cost next to nothing while they last.
#[test]
fn absurd_lengths_do_not_grow_memory() {
    let mut dev = Dev::start();
    for node in 1..=NODES {
        assert_eq!(dev.resp(node).ask(&["SET", "key", "value"]), Reply::ok());
    }
    let before = dev.process().resident_bytes();
    // Each claims a megabyte, which is as much as a value may be, so that it is not refused at once; all together
    // claim far more than may be used.
    let claims = b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$1048576\r\n";
    let waiting: Vec<TcpStream> = (0..300)
        .map(|_| {
            let mut stream = TcpStream::connect(dev.resp_address(1)).expect("the node listens");
            stream.write_all(claims).expect("the node takes a beginning");
            stream
        })
        .collect();
    for absurd in [
        &b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$99999999999\r\n"[..],
        b"*2147483647\r\n$4\r\nPING\r\n",
        b"*1\r\n$-5\r\n",
        b"*99999999999999999999999\r\n",
    ] {
        let answer = exchange(dev.resp_address(1), absurd);
        assert!(answer.starts_with("-ERR"), "{answer}");
    }
    // The node has read what the waiting ones sent when it has answered one that came after them.
    assert_eq!(dev.resp(1).ask(&["GET", "key"]), Reply::value("value"));
    let grown = dev.process().resident_bytes().saturating_sub(before);
    assert!(grown < 64 << 20, "grown by {grown} bytes over {} connections", waiting.len());
    drop(waiting);
    let answer = exchange(
        dev.http_address(1),
        b"PUT /v1/keyspaces/default/keys/k HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n",
    );
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

/// A request that ends in the middle is nothing: not a shorter value, not an empty one.
#[test]
fn a_half_sent_request_changes_nothing() {
    let dev = Dev::start();
    for (address, half) in [
        (dev.resp_address(1), &b"*3\r\n$3\r\nSET\r\n$4\r\nhalf\r\n$10\r\n12345"[..]),
        (dev.http_address(1), b"PUT /v1/keyspaces/default/keys/half HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n12345"),
    ] {
        let mut stream = TcpStream::connect(address).expect("the node listens");
        stream.write_all(half).expect("the node takes a beginning");
        stream.shutdown(Shutdown::Write).expect("a socket can be half closed");
        stream.set_read_timeout(Some(LIMIT)).expect("a socket takes options");
        let _ = stream.read_to_end(&mut Vec::new());
    }
    for node in 1..=NODES {
        assert_eq!(dev.resp(node).ask(&["EXISTS", "half"]), Reply::Integer(0));
    }
}
