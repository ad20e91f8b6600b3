//! From answers to bytes: the reply half of RESP2 and RESP3.
//!
//! A [`Writer`] appends to the connection's one output buffer, so that the replies to a pipeline leave in one write and
//! a value is copied once on its way out. It knows the two protocol versions, so that commands need not: a map is a
//! flat array in RESP2, a boolean an integer, a null a null bulk string, as Redis does it.
//!
//! What must hold: whatever text goes into a simple string or an error, it ends where the reply ends. A line break in a
//! key that an error quotes must not begin another reply (INVARIANTS K4).

use bytes::{BufMut, BytesMut};

/// Which version of the protocol a connection speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Protocol {
    /// What a connection begins with.
    #[default]
    Resp2,
    /// After `HELLO 3`.
    Resp3,
}

impl Protocol {
    /// As `HELLO` counts them.
    pub fn number(self) -> i64 {
        match self {
            Protocol::Resp2 => 2,
            Protocol::Resp3 => 3,
        }
    }
}

/// Appends replies to an output buffer.
#[derive(Debug)]
pub struct Writer<'o> {
    out: &'o mut BytesMut,
    protocol: Protocol,
}

impl<'o> Writer<'o> {
    /// A writer in this protocol, behind what is in `out`.
    pub fn new(out: &'o mut BytesMut, protocol: Protocol) -> Writer<'o> {
        Writer { out, protocol }
    }

    /// The protocol it writes.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Goes on in another protocol: what `HELLO` answers is in the version that it asked for.
    pub fn set_protocol(&mut self, protocol: Protocol) {
        self.protocol = protocol;
    }

    /// How much has been written, for [`roll_back`](Self::roll_back).
    pub fn position(&self) -> usize {
        self.out.len()
    }

    /// Takes back what was written behind `position`: a reply that turned into an error midway.
    pub fn roll_back(&mut self, position: usize) {
        self.out.truncate(position);
    }

    /// `+OK`.
    pub fn ok(&mut self) {
        self.out.put_slice(b"+OK\r\n");
    }

    /// A short text, on one line.
    pub fn simple(&mut self, text: &str) {
        self.out.put_u8(b'+');
        self.line(text);
    }

    /// An error: a prefix in capitals that programs look at, and a sentence.
    pub fn error(&mut self, prefix: &str, message: &str) {
        self.out.put_u8(b'-');
        self.out.put_slice(prefix.as_bytes());
        self.out.put_u8(b' ');
        self.line(message);
    }

    fn line(&mut self, text: &str) {
        let one_line = |byte| {
            if byte == b'\r' || byte == b'\n' { b' ' } else { byte }
        };
        self.out.extend(text.bytes().map(one_line));
        self.out.put_slice(b"\r\n");
    }

    /// A number.
    pub fn integer(&mut self, number: i64) {
        if number < 0 {
            self.out.put_slice(b":-");
        } else {
            self.out.put_u8(b':');
        }
        self.digits(number.unsigned_abs());
    }

    /// A count. Beyond 2^63 it is given as 2^63 - 1, the largest number that a reply can carry.
    pub fn count(&mut self, number: u64) {
        self.integer(i64::try_from(number).unwrap_or(i64::MAX));
    }

    /// A string of any bytes.
    pub fn bulk(&mut self, bytes: &[u8]) {
        self.out.reserve(bytes.len() + 32);
        self.header(b'$', bytes.len());
        self.out.put_slice(bytes);
        self.out.put_slice(b"\r\n");
    }

    /// A string for people: `txt` of a verbatim string in RESP3, so that a client shows it as it is.
    pub fn verbatim(&mut self, text: &str) {
        match self.protocol {
            Protocol::Resp2 => self.bulk(text.as_bytes()),
            Protocol::Resp3 => {
                self.header(b'=', text.len() + 4);
                self.out.put_slice(b"txt:");
                self.out.put_slice(text.as_bytes());
                self.out.put_slice(b"\r\n");
            }
        }
    }

    /// Nothing.
    pub fn null(&mut self) {
        self.out.put_slice(match self.protocol {
            Protocol::Resp2 => b"$-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        });
    }

    /// Nothing, where an array might be.
    pub fn null_array(&mut self) {
        self.out.put_slice(match self.protocol {
            Protocol::Resp2 => b"*-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        });
    }

    /// A yes or no.
    pub fn boolean(&mut self, yes: bool) {
        match self.protocol {
            Protocol::Resp2 => self.integer(i64::from(yes)),
            Protocol::Resp3 => self.out.put_slice(if yes { b"#t\r\n" } else { b"#f\r\n" }),
        }
    }

    /// A number with a fraction.
    pub fn double(&mut self, number: f64) {
        let text = number.to_string();
        match self.protocol {
            Protocol::Resp2 => self.bulk(text.as_bytes()),
            Protocol::Resp3 => {
                self.out.put_u8(b',');
                self.line(&text);
            }
        }
    }

    /// The head of an array; so many replies follow as its elements.
    pub fn array(&mut self, length: usize) {
        self.header(b'*', length);
    }

    /// The head of a map; twice as many replies follow, key and value by turns.
    pub fn map(&mut self, pairs: usize) {
        match self.protocol {
            Protocol::Resp2 => self.header(b'*', pairs * 2),
            Protocol::Resp3 => self.header(b'%', pairs),
        }
    }

    /// The head of a set; so many replies follow as its members.
    pub fn set(&mut self, length: usize) {
        match self.protocol {
            Protocol::Resp2 => self.header(b'*', length),
            Protocol::Resp3 => self.header(b'~', length),
        }
    }

    /// The head of a record of so many fields: a map in RESP3; in RESP2 an array of the values alone, in the order
    /// documented. Each is written as [`field`](Self::field) and its value.
    pub fn record(&mut self, fields: usize) {
        match self.protocol {
            Protocol::Resp2 => self.array(fields),
            Protocol::Resp3 => self.map(fields),
        }
    }

    /// The name of a record's next value.
    pub fn field(&mut self, name: &str) {
        if self.protocol == Protocol::Resp3 {
            self.bulk(name.as_bytes());
        }
    }

    fn header(&mut self, kind: u8, length: usize) {
        self.out.put_u8(kind);
        self.digits(length as u64);
    }

    /// A number and the line's end. By hand, because every reply has one and `fmt` costs several times as much.
    fn digits(&mut self, mut number: u64) {
        let mut text = *b"00000000000000000000\r\n";
        let mut start = text.len() - 3;
        loop {
            text[start] = b'0' + u8::try_from(number % 10).expect("a remainder of ten is below ten");
            number /= 10;
            if number == 0 {
                break;
            }
            start -= 1;
        }
        self.out.put_slice(&text[start..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is written in each version.
    macro_rules! both {
        (|$writer:ident| $write:expr) => {
            [Protocol::Resp2, Protocol::Resp3].map(|protocol| written(protocol, |$writer| $write))
        };
    }

    fn written(protocol: Protocol, write: impl FnOnce(&mut Writer<'_>)) -> String {
        let mut out = BytesMut::new();
        write(&mut Writer::new(&mut out, protocol));
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn each_kind_has_its_form_in_each_version() {
        assert_eq!(both!(|w| w.ok()), ["+OK\r\n", "+OK\r\n"]);
        assert_eq!(both!(|w| w.null()), ["$-1\r\n", "_\r\n"]);
        assert_eq!(both!(|w| w.null_array()), ["*-1\r\n", "_\r\n"]);
        assert_eq!(both!(|w| w.boolean(true)), [":1\r\n", "#t\r\n"]);
        assert_eq!(both!(|w| w.double(1.5)), ["$3\r\n1.5\r\n", ",1.5\r\n"]);
        assert_eq!(both!(|w| w.map(2)), ["*4\r\n", "%2\r\n"]);
        assert_eq!(both!(|w| w.set(2)), ["*2\r\n", "~2\r\n"]);
        assert_eq!(both!(|w| w.verbatim("hi")), ["$2\r\nhi\r\n", "=6\r\ntxt:hi\r\n"]);
        assert_eq!(both!(|w| w.bulk(b"\0\r\n")), ["$3\r\n\0\r\n\r\n", "$3\r\n\0\r\n\r\n"]);
    }

    /// A line break in what an error quotes must not begin another reply.
    #[test]
    fn errors_and_simple_strings_stay_on_one_line() {
        assert_eq!(written(Protocol::Resp2, |w| w.error("ERR", "no 'a\r\n+OK'")), "-ERR no 'a  +OK'\r\n");
        assert_eq!(written(Protocol::Resp2, |w| w.simple("a\nb")), "+a b\r\n");
    }

    proptest::proptest! {
        #[test]
        fn integers_are_written_as_the_library_would(number: i64) {
            let text = written(Protocol::Resp2, |w| w.integer(number));
            proptest::prop_assert_eq!(text, format!(":{number}\r\n"));
        }
    }
}
