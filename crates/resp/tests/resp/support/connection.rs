//! A connection driven by hand: bytes in, bytes out, as the socket driver would, without one.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use api::{Answer, Store};
use resp::{Around, Clients, ListenerKind, Selected, Session, Settings, Turned};

use super::FakeStore;
use super::store::Later;

pub(crate) struct Connection {
    pub(crate) session: Session,
    store: FakeStore,
    clients: Rc<Clients>,
    settings: Settings,
    pending: VecDeque<Later>,
}

impl Connection {
    pub(crate) fn new(store: &FakeStore, clients: &Rc<Clients>, kind: ListenerKind) -> Connection {
        Connection::with_settings(store, clients, kind, Settings::default())
    }

    pub(crate) fn with_settings(
        store: &FakeStore,
        clients: &Rc<Clients>,
        kind: ListenerKind,
        settings: Settings,
    ) -> Connection {
        let local = Some(([127, 0, 0, 1], 7101).into());
        let client = clients.register(Some(([127, 0, 0, 1], 50_000).into()), local, store.now());
        let home = Selected::new(store.status().keyspace("0").unwrap());
        Connection {
            session: Session::new(client, kind, home),
            store: store.clone(),
            clients: clients.clone(),
            settings,
            pending: VecDeque::new(),
        }
    }

    /// One to a new store.
    pub(crate) fn alone() -> (Connection, FakeStore) {
        let store = FakeStore::new();
        (Connection::new(&store, &Rc::default(), ListenerKind::OneStore), store)
    }

    /// One in the keyspace that keeps siblings.
    pub(crate) fn in_siblings(store: &FakeStore) -> Connection {
        let mut connection = Connection::new(store, &Rc::default(), ListenerKind::OneStore);
        assert_eq!(connection.ask("SELECT siblings"), "+OK\r\n");
        connection
    }

    /// The store that it asks.
    pub(crate) fn store(&self) -> FakeStore {
        self.store.clone()
    }

    /// Receives bytes in one read, and runs what can be run. Nothing is sent.
    pub(crate) fn receive(&mut self, bytes: &[u8]) {
        self.session.input().extend_from_slice(bytes);
        self.session.received(bytes.len());
        self.run();
    }

    /// Goes on with what was received and answered.
    pub(crate) fn run(&mut self) {
        let mut pending = std::mem::take(&mut self.pending);
        while self.around(|session, store, around| drive(session, store, &mut pending, around)) {}
        self.pending = pending;
    }

    /// Whether the driver would read.
    pub(crate) fn wants_input(&mut self) -> bool {
        self.around(|session, _, around| session.wants_input(around))
    }

    fn around<T>(&mut self, work: impl FnOnce(&mut Session, &FakeStore, &Around<'_>) -> T) -> T {
        let status = self.store.status();
        let store = self.store.clone();
        let counters = || store.counters();
        let around = Around {
            now: self.store.now(),
            status: &status,
            counters: &counters,
            clients: &self.clients,
            settings: &self.settings,
        };
        work(&mut self.session, &self.store, &around)
    }

    /// Sends what there is to send, and goes on.
    pub(crate) fn send(&mut self) -> String {
        let output = self.session.output();
        let text = String::from_utf8_lossy(output).into_owned();
        let length = output.len();
        self.session.sent(length);
        self.run();
        text
    }

    /// One command in one read, and its reply, sent.
    pub(crate) fn ask(&mut self, command: &str) -> String {
        self.receive(&array(command));
        self.send()
    }
}

/// Says whether to come back with the cluster as it is then.
fn drive(
    session: &mut Session,
    store: &FakeStore,
    pending: &mut VecDeque<Later>,
    around: &Around<'_>,
) -> bool {
    loop {
        loop {
            let request = match session.next(around) {
                Turned::Ask(request) => request,
                Turned::Refresh => return true,
                Turned::Rest => break,
            };
            match store.call(request) {
                Answer::Ready(outcome) => session.answered(outcome, around),
                Answer::Pending(later) => {
                    session.pending();
                    pending.push_back(later);
                }
            }
        }
        let mut context = Context::from_waker(Waker::noop());
        let Some(oldest) = pending.front_mut() else { return false };
        let Poll::Ready(outcome) = Pin::new(oldest).poll(&mut context) else {
            return false;
        };
        pending.pop_front();
        session.resolved(outcome, around);
    }
}

/// The words of a command as a client sends them.
pub(crate) fn array(command: &str) -> Vec<u8> {
    let words = resp::frame::inline::split(command.as_bytes()).expect("quotes balance in tests");
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(&word);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}
