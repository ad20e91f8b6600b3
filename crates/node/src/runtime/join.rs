//! How a node that knows nothing but an address becomes a member.
//!
//! It says who it is to a seed, by a connection of its own, and is told the cluster state in which it is a member. From then on it
//! starts like any other: what it is to have comes to it when partitions move. What must hold: asking twice does no harm, so
//! whoever does not hear the answer asks again.

use std::io::{Error, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use api::{NodePlan, Planned};
use bytes::BytesMut;
use cluster::ClusterState;
use wire::{Frame, Refusal, decode_frame, decode_previewed, decode_welcome, encode_join, encode_preview};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a seed may take: it waits until the others have agreed.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// How long to wait before the seeds are asked again.
const PAUSE: Duration = Duration::from_millis(500);

/// A state is smaller, also one of a thousand nodes.
const WELCOME_BYTES_MAX: usize = 64 << 20;

/// Why a node has not joined.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// A seed has said why.
    #[error("{seed} does not let node {name} join: {why}")]
    Refused {
        /// Which seed.
        seed: SocketAddr,
        /// Who wanted to join.
        name: String,
        /// In its words.
        why: String,
    },
    /// No seed has answered in time.
    #[error(
        "none of the seeds has answered within {0:?}: {1}. Is one of them up, and is this where its peers reach it?"
    )]
    Unanswered(Duration, String),
}

/// Asks the seeds in turn, until one has had this node join, one has said why it may not, or the time is over. Blocks. `said` is
/// told what keeps it waiting, once for each.
///
/// # Errors
/// As [`JoinError`] says.
pub fn join(
    seeds: &[SocketAddr],
    plan: &NodePlan,
    patience: Duration,
    said: impl FnMut(&str),
) -> Result<ClusterState, JoinError> {
    let take = |frame: &Frame| match decode_welcome(frame)? {
        Ok(bytes) => Some(ClusterState::decode(&bytes).map(Ok).map_err(|error| error.to_string())),
        Err(refusal) => Some(Ok(Err(refusal))),
    };
    let mut question = BytesMut::new();
    encode_join(plan, &mut question);
    ask_in_turn(seeds, &plan.name, &question, patience, said, take)
}

/// Asks the seeds in turn what it would come to if this node joined: nothing is changed. Blocks, as [`join`] does.
///
/// # Errors
/// As [`JoinError`] says.
pub fn preview(
    seeds: &[SocketAddr],
    plan: &NodePlan,
    patience: Duration,
    said: impl FnMut(&str),
) -> Result<Planned, JoinError> {
    let mut question = BytesMut::new();
    encode_preview(plan, &mut question);
    ask_in_turn(seeds, &plan.name, &question, patience, said, |frame| decode_previewed(frame).map(Ok))
}

/// What a frame says: the answer or a refusal, or why it cannot be read; nothing where it is no answer.
type Taken<T> = Option<Result<Result<T, Refusal>, String>>;

fn ask_in_turn<T>(
    seeds: &[SocketAddr],
    name: &str,
    question: &[u8],
    patience: Duration,
    mut said: impl FnMut(&str),
    take: impl Fn(&Frame) -> Taken<T>,
) -> Result<T, JoinError> {
    let begun = Instant::now();
    let mut last = String::from("there are none");
    loop {
        for &seed in seeds {
            match ask(seed, question, &take) {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(why)) => return Err(JoinError::Refused { seed, name: name.to_owned(), why }),
                Err(error) => {
                    let now = format!("{seed}: {error}");
                    if now != last {
                        said(&now);
                        last = now;
                    }
                }
            }
        }
        if begun.elapsed() + PAUSE > patience {
            return Err(JoinError::Unanswered(patience, last));
        }
        std::thread::sleep(PAUSE);
    }
}

/// What one seed answers: what was asked for, or why not.
fn ask<T>(
    seed: SocketAddr,
    question: &[u8],
    take: impl Fn(&Frame) -> Taken<T>,
) -> Result<Result<T, String>, Error> {
    let mut stream = TcpStream::connect_timeout(&seed, CONNECT_TIMEOUT)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
    stream.write_all(question)?;
    let (mut buffer, mut chunk) = (BytesMut::new(), vec![0; 64 * 1024]);
    loop {
        let invalid = |why: String| Error::new(ErrorKind::InvalidData, why);
        if let Some(frame) = decode_frame(&mut buffer).map_err(|error| invalid(error.to_string()))? {
            let answer = take(&frame).ok_or_else(|| invalid("it is no node of this version".to_owned()))?;
            return match answer.map_err(invalid)? {
                Ok(answer) => Ok(Ok(answer)),
                Err(refusal) if refusal.try_again => Err(Error::other(refusal.why)),
                Err(refusal) => Ok(Err(refusal.why)),
            };
        }
        if buffer.len() > WELCOME_BYTES_MAX {
            return Err(invalid("its answer is larger than a cluster state can be".to_owned()));
        }
        match stream.read(&mut chunk)? {
            0 => return Err(Error::new(ErrorKind::UnexpectedEof, "it closed the connection")),
            read => buffer.extend_from_slice(&chunk[..read]),
        }
    }
}
