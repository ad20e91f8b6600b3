//! The driver over loopback: what only sockets and tasks can show.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use env::SystemClock;
use resp::{Clients, Door, Listening, ServeError, Server, Settings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, LocalSet, spawn_local};

use crate::support::FakeStore;
use crate::support::connection::array;

struct Running {
    address: SocketAddr,
    server: Server<FakeStore>,
    shutdown: oneshot::Sender<()>,
    task: JoinHandle<Result<(), ServeError>>,
}

/// Runs a test beside a server on a free port.
fn with_server<F: Future<Output = ()>>(
    settings: Settings,
    store: &FakeStore,
    test: impl FnOnce(Running) -> F,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let store = store.clone();
    LocalSet::new().block_on(&runtime, async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Server::new(store, Clients::default(), settings, Arc::new(SystemClock::new()));
        let (shutdown, down) = oneshot::channel::<()>();
        let serving = server.clone();
        let task = spawn_local(async move {
            serving.serve(Door::Listener(listener), Listening::default(), async { drop(down.await) }).await
        });
        let limit =
            tokio::time::timeout(Duration::from_secs(60), test(Running { address, server, shutdown, task }));
        limit.await.expect("the test ends in time");
    });
}

async fn connect(running: &Running) -> TcpStream {
    TcpStream::connect(running.address).await.unwrap()
}

async fn expect(stream: &mut TcpStream, reply: &[u8]) {
    let mut read = vec![0; reply.len()];
    stream.read_exact(&mut read).await.unwrap();
    assert_eq!(read.escape_ascii().to_string(), reply.escape_ascii().to_string());
}

async fn ask(stream: &mut TcpStream, command: &str, reply: &str) {
    stream.write_all(&array(command)).await.unwrap();
    expect(stream, reply.as_bytes()).await;
}

/// All that comes until the other side closes.
async fn rest(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    // A reset is an end as well.
    let _ = stream.read_to_end(&mut read).await;
    String::from_utf8_lossy(&read).into_owned()
}

#[test]
fn commands_are_answered_one_by_one_and_pipelined() {
    with_server(Settings::default(), &FakeStore::new(), |running| async move {
        let mut stream = connect(&running).await;
        ask(&mut stream, "SET k v", "+OK\r\n").await;
        stream.write_all(&array("GET k").repeat(100)).await.unwrap();
        expect(&mut stream, &b"$1\r\nv\r\n".repeat(100)).await;
        stream.write_all(b"PING\r\nQUIT\r\n").await.unwrap();
        assert_eq!(rest(&mut stream).await, "+PONG\r\n+OK\r\n");
    });
}

/// A value of megabytes goes in and out whole, in however many pieces the kernel makes of it.
#[test]
fn large_values_pass() {
    with_server(Settings::default(), &FakeStore::new(), |running| async move {
        let stream = connect(&running).await;
        let (mut read, mut write) = stream.into_split();
        let value: Vec<u8> = (0..5_000_000_u32).map(|n| n.to_le_bytes()[1]).collect();
        let head = format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${}\r\n", value.len());
        let bytes = [head.as_bytes(), &value, b"\r\n", &array("GET k")].concat();
        let writing = spawn_local(async move {
            write.write_all(&bytes).await.unwrap();
            write
        });
        let expected = [format!("+OK\r\n${}\r\n", value.len()).as_bytes(), &value, b"\r\n"].concat();
        let mut reply = vec![0; expected.len()];
        read.read_exact(&mut reply).await.unwrap();
        assert!(reply == expected);
        writing.await.unwrap();
    });
}

/// An answer that comes later wakes the connection, and only what has come is sent.
#[test]
fn late_answers_arrive() {
    let store = FakeStore::new();
    store.defer();
    with_server(Settings::default(), &store.clone(), |running| async move {
        let mut stream = connect(&running).await;
        stream.write_all(&[array("SET a 1"), array("SET b 2"), array("PING")].concat()).await.unwrap();
        while store.pending() < 2 {
            tokio::task::yield_now().await;
        }
        store.release(1);
        store.release(0);
        expect(&mut stream, b"+OK\r\n+OK\r\n+PONG\r\n").await;
    });
}

#[test]
fn connections_beyond_the_limit_are_turned_away_in_the_words_of_redis() {
    let settings = Settings { connections_max: 1, ..Settings::default() };
    with_server(settings, &FakeStore::new(), |running| async move {
        let mut first = connect(&running).await;
        ask(&mut first, "PING", "+PONG\r\n").await;
        let mut second = connect(&running).await;
        assert_eq!(rest(&mut second).await, "-ERR max number of clients reached\r\n");
        ask(&mut first, "PING", "+PONG\r\n").await;
        assert_eq!(running.server.clients().figures().rejected.get(), 1);
    });
}

/// "A panic ends one connection only" (INVARIANTS K3).
#[test]
fn a_panic_ends_one_connection_only() {
    let store = FakeStore::new();
    store.panic_on("bomb");
    with_server(Settings::default(), &store, |running| async move {
        let (mut one, mut other) = (connect(&running).await, connect(&running).await);
        ask(&mut other, "PING", "+PONG\r\n").await;
        one.write_all(&array("GET bomb")).await.unwrap();
        assert_eq!(rest(&mut one).await, "");
        ask(&mut other, "PING", "+PONG\r\n").await;
        assert_eq!(running.server.clients().count(), 1);
    });
}

#[test]
fn http_is_closed() {
    with_server(Settings::default(), &FakeStore::new(), |running| async move {
        let mut stream = connect(&running).await;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        assert_eq!(rest(&mut stream).await, "");
        assert_eq!(running.server.clients().figures().foreign.get(), 1);
    });
}

#[test]
fn a_client_can_end_another() {
    with_server(Settings::default(), &FakeStore::new(), |running| async move {
        let (mut one, mut other) = (connect(&running).await, connect(&running).await);
        ask(&mut one, "CLIENT ID", ":1\r\n").await;
        ask(&mut other, "CLIENT KILL ID 1", ":1\r\n").await;
        assert_eq!(rest(&mut one).await, "");
    });
}

/// Shutting down ends the listener, and connections when what they asked is answered.
#[test]
fn shutting_down_answers_first() {
    let store = FakeStore::new();
    store.defer();
    with_server(Settings::default(), &store.clone(), |running| async move {
        let (mut idle, mut busy) = (connect(&running).await, connect(&running).await);
        busy.write_all(&array("SET a 1")).await.unwrap();
        while store.pending() < 1 {
            tokio::task::yield_now().await;
        }
        running.shutdown.send(()).unwrap();
        assert_eq!(rest(&mut idle).await, "");
        store.release(0);
        assert_eq!(rest(&mut busy).await, "+OK\r\n");
        running.task.await.unwrap().unwrap();
        assert!(TcpStream::connect(running.address).await.is_err());
    });
}

/// A client that leaves a command half sent is not waited for for ever; one that is idle is.
#[test]
fn half_a_command_is_waited_for_only_so_long() {
    let settings = Settings { stall_max: Duration::from_millis(20), ..Settings::default() };
    with_server(settings, &FakeStore::new(), |running| async move {
        let (mut idle, mut slow) = (connect(&running).await, connect(&running).await);
        slow.write_all(b"*2\r\n$3\r\nGET\r\n$1").await.unwrap();
        assert_eq!(rest(&mut slow).await, "");
        ask(&mut idle, "PING", "+PONG\r\n").await;
    });
}

/// A client that does not read its replies is not fed for ever, and what is kept for it is bounded.
#[test]
fn unread_replies_are_kept_only_so_long() {
    let settings = Settings { stall_max: Duration::from_millis(20), ..Settings::default() };
    let store = FakeStore::new();
    with_server(settings, &store, |running| async move {
        let mut stream = connect(&running).await;
        ask(&mut stream, &format!("SET k {}", "v".repeat(100_000)), "+OK\r\n").await;
        stream.write_all(&array("GET k").repeat(1000)).await.unwrap();
        while running.server.clients().count() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(rest(&mut stream).await.len() < 100_000_000);
    });
}

/// Half-received commands of all connections together are bounded.
#[test]
fn too_much_half_received_is_refused() {
    let settings = Settings { held_bytes_max: 1 << 20, ..Settings::default() };
    with_server(settings, &FakeStore::new(), |running| async move {
        let mut stream = connect(&running).await;
        stream.write_all(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$50000000\r\n").await.unwrap();
        let (mut read, mut write) = stream.into_split();
        let writing = spawn_local(async move { while write.write_all(&[7; 65536]).await.is_ok() {} });
        let mut reply = vec![0; 11];
        read.read_exact(&mut reply).await.unwrap();
        assert_eq!(reply, b"-OVERLOADED");
        drop(read);
        writing.await.unwrap();
    });
}

/// Unread replies of all connections together are bounded as well: who does not read while there is no room is cut.
#[test]
fn too_much_unread_is_cut() {
    let settings = Settings { held_bytes_max: 1 << 20, ..Settings::default() };
    with_server(settings, &FakeStore::new(), |running| async move {
        let mut streams = Vec::new();
        for _ in 0..4 {
            let mut stream = connect(&running).await;
            ask(&mut stream, &format!("SET k {}", "v".repeat(500_000)), "+OK\r\n").await;
            stream.write_all(&array("GET k").repeat(100)).await.unwrap();
            streams.push(stream);
        }
        while running.server.clients().count() > 1 {
            tokio::task::yield_now().await;
        }
    });
}

/// A listener bound to a keyspace that there is not is refused at once, by name.
#[test]
fn a_listener_needs_its_keyspace() {
    with_server(Settings::default(), &FakeStore::new(), |running| async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listening = Listening { keyspace: Some("nowhere".into()), ..Listening::default() };
        let error = running
            .server
            .serve(Door::Listener(listener), listening, std::future::pending())
            .await
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "the listener is bound to keyspace nowhere, and there is none of that number or name"
        );
    });
}
