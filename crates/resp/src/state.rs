//! What a connection has chosen so far, and what surrounds it: all that a command may look at and change.

use std::sync::Arc;
use std::time::Duration;

use api::{Counter, KeyspaceStatus, Status};
use quorum::Level;
use types::{Epoch, KeyspaceId, WallTime};

use crate::acknowledgements::Acknowledgements;
use crate::clients::{Client, Clients};
use crate::contexts::Contexts;
use crate::frame::Limits;
use crate::reply::Protocol;

/// What a listener pretends to be (DESIGN 11).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ListenerKind {
    /// One store: SCAN, KEYS and DBSIZE speak of the whole cluster, and CLUSTER answers that it is off.
    #[default]
    OneStore,
    /// A Redis Cluster of masters: SCAN, KEYS and DBSIZE speak of this node's primary ranges, and CLUSTER names the
    /// nodes.
    RedisCluster,
}

impl ListenerKind {
    /// The part of a keyspace that commands about all keys speak of.
    pub fn scope(self) -> api::Scope {
        match self {
            ListenerKind::OneStore => api::Scope::Cluster,
            ListenerKind::RedisCluster => api::Scope::Primaries,
        }
    }
}

/// The world around a connection, as of this batch of commands.
#[derive(Clone, Copy)]
pub struct Around<'a> {
    /// The wall clock.
    pub now: WallTime,
    /// The cluster as this node sees it.
    pub status: &'a Arc<Status>,
    /// The node's figures, for those who ask.
    pub counters: &'a dyn Fn() -> Vec<Counter>,
    /// The other connections.
    pub clients: &'a Clients,
    /// What a connection may cost.
    pub settings: &'a Settings,
}

/// What a connection may cost, and how many there may be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// How much a client may send before it is a protocol error.
    pub limits: Limits,
    /// The most requests of one connection that wait for an answer.
    pub requests_in_flight_max: usize,
    /// The most bytes of arguments of one connection that wait for an answer, beyond the first request.
    pub request_bytes_in_flight_max: usize,
    /// The most bytes that replies of one connection are thought to have while they wait for an answer, beyond the first.
    pub reply_bytes_in_flight_max: usize,
    /// From how many bytes of unread replies on no further command of the connection is run.
    pub output_bytes_max: usize,
    /// The most connections.
    pub connections_max: usize,
    /// The most memory for commands that have not arrived whole and replies that have not left, over all connections, in
    /// bytes.
    pub held_bytes_max: usize,
    /// How long a client may leave a command half sent, or replies unread, before its connection is closed.
    pub stall_max: Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            limits: Limits::default(),
            requests_in_flight_max: 512,
            request_bytes_in_flight_max: 16 << 20,
            reply_bytes_in_flight_max: 16 << 20,
            output_bytes_max: 1 << 20,
            connections_max: 10_000,
            held_bytes_max: 256 << 20,
            stall_max: Duration::from_secs(60),
        }
    }
}

/// The keyspace that plain commands speak of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Selected {
    /// Its id.
    pub id: KeyspaceId,
    /// What `SELECT` called it, by number.
    pub number: u32,
    /// Its name.
    pub name: String,
    /// Whether contexts are remembered in it: where siblings are kept. In an `lww` keyspace a context means nothing.
    pub remembers: bool,
}

impl Selected {
    /// A keyspace, selected.
    pub fn new(keyspace: &KeyspaceStatus) -> Selected {
        Selected {
            id: keyspace.id,
            number: keyspace.number,
            name: keyspace.name.clone(),
            remembers: matches!(keyspace.policy.as_str(), "siblings" | "priority"),
        }
    }
}

/// The levels that a connection asks for (`KV.CONSISTENCY`); the keyspace's own where absent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Levels {
    /// R.
    pub read: Option<Level>,
    /// W.
    pub write: Option<Level>,
}

/// All that a connection has chosen.
#[derive(Debug)]
pub struct State {
    /// The connection, as others see it.
    pub client: Arc<Client>,
    /// What its listener pretends to be.
    pub kind: ListenerKind,
    /// The keyspace that it began in, and returns to at RESET.
    pub home: Selected,
    /// The keyspace that it is in.
    pub keyspace: Selected,
    /// The version of the protocol.
    pub protocol: Protocol,
    /// The levels it asks for.
    pub levels: Levels,
    /// The contexts it remembers.
    pub contexts: Contexts,
    /// Its recent writes, for WAIT.
    pub writes: Acknowledgements,
    /// Since which epoch of the cluster state the client of a cluster listener has its map of slots, as far as is known.
    pub map_of: Option<Epoch>,
    /// No more commands are taken; the connection ends when what was asked is answered.
    pub is_closing: bool,
}

impl State {
    /// A connection that has chosen nothing.
    pub fn new(client: Arc<Client>, kind: ListenerKind, home: Selected) -> State {
        client.set_keyspace_number(home.number);
        State {
            client,
            kind,
            keyspace: home.clone(),
            home,
            protocol: Protocol::default(),
            levels: Levels::default(),
            contexts: Contexts::default(),
            writes: Acknowledgements::default(),
            map_of: None,
            is_closing: false,
        }
    }

    /// Goes to another keyspace.
    pub fn select(&mut self, keyspace: Selected) {
        self.client.set_keyspace_number(keyspace.number);
        self.keyspace = keyspace;
    }

    /// Goes to another version of the protocol.
    pub fn speak(&mut self, protocol: Protocol) {
        self.client.set_protocol_number(protocol.number());
        self.protocol = protocol;
    }

    /// As if newly connected (RESET).
    pub fn reset(&mut self) {
        self.select(self.home.clone());
        self.speak(Protocol::default());
        self.client.set_name(String::new());
        self.levels = Levels::default();
        self.contexts = Contexts::default();
        self.writes = Acknowledgements::default();
    }

    /// Whether replies about keys of the selected keyspace leave their contexts.
    pub fn remembers(&self) -> bool {
        self.keyspace.remembers && self.contexts.is_on()
    }
}
