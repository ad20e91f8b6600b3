//! A small RESP2 client.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::patience::LIMIT;

/// What a server answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Reply {
    Simple(String),
    Error(String),
    Integer(i64),
    Bulk(Vec<u8>),
    Array(Vec<Reply>),
    Null,
}

impl Reply {
    pub(crate) fn ok() -> Reply {
        Reply::Simple("OK".to_owned())
    }

    pub(crate) fn value(text: &str) -> Reply {
        Reply::Bulk(text.as_bytes().to_vec())
    }

    /// The error's text.
    #[track_caller]
    pub(crate) fn error(&self) -> &str {
        let Reply::Error(text) = self else { panic!("no error: {self:?}") };
        text
    }

    /// A bulk string's text.
    #[track_caller]
    pub(crate) fn text(&self) -> &str {
        let Reply::Bulk(bytes) = self else { panic!("no bulk string: {self:?}") };
        std::str::from_utf8(bytes).expect("tests read text")
    }

    /// An array's elements.
    #[track_caller]
    pub(crate) fn array(&self) -> &[Reply] {
        let Reply::Array(elements) = self else { panic!("no array: {self:?}") };
        elements
    }
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Resp {
    stream: BufReader<TcpStream>,
}

impl Resp {
    /// Connects; the node listens already.
    #[track_caller]
    pub(crate) fn connect(address: SocketAddr) -> Resp {
        let stream = TcpStream::connect(address).expect("the node listens");
        stream.set_nodelay(true).expect("a socket takes options");
        stream.set_read_timeout(Some(LIMIT)).expect("a socket takes options");
        Resp { stream: BufReader::new(stream) }
    }

    /// The same, in a keyspace.
    #[track_caller]
    pub(crate) fn connect_to(address: SocketAddr, keyspace: &str) -> Resp {
        let mut connection = Resp::connect(address);
        assert_eq!(connection.ask(&["SELECT", keyspace]), Reply::ok());
        connection
    }

    /// Sends a command and gives its reply. Fails the test if there is none.
    #[track_caller]
    pub(crate) fn ask<W: AsRef<[u8]>>(&mut self, words: &[W]) -> Reply {
        self.try_ask(words).expect("the node answers")
    }

    /// The same, or why there is no reply: a node that was killed gives none.
    pub(crate) fn try_ask<W: AsRef<[u8]>>(&mut self, words: &[W]) -> std::io::Result<Reply> {
        self.stream.get_mut().write_all(&request(words))?;
        self.read()
    }

    fn read(&mut self) -> std::io::Result<Reply> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let line = line.strip_suffix("\r\n").ok_or(std::io::ErrorKind::UnexpectedEof)?;
        let (kind, rest) = line.split_at(1);
        Ok(match kind {
            "+" => Reply::Simple(rest.to_owned()),
            "-" => Reply::Error(rest.to_owned()),
            ":" => Reply::Integer(number(rest)),
            "$" | "*" if rest == "-1" => Reply::Null,
            "$" => {
                let mut bytes = vec![0; usize::try_from(number(rest)).expect("no negative length but -1")];
                self.stream.read_exact(&mut bytes)?;
                self.stream.read_exact(&mut [0; 2])?;
                Reply::Bulk(bytes)
            }
            "*" => Reply::Array((0..number(rest)).map(|_| self.read()).collect::<Result<_, _>>()?),
            _ => panic!("no RESP2: {line:?}"),
        })
    }
}

fn number(text: &str) -> i64 {
    text.parse().expect("lengths and integers are numbers")
}

fn request<W: AsRef<[u8]>>(words: &[W]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words.iter().map(AsRef::as_ref) {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}
