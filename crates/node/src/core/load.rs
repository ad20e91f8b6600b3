//! The load of a node, as a fact that gossip spreads.
//!
//! ```text
//!   0  version u8 = 1 | 1  busy cores u16, in thousandths | 3  operations per second u32
//!   7  bytes on the disk u64 | 15  bytes that it may come to u64
//!  23  number of hot partitions u8, then for each: partition u16 | operations per second u32
//! ```
//!
//! Little endian. What must hold: no bytes that a peer sends cause a panic, and what is of another version says nothing; and a load
//! that has hardly changed is the same fact, since each new one goes through the whole cluster ([`stated`]).

use api::{NodeLoad, PartitionRate};
use types::PartitionId;

/// The version of this layout.
const VERSION: u8 = 1;

/// How many hot partitions a node tells of: what all facts of a node may take together is little.
pub(super) const HOTTEST_MAX: usize = 8;

/// Fewer operations per second than this make no partition worth telling of.
const HOT_FROM: u32 = 10;

/// To so many thousandths of the cores it is told.
const CPU_STEP: u16 = 20;

/// A load as it is stated: in two significant digits, the disk in three.
pub(super) fn stated(load: &NodeLoad) -> NodeLoad {
    let narrow = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    let operations = |number: u32| narrow(rounded(u64::from(number), 2));
    let mut hottest: Vec<PartitionRate> =
        load.hottest.iter().filter(|hot| hot.operations_per_second >= HOT_FROM).copied().collect();
    hottest.sort_by_key(|hot| (std::cmp::Reverse(hot.operations_per_second), hot.partition));
    hottest.truncate(HOTTEST_MAX);
    for hot in &mut hottest {
        hot.operations_per_second = operations(hot.operations_per_second);
    }
    NodeLoad {
        cpu_permille: load.cpu_permille.saturating_add(CPU_STEP / 2) / CPU_STEP * CPU_STEP,
        operations_per_second: operations(load.operations_per_second),
        disk_used_bytes: rounded(load.disk_used_bytes, 3),
        disk_bytes: rounded(load.disk_bytes, 3),
        hottest,
    }
}

/// A number in so many significant digits.
fn rounded(number: u64, digits: u32) -> u64 {
    let length = number.checked_ilog10().map_or(1, |log| log + 1);
    let unit = 10_u64.pow(length.saturating_sub(digits));
    number.saturating_add(unit / 2) / unit * unit
}

/// As bytes.
pub(super) fn encode(load: &NodeLoad) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    bytes.extend(load.cpu_permille.to_le_bytes());
    bytes.extend(load.operations_per_second.to_le_bytes());
    bytes.extend(load.disk_used_bytes.to_le_bytes());
    bytes.extend(load.disk_bytes.to_le_bytes());
    let hottest = &load.hottest[..load.hottest.len().min(HOTTEST_MAX)];
    bytes.push(u8::try_from(hottest.len()).unwrap_or(u8::MAX));
    for hot in hottest {
        bytes.extend(hot.partition.0.to_le_bytes());
        bytes.extend(hot.operations_per_second.to_le_bytes());
    }
    bytes
}

/// The load that these bytes are; nothing where they are none, or of another version.
pub(super) fn decode(bytes: &[u8]) -> Option<NodeLoad> {
    let (&[version], rest) = bytes.split_first_chunk()?;
    if version != VERSION {
        return None;
    }
    let (cpu, rest) = rest.split_first_chunk()?;
    let (operations, rest) = rest.split_first_chunk()?;
    let (used, rest) = rest.split_first_chunk()?;
    let (disk, rest) = rest.split_first_chunk()?;
    let (&[count], mut rest) = rest.split_first_chunk()?;
    if usize::from(count) > HOTTEST_MAX {
        return None;
    }
    let mut hottest = Vec::with_capacity(usize::from(count));
    for _ in 0..count {
        let (partition, behind) = rest.split_first_chunk()?;
        let (rate, behind) = behind.split_first_chunk()?;
        let partition = PartitionId(u16::from_le_bytes(*partition));
        hottest.push(PartitionRate { partition, operations_per_second: u32::from_le_bytes(*rate) });
        rest = behind;
    }
    rest.is_empty().then_some(NodeLoad {
        cpu_permille: u16::from_le_bytes(*cpu),
        operations_per_second: u32::from_le_bytes(*operations),
        disk_used_bytes: u64::from_le_bytes(*used),
        disk_bytes: u64::from_le_bytes(*disk),
        hottest,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load() -> NodeLoad {
        let hot = |partition, operations_per_second| PartitionRate {
            partition: PartitionId(partition),
            operations_per_second,
        };
        NodeLoad {
            cpu_permille: 431,
            operations_per_second: 12_345,
            disk_used_bytes: 123_456_789,
            disk_bytes: 987_654_321_000,
            hottest: vec![hot(7, 9), hot(17, 1_234), hot(300, 5_678)],
        }
    }

    /// The layout is what versions of Henge that run side by side have in common.
    #[test]
    fn the_layout_is_fixed() {
        let bytes = encode(&stated(&load()));
        let expected = [
            &[1][..],
            &440_u16.to_le_bytes(),
            &12_000_u32.to_le_bytes(),
            &123_000_000_u64.to_le_bytes(),
            &988_000_000_000_u64.to_le_bytes(),
            &[2],
            &[44, 1],
            &5_700_u32.to_le_bytes(),
            &[17, 0],
            &1_200_u32.to_le_bytes(),
        ];
        assert_eq!(bytes, expected.concat());
        assert_eq!(decode(&bytes), Some(stated(&load())));
    }

    /// A load that has hardly changed is no news to a thousand nodes.
    #[test]
    fn a_small_change_is_no_news() {
        let mut other = load();
        (other.cpu_permille, other.operations_per_second) = (445, 11_900);
        (other.disk_used_bytes, other.hottest[0].operations_per_second) = (123_400_000, 3);
        assert_eq!(stated(&other), stated(&load()));
        other.operations_per_second = 13_100;
        assert_ne!(stated(&other), stated(&load()));
    }

    /// A fact fits beside all others of a node, however many partitions are hot.
    #[test]
    fn what_is_told_is_bounded() {
        let hot = |partition| PartitionRate { partition: PartitionId(partition), operations_per_second: 100 };
        let load = NodeLoad { hottest: (0..500).map(hot).collect(), ..load() };
        assert_eq!(stated(&load).hottest.len(), HOTTEST_MAX);
        assert_eq!(encode(&load).len(), 24 + 6 * HOTTEST_MAX);
    }

    /// Whatever a peer sends, it is a load or nothing.
    #[test]
    fn bytes_that_are_no_load_say_nothing() {
        let bytes = encode(&stated(&load()));
        for length in 0..bytes.len() {
            assert_eq!(decode(&bytes[..length]), None, "{length} bytes");
        }
        assert_eq!(decode(&[&bytes[..], &[0]].concat()), None);
        assert_eq!(decode(&[&[2], &bytes[1..]].concat()), None);
        let mut many = bytes;
        many[23] = 200;
        assert_eq!(decode(&many), None);
    }

    #[test]
    fn numbers_are_rounded_to_what_a_reader_acts_upon() {
        let two = |number| rounded(number, 2);
        assert_eq!([0, 7, 99, 104, 105, 9_949, 9_950].map(two), [0, 7, 99, 100, 110, 9_900, 10_000]);
        assert!(rounded(u64::MAX, 3) > u64::MAX / 2);
    }
}
