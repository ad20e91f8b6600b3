//! Requests, written straight into a connection's output buffer.
//!
//! The parts that do not change over a run (verbs, counts, lengths) are put together once; what is left per request
//! is copying a few fixed pieces, the key's digits and the value.

use crate::key::KeyForm;
use crate::value::ValueSource;

/// Appends one command of arbitrary arguments; for the rare ones.
pub(crate) fn command(arguments: &[&[u8]], out: &mut Vec<u8>) {
    out.extend_from_slice(format!("*{}\r\n", arguments.len()).as_bytes());
    for argument in arguments {
        out.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        out.extend_from_slice(argument);
        out.extend_from_slice(b"\r\n");
    }
}

/// The prepared pieces of a run's requests.
#[derive(Clone, Debug)]
pub(crate) struct Templates {
    keys: KeyForm,
    get: Vec<u8>,
    set: Vec<u8>,
    value_head: Vec<u8>,
    wait: Vec<u8>,
}

impl Templates {
    /// For keys of this form, values of this size, and a `WAIT` for this many replicas within a second.
    pub(crate) fn new(keys: KeyForm, value_size: usize, wait_replicas: Option<u32>) -> Templates {
        let mut wait = Vec::new();
        if let Some(replicas) = wait_replicas {
            command(&[b"WAIT", replicas.to_string().as_bytes(), b"1000"], &mut wait);
        }
        Templates {
            keys,
            get: format!("*2\r\n$3\r\nGET\r\n${}\r\n", keys.size()).into_bytes(),
            set: format!("*3\r\n$3\r\nSET\r\n${}\r\n", keys.size()).into_bytes(),
            value_head: format!("\r\n${value_size}\r\n").into_bytes(),
            wait,
        }
    }

    /// Appends `GET key`.
    pub(crate) fn get(&self, key: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.get);
        self.keys.write(key, out);
        out.extend_from_slice(b"\r\n");
    }

    /// Appends `SET key value`. The key is handed to the value's maker from where it was just written.
    pub(crate) fn set(&self, key: u64, values: &mut ValueSource, scratch: &mut Vec<u8>, out: &mut Vec<u8>) {
        scratch.clear();
        self.keys.write(key, scratch);
        out.extend_from_slice(&self.set);
        out.extend_from_slice(scratch);
        out.extend_from_slice(&self.value_head);
        values.write(scratch, out);
        out.extend_from_slice(b"\r\n");
    }

    /// Appends the `WAIT` of the run.
    pub(crate) fn wait(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.wait);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use env::Rng;

    #[test]
    fn requests_are_arrays_of_bulk_strings() {
        let keys = KeyForm::new(6, 100).unwrap();
        let mut values = ValueSource::new(0, false, keys, &mut Rng::from_seed(1)).unwrap();
        let templates = Templates::new(keys, 0, Some(2));
        let mut out = Vec::new();
        templates.get(7, &mut out);
        templates.set(42, &mut values, &mut Vec::new(), &mut out);
        templates.wait(&mut out);
        let expected = "*2\r\n$3\r\nGET\r\n$6\r\nkey:07\r\n\
                        *3\r\n$3\r\nSET\r\n$6\r\nkey:42\r\n$0\r\n\r\n\
                        *3\r\n$4\r\nWAIT\r\n$1\r\n2\r\n$4\r\n1000\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
