//! Making and taking connections with peers, and reading what comes by them.
//!
//! What must hold: nothing is believed from a connection before its handshake; a sender is who the handshake said, whatever
//! a message claims; before the handshake a connection costs a few KiB and a few seconds at the most (INVARIANTS K3). A
//! damaged or foreign frame ends its connection: what follows it cannot be trusted either.

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use api::{Change, Command, NodePlan, Outcome, Reply, Request};
use bytes::BytesMut;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, sleep_until, timeout};
use types::{Epoch, NodeId, OperationId, PartitionId};
use wire::{Body, Envelope, First, Frame, Hello, Refusal, decode_frame, encode_previewed, encode_welcome};

use super::driver::Driver;
use super::links::Link;
use super::mail::Taken;
use super::network::Way;
use crate::core::{Evidence, Input, Sender};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const HELLO_TIMEOUT: Duration = Duration::from_secs(3);
const HELLO_BYTES_MAX: usize = 4096;
/// How long it may take to be agreed on that somebody joins.
const JOIN_TIMEOUT: Duration = Duration::from_secs(10);
const RETRY_FIRST: Duration = Duration::from_millis(20);
const RETRY_MAX: Duration = Duration::from_secs(1);
/// How often a peer is asked whether it is there.
const PING_EVERY: Duration = Duration::from_millis(500);
/// How long it may be silent on a connection that it should answer on.
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// How long a peer that has left is still listened to and answered: it hears in that time that it has, and ends what its clients
/// have under way.
const PARTING: Duration = Duration::from_secs(3);
const READ_BYTES: usize = 64 * 1024;

/// Another member.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Peer {
    pub(super) id: NodeId,
    pub(super) name: String,
    pub(super) address: SocketAddr,
}

/// Keeps connections with all members, whoever they are.
pub(super) async fn follow_members(driver: Rc<Driver>) {
    let mut kept: BTreeMap<NodeId, Kept> = BTreeMap::new();
    while driver.stopped().is_none() {
        let (peers, now) = (peers_of(&driver), tokio::time::Instant::now());
        for kept in kept.values_mut().filter(|kept| !peers.contains(&kept.peer)) {
            let has_left = driver.topology().state.member(kept.peer.id).is_none();
            kept.until.get_or_insert(if has_left { now + PARTING } else { now });
        }
        kept.retain(|id, kept| {
            let is_over = kept.until.is_some_and(|until| until <= now);
            if is_over {
                kept.task.abort();
                if driver.links().break_off(*id) {
                    tracing::info!(peer = %kept.peer.name, "is no member any more");
                    driver.feed(Input::PeerLost(*id));
                }
            }
            !is_over
        });
        for peer in peers {
            kept.entry(peer.id).or_insert_with(|| {
                let task = tokio::task::spawn_local(keep_connected(Rc::clone(&driver), peer.clone()));
                Kept { peer, task, until: None }
            });
        }
        let next = kept.values().filter_map(|kept| kept.until).min();
        tokio::select! {
            () = driver.members_changed.notified() => {}
            () = sleep_until(next.unwrap_or(now)), if next.is_some() => {}
        }
    }
}

/// A peer that this shard keeps a connection to.
struct Kept {
    peer: Peer,
    task: tokio::task::JoinHandle<()>,
    /// Until when, if it is no member any more.
    until: Option<tokio::time::Instant>,
}

fn peers_of(driver: &Driver) -> Vec<Peer> {
    let topology = driver.topology();
    let others = topology
        .state
        .members()
        .iter()
        .filter(|member| member.id != topology.here && member.standing != cluster::Standing::Gone);
    others
        .filter_map(|member| {
            let address: SocketAddr = member.addresses.peer?;
            Some(Peer { id: member.id, name: member.name.clone(), address })
        })
        .collect()
}

/// Keeps a connection to a peer, for as long as the node runs.
pub(super) async fn keep_connected(driver: Rc<Driver>, peer: Peer) {
    let mut retry = RETRY_FIRST;
    let mut said = String::new();
    while driver.stopped().is_none() {
        match connect(&driver, &peer).await {
            Ok((stream, buffer, hello)) => {
                tracing::info!(peer = %peer.name, address = %peer.address, "connected to peer");
                said.clear();
                retry = RETRY_FIRST;
                let link = driver.links().made(peer.id, stream, driver.way_to(peer.id));
                let from = Sender { node: peer.id, shard: hello.shard };
                driver.feed(Input::PeerUp(hello));
                let error = converse(&driver, from, &link, buffer, true).await;
                if driver.links().made_is_over(peer.id, &link) {
                    tracing::warn!(peer = %peer.name, %error, "lost the connection to peer");
                    driver.feed(Input::PeerLost(peer.id));
                }
            }
            Err(error) => {
                let text = error.to_string();
                if text != said {
                    tracing::info!(peer = %peer.name, address = %peer.address, error = %text, "cannot reach peer; trying on");
                    said = text;
                }
            }
        }
        sleep(retry).await;
        retry = (retry * 2).min(RETRY_MAX);
    }
}

/// Takes the connections that peers make.
pub(super) async fn take_connections(driver: Rc<Driver>, listener: TcpListener) {
    while driver.stopped().is_none() {
        match listener.accept().await {
            Ok((stream, from)) => {
                let driver = Rc::clone(&driver);
                tokio::task::spawn_local(async move {
                    if let Err(error) = take(&driver, stream).await {
                        tracing::info!(%from, %error, "ended a peer's connection");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot take a peer's connection");
                sleep(RETRY_MAX).await;
            }
        }
    }
}

async fn connect(driver: &Driver, peer: &Peer) -> Result<(TcpStream, BytesMut, Hello), Error> {
    let way = driver.way_to(peer.id);
    let across = async {
        way.until_open().await;
        TcpStream::connect(peer.address).await
    };
    let stream = timeout(CONNECT_TIMEOUT, across).await??;
    stream.set_nodelay(true)?;
    let ours = driver.hello();
    let mut out = BytesMut::new();
    ours.encode(&mut out);
    timeout(HELLO_TIMEOUT, write_all(&stream, &out)).await??;
    let mut buffer = BytesMut::new();
    let said = timeout(HELLO_TIMEOUT, read_hello(&stream, Some(&way), &mut buffer)).await??;
    let theirs = said.map_err(|refusal| {
        if refusal.removed {
            driver.feed(Input::Removed(format!("{} says: {}", peer.name, refusal.why)));
        }
        if refusal.superseded {
            driver.feed(Input::Superseded(format!("{} says: {}", peer.name, refusal.why)));
        }
        Error::new(ErrorKind::ConnectionRefused, refusal.why)
    })?;
    if theirs.node != peer.id || theirs.name != peer.name {
        let why = format!(
            "{} is node {}, not {}: check the members' peer addresses",
            peer.address, theirs.name, peer.name
        );
        return Err(Error::new(ErrorKind::InvalidData, why));
    }
    driver.admit(&theirs).map_err(|refusal| Error::new(ErrorKind::InvalidData, refusal.why))?;
    Ok((stream, buffer, theirs))
}

async fn take(driver: &Rc<Driver>, stream: TcpStream) -> Result<(), Error> {
    stream.set_nodelay(true)?;
    let mut buffer = BytesMut::new();
    let frame = timeout(HELLO_TIMEOUT, read_first(&stream, None, &mut buffer)).await??;
    let theirs = match First::decode(&frame) {
        Some(First::Hello(theirs)) => *theirs,
        Some(First::Join(plan)) => return welcome(driver, &stream, *plan).await,
        Some(First::Preview(plan)) => return say_what_it_would_come_to(driver, &stream, *plan).await,
        None => return Err(Error::new(ErrorKind::InvalidData, "it did not introduce itself")),
    };
    let mut out = BytesMut::new();
    let verdict = driver.admit(&theirs);
    match &verdict {
        Ok(()) => driver.hello_to(&theirs).encode(&mut out),
        Err(refusal) => refusal.encode(&mut out),
    }
    timeout(HELLO_TIMEOUT, write_all(&stream, &out)).await??;
    if let Err(Refusal { why, .. }) = verdict {
        return Err(Error::new(ErrorKind::InvalidData, why));
    }
    let at = driver.shards().facing(theirs.shard);
    if at == driver.index() {
        return Err(serve(driver, &theirs, stream, buffer).await);
    }
    driver.mailboxes().hand_over(at, Taken { stream: stream.into_std()?, hello: theirs, buffer });
    Ok(())
}

/// One that is no member wants to be: it is told the state in which it is, or why not.
async fn welcome(driver: &Rc<Driver>, stream: &TcpStream, plan: NodePlan) -> Result<(), Error> {
    let name = plan.name.clone();
    let change = Box::new(Change::Join(Box::new(driver.completed(plan))));
    let mut out = BytesMut::new();
    match asked(driver, Command::Change(change)).await {
        Ok(_) => {
            tracing::info!(node = %name, "has joined the cluster");
            encode_welcome(&driver.topology().state.encode(), &mut out);
        }
        Err(error) => refuse(&error, &mut out),
    }
    timeout(JOIN_TIMEOUT, write_all(stream, &out)).await?
}

/// One that is no member asks what it would come to if it were: it is told, or why it may not be.
async fn say_what_it_would_come_to(
    driver: &Rc<Driver>,
    stream: &TcpStream,
    plan: NodePlan,
) -> Result<(), Error> {
    let change = Box::new(Change::Join(Box::new(driver.completed(plan))));
    let mut out = BytesMut::new();
    match asked(driver, Command::Plan(change)).await {
        Ok(Reply::Planned(planned)) => encode_previewed(&planned, &mut out),
        Ok(_) => Refusal::because("it answers something else".to_owned()).encode(&mut out),
        Err(error) => refuse(&error, &mut out),
    }
    timeout(JOIN_TIMEOUT, write_all(stream, &out)).await?
}

async fn asked(driver: &Rc<Driver>, command: Command) -> Outcome {
    match driver.ask(Request { command, timeout: Some(JOIN_TIMEOUT) }) {
        Ok(outcome) => outcome,
        Err(number) => std::future::poll_fn(|context| driver.poll_answer(number, context)).await,
    }
}

fn refuse(error: &api::Error, out: &mut BytesMut) {
    let try_again = !matches!(error, api::Error::Invalid(_));
    Refusal { try_again, ..Refusal::because(error.to_string()) }.encode(out);
}

/// Serves a connection that another shard has met at the door.
pub(super) async fn serve_taken(driver: Rc<Driver>, taken: Taken) {
    let Taken { stream, hello, buffer } = taken;
    match TcpStream::from_std(stream) {
        Ok(stream) => {
            let error = serve(&driver, &hello, stream, buffer).await;
            tracing::info!(peer = %hello.name, %error, "ended a peer's connection");
        }
        Err(error) => tracing::warn!(peer = %hello.name, %error, "cannot serve a peer's connection"),
    }
}

/// Serves a connection that a peer made, until it ends; says why it did.
async fn serve(driver: &Rc<Driver>, theirs: &Hello, stream: TcpStream, buffer: BytesMut) -> Error {
    let from = Sender { node: theirs.node, shard: theirs.shard };
    driver.feed(Input::Introduced(theirs.clone()));
    let link = driver.links().taken(from, stream, driver.way_to(from.node));
    let error = converse(driver, from, &link, buffer, false).await;
    driver.links().taken_is_over(from, &link);
    error
}

/// Reads and writes until the connection ends; says why it did.
async fn converse(driver: &Rc<Driver>, from: Sender, link: &Rc<Link>, buffer: BytesMut, ping: bool) -> Error {
    let heard = std::cell::Cell::new(driver.now().mono);
    tokio::select! {
        error = read(driver, from, link, buffer, &heard) => error,
        () = link.write_rest() => Error::new(ErrorKind::BrokenPipe, "the connection does not take what is sent"),
        () = keep_asking(driver, from.node, link, &heard), if ping => {
            Error::new(ErrorKind::TimedOut, format!("it has been silent for {SILENCE_MAX:?}"))
        }
    }
}

async fn read(
    driver: &Rc<Driver>,
    from: Sender,
    link: &Rc<Link>,
    mut buffer: BytesMut,
    heard: &std::cell::Cell<types::Instant>,
) -> Error {
    loop {
        loop {
            match decode_frame(&mut buffer).and_then(|frame| frame.map(Frame::into_envelope).transpose()) {
                Ok(Some(Envelope { body: Body::Ping, .. })) => {
                    link.put(&about_the_connection(Body::Pong));
                    link.flush();
                }
                Ok(Some(Envelope { body: Body::Pong, .. })) => {
                    driver.feed(Input::Evidence(from.node, Evidence::Answered));
                }
                Ok(Some(envelope)) => driver.feed(Input::Message(from, envelope)),
                Ok(None) => break,
                Err(error) => return Error::new(ErrorKind::InvalidData, error),
            }
        }
        if link.is_broken() {
            return Error::new(ErrorKind::ConnectionAborted, "the connection was broken off");
        }
        if let Err(error) = read_some(&link.stream, Some(&link.way), &mut buffer).await {
            return error;
        }
        heard.set(driver.now().mono);
    }
}

/// Asks the peer now and then whether it is there; ends when it has been silent for too long. That it has not answered by
/// the next time is told: with heartbeats missing as well, it makes a suspicion sooner.
async fn keep_asking(
    driver: &Rc<Driver>,
    peer: NodeId,
    link: &Rc<Link>,
    heard: &std::cell::Cell<types::Instant>,
) {
    let mut asked = None;
    loop {
        sleep(PING_EVERY).await;
        if driver.now().mono.since(heard.get()) > SILENCE_MAX {
            return;
        }
        if asked.is_some_and(|asked| heard.get() < asked) {
            driver.feed(Input::Evidence(peer, Evidence::Failed));
        }
        asked = Some(driver.now().mono);
        link.put(&about_the_connection(Body::Ping));
        link.flush();
    }
}

/// A message that concerns no operation.
fn about_the_connection(body: Body) -> Envelope {
    Envelope {
        operation: OperationId(0),
        round: 0,
        epoch: Epoch(0),
        partition: PartitionId(0),
        deadline_ms: 0,
        body,
    }
}

/// Reads the first frame of a connection, which must be small.
async fn read_hello(
    stream: &TcpStream,
    way: Option<&Way>,
    buffer: &mut BytesMut,
) -> Result<Result<Hello, Refusal>, Error> {
    let frame = read_first(stream, way, buffer).await?;
    Hello::decode(&frame).ok_or_else(|| Error::new(ErrorKind::InvalidData, "it did not introduce itself"))
}

async fn read_first(stream: &TcpStream, way: Option<&Way>, buffer: &mut BytesMut) -> Result<Frame, Error> {
    loop {
        if buffer.len() >= 4 {
            let claimed = u32::from_le_bytes([buffer[0], buffer[1], buffer[2], buffer[3]]) as usize;
            if claimed > HELLO_BYTES_MAX {
                return Err(Error::new(ErrorKind::InvalidData, "it does not speak as a peer does"));
            }
        }
        let frame = decode_frame(buffer).map_err(|error| Error::new(ErrorKind::InvalidData, error))?;
        if let Some(frame) = frame {
            return Ok(frame);
        }
        read_some(stream, way, buffer).await?;
    }
}

/// Takes in what has come; what comes across a cut is not there, nor is the connection's end.
async fn read_some(stream: &TcpStream, way: Option<&Way>, buffer: &mut BytesMut) -> Result<(), Error> {
    loop {
        stream.readable().await?;
        if let Some(way) = way
            && way.is_cut()
        {
            way.until_open().await;
        }
        if buffer.capacity() - buffer.len() < READ_BYTES / 4 {
            buffer.reserve(READ_BYTES);
        }
        match stream.try_read_buf(buffer) {
            Ok(0) => return Err(Error::new(ErrorKind::UnexpectedEof, "it closed the connection")),
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

async fn write_all(stream: &TcpStream, mut bytes: &[u8]) -> Result<(), Error> {
    while !bytes.is_empty() {
        stream.writable().await?;
        match stream.try_write(bytes) {
            Ok(0) => return Err(Error::new(ErrorKind::WriteZero, "it closed the connection")),
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
