//! Telling other protocols from this one, before anything of theirs runs (INVARIANTS K4).
//!
//! A web page or a tricked server can be made to send HTTP, or a TLS greeting with chosen bytes in it, to this port.
//! Its first lines would be errors, and a later line, chosen by an attacker, a command. So the first sign of another
//! protocol ends the connection. Redis does this for `POST` and `Host:`; `GET / HTTP/1.1` it takes for a GET with
//! wrong arity and reads on, which is why the end of a line is looked at here as well.

/// HTTP methods that are no commands of ours, and the header that every HTTP request carries.
const WORDS: [&[u8]; 9] =
    [b"POST", b"PUT", b"HEAD", b"DELETE", b"OPTIONS", b"PATCH", b"CONNECT", b"TRACE", b"HOST:"];

/// Whether the first word of a command says that it is of another protocol.
pub fn is_foreign_word(word: &[u8]) -> bool {
    WORDS.iter().any(|foreign| foreign.eq_ignore_ascii_case(word))
}

/// Whether an inline command is in truth the first line of an HTTP request.
pub fn is_foreign_line(words: &[&[u8]]) -> bool {
    let ends_in_version = |last: &&[u8]| last.len() >= 5 && last[..5].eq_ignore_ascii_case(b"HTTP/");
    words.first().is_some_and(|word| is_foreign_word(word)) || words.last().is_some_and(ends_in_version)
}

/// Whether a request of ours may begin with this byte. A TLS greeting begins with 0x16, HTTP/2 inside it is no better.
pub fn may_begin_request(byte: u8) -> bool {
    byte.is_ascii_graphic() || byte.is_ascii_whitespace() || byte == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_in_all_its_verbs_is_foreign() {
        for line in
            ["GET / HTTP/1.1", "POST / HTTP/1.1", "put /x http/1.0", "PRI * HTTP/2.0", "Host: 127.0.0.1"]
        {
            let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            assert!(is_foreign_line(&words), "{line}");
        }
        for line in ["GET key", "GET /", "SET HTTP 1", "ping"] {
            let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            assert!(!is_foreign_line(&words), "{line}");
        }
    }

    #[test]
    fn a_tls_greeting_does_not_begin_a_request() {
        assert!(!may_begin_request(0x16));
        assert!(may_begin_request(b'*') && may_begin_request(b'g') && may_begin_request(b'\r'));
    }
}
