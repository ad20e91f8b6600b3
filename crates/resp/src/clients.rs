//! Who is connected: what `CLIENT LIST` shows, `CLIENT KILL` ends and `INFO` counts.
//!
//! One registry serves all listeners of a node that run in one thread; sessions hold their own entry and change it in
//! place. Nothing here is shared between threads, so nothing is locked: a connection pays for being listed with a few
//! plain stores per batch of commands.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Waker;

use types::WallTime;

/// The connections of a node, and counts of what they did.
#[derive(Debug, Default)]
pub struct Clients {
    connected: RefCell<BTreeMap<u64, Rc<Client>>>,
    last_id: Cell<u64>,
    /// What they did.
    pub figures: Figures,
}

/// Counts since the start.
#[derive(Debug, Default)]
pub struct Figures {
    /// Commands that were run, or refused with an error.
    pub commands: Cell<u64>,
    /// Replies that were errors.
    pub errors: Cell<u64>,
    /// Protocol errors, each of which ended a connection.
    pub protocol_errors: Cell<u64>,
    /// Connections ended because they spoke another protocol.
    pub foreign: Cell<u64>,
    /// Bytes received.
    pub bytes_received: Cell<u64>,
    /// Bytes sent.
    pub bytes_sent: Cell<u64>,
    /// Connections turned away because there were too many.
    pub rejected: Cell<u64>,
    /// Answers that a stand-in had a part in (INVARIANTS C4).
    pub stand_in_answers: Cell<u64>,
    /// Writes acknowledged before they were synced, as their keyspace allows (INVARIANTS C4).
    pub relaxed_writes: Cell<u64>,
}

/// Adds to a count.
pub(crate) fn add(count: &Cell<u64>, more: u64) {
    count.set(count.get().wrapping_add(more));
}

/// One connection, as others may see it.
#[derive(Debug)]
pub struct Client {
    /// Its number, never used again while the node runs.
    pub id: u64,
    /// Where it comes from, if over a socket.
    pub address: Option<SocketAddr>,
    /// The listener's address that it came to.
    pub local_address: Option<SocketAddr>,
    /// When it came.
    pub connected: WallTime,
    /// When it last sent a command.
    pub last_active: Cell<WallTime>,
    /// The last command, as `CLIENT LIST` names it.
    pub last_command: Cell<&'static str>,
    /// The number of the selected keyspace.
    pub keyspace_number: Cell<u32>,
    /// The version of the protocol, 2 or 3.
    pub protocol_number: Cell<i64>,
    /// What it calls itself (`CLIENT SETNAME`).
    pub name: RefCell<String>,
    /// Its library and that library's version (`CLIENT SETINFO`).
    pub library: RefCell<(String, String)>,
    is_killed: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Clients {
    /// Enters a connection.
    pub fn register(
        &self,
        address: Option<SocketAddr>,
        local_address: Option<SocketAddr>,
        now: WallTime,
    ) -> Rc<Client> {
        add(&self.last_id, 1);
        let client = Rc::new(Client {
            id: self.last_id.get(),
            address,
            local_address,
            connected: now,
            last_active: Cell::new(now),
            last_command: Cell::new("NULL"),
            keyspace_number: Cell::new(0),
            protocol_number: Cell::new(2),
            name: RefCell::default(),
            library: RefCell::default(),
            is_killed: Cell::new(false),
            waker: RefCell::default(),
        });
        self.connected.borrow_mut().insert(client.id, client.clone());
        client
    }

    /// Removes a connection that has ended.
    pub fn remove(&self, id: u64) {
        self.connected.borrow_mut().remove(&id);
    }

    /// How many are connected.
    pub fn count(&self) -> usize {
        self.connected.borrow().len()
    }

    /// How many have ever connected.
    pub fn total(&self) -> u64 {
        self.last_id.get()
    }

    /// The connection with this number.
    pub fn get(&self, id: u64) -> Option<Rc<Client>> {
        self.connected.borrow().get(&id).cloned()
    }

    /// All of them, in the order in which they came.
    pub fn list(&self) -> Vec<Rc<Client>> {
        self.connected.borrow().values().cloned().collect()
    }
}

impl Client {
    /// Asks the connection to end.
    pub fn kill(&self) {
        self.is_killed.set(true);
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }

    /// Whether it was asked to end.
    pub fn is_killed(&self) -> bool {
        self.is_killed.get()
    }

    /// Names whom to wake when the connection is asked to end.
    pub fn set_waker(&self, waker: &Waker) {
        let mut kept = self.waker.borrow_mut();
        match kept.as_mut() {
            Some(kept) => kept.clone_from(waker),
            None => *kept = Some(waker.clone()),
        }
    }

    /// The line that `CLIENT INFO` and `CLIENT LIST` show, in Redis's form.
    pub fn line(&self, now: WallTime) -> String {
        let address = |address: Option<SocketAddr>| address.map_or_else(String::new, |a| a.to_string());
        let seconds_since = |then: WallTime| now.0.saturating_sub(then.0) / 1000;
        let library = self.library.borrow();
        format!(
            "id={} addr={} laddr={} name={} age={} idle={} flags=N db={} sub=0 psub=0 ssub=0 multi=-1 events=r cmd={} user=default redir=-1 resp={} lib-name={} lib-ver={}\n",
            self.id,
            address(self.address),
            address(self.local_address),
            self.name.borrow(),
            seconds_since(self.connected),
            seconds_since(self.last_active.get()),
            self.keyspace_number.get(),
            self.last_command.get(),
            self.protocol_number.get(),
            library.0,
            library.1,
        )
    }
}
