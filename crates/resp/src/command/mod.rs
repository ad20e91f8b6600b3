//! What each command does: it looks at its arguments and at its connection's state, and either replies at once or
//! asks the store one thing and says how the answer is to be shown.
//!
//! Commands do not wait and do not write to sockets. One that needs an answer returns [`Next::Ask`] with a closure; a
//! closure may ask again, which is how FLUSHDB and KEYS walk over a keyspace. A closure that captures nothing costs no
//! allocation, and those of GET and SET capture nothing.
//!
//! Adding a command is a row in the table of its family and a function beside it. The families, one file each:
//! [`connection`], [`client`], [`strings`], [`keys`], [`expiry`], [`scan`], [`flush`], [`wait`], [`cluster`],
//! [`describe`] (COMMAND), [`info`], [`config`], [`kv`], [`kv_settings`], [`kv_keyspace`], and [`refused`], what cannot be kept here and why.

pub mod client;
pub mod cluster;
pub mod config;
pub mod connection;
pub mod describe;
pub mod expiry;
pub mod failure;
pub mod flush;
pub mod info;
pub mod keys;
pub mod kv;
pub mod kv_keyspace;
pub mod kv_settings;
pub mod many;
pub mod options;
pub mod refused;
pub mod row;
pub mod scan;
pub mod shown;
pub mod strings;
pub mod table;
pub mod topology;
pub mod wait;

use api::{Command, KeyRequest, Operation, Outcome, Request};
use bytes::Bytes;
use causality::Context;

use crate::contexts::Offset;
use crate::frame::Arguments;
use crate::reply::Writer;
use crate::state::{Around, State};

pub use failure::Failure;
pub use shown::Shown;

/// A command about to run.
pub struct Call<'c> {
    /// Its arguments, its name first. Their number has been checked against the row.
    pub arguments: Arguments<'c>,
    /// What its connection has chosen so far.
    pub state: &'c mut State,
    /// The world around the connection.
    pub around: &'c Around<'c>,
    /// Where it may reply.
    pub reply: Writer<'c>,
    /// How far the replies had left when the command came in.
    pub received: Offset,
}

/// How a command goes on.
pub enum Next {
    /// The reply has been written.
    Replied,
    /// The store is to be asked.
    Ask(Ask),
}

/// A question to the store, and what to do with the answer.
pub struct Ask {
    /// The question.
    pub request: Request,
    /// Shows the answer.
    pub then: Then,
}

/// Shows an answer, or asks on. What it has written of a reply is taken back if it fails.
pub type Then = Box<dyn FnOnce(Outcome, &mut Shown<'_>) -> Result<Next, Failure>>;

/// What a command's function is.
pub type Run = fn(&mut Call<'_>) -> Result<Next, Failure>;

impl Call<'_> {
    /// Asks for `operation` on `key` of the selected keyspace.
    pub fn ask_key(
        &self,
        key: Bytes,
        operation: Operation,
        then: impl FnOnce(Outcome, &mut Shown<'_>) -> Result<Next, Failure> + 'static,
    ) -> Result<Next, Failure> {
        ask(Command::Key(self.key_request(key, operation)), then)
    }

    /// `operation` on `key` of the selected keyspace.
    pub fn key_request(&self, key: Bytes, operation: Operation) -> KeyRequest {
        KeyRequest { keyspace: self.state.keyspace.id, key, operation }
    }

    /// A read at the connection's level.
    pub fn get(&self) -> Operation {
        Operation::Get { read: self.state.levels.read, context: None, detail: api::Detail::Values }
    }

    /// A write at the connection's level, with the context that the connection remembers of the key.
    pub fn put(&mut self, key: &Bytes, value: Bytes, expiry: api::ExpiryChange) -> Operation {
        let context = self.remembered(key);
        Operation::Put { value, context, write: self.state.levels.write, expiry, priority: 0 }
    }

    /// A delete at the connection's levels. It covers what a read finds, whatever the connection remembers.
    pub fn delete(&self) -> Operation {
        Operation::Delete { context: None, write: self.state.levels.write, read: self.state.levels.read }
    }

    fn remembered(&mut self, key: &Bytes) -> Option<Context> {
        let state = &mut *self.state;
        state.remembers().then(|| state.contexts.usable(state.keyspace.id, key, self.received)).flatten()
    }
}

/// Asks the store.
pub fn ask(
    command: Command,
    then: impl FnOnce(Outcome, &mut Shown<'_>) -> Result<Next, Failure> + 'static,
) -> Result<Next, Failure> {
    Ok(Next::Ask(Ask { request: Request::new(command), then: Box::new(then) }))
}
