//! The resumable parser: given all bytes received so far and not yet consumed, it goes on where it stopped.
//!
//! It allocates for one thing, the places of the arguments, eight bytes for each argument that has arrived. The bytes
//! themselves stay where they were received; [`Arguments`](crate::frame::Arguments) hands them out.
//!
//! ```text
//!   Start --'*n'--> Header --'$len'--> Body --bytes--> Header ... --n done--> Complete
//!     \--any other line--> (split into words) -----------------------------> Complete
//! ```
//!
//! `Complete` lasts until [`Parser::finish`], so that a command that has to wait its turn is not parsed twice.

use crate::frame::foreign::{is_foreign_line, is_foreign_word, may_begin_request};
use crate::frame::{inline, number};

/// How much a client may send before it is a protocol error. A session may hold lower ones before a login than after.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// The most arguments of a command.
    pub arguments_max: usize,
    /// The longest argument, in bytes.
    pub bulk_bytes_max: usize,
    /// The longest command with all of its arguments and their framing, in bytes; below 4 GiB.
    pub command_bytes_max: usize,
    /// The longest inline command, in bytes.
    pub inline_bytes_max: usize,
}

impl Default for Limits {
    /// Redis's own number of arguments and length of a line. An argument may be as long as the largest value that a
    /// keyspace may allow (64 MiB) and somewhat more, so that the keyspace's own limit answers, by name, in most
    /// cases; a command may hold two such.
    fn default() -> Limits {
        Limits {
            arguments_max: 1024 * 1024,
            bulk_bytes_max: (64 << 20) + (64 << 10),
            command_bytes_max: 128 << 20,
            inline_bytes_max: 64 << 10,
        }
    }
}

/// Where an argument lies in its frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// Its first byte.
    pub start: u32,
    /// The byte behind its last.
    pub end: u32,
}

/// What came of looking at the bytes so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Parsed {
    /// More bytes are needed.
    Incomplete,
    /// A command is complete: this many bytes from the start of the buffer. It stays so until [`Parser::finish`].
    Command(usize),
    /// This many bytes are nothing (an empty line, an empty array) and are to be dropped.
    Nothing(usize),
    /// This is another protocol; the connection is to be closed without a word.
    Foreign,
}

/// The bytes are no request; the connection is told so and closed, for where the next request begins is unknown.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProtocolError {
    /// The number of arguments is no number or beyond the limit.
    #[error("Protocol error: invalid multibulk length")]
    MultibulkLength,
    /// An argument does not begin as a bulk string.
    #[error("Protocol error: expected '$', got '{}'", shown(*.0))]
    ExpectedBulk(u8),
    /// The length of an argument is no number or beyond the limit.
    #[error("Protocol error: invalid bulk length")]
    BulkLength,
    /// An argument does not end where its length says.
    #[error("Protocol error: expected CRLF after a bulk string")]
    BulkEnd,
    /// All arguments together are beyond the limit.
    #[error("Protocol error: the command is longer than {0} bytes")]
    CommandLength(usize),
    /// An inline command is beyond the limit.
    #[error("Protocol error: too big inline request")]
    InlineLength,
    /// The quotes of an inline command do not balance.
    #[error("Protocol error: unbalanced quotes in request")]
    Unbalanced,
}

fn shown(byte: u8) -> char {
    if byte.is_ascii_graphic() || byte == b' ' { char::from(byte) } else { '?' }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Start,
    Header { left: usize },
    Body { left: usize, length: usize },
    Complete,
}

/// Length lines are `*` or `$`, at most twenty digits and a sign, and a line end: what is longer is no number.
const LENGTH_LINE_BYTES_MAX: usize = 32;

/// Spans that a parser keeps room for between commands; a command of a million arguments does not tie up its eight
/// megabytes for ever.
const SPANS_KEPT: usize = 64;

/// The parser of one connection.
#[derive(Debug)]
pub struct Parser {
    state: State,
    /// Everything before has been looked at.
    position: usize,
    spans: Vec<Span>,
    /// The words of an inline command, end to end; the spans point in here instead of into the frame.
    words: Option<Vec<u8>>,
}

impl Default for Parser {
    fn default() -> Parser {
        Parser { state: State::Start, position: 0, spans: Vec::new(), words: None }
    }
}

impl Parser {
    /// Whether a command has begun and is not complete.
    pub fn is_midway(&self) -> bool {
        matches!(self.state, State::Header { .. } | State::Body { .. })
    }

    /// The places of the complete command's arguments, in the words of an inline command or else in the frame.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// The words of a complete inline command, end to end.
    pub fn words(&self) -> Option<&[u8]> {
        self.words.as_deref()
    }

    /// How many more bytes the argument at hand claims to have, beyond those received. A hint for the size of the
    /// next read and nothing to allocate by.
    pub fn bytes_awaited(&self, received: usize) -> usize {
        match self.state {
            State::Body { length, .. } => (self.position + length + 2).saturating_sub(received),
            _ => 0,
        }
    }

    /// Forgets the complete command, whose bytes the caller has taken off the buffer.
    pub fn finish(&mut self) {
        self.state = State::Start;
        self.position = 0;
        self.words = None;
        self.spans.clear();
        self.spans.shrink_to(SPANS_KEPT);
    }

    /// Goes on with `input`, which begins with the first byte of the command at hand and may have grown since the
    /// last call, and is otherwise the same.
    ///
    /// # Errors
    /// [`ProtocolError`], after which the parser must not be called again.
    pub fn parse(&mut self, input: &[u8], limits: &Limits) -> Result<Parsed, ProtocolError> {
        loop {
            let step = match self.state {
                State::Start => self.start(input, limits)?,
                State::Header { left } => self.header(left, input, limits)?,
                State::Body { left, length } => self.body(left, length, input, limits)?,
                State::Complete => Some(Parsed::Command(self.position)),
            };
            if let Some(parsed) = step {
                return Ok(parsed);
            }
        }
    }

    fn start(&mut self, input: &[u8], limits: &Limits) -> Result<Option<Parsed>, ProtocolError> {
        match input.first() {
            None => Ok(Some(Parsed::Incomplete)),
            Some(b'*') => self.array(input, limits),
            Some(&byte) if may_begin_request(byte) => self.line(input, limits).map(Some),
            Some(_) => Ok(Some(Parsed::Foreign)),
        }
    }

    fn array(&mut self, input: &[u8], limits: &Limits) -> Result<Option<Parsed>, ProtocolError> {
        let Some(line) = length_line(&input[1..]).map_err(|NotALine| ProtocolError::MultibulkLength)? else {
            return Ok(Some(Parsed::Incomplete));
        };
        let count = number::parse_i64(line).ok_or(ProtocolError::MultibulkLength)?;
        let end = 1 + line.len() + 2;
        // An array of nothing, or of less, is a request for nothing.
        let Ok(count @ 1..) = usize::try_from(count) else {
            return Ok(Some(Parsed::Nothing(end)));
        };
        if count > limits.arguments_max {
            return Err(ProtocolError::MultibulkLength);
        }
        self.position = end;
        self.state = State::Header { left: count };
        Ok(None)
    }

    fn header(
        &mut self,
        left: usize,
        input: &[u8],
        limits: &Limits,
    ) -> Result<Option<Parsed>, ProtocolError> {
        let Some((&first, rest)) = input[self.position..].split_first() else {
            return Ok(Some(Parsed::Incomplete));
        };
        if first != b'$' {
            return Err(ProtocolError::ExpectedBulk(first));
        }
        let Some(line) = length_line(rest).map_err(|NotALine| ProtocolError::BulkLength)? else {
            return Ok(Some(Parsed::Incomplete));
        };
        let length = number::parse_u64(line).and_then(|length| usize::try_from(length).ok());
        let length =
            length.filter(|&length| length <= limits.bulk_bytes_max).ok_or(ProtocolError::BulkLength)?;
        self.position += 1 + line.len() + 2;
        if self.position + length + 2 > limits.command_bytes_max {
            return Err(ProtocolError::CommandLength(limits.command_bytes_max));
        }
        self.state = State::Body { left, length };
        Ok(None)
    }

    fn body(
        &mut self,
        left: usize,
        length: usize,
        input: &[u8],
        limits: &Limits,
    ) -> Result<Option<Parsed>, ProtocolError> {
        let end = self.position + length;
        let Some(after) = input.get(end..end + 2) else {
            return Ok(Some(Parsed::Incomplete));
        };
        if after != b"\r\n" {
            return Err(ProtocolError::BulkEnd);
        }
        let argument = &input[self.position..end];
        if self.spans.is_empty() && is_foreign_word(argument) {
            return Ok(Some(Parsed::Foreign));
        }
        self.spans.push(span(self.position, end, limits)?);
        self.position = end + 2;
        self.state = if left > 1 { State::Header { left: left - 1 } } else { State::Complete };
        Ok(None)
    }

    fn line(&mut self, input: &[u8], limits: &Limits) -> Result<Parsed, ProtocolError> {
        let found = input[self.position..].iter().position(|&byte| byte == b'\n');
        let end = found.map(|offset| self.position + offset);
        if end.unwrap_or(input.len()) > limits.inline_bytes_max {
            return Err(ProtocolError::InlineLength);
        }
        let Some(end) = end else {
            self.position = input.len();
            return Ok(Parsed::Incomplete);
        };
        let line = input[..end].strip_suffix(b"\r").unwrap_or(&input[..end]);
        self.position = end + 1;
        self.take_words(line, limits)
    }

    fn take_words(&mut self, line: &[u8], limits: &Limits) -> Result<Parsed, ProtocolError> {
        let words = inline::split(line).map_err(|inline::Unbalanced| ProtocolError::Unbalanced)?;
        let views: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        if is_foreign_line(&views) {
            return Ok(Parsed::Foreign);
        }
        if words.is_empty() {
            let length = std::mem::take(&mut self.position);
            return Ok(Parsed::Nothing(length));
        }
        let mut start = 0;
        for word in &words {
            self.spans.push(span(start, start + word.len(), limits)?);
            start += word.len();
        }
        self.words = Some(words.concat());
        self.state = State::Complete;
        Ok(Parsed::Command(self.position))
    }
}

struct NotALine;

/// The text before the line end, if it has arrived.
fn length_line(input: &[u8]) -> Result<Option<&[u8]>, NotALine> {
    let window = &input[..input.len().min(LENGTH_LINE_BYTES_MAX)];
    match window.iter().position(|&byte| byte == b'\r') {
        Some(end) => match input.get(end + 1) {
            Some(b'\n') => Ok(Some(&input[..end])),
            Some(_) => Err(NotALine),
            None => Ok(None),
        },
        None if window.len() == LENGTH_LINE_BYTES_MAX => Err(NotALine),
        None => Ok(None),
    }
}

fn span(start: usize, end: usize, limits: &Limits) -> Result<Span, ProtocolError> {
    let narrow =
        |at: usize| u32::try_from(at).map_err(|_| ProtocolError::CommandLength(limits.command_bytes_max));
    Ok(Span { start: narrow(start)?, end: narrow(end)? })
}
