//! The work of a connection beside its input: running commands, keeping replies in order, showing answers.

use std::sync::Arc;

use api::{Outcome, Reply, Request};
use bytes::{Bytes, BytesMut};
use causality::Context;
use types::KeyspaceId;

use crate::clients::Client;
use crate::command::row::{Row, Turn};
use crate::command::{Ask, Call, Failure, Next, Shown, Then};
use crate::contexts::Offset;
use crate::frame::Arguments;
use crate::reply::{Protocol, Writer};
use crate::session::dispatch;
use crate::session::ground::Ground;
use crate::session::holds::{Held, Holds};
use crate::session::moved::moved;
use crate::session::queue::{Queue, Waiting};
use crate::session::transaction::RefusedTransaction;
use crate::state::{Around, ListenerKind, Selected, State};

/// What came of trying to run a command.
#[derive(Debug)]
pub(crate) enum Ran {
    /// Its reply is written.
    Replied,
    /// The store is to be asked.
    Asks(Request),
    /// It has to wait for earlier ones and is to be tried again.
    MustWait,
}

/// What is kept of a command while the store answers.
pub(crate) struct Asking {
    then: Then,
    protocol: Protocol,
    held: Held,
    /// Its keys, if its reply leaves contexts.
    keys: Vec<Bytes>,
    keyspace: KeyspaceId,
    is_alone: bool,
    /// The bytes of its arguments.
    pub(crate) bytes: usize,
}

/// All of a connection but its input.
pub(crate) struct Desk {
    pub(crate) output: BytesMut,
    /// How many reply bytes have left.
    pub(crate) sent: Offset,
    pub(crate) queue: Queue,
    pub(crate) state: State,
    /// The next question of a command that asks several.
    pub(crate) follow_up: Option<(Request, Asking)>,
    /// The question that the driver is asking right now.
    pub(crate) asking: Option<Asking>,
    holds: Holds,
    /// A command that must be alone is unfinished.
    is_alone: bool,
    /// How far the replies had left when the last command that was run came in.
    received: Offset,
    transaction: RefusedTransaction,
    ground: Ground,
    /// The contexts that the reply at hand shows; kept to be used again.
    seen: Vec<(usize, Context)>,
    /// How many bytes a reply is thought to have, by those before it: quick to rise, slow to fall. Answers that wait in
    /// the node for their turn hold their values, and how large a value is is not known before.
    reply_bytes_expected: usize,
    /// How many commands have been run or refused.
    pub(crate) commands: u64,
    /// The cluster is another than it was when the commands at hand began to run.
    pub(crate) has_changed: bool,
}

/// What the first reply of a connection is thought to have.
const REPLY_BYTES_FIRST: usize = 16 << 10;

impl Desk {
    pub(crate) fn new(client: Arc<Client>, kind: ListenerKind, home: Selected) -> Desk {
        Desk {
            output: BytesMut::new(),
            sent: Offset::default(),
            queue: Queue::default(),
            state: State::new(client, kind, home),
            follow_up: None,
            asking: None,
            holds: Holds::default(),
            is_alone: false,
            received: Offset::default(),
            transaction: RefusedTransaction::default(),
            ground: Ground::default(),
            seen: Vec::new(),
            reply_bytes_expected: REPLY_BYTES_FIRST,
            commands: 0,
            has_changed: false,
        }
    }

    /// Whether one of the bounds is reached and no further command may run.
    pub(crate) fn is_full(&self, around: &Around<'_>) -> bool {
        let settings = around.settings;
        self.is_alone
            || self.queue.len() >= settings.requests_in_flight_max
            || self.queue.request_bytes() >= settings.request_bytes_in_flight_max
            || self.output.len() + self.queue.reply_bytes() >= settings.output_bytes_max
            || self.queue.len() * self.reply_bytes_expected >= settings.reply_bytes_in_flight_max
    }

    /// Runs a command that came in when the replies had left up to `received`, unless it has to wait.
    pub(crate) fn command(&mut self, arguments: Arguments<'_>, received: Offset, around: &Around<'_>) -> Ran {
        let row = match dispatch::find(arguments) {
            Ok(row) => row,
            Err(failure) => {
                self.note_command("unknown", around);
                self.fail(&failure, around);
                return Ran::Replied;
            }
        };
        let held = Held::new(row, arguments, self.state.keyspace.id);
        if !self.may_run(row, &held) {
            return Ran::MustWait;
        }
        self.note_command(row.name, around);
        self.received = received;
        if let Some(failure) = self.transaction.refuses(row, received) {
            self.fail(&failure, around);
            return Ran::Replied;
        }
        self.run(row, held, arguments, around)
    }

    fn note_command(&mut self, name: &'static str, around: &Around<'_>) {
        self.commands += 1;
        around.clients.figures().commands.add(1);
        self.state.client.note(name, around.now);
    }

    fn may_run(&self, row: &Row, held: &Held) -> bool {
        self.queue.is_empty() || (row.turn == Turn::ByKeys && self.holds.allow(held))
    }

    fn run(&mut self, row: &Row, held: Held, arguments: Arguments<'_>, around: &Around<'_>) -> Ran {
        let protocol = self.state.protocol;
        let mut aside = BytesMut::new();
        // A reply that is due later waits beside the output.
        let out = if self.queue.is_empty() { &mut self.output } else { &mut aside };
        let start = out.len();
        let reply = Writer::new(out, protocol);
        let elsewhere = moved(row, arguments, &mut self.state, around);
        let mut call = Call { arguments, state: &mut self.state, around, reply, received: self.received };
        let ran = elsewhere.map_or_else(|| dispatch::run(row, &mut call), Err);
        let ran = ran.and_then(|next| self.ground.check(next, &call.state.keyspace, around));
        match ran {
            Ok(Next::Replied) => {}
            Ok(Next::Ask(Ask { request, then })) => {
                let keys = self.keys_to_remember(row, arguments);
                let is_alone = row.turn == Turn::Alone;
                let bytes = arguments.iter().map(<[u8]>::len).sum();
                let keyspace = self.state.keyspace.id;
                self.asking = Some(Asking { then, protocol, held, keys, keyspace, is_alone, bytes });
                return Ran::Asks(request);
            }
            Err(failure) => {
                call.reply.roll_back(start);
                write_failure(&failure, &mut call.reply, around);
                if row.name == "multi" {
                    self.transaction.begin(Offset(self.sent.0 + self.output.len() as u64));
                }
            }
        }
        if !aside.is_empty() {
            self.queue.push_reply(aside);
        }
        Ran::Replied
    }

    fn keys_to_remember(&self, row: &Row, arguments: Arguments<'_>) -> Vec<Bytes> {
        if !self.state.remembers() {
            return Vec::new();
        }
        let copy = |place: usize| Bytes::copy_from_slice(&arguments[place]);
        row.keys.places(arguments.len()).map(copy).collect()
    }

    /// Replies with an error, in its turn.
    pub(crate) fn fail(&mut self, failure: &Failure, around: &Around<'_>) {
        let mut aside = BytesMut::new();
        let out = if self.queue.is_empty() { &mut self.output } else { &mut aside };
        write_failure(failure, &mut Writer::new(out, self.state.protocol), around);
        if !aside.is_empty() {
            self.queue.push_reply(aside);
        }
    }

    /// The store answered the question at hand at once.
    pub(crate) fn answered(&mut self, outcome: Outcome, around: &Around<'_>) {
        let asking = self.asking.take().expect("an answer follows a question");
        if self.queue.is_empty() {
            self.show(asking, outcome, around);
        } else {
            self.queue.push_answered(asking, outcome);
        }
    }

    /// The store answers the question at hand later.
    pub(crate) fn pending(&mut self) {
        let asking = self.asking.take().expect("a question is pending after it was asked");
        self.holds.add(&asking.held);
        self.is_alone = asking.is_alone;
        self.queue.push_pending(asking);
    }

    /// The oldest pending question is answered.
    pub(crate) fn resolved(&mut self, outcome: Outcome, around: &Around<'_>) {
        let asking = self.queue.pop_pending();
        self.holds.remove(&asking.held);
        self.is_alone = false;
        self.show(asking, outcome, around);
        while let Some(waiting) = self.queue.pop_ready() {
            match waiting {
                Waiting::Reply(bytes) => self.output.extend_from_slice(&bytes),
                Waiting::Answered(answered) => self.show(answered.0, answered.1, around),
                Waiting::Pending(_) => unreachable!("what is pending is not ready"),
            }
        }
    }

    fn show(&mut self, asking: Asking, outcome: Outcome, around: &Around<'_>) {
        let Asking { then, protocol, held, keys, keyspace, is_alone, bytes } = asking;
        self.has_changed |= matches!(outcome, Ok(Reply::Changed(_)));
        let start = self.output.len();
        let reply = Writer::new(&mut self.output, protocol);
        let remembers = !keys.is_empty();
        let mut shown =
            Shown { reply, state: &mut self.state, around, seen: &mut self.seen, keyspace, remembers };
        match then(outcome, &mut shown) {
            Ok(Next::Replied) => self.remember(keyspace, &keys),
            Ok(Next::Ask(Ask { request, then })) => {
                debug_assert!(
                    is_alone,
                    "a command that asks on runs alone, or its reply would come out of turn"
                );
                self.follow_up =
                    Some((request, Asking { then, protocol, held, keys, keyspace, is_alone, bytes }));
            }
            Err(failure) => {
                shown.reply.roll_back(start);
                write_failure(&failure, &mut shown.reply, around);
            }
        }
        self.seen.clear();
        let fallen = self.reply_bytes_expected - self.reply_bytes_expected / 16;
        self.reply_bytes_expected = fallen.max(self.output.len() - start);
    }

    /// Remembers what the reply just written has shown of `keys`.
    fn remember(&mut self, keyspace: KeyspaceId, keys: &[Bytes]) {
        let reply_end = Offset(self.sent.0 + self.output.len() as u64);
        for (index, context) in self.seen.drain(..) {
            if let Some(key) = keys.get(index) {
                self.state.contexts.remember(keyspace, key, context, reply_end, self.received);
            }
        }
    }
}

fn write_failure(failure: &Failure, reply: &mut Writer<'_>, around: &Around<'_>) {
    around.clients.figures().errors.add(1);
    reply.error(failure.prefix, &failure.message);
}
