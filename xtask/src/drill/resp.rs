//! A small RESP2 client, which waits for a reply no longer than it is told.

use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longer than any reply of a drill; a length beyond it is no reply.
const LENGTH_MAX: usize = 16 << 20;

/// How long to wait for a connection: nodes are near.
const CONNECT_PATIENCE: Duration = Duration::from_secs(2);

/// What a server answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Reply {
    Simple(String),
    Error(String),
    Integer(i64),
    Bulk(Vec<u8>),
    Array(Vec<Reply>),
    Null,
}

impl Reply {
    /// An array's elements; none of anything else.
    pub(super) fn elements(&self) -> &[Reply] {
        match self {
            Reply::Array(elements) => elements,
            _ => &[],
        }
    }

    /// The bytes of a string; none of anything else.
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Reply::Bulk(bytes) => bytes,
            _ => &[],
        }
    }

    /// The values in an answer to `KV.GET`.
    pub(super) fn values(&self) -> impl Iterator<Item = &[u8]> {
        let shown = self.elements().get(1).map(Reply::elements).unwrap_or_default();
        shown.iter().filter_map(|value| value.elements().first()).map(Reply::bytes)
    }
}

/// A connection.
pub(super) struct Connection(BufReader<TcpStream>);

impl Connection {
    /// Connects, and selects a keyspace.
    pub(super) fn open(at: SocketAddr, keyspace: &str, patience: Duration) -> Result<Connection> {
        let stream = TcpStream::connect_timeout(&at, CONNECT_PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        let mut connection = Connection(BufReader::new(stream));
        match connection.ask(&[b"SELECT", keyspace.as_bytes()])? {
            Reply::Simple(_) => Ok(connection),
            other => Err(Error::other(format!("SELECT {keyspace} was answered by {other:?}"))),
        }
    }

    /// One command and its reply.
    pub(super) fn ask(&mut self, words: &[&[u8]]) -> Result<Reply> {
        self.send(words)?;
        self.receive()
    }

    /// Sends a command; its reply is taken later, in order.
    pub(super) fn send(&mut self, words: &[&[u8]]) -> Result<()> {
        let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            bytes.extend(format!("${}\r\n", word.len()).into_bytes());
            bytes.extend_from_slice(word);
            bytes.extend_from_slice(b"\r\n");
        }
        self.0.get_mut().write_all(&bytes)
    }

    /// The next reply.
    pub(super) fn receive(&mut self) -> Result<Reply> {
        let mut line = String::new();
        // A line is short: what has none within this is no RESP.
        (&mut self.0).take(1 << 16).read_line(&mut line)?;
        let line = line.strip_suffix("\r\n").ok_or(ErrorKind::UnexpectedEof)?;
        let nonsense = || Error::new(ErrorKind::InvalidData, format!("no RESP2: {line:?}"));
        let rest = line.get(1..).ok_or_else(nonsense)?;
        let length = || rest.parse().ok().filter(|length| *length <= LENGTH_MAX).ok_or_else(nonsense);
        Ok(match line.as_bytes()[0] {
            b'+' => Reply::Simple(rest.to_owned()),
            b'-' => Reply::Error(rest.to_owned()),
            b':' => Reply::Integer(rest.parse().map_err(|_| nonsense())?),
            b'$' | b'*' if rest == "-1" => Reply::Null,
            b'$' => {
                let mut bytes = vec![0; length()? + 2];
                self.0.read_exact(&mut bytes)?;
                bytes.truncate(bytes.len() - 2);
                Reply::Bulk(bytes)
            }
            b'*' => Reply::Array((0..length()?).map(|_| self.receive()).collect::<Result<_>>()?),
            _ => return Err(nonsense()),
        })
    }
}
