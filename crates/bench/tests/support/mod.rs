//! A small RESP server that misbehaves on demand, and a way to run the load generator against it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use clap::Parser;

/// How a server departs from a plain one.
#[derive(Clone, Default)]
pub(crate) struct Manner {
    /// Replies leave in pieces of this many bytes.
    pub(crate) piece: Option<usize>,
    /// A connection is closed after this many requests.
    pub(crate) close_after: Option<u64>,
    /// Requests of this command are never answered.
    pub(crate) silent: Option<&'static str>,
    /// What WAIT answers.
    pub(crate) replicas: u64,
    /// What CLUSTER SLOTS answers, and the slot and port that MOVED names for every key.
    pub(crate) slots: Option<String>,
    pub(crate) moved_to: Option<(u16, u16)>,
    /// Reads return this, whatever was stored.
    pub(crate) corrupt: Option<&'static [u8]>,
}

/// A server on a port of its own; its threads end with the test process.
pub(crate) struct Server {
    pub(crate) port: u16,
    pub(crate) requests: Arc<Mutex<Vec<Vec<Vec<u8>>>>>,
}

impl Server {
    pub(crate) fn start(manner: Manner) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Server::serve(listener, manner)
    }

    pub(crate) fn serve(listener: TcpListener, manner: Manner) -> Server {
        let port = listener.local_addr().unwrap().port();
        let (store, requests) = (Arc::new(Mutex::new(HashMap::new())), Arc::new(Mutex::new(Vec::new())));
        let log = Arc::clone(&requests);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, manner) = (stream.unwrap(), manner.clone());
                let (store, log) = (Arc::clone(&store), Arc::clone(&log));
                thread::spawn(move || converse(stream, &manner, &store, &log));
            }
        });
        Server { port, requests }
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// How many requests of this command came.
    pub(crate) fn count(&self, command: &str) -> usize {
        let requests = self.requests.lock().unwrap();
        requests.iter().filter(|words| words[0] == command.as_bytes()).count()
    }
}

type Store = Mutex<HashMap<Vec<u8>, Vec<u8>>>;

/// Ends, as the connection does, when either side closes.
fn converse(mut stream: TcpStream, manner: &Manner, store: &Store, log: &Mutex<Vec<Vec<Vec<u8>>>>) {
    stream.set_nodelay(true).unwrap();
    let mut input = BufReader::new(stream.try_clone().unwrap());
    for number in 0.. {
        let Some(words) = read_request(&mut input) else {
            return;
        };
        let reply = answer(&words, manner, store);
        let silent = manner.silent.is_some_and(|command| words[0] == command.as_bytes());
        log.lock().unwrap().push(words);
        if manner.close_after == Some(number) {
            return;
        }
        let reply = if silent { Vec::new() } else { reply };
        for piece in reply.chunks(manner.piece.unwrap_or(usize::MAX)) {
            if stream.write_all(piece).is_err() {
                return;
            }
        }
    }
}

fn read_request(input: &mut impl BufRead) -> Option<Vec<Vec<u8>>> {
    let words = read_length(input)?;
    (0..words)
        .map(|_| {
            let mut word = vec![0; read_length(input)? + 2];
            input.read_exact(&mut word).ok()?;
            word.truncate(word.len() - 2);
            Some(word)
        })
        .collect()
}

fn read_length(input: &mut impl BufRead) -> Option<usize> {
    let mut line = String::new();
    input.read_line(&mut line).ok()?;
    line.get(1..)?.trim().parse().ok()
}

fn answer(words: &[Vec<u8>], manner: &Manner, store: &Store) -> Vec<u8> {
    let bulk = |value: &[u8]| [format!("${}\r\n", value.len()).as_bytes(), value, b"\r\n"].concat();
    match (words[0].as_slice(), manner.moved_to) {
        (b"GET" | b"SET", Some((slot, port))) => format!("-MOVED {slot} 127.0.0.1:{port}\r\n").into_bytes(),
        (b"GET", None) => match (manner.corrupt, store.lock().unwrap().get(&words[1])) {
            (Some(corrupt), _) => bulk(corrupt),
            (None, Some(value)) => bulk(value),
            (None, None) => b"$-1\r\n".to_vec(),
        },
        (b"SET", None) => {
            store.lock().unwrap().insert(words[1].clone(), words[2].clone());
            b"+OK\r\n".to_vec()
        }
        (b"WAIT", _) => format!(":{}\r\n", manner.replicas).into_bytes(),
        (b"CLUSTER", _) => manner.slots.clone().unwrap_or("-ERR cluster off\r\n".to_owned()).into_bytes(),
        (b"SELECT", _) => b"+OK\r\n".to_vec(),
        _ => b"-ERR unknown command\r\n".to_vec(),
    }
}

#[derive(Parser)]
struct Program {
    #[command(flatten)]
    args: bench::Args,
}

/// Runs the generator quietly with 3 clients, 50 keys and small values, where the flags say nothing else.
pub(crate) fn run(server: &Server, flags: &[&str]) -> Result<serde_json::Value, bench::Error> {
    let address = server.address();
    let defaults = [
        ("--addresses", address.as_str()),
        ("--connections", "3"),
        ("--keys", "50"),
        ("--value-size", "100"),
        ("--warmup", "0"),
        ("--operations", "300"),
        ("--json", "-"),
    ];
    let mut line = vec!["bench", "--quiet"];
    for (flag, value) in defaults.iter().filter(|(flag, _)| !flags.contains(flag)) {
        line.extend([flag, value]);
    }
    line.extend(flags);
    let mut out = Vec::new();
    bench::run_to(&Program::try_parse_from(line).unwrap().args, &mut out)?;
    Ok(serde_json::from_slice(&out).unwrap())
}
