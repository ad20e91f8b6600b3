//! One connection's task: a [`Session`] between a socket and the store.
//!
//! A hand-written future, because each turn does several things of which none may hold up the others: look whether the
//! oldest pending request is answered, run what was received, write, read. One turn for a pipeline is one read, all of
//! its commands, one write; where the store answers at once nothing else wakes the task.
//!
//! Bounded in time too: after [`READS_MAX`] reads or [`QUESTIONS_MAX`] questions other connections get their turn.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use api::{Answer, Counter, Store};
use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;

use crate::clients::Client;
use crate::command::Failure;
use crate::server::Shared;
use crate::server::buffers::BUFFER_BYTES;
use crate::server::patience::{Awaited, Patience};
use crate::session::{Session, Turned};
use crate::state::Around;

/// After so many reads in one go other connections get their turn.
const READS_MAX: usize = 4;

/// After so many questions to the store in one go, too: a walk over a keyspace asks many.
const QUESTIONS_MAX: usize = 8192;

/// A read is made into at least this much room.
const ROOM_BYTES_MIN: usize = 4 << 10;

/// How much is read and thrown away when a connection ends, so that the kernel does not answer unread bytes with a
/// reset that overtakes our last reply.
const DISCARD_BYTES_MAX: usize = 1 << 20;

/// One connection.
pub(super) struct Connection<S: Store> {
    shared: Rc<Shared<S>>,
    stream: TcpStream,
    session: Session,
    client: Arc<Client>,
    /// What the session's pending requests are awaited by, in its order.
    pending: VecDeque<S::Pending>,
    patience: Patience,
    /// What this connection keeps of the memory that all connections share, in bytes.
    charged: usize,
}

/// What a connection may keep while it waits that is not counted: half a command of some kilobytes.
const UNCOUNTED_BYTES: usize = 8 << 10;

/// Where a turn ended.
enum Turn {
    /// There is more to do at once.
    More,
    /// Something must happen first.
    Rest,
    /// The connection has ended.
    Over,
}

impl<S: Store> Connection<S> {
    pub(super) fn new(
        shared: Rc<Shared<S>>,
        stream: TcpStream,
        session: Session,
        client: Arc<Client>,
    ) -> Connection<S> {
        Connection {
            shared,
            stream,
            session,
            client,
            pending: VecDeque::new(),
            patience: Patience::default(),
            charged: 0,
        }
    }

    fn turn(&mut self, around: &Around<'_>, context: &mut Context<'_>) -> io::Result<Turn> {
        if self.client.is_killed() {
            self.session.close();
        }
        let is_worn_out = self.work(around, context);
        let held_back = self.session.output().len() >= around.settings.output_bytes_max;
        self.write(context)?;
        if self.session.is_over() {
            return Ok(Turn::Over);
        }
        if is_worn_out || (held_back && self.session.output().len() < around.settings.output_bytes_max) {
            return Ok(Turn::More);
        }
        if self.session.wants_input(around) && self.read(around, context)? {
            return Ok(Turn::More);
        }
        Ok(Turn::Rest)
    }

    /// Runs what was received and shows what was answered, until neither goes on. Says whether it stopped only to let
    /// others have their turn, or to look at the cluster anew.
    fn work(&mut self, around: &Around<'_>, context: &mut Context<'_>) -> bool {
        if self.session.output().capacity() == 0 {
            *self.session.output() = self.shared.buffers.lend();
        }
        let mut questions = 0;
        loop {
            loop {
                let request = match self.session.next(around) {
                    Turned::Ask(request) => request,
                    Turned::Refresh => return true,
                    Turned::Rest => break,
                };
                match self.shared.store.call(request) {
                    Answer::Ready(outcome) => self.session.answered(outcome, around),
                    Answer::Pending(pending) => {
                        self.session.pending();
                        self.pending.push_back(pending);
                    }
                }
                questions += 1;
                if questions >= QUESTIONS_MAX {
                    return true;
                }
            }
            if !self.take_answers(around, context) {
                return false;
            }
        }
    }

    /// Shows the answers that have come, oldest first. Says whether there were any.
    fn take_answers(&mut self, around: &Around<'_>, context: &mut Context<'_>) -> bool {
        let mut any = false;
        while let Some(oldest) = self.pending.front_mut() {
            let Poll::Ready(outcome) = Pin::new(oldest).poll(context) else {
                break;
            };
            self.pending.pop_front();
            self.session.resolved(outcome, around);
            any = true;
        }
        any
    }

    /// Writes as much as the socket takes.
    fn write(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        while !self.session.output().is_empty() {
            let output = self.session.output();
            let Poll::Ready(written) = Pin::new(&mut self.stream).poll_write(context, output) else {
                return Ok(());
            };
            let written = written?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.shared.clients.figures().bytes_sent.add(written as u64);
            self.session.sent(written);
        }
        self.shared.buffers.take_back(std::mem::take(self.session.output()));
        Ok(())
    }

    /// Reads once. Says whether anything came.
    fn read(&mut self, around: &Around<'_>, context: &mut Context<'_>) -> io::Result<bool> {
        if !self.make_room() {
            self.refuse(around);
            return Ok(true);
        }
        let read = pin!(self.stream.read_buf(self.session.input())).poll(context);
        let Poll::Ready(read) = read else { return Ok(false) };
        match read? {
            0 => self.session.close(),
            received => {
                self.shared.clients.figures().bytes_received.add(received as u64);
                self.session.received(received);
            }
        }
        Ok(true)
    }

    fn refuse(&mut self, around: &Around<'_>) {
        let message = "too many commands are half received on this node; send this one again later";
        self.session.refuse(&Failure { prefix: "OVERLOADED", message: message.into() }, around);
    }

    /// Makes room to read into. The buffer at most doubles, so memory follows what was received and not what a length
    /// claims. Says whether there is memory for that.
    fn make_room(&mut self) -> bool {
        let awaited = self.session.bytes_awaited();
        let input = self.session.input();
        if input.capacity() < BUFFER_BYTES {
            let mut lent = self.shared.buffers.lend();
            lent.extend_from_slice(input);
            self.shared.buffers.take_back(std::mem::replace(input, lent));
        } else if input.capacity() - input.len() < ROOM_BYTES_MIN {
            let more = awaited.clamp(BUFFER_BYTES, input.len().max(BUFFER_BYTES));
            if self.shared.clients.held_bytes() + more > self.shared.settings.held_bytes_max {
                return false;
            }
            input.reserve(more);
        }
        true
    }

    /// Before the task sleeps: gives back what is not needed.
    fn give_back(&mut self) {
        let input = self.session.input();
        if input.capacity() > UNCOUNTED_BYTES && input.len() <= UNCOUNTED_BYTES {
            let kept = BytesMut::from(&input[..]);
            self.shared.buffers.take_back(std::mem::replace(input, kept));
        }
    }

    /// Counts what is kept while the task sleeps. Says whether all connections together keep no more than they may, or
    /// this one is not to blame.
    fn charge(&mut self) -> bool {
        let keeps = self.session.input().capacity() + self.session.output().capacity();
        let keeps = keeps.saturating_sub(UNCOUNTED_BYTES);
        let all = self.shared.clients.hold(self.charged, keeps);
        self.charged = keeps;
        keeps == 0 || all <= self.shared.settings.held_bytes_max
    }

    /// What the client is being waited for, other than its next command.
    fn awaited(&mut self) -> Option<Awaited> {
        if !self.session.output().is_empty() {
            return Some(Awaited::output(self.session.bytes_sent()));
        }
        let is_midway = self.session.is_midway() && !self.session.is_waiting();
        is_midway.then(|| Awaited::input(self.session.commands(), self.session.input().len()))
    }

    /// Before the task sleeps: nothing is kept that is not needed, and the client's time runs.
    fn rest(&mut self, around: &Around<'_>, context: &mut Context<'_>) -> Poll<()> {
        self.give_back();
        if !self.charge() {
            // A client that does not read is not told either.
            if !self.session.output().is_empty() {
                return Poll::Ready(());
            }
            self.refuse(around);
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let awaited = self.awaited();
        match self.patience.is_over(awaited, self.shared.settings.stall_max, context) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }

    fn end(&mut self) {
        let mut discarded = [0; 4096];
        for _ in 0..DISCARD_BYTES_MAX / discarded.len() {
            if !matches!(self.stream.try_read(&mut discarded), Ok(1..)) {
                break;
            }
        }
    }
}

impl<S: Store> Future for Connection<S> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        this.client.set_waker(context.waker());
        let shared = this.shared.clone();
        let counters = || -> Vec<Counter> { shared.store.counters() };
        for _ in 0..READS_MAX {
            let status = shared.store.status();
            let around = Around {
                now: shared.clock.now().wall,
                status: &status,
                counters: &counters,
                clients: &shared.clients,
                settings: &shared.settings,
            };
            match this.turn(&around, context) {
                Ok(Turn::More) => {}
                Ok(Turn::Rest) => return this.rest(&around, context),
                Ok(Turn::Over) => {
                    this.end();
                    return Poll::Ready(());
                }
                // The client is gone; there is nobody to tell.
                Err(_) => return Poll::Ready(()),
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<S: Store> Drop for Connection<S> {
    fn drop(&mut self) {
        self.shared.clients.remove(self.client.id);
        self.shared.clients.hold(self.charged, 0);
    }
}
