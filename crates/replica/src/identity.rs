//! Who this data directory is: the file `identity`, and what must be true of it before the node says a word.
//!
//! ```text
//!   0  magic         8 bytes   "HENGEID1"
//!   8  checksum      u32       CRC-32C of all that follows
//!  12  incarnation   u64
//!  20  next stint    u32       the first that no run has reserved yet
//!  24  name length   u16
//!  26  name          ..        the node's name
//!   .  state         ..        the cluster state that it was founded with
//! ```
//! Little endian. Replaced whole ([`env::disk::replace`]).
//!
//! What must hold: an incarnation is drawn when the directory is empty and never again; the stints that a run mints under
//! are reserved here, synced, before it mints (INVARIANTS B1); a directory of another node or another cluster is refused.

use std::ops::Range;
use std::path::{Path, PathBuf};

use env::{Disk, DiskError, Rng};
use types::Incarnation;

const MAGIC: &[u8; 8] = b"HENGEID1";
const FILE: &str = "identity";

/// How many stints a run reserves: one for its start, the others for partitions that must begin a fresh one meanwhile.
const STINTS_A_RUN: u32 = 1024;

/// Who a data directory is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// One life of this directory.
    pub incarnation: Incarnation,
    /// The stints that this run may mint under.
    pub stints: Range<u32>,
    /// The node's name.
    pub name: String,
    /// The cluster state that it was founded with, as `cluster` wrote it.
    pub state: Vec<u8>,
    /// Whether the directory was empty.
    pub is_new: bool,
}

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The disk did not do as asked.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The file is damaged.
    #[error("{} is damaged: {why}. Restore it from a copy, or empty the directory to start as a new node", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The directory is another node's.
    #[error("{} holds the data of node `{found}`, not of `{asked}`: check node.id and node.data_dir", path.display())]
    OtherNode {
        /// Which file.
        path: PathBuf,
        /// Whose it is.
        found: String,
        /// Who asked.
        asked: String,
    },
}

impl Identity {
    /// Whether the directory is somebody.
    ///
    /// # Errors
    /// What the disk said.
    pub fn exists(disk: &dyn Disk, dir: &Path) -> Result<bool, IdentityError> {
        Ok(env::disk::read_whole(disk, &dir.join(FILE))?.is_some())
    }

    /// Reads who the directory is, or makes it somebody if it is empty; either way this run's stints are reserved on
    /// stable storage when this returns. `state` is kept in a new directory.
    pub fn open(
        disk: &dyn Disk,
        dir: &Path,
        name: &str,
        state: &[u8],
        rng: &mut Rng,
    ) -> Result<Identity, IdentityError> {
        disk.create_dir_all(dir)?;
        let path = dir.join(FILE);
        let found = env::disk::read_whole(disk, &path)?
            .map(|bytes| decode(&bytes))
            .transpose()
            .map_err(|why| IdentityError::Damaged { path: path.clone(), why })?;
        let mut identity = match found {
            Some(found) if found.name != name => {
                return Err(IdentityError::OtherNode { path, found: found.name, asked: name.to_owned() });
            }
            Some(found) => found,
            None => Identity {
                incarnation: Incarnation(rng.next_u64()),
                stints: 1..1,
                name: name.to_owned(),
                state: state.to_vec(),
                is_new: true,
            },
        };
        identity.stints = identity.stints.start..identity.stints.start.saturating_add(STINTS_A_RUN);
        env::disk::replace(disk, dir, FILE, &encode(&identity))?;
        Ok(identity)
    }
}

fn encode(identity: &Identity) -> Vec<u8> {
    let name = identity.name.as_bytes();
    let name_length = u16::try_from(name.len()).expect("names are checked to be at most 64 bytes");
    let mut rest = Vec::new();
    rest.extend_from_slice(&identity.incarnation.0.to_le_bytes());
    rest.extend_from_slice(&identity.stints.end.to_le_bytes());
    rest.extend_from_slice(&name_length.to_le_bytes());
    rest.extend_from_slice(name);
    rest.extend_from_slice(&identity.state);
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&checksum(&rest).to_le_bytes());
    bytes.extend_from_slice(&rest);
    bytes
}

/// What the file says; `stints` begins and ends at the first that is free.
fn decode(bytes: &[u8]) -> Result<Identity, &'static str> {
    let (magic, rest) = bytes.split_at_checked(8).ok_or("it is too short")?;
    if magic != MAGIC {
        return Err("it does not begin as an identity file of this version does");
    }
    let (expected, rest) = rest.split_first_chunk::<4>().ok_or("it is too short")?;
    if u32::from_le_bytes(*expected) != checksum(rest) {
        return Err("its checksum does not match");
    }
    let (incarnation, rest) = rest.split_first_chunk::<8>().ok_or("it is too short")?;
    let (next, rest) = rest.split_first_chunk::<4>().ok_or("it is too short")?;
    let (length, rest) = rest.split_first_chunk::<2>().ok_or("it is too short")?;
    let (name, state) =
        rest.split_at_checked(usize::from(u16::from_le_bytes(*length))).ok_or("its name is cut off")?;
    let next = u32::from_le_bytes(*next);
    Ok(Identity {
        incarnation: Incarnation(u64::from_le_bytes(*incarnation)),
        stints: next..next,
        name: String::from_utf8(name.to_vec()).map_err(|_| "its name is not UTF-8")?,
        state: state.to_vec(),
        is_new: false,
    })
}

fn checksum(bytes: &[u8]) -> u32 {
    let wide = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes);
    u32::try_from(wide).expect("a 32-bit checksum fits 32 bits")
}

#[cfg(test)]
mod tests {
    use env::SimDisk;
    use env::disk::CrashMode;

    use super::*;

    fn open(disk: &SimDisk, name: &str, seed: u64) -> Result<Identity, IdentityError> {
        Identity::open(disk, Path::new("data"), name, b"state", &mut Rng::from_seed(seed))
    }

    #[test]
    fn a_directory_keeps_its_incarnation_and_never_gives_out_a_stint_twice() {
        let disk = SimDisk::new();
        let first = open(&disk, "n1", 1).expect("an empty directory");
        disk.crash(CrashMode::LoseUnsynced, &mut Rng::from_seed(3));
        let second = open(&disk, "n1", 2).expect("the same directory");
        assert!(first.is_new && !second.is_new);
        assert_eq!(first.incarnation, second.incarnation);
        assert_eq!(second.state, b"state");
        assert!(first.stints.end <= second.stints.start);
    }

    #[test]
    fn the_directory_of_another_node_is_refused() {
        let disk = SimDisk::new();
        open(&disk, "n1", 1).expect("an empty directory");
        let error = open(&disk, "n2", 1).expect_err("another node's");
        assert!(error.to_string().contains("holds the data of node `n1`, not of `n2`"), "{error}");
    }

    #[test]
    fn two_empty_directories_are_two_incarnations() {
        let (a, b) = (open(&SimDisk::new(), "n1", 1), open(&SimDisk::new(), "n1", 2));
        assert_ne!(a.expect("new").incarnation, b.expect("new").incarnation);
    }

    #[test]
    fn every_damaged_byte_is_noticed() {
        let identity = Identity {
            incarnation: Incarnation(7),
            stints: 1..9,
            name: "n1".to_owned(),
            state: b"state".to_vec(),
            is_new: false,
        };
        let bytes = encode(&identity);
        assert!(decode(&bytes).is_ok());
        for place in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[place] ^= 0x40;
            assert!(decode(&damaged).is_err(), "byte {place}");
            assert!(decode(&bytes[..place]).is_err(), "cut at {place}");
        }
    }
}
