//! One connection to one server: bytes out, replies in, and what is waited for in between.
//!
//! Replies come in the order of requests, so what is waited for is a queue. The queue is bounded by the pipeline:
//! its owner fills it, and sends nothing more until it is empty.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::Error;
use crate::reply::{Reply, parse};
use crate::request::command;
use crate::workload::Kind;

/// Room for input at the start. A read that does not fill its room tells the runtime that the socket is empty, which
/// saves a system call per reply; so the room is larger than the replies of usual pipelines.
const INBOUND_BYTES: usize = 64 << 10;

/// What the next reply on a link means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// It ends its operation.
    Last,
    /// It answers the SET of an operation that ends with the WAIT behind it.
    SetBeforeWait,
    /// It answers that WAIT.
    Wait,
    /// It answers the read of a read-modify-write.
    ReadToModify,
}

/// An operation under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pending {
    pub(crate) kind: Kind,
    pub(crate) key: u64,
    /// The intended start, in nanoseconds since the start of the phase.
    pub(crate) intended: u64,
    pub(crate) step: Step,
    /// How often it was sent on by MOVED.
    pub(crate) hops: u8,
}

/// How a reply was taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    Done,
    Miss,
    Failed(String),
    /// A read returned what was not written for its key.
    Unverified(String),
    Moved(usize, String),
}

/// A connection, its buffers and its queue.
#[derive(Debug)]
pub(crate) struct Link {
    address: String,
    stream: TcpStream,
    inbound: Vec<u8>,
    /// `inbound[read_from..read_to]` has arrived and is not yet looked at.
    read_from: usize,
    read_to: usize,
    /// Requests to send; emptied once all of it is written.
    pub(crate) outbound: Vec<u8>,
    written: usize,
    /// Operations whose replies are due, in order.
    pub(crate) pending: VecDeque<Pending>,
    /// The outcome of a SET whose WAIT is not answered yet.
    pub(crate) held: Option<Outcome>,
}

impl Link {
    /// Connects and prepares the connection with these commands, within `patience` for each step.
    pub(crate) async fn open(
        address: &str,
        prelude: &[Vec<String>],
        patience: Duration,
    ) -> Result<Link, Error> {
        let failed = |source| Error::Connect { address: address.to_owned(), source };
        let stream = timeout(patience, TcpStream::connect(address))
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let mut link = Link {
            address: address.to_owned(),
            stream,
            inbound: vec![0; INBOUND_BYTES],
            read_from: 0,
            read_to: 0,
            outbound: Vec::new(),
            written: 0,
            pending: VecDeque::new(),
            held: None,
        };
        for words in prelude {
            timeout(patience, link.prepare(words))
                .await
                .unwrap_or_else(|_| Err(link.refused(words, "nothing within the timeout")))?;
        }
        Ok(link)
    }

    /// Sends one command and takes any reply but an error.
    async fn prepare(&mut self, words: &[String]) -> Result<(), Error> {
        let arguments: Vec<&[u8]> = words.iter().map(String::as_bytes).collect();
        let mut request = Vec::new();
        command(&arguments, &mut request);
        let failed = |source| Error::Connect { address: self.address.clone(), source };
        self.stream.write_all(&request).await.map_err(failed)?;
        loop {
            match parse(self.unread()) {
                Err(malformed) => return Err(self.refused(words, &malformed.to_string())),
                Ok(Some((Reply::Error(text), _))) => {
                    return Err(self.refused(words, &String::from_utf8_lossy(text)));
                }
                Ok(Some((_, used))) => {
                    self.consume(used);
                    return Ok(());
                }
                Ok(None) => {}
            }
            self.make_room();
            match self.stream.read(&mut self.inbound[self.read_to..]).await {
                Ok(0) => return Err(self.refused(words, "the end of the connection")),
                Ok(count) => self.read_to += count,
                Err(error) => return Err(self.refused(words, &error.to_string())),
            }
        }
    }

    fn refused(&self, words: &[String], reply: &str) -> Error {
        Error::Refused { address: self.address.clone(), command: words.join(" "), reply: reply.to_owned() }
    }

    /// The server's address.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// What has arrived and is not yet consumed.
    pub(crate) fn unread(&self) -> &[u8] {
        &self.inbound[self.read_from..self.read_to]
    }

    /// Takes a reply of this many bytes off.
    pub(crate) fn consume(&mut self, bytes: usize) {
        self.read_from += bytes;
        if self.read_from == self.read_to {
            (self.read_from, self.read_to) = (0, 0);
        }
    }

    /// Writes as much as the socket takes. Ready when all is written.
    pub(crate) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.outbound.len() {
            let stream = Pin::new(&mut self.stream);
            let count = ready!(stream.poll_write(context, &self.outbound[self.written..]))?;
            self.written += count;
        }
        self.outbound.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }

    /// Reads what there is, once. Ready when something came.
    pub(crate) fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.make_room();
        let mut room = ReadBuf::new(&mut self.inbound[self.read_to..]);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut room))?;
        let count = room.filled().len();
        self.read_to += count;
        if count == 0 {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed by the server")));
        }
        Poll::Ready(Ok(()))
    }

    /// Keeps half of the buffer free. Its growth is bounded by the largest reply that the parser admits.
    fn make_room(&mut self) {
        if self.read_to < self.inbound.len() / 2 {
            return;
        }
        self.inbound.copy_within(self.read_from..self.read_to, 0);
        self.read_to -= self.read_from;
        self.read_from = 0;
        if self.read_to >= self.inbound.len() / 2 {
            self.inbound.resize(self.inbound.len() * 2, 0);
        }
    }
}
