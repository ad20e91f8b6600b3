//! Which node a key belongs to, as `CLUSTER SLOTS` tells it.
//!
//! The slot of a key is computed here once more, and not taken from the server's own crates: a measuring program that
//! shared the code under test would share its mistakes, and then send every key to the wrong node in silence.
//! (Redis Cluster specification, "Key distribution model"; our keys have no hash tags.)

use crc::{CRC_16_XMODEM, Crc, Table};

use crate::reply::{Item, Malformed, Reply, parse_item};

/// The number of hash slots in the Redis Cluster specification.
const SLOTS: usize = 16_384;
/// `CLUSTER SLOTS` nests three deep; some servers add a level of metadata.
const DEPTH_MAX: u32 = 8;

static CRC16: Crc<u16, Table<16>> = Crc::<u16, Table<16>>::new(&CRC_16_XMODEM);

/// The slot of a key without a hash tag.
pub(crate) fn slot_of(key: &[u8]) -> usize {
    usize::from(CRC16.checksum(key)) % SLOTS
}

/// Slots and the addresses of their primaries. Nodes are only ever added, so that a node's number stays good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SlotMap {
    /// For each slot the number of its node.
    owners: Vec<usize>,
    primaries: Vec<String>,
    /// Every address that was named, replicas too: these are the servers whose work is counted.
    everyone: Vec<String>,
}

impl SlotMap {
    /// Reads the reply to `CLUSTER SLOTS` of the node at `asked`, which stands in where the reply names no host.
    pub(crate) fn from_reply(reply: &[u8], asked: &str) -> Result<SlotMap, String> {
        let (tree, _) = tree(reply, DEPTH_MAX).map_err(|error| error.to_string())?;
        let Tree::List(ranges) = tree else {
            return Err("CLUSTER SLOTS did not answer with a list".to_owned());
        };
        let mut map =
            SlotMap { owners: vec![usize::MAX; SLOTS], primaries: Vec::new(), everyone: Vec::new() };
        for range in &ranges {
            map.add_range(range, asked)
                .ok_or_else(|| format!("CLUSTER SLOTS named a range that makes no sense: {range:?}"))?;
        }
        match map.owners.iter().position(|owner| *owner == usize::MAX) {
            Some(slot) => {
                Err(format!("the cluster at {asked} has no node for slot {slot}; is it made and healthy?"))
            }
            None => Ok(map),
        }
    }

    fn add_range(&mut self, range: &Tree, asked: &str) -> Option<()> {
        let Tree::List(fields) = range else { return None };
        let [Tree::Integer(first), Tree::Integer(last), nodes @ ..] = fields.as_slice() else {
            return None;
        };
        let addresses: Vec<String> = nodes.iter().map(|node| address(node, asked)).collect::<Option<_>>()?;
        let primary = self.node(addresses.first()?);
        let (first, last) = (usize::try_from(*first).ok()?, usize::try_from(*last).ok()?);
        self.owners.get_mut(first..=last)?.fill(primary);
        for address in addresses {
            if !self.everyone.contains(&address) {
                self.everyone.push(address);
            }
        }
        Some(())
    }

    /// The node of a slot.
    pub(crate) fn owner(&self, slot: usize) -> usize {
        self.owners[slot]
    }

    /// The addresses of the primaries, by number.
    pub(crate) fn primaries(&self) -> &[String] {
        &self.primaries
    }

    /// All addresses that the cluster named.
    pub(crate) fn everyone(&self) -> &[String] {
        &self.everyone
    }

    /// Takes in a `MOVED` answer.
    pub(crate) fn moved(&mut self, slot: usize, address: &str) {
        let node = self.node(address);
        if let Some(owner) = self.owners.get_mut(slot) {
            *owner = node;
        }
    }

    fn node(&mut self, address: &str) -> usize {
        self.primaries.iter().position(|known| known == address).unwrap_or_else(|| {
            self.primaries.push(address.to_owned());
            self.primaries.len() - 1
        })
    }
}

/// The slot and address of a `MOVED 3999 127.0.0.1:6381` error; the address is `asked`'s host where it names none.
pub(crate) fn parse_moved(error: &[u8], asked: &str) -> Option<(usize, String)> {
    let mut words = std::str::from_utf8(error).ok()?.split(' ');
    if words.next() != Some("MOVED") {
        return None;
    }
    let slot = words.next()?.parse().ok().filter(|slot| *slot < SLOTS)?;
    let (host, port) = words.next()?.rsplit_once(':')?;
    Some((slot, join(host, port, asked)))
}

fn address(node: &Tree, asked: &str) -> Option<String> {
    let Tree::List(fields) = node else { return None };
    let (host, port) = match fields.as_slice() {
        [Tree::Text(host), Tree::Integer(port), ..] => (host.as_str(), port),
        [Tree::Null, Tree::Integer(port), ..] => ("", port),
        _ => return None,
    };
    Some(join(host, &port.to_string(), asked))
}

fn join(host: &str, port: &str, asked: &str) -> String {
    let asked_host = asked.rsplit_once(':').map_or(asked, |(host, _)| host);
    match host {
        "" | "?" => format!("{asked_host}:{port}"),
        host if host.contains(':') && !host.starts_with('[') => format!("[{host}]:{port}"),
        host => format!("{host}:{port}"),
    }
}

/// A reply with its inner structure.
#[derive(Debug)]
enum Tree {
    Integer(i64),
    Text(String),
    Null,
    List(Vec<Tree>),
}

fn tree(input: &[u8], depth: u32) -> Result<(Tree, usize), Malformed> {
    let Some((item, mut used)) = parse_item(input)? else {
        return Ok((Tree::Null, input.len()));
    };
    let items = match item {
        Item::Whole(Reply::Integer(number)) => return Ok((Tree::Integer(number), used)),
        Item::Whole(Reply::Bulk(text) | Reply::Status(text) | Reply::Error(text)) => {
            return Ok((Tree::Text(String::from_utf8_lossy(text).into_owned()), used));
        }
        Item::Whole(_) => return Ok((Tree::Null, used)),
        Item::Aggregate { .. } if depth == 0 => return Ok((Tree::Null, input.len())),
        Item::Aggregate { items, .. } => items,
    };
    let mut list = Vec::new();
    for _ in 0..items {
        let (item, size) = tree(&input[used..], depth - 1)?;
        used += size;
        list.push(item);
    }
    Ok((Tree::List(list), used))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> String {
        format!("${}\r\n{text}\r\n", text.len())
    }

    fn node(host: &str, port: u16) -> String {
        format!("*4\r\n{}:{port}\r\n{}*0\r\n", bulk(host), bulk("id"))
    }

    /// The example of the Redis Cluster specification, and the check value of the CRC.
    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(CRC16.checksum(b"123456789"), 0x31C3);
        assert_eq!(slot_of(b"123456789"), 12_739);
        assert_eq!(slot_of(b"foo"), 12_182);
    }

    #[test]
    fn ranges_primaries_and_replicas_are_read() {
        let reply = format!(
            "*2\r\n*4\r\n:0\r\n:8191\r\n{}{}*3\r\n:8192\r\n:16383\r\n{}",
            node("10.0.0.1", 7001),
            node("10.0.0.1", 7004),
            node("", 7002)
        );
        let map = SlotMap::from_reply(reply.as_bytes(), "10.0.0.9:7002").unwrap();
        assert_eq!(map.primaries(), ["10.0.0.1:7001", "10.0.0.9:7002"]);
        assert_eq!(map.everyone(), ["10.0.0.1:7001", "10.0.0.1:7004", "10.0.0.9:7002"]);
        assert_eq!((map.owner(0), map.owner(8_191), map.owner(8_192)), (0, 0, 1));
    }

    /// A cluster that does not serve all slots is refused before the run, not by errors during it.
    #[test]
    fn a_gap_is_refused() {
        let reply = format!("*1\r\n*3\r\n:0\r\n:16382\r\n{}", node("h", 1));
        assert!(SlotMap::from_reply(reply.as_bytes(), "h:1").unwrap_err().contains("slot 16383"));
        assert!(SlotMap::from_reply(b"*1\r\n*3\r\n:5\r\n:99999\r\n*0\r\n", "h:1").is_err());
        assert!(SlotMap::from_reply(b"+OK\r\n", "h:1").is_err());
    }

    #[test]
    fn moved_changes_one_slot_and_adds_the_node() {
        assert_eq!(
            parse_moved(b"MOVED 3999 127.0.0.1:6381", "h:1"),
            Some((3_999, "127.0.0.1:6381".to_owned()))
        );
        assert_eq!(parse_moved(b"MOVED 3999 :6381", "h:1"), Some((3_999, "h:6381".to_owned())));
        assert_eq!(parse_moved(b"MOVED 99999 h:6381", "h:1"), None);
        assert_eq!(parse_moved(b"ERR MOVED", "h:1"), None);
        let reply = format!("*1\r\n*3\r\n:0\r\n:16383\r\n{}", node("h", 1));
        let mut map = SlotMap::from_reply(reply.as_bytes(), "h:1").unwrap();
        map.moved(3_999, "h:2");
        assert_eq!((map.owner(3_998), map.owner(3_999)), (0, 1));
    }
}
