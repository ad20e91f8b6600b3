//! Who this data directory is: the file `identity`, and what must be true of it before the node says a word.
//!
//! ```text
//!   0  magic         8 bytes   "HENGEID3"
//!   8  checksum      u32       CRC-32C of all that follows
//!  12  incarnation   u64
//!  20  next stint    u32       the first that no run has reserved yet
//!  24  tide          u32       how far peers were told that it has come
//!  28  birthmark     u64       of the file `birthmark` beside it; 0 where the file system knows of none
//!  36  origin        u8        0 settled, 1 new, 2 renounced, 3 founding, 4 catching up
//!  37  count         u8        of provisional incarnations
//!      provisional   u64 each  under which its runs mint until a peer has let them in, that of this run last
//!   .  name length   u16
//!   .  name          ..        the node's name
//!   .  state         ..        the cluster state that it was founded with
//! ```
//! Little endian. Replaced whole ([`env::disk::replace`]). Versions 1 and 2 are read. They had no tide, and told
//! peers the next stint instead; version 1 has neither birthmark, origin nor provisional incarnations.
//!
//! What must hold: the stints that a run mints under are reserved here, synced, before it mints (INVARIANTS B1); a directory
//! of another node or another cluster is refused; and a directory that may have forgotten what its incarnation did gets a new
//! one (E7): one that is empty, one that was copied, which its birthmark shows, and one of which peers have seen a later
//! life, which they say ([`Identity::renounce`]). What such a directory holds counts for nothing until it was compared with
//! what others hold.

use std::ops::Range;
use std::path::{Path, PathBuf};

use env::disk::DiskErrorKind;
use env::{Disk, DiskError, Rng};
use types::Incarnation;

const MAGIC: &[u8; 8] = b"HENGEID3";
const MAGIC_2: &[u8; 8] = b"HENGEID2";
const MAGIC_1: &[u8; 8] = b"HENGEID1";
const FILE: &str = "identity";

/// A file that is made with the directory and never changed, so that a copy of the directory has another.
const BIRTHMARK_FILE: &str = "birthmark";

/// How many provisional incarnations are remembered. All but the last few have long been told to peers.
const PROVISIONAL_MAX: usize = 16;

/// How many stints a run reserves: one for its start, the others for partitions that must begin a fresh one meanwhile.
const STINTS_A_RUN: u32 = 1024;

/// Who a data directory is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// One life of this directory.
    pub incarnation: Incarnation,
    /// The stints that this run may mint under.
    pub stints: Range<u32>,
    /// How far peers were told that the directory has come. Told to them only after it is on stable storage here.
    pub tide: u32,
    /// The node's name.
    pub name: String,
    /// The cluster state that it was founded with, as `cluster` wrote it.
    pub state: Vec<u8>,
    /// How this life of the directory began.
    pub origin: Origin,
    /// Under which runs of this directory mint, or may have, until a peer has let them in; that of this run is the last.
    pub provisional: Vec<Incarnation>,
    /// Whether it begins now because the directory was found to be a copy.
    pub was_copied: bool,
    birthmark: u64,
}

/// How a life of a directory began, for as long as its stores may lack something because of that.
///
/// ```text
///   New -------> Founding ---.
///                             >--> Settled
///   Renounced -> CatchingUp -'
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// Its stores lack nothing any more.
    Settled,
    /// The directory was empty, and its stores are yet to be told that they lack everything.
    New,
    /// The same, and they were told. Nobody has said yet whether there was anything to forget.
    Founding,
    /// It took the place of a life that was given up: what is here may be older than what that had promised. Its stores are
    /// yet to be told so.
    Renounced,
    /// The same, and they were told.
    CatchingUp,
}

impl Origin {
    /// Whether the stores are to be told that they lack everything, when they are opened.
    pub fn is_untold(self) -> bool {
        matches!(self, Origin::New | Origin::Renounced)
    }

    /// After that.
    fn told(self) -> Origin {
        match self {
            Origin::New => Origin::Founding,
            Origin::Renounced => Origin::CatchingUp,
            told => told,
        }
    }
}

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The disk did not do as asked.
    #[error("{0}; see to the disk and start again")]
    Disk(#[from] DiskError),
    /// The file is damaged.
    #[error(
        "{} is damaged: {why}. Restore the file, or empty the data directory and let this node's peers fill it",
        path.display()
    )]
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

    /// The cluster state that a directory was made with; nothing where it is nobody's.
    ///
    /// # Errors
    /// As [`IdentityError`] says.
    pub fn first_state(disk: &dyn Disk, dir: &Path) -> Result<Option<Vec<u8>>, IdentityError> {
        Ok(read(disk, dir)?.map(|identity| identity.state))
    }

    /// Reads who the directory is, or makes it somebody if it is empty; either way this run's stints are reserved on
    /// stable storage when this returns. `state` is kept in a new directory.
    ///
    /// # Errors
    /// As [`IdentityError`] says.
    pub fn open(
        disk: &dyn Disk,
        dir: &Path,
        name: &str,
        state: &[u8],
        rng: &mut Rng,
    ) -> Result<Identity, IdentityError> {
        disk.create_dir_all(dir)?;
        let birthmark = birthmark(disk, dir)?;
        let mut identity = match read(disk, dir)? {
            Some(found) if found.name != name => {
                let path = dir.join(FILE);
                return Err(IdentityError::OtherNode { path, found: found.name, asked: name.to_owned() });
            }
            Some(found) if found.birthmark != 0 && birthmark != 0 && found.birthmark != birthmark => {
                Identity { was_copied: true, ..found.renounced(rng) }
            }
            Some(found) => found,
            None => Identity {
                incarnation: Incarnation(rng.next_u64()),
                stints: 1..1,
                tide: 0,
                name: name.to_owned(),
                state: state.to_vec(),
                origin: Origin::New,
                provisional: Vec::new(),
                was_copied: false,
                birthmark,
            },
        };
        identity.birthmark = birthmark;
        identity.provisional.push(Incarnation(rng.next_u64()));
        let too_many = identity.provisional.len().saturating_sub(PROVISIONAL_MAX);
        identity.provisional.drain(..too_many);
        identity.stints = identity.stints.start..identity.stints.start.saturating_add(STINTS_A_RUN);
        env::disk::replace(disk, dir, FILE, &encode(&identity))?;
        Ok(identity)
    }

    /// Gives up the life of a directory: the next time it is opened it is another, which begins with what is here and knows
    /// that this may not be all.
    ///
    /// # Errors
    /// As [`IdentityError`] says; then it is still the life that it was.
    pub fn renounce(disk: &dyn Disk, dir: &Path, rng: &mut Rng) -> Result<(), IdentityError> {
        let Some(found) = read(disk, dir)? else { return Ok(()) };
        Ok(env::disk::replace(disk, dir, FILE, &encode(&found.renounced(rng)))?)
    }

    /// Raises the tide by one, so that a directory which is rolled back shows it by coming back with a lower one than its peers
    /// were told. Not before they have let this run in: a run that reaches nobody has nothing to tell, and a directory that was
    /// rolled back must not rise above what they remember before it has met them. Returns what it is now, on stable storage.
    ///
    /// # Errors
    /// As [`IdentityError`] says.
    pub fn rise(disk: &dyn Disk, dir: &Path) -> Result<u32, IdentityError> {
        let Some(mut found) = read(disk, dir)? else { return Ok(0) };
        found.tide = found.tide.saturating_add(1);
        env::disk::replace(disk, dir, FILE, &encode(&found))?;
        Ok(found.tide)
    }

    /// Its stores were told what they lack because of how its life began.
    ///
    /// # Errors
    /// As [`IdentityError`] says.
    pub fn told(disk: &dyn Disk, dir: &Path) -> Result<(), IdentityError> {
        Identity::change(disk, dir, |identity| identity.origin = identity.origin.told())
    }

    /// Its stores lack nothing any more because of how its life began.
    ///
    /// # Errors
    /// As [`IdentityError`] says.
    pub fn settle(disk: &dyn Disk, dir: &Path) -> Result<(), IdentityError> {
        Identity::change(disk, dir, |identity| identity.origin = Origin::Settled)
    }

    fn change(disk: &dyn Disk, dir: &Path, change: impl FnOnce(&mut Identity)) -> Result<(), IdentityError> {
        let Some(mut identity) = read(disk, dir)? else { return Ok(()) };
        change(&mut identity);
        Ok(env::disk::replace(disk, dir, FILE, &encode(&identity))?)
    }

    fn renounced(self, rng: &mut Rng) -> Identity {
        let incarnation = Incarnation(rng.next_u64());
        Identity { incarnation, stints: 1..1, tide: 0, origin: Origin::Renounced, ..self }
    }
}

fn read(disk: &dyn Disk, dir: &Path) -> Result<Option<Identity>, IdentityError> {
    let path = dir.join(FILE);
    let bytes = env::disk::read_whole(disk, &path)?;
    let found = bytes.map(|bytes| decode(&bytes)).transpose();
    found.map_err(|why| IdentityError::Damaged { path, why })
}

/// What tells this directory from copies of it; 0 where nothing does.
fn birthmark(disk: &dyn Disk, dir: &Path) -> Result<u64, DiskError> {
    let path = dir.join(BIRTHMARK_FILE);
    match disk.create(&path) {
        Ok(file) => {
            file.sync()?;
            disk.sync_dir(dir)?;
        }
        Err(error) if error.kind == DiskErrorKind::Exists => {}
        Err(error) => return Err(error),
    }
    Ok(disk.birthmark(&path)?.unwrap_or_default())
}

fn encode(identity: &Identity) -> Vec<u8> {
    let count = u8::try_from(identity.provisional.len()).expect("there are 16 at most");
    let name = identity.name.as_bytes();
    let name_length = u16::try_from(name.len()).expect("names are checked to be at most 64 bytes");
    let mut rest = Vec::new();
    rest.extend_from_slice(&identity.incarnation.0.to_le_bytes());
    rest.extend_from_slice(&identity.stints.end.to_le_bytes());
    rest.extend_from_slice(&identity.tide.to_le_bytes());
    rest.extend_from_slice(&identity.birthmark.to_le_bytes());
    rest.push(match identity.origin {
        Origin::Settled => 0,
        Origin::New => 1,
        Origin::Renounced => 2,
        Origin::Founding => 3,
        Origin::CatchingUp => 4,
    });
    rest.push(count);
    identity.provisional.iter().for_each(|one| rest.extend_from_slice(&one.0.to_le_bytes()));
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
    if ![MAGIC, MAGIC_2, MAGIC_1].iter().any(|known| magic == *known) {
        return Err("it does not begin as an identity file of this version does");
    }
    let (expected, rest) = rest.split_first_chunk::<4>().ok_or("it is too short")?;
    if u32::from_le_bytes(*expected) != checksum(rest) {
        return Err("its checksum does not match");
    }
    let (incarnation, rest) = rest.split_first_chunk::<8>().ok_or("it is too short")?;
    let (next, rest) = rest.split_first_chunk::<4>().ok_or("it is too short")?;
    let (tide, rest) =
        if magic == MAGIC { rest.split_first_chunk::<4>().ok_or("it is too short")? } else { (next, rest) };
    let mut provisional = Vec::new();
    let (birthmark, origin, rest) = if magic != MAGIC_1 {
        let (birthmark, rest) = rest.split_first_chunk::<8>().ok_or("it is too short")?;
        let (origin, rest) = rest.split_first().ok_or("it is too short")?;
        let origin = match origin {
            0 => Origin::Settled,
            1 => Origin::New,
            2 => Origin::Renounced,
            3 => Origin::Founding,
            4 => Origin::CatchingUp,
            _ => return Err("its life began in a way that this version does not know"),
        };
        let (count, mut rest) = rest.split_first().ok_or("it is too short")?;
        for _ in 0..*count {
            let (one, others) = rest.split_first_chunk::<8>().ok_or("it is too short")?;
            provisional.push(Incarnation(u64::from_le_bytes(*one)));
            rest = others;
        }
        (u64::from_le_bytes(*birthmark), origin, rest)
    } else {
        (0, Origin::Settled, rest)
    };
    let (length, rest) = rest.split_first_chunk::<2>().ok_or("it is too short")?;
    let (name, state) =
        rest.split_at_checked(usize::from(u16::from_le_bytes(*length))).ok_or("its name is cut off")?;
    let next = u32::from_le_bytes(*next);
    Ok(Identity {
        incarnation: Incarnation(u64::from_le_bytes(*incarnation)),
        stints: next..next,
        tide: u32::from_le_bytes(*tide),
        name: String::from_utf8(name.to_vec()).map_err(|_| "its name is not UTF-8")?,
        state: state.to_vec(),
        origin,
        provisional,
        was_copied: false,
        birthmark,
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
        assert_eq!([first.origin, second.origin], [Origin::New; 2], "nobody has said otherwise");
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
    fn a_copy_of_a_directory_is_another_life_and_a_volume_that_was_rolled_back_cannot_tell() {
        let disk = SimDisk::new();
        let first = open(&disk, "n1", 1).expect("an empty directory");
        Identity::settle(&disk, Path::new("data")).expect("a whole disk");
        let image = disk.image();
        disk.put_back(&image, false);
        let same = open(&disk, "n1", 2).expect("the same files");
        assert_eq!(
            (same.incarnation, same.origin, same.was_copied),
            (first.incarnation, Origin::Settled, false)
        );
        disk.put_back(&image, true);
        let copy = open(&disk, "n1", 3).expect("a copy");
        assert_ne!(copy.incarnation, first.incarnation);
        assert_eq!((copy.origin, copy.was_copied), (Origin::Renounced, true));
        let again = open(&disk, "n1", 4).expect("the same copy");
        assert_eq!(
            (again.incarnation, again.origin, again.was_copied),
            (copy.incarnation, Origin::Renounced, false)
        );
    }

    #[test]
    fn a_life_that_was_given_up_is_never_begun_again() {
        let disk = SimDisk::new();
        let first = open(&disk, "n1", 1).expect("an empty directory");
        Identity::settle(&disk, Path::new("data")).expect("a whole disk");
        Identity::renounce(&disk, Path::new("data"), &mut Rng::from_seed(9)).expect("a whole disk");
        disk.crash(CrashMode::LoseUnsynced, &mut Rng::from_seed(3));
        let next = open(&disk, "n1", 2).expect("the same directory");
        assert_ne!(next.incarnation, first.incarnation);
        assert_eq!((next.origin, &next.state), (Origin::Renounced, &first.state));
        Identity::told(&disk, Path::new("data")).expect("a whole disk");
        let told = open(&disk, "n1", 2).expect("the same directory");
        assert_eq!((told.incarnation, told.origin), (next.incarnation, Origin::CatchingUp));
        Identity::settle(&disk, Path::new("data")).expect("a whole disk");
        let last = open(&disk, "n1", 2).expect("the same directory");
        assert_eq!((last.incarnation, last.origin), (next.incarnation, Origin::Settled));
        assert!(last.stints.start >= next.stints.end);
    }

    #[test]
    fn what_rises_while_peers_listen_is_kept_and_not_reached_by_any_number_of_starts() {
        let disk = SimDisk::new();
        assert_eq!(open(&disk, "n1", 1).expect("an empty directory").tide, 0);
        let image = disk.image();
        let rises = [(); 3].map(|()| Identity::rise(&disk, Path::new("data")).expect("a whole disk"));
        assert_eq!(rises, [1, 2, 3]);
        disk.crash(CrashMode::LoseUnsynced, &mut Rng::from_seed(3));
        assert_eq!(open(&disk, "n1", 2).expect("the same").tide, 3);
        disk.put_back(&image, false);
        for seed in 3..20 {
            assert_eq!(open(&disk, "n1", seed).expect("an earlier state").tide, 0);
        }
    }

    #[test]
    fn files_of_earlier_versions_are_read() {
        let mut rest = 7u64.to_le_bytes().to_vec();
        rest.extend_from_slice(&1025u32.to_le_bytes());
        rest.extend_from_slice(&2u16.to_le_bytes());
        rest.extend_from_slice(b"n1state");
        let bytes = [&MAGIC_1[..], &checksum(&rest).to_le_bytes(), &rest].concat();
        let found = decode(&bytes).expect("a file of version 1");
        assert_eq!(
            (found.incarnation, found.stints.start, found.origin),
            (Incarnation(7), 1025, Origin::Settled)
        );
        assert_eq!((found.name.as_str(), &found.state[..]), ("n1", &b"state"[..]));

        let mut rest = 7u64.to_le_bytes().to_vec();
        rest.extend_from_slice(&1025u32.to_le_bytes());
        rest.extend_from_slice(&5u64.to_le_bytes());
        rest.extend_from_slice(&[4, 1]);
        rest.extend_from_slice(&9u64.to_le_bytes());
        rest.extend_from_slice(&2u16.to_le_bytes());
        rest.extend_from_slice(b"n1state");
        let bytes = [&MAGIC_2[..], &checksum(&rest).to_le_bytes(), &rest].concat();
        let found = decode(&bytes).expect("a file of version 2");
        assert_eq!((found.stints.start, found.tide, found.birthmark), (1025, 1025, 5));
        assert_eq!((found.origin, &found.provisional[..]), (Origin::CatchingUp, &[Incarnation(9)][..]));
        assert_eq!((found.name.as_str(), &found.state[..]), ("n1", &b"state"[..]));
    }

    #[test]
    fn every_damaged_byte_is_noticed() {
        let identity = Identity {
            incarnation: Incarnation(7),
            stints: 1..9,
            tide: 3,
            name: "n1".to_owned(),
            state: b"state".to_vec(),
            origin: Origin::Renounced,
            provisional: vec![Incarnation(8), Incarnation(9)],
            was_copied: false,
            birthmark: 5,
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
