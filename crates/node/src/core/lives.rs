//! Which life each peer is in, as this node remembers it over its own restarts: the file `lives` in its data directory.
//!
//! A data directory that was rolled back to an earlier state, or of which there are two, does not know it. Its peers do. While a
//! run goes on that they have let in, it writes down and then tells them how far it has come ([`super::tide`]), and each
//! run begins with more stints. So whoever remembers less than was heard has forgotten something, and whoever comes with a life
//! that was followed by another is out of date. Both are told to give up the life that they have (INVARIANTS E7, B1). And while a run is connected, another one
//! of the same node is not let in: there are two processes, or the first has died and will be noticed soon.
//!
//! ```text
//!   0  magic      8 bytes   "HENGELV1"
//!   8  checksum   u32       CRC-32C of all that follows
//!  12  count      u16       of peers, by ascending number
//!      node       u16
//!      life       u64       the incarnation that was seen last
//!      stint      u32       the first of its last run
//!      run        u64       the number of that
//!      tide       u32       how far it had come, when that was last heard
//!      first      u8        1 where nothing is known of the peer but that run
//!      past       u8        how many lives before that are remembered
//!      life       u64       each, the latest last
//!   .  count      u16       of lives that are over, of whichever node, as others have told
//!      life       u64       each
//! ```
//! Little endian. Replaced whole. It is written after a peer was let in, and nothing waits for it: a peer that is forgotten
//! is remembered by the others.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;

use env::{Disk, DiskError};
use types::{Incarnation, NodeId};
use wire::{Hello, Refusal};

use crate::checksum::checksum;

/// The name of the file.
pub const FILE: &str = "lives";

const MAGIC: &[u8; 8] = b"HENGELV1";

/// How many past lives of a peer are remembered.
const PAST_MAX: usize = 16;

/// One start of one life of a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Run {
    /// Its data directory's life.
    pub incarnation: Incarnation,
    /// The first stint that is the run's: above those of all runs of that life before.
    pub first_stint: u32,
    /// A random number of its own.
    pub number: u64,
}

impl Run {
    /// The one that introduces itself.
    pub fn of(hello: &Hello) -> Run {
        Run { incarnation: hello.incarnation, first_stint: hello.first_stint, number: hello.run }
    }
}

/// What is remembered of one peer.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Known {
    /// Whether nothing is known of it but the run that was met last.
    is_first: bool,
    latest: Run,
    /// How far it was heard to have come.
    tide: u32,
    past: VecDeque<Incarnation>,
}

/// How many lives are remembered to be over, of all nodes.
const OVER_MAX: usize = 256;

/// What is remembered of all peers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Lives {
    peers: BTreeMap<NodeId, Known>,
    /// Lives that are over.
    over: BTreeSet<Incarnation>,
}

impl Lives {
    /// Reads what is remembered. A file that is damaged is of no use and no harm: it is begun anew.
    ///
    /// # Errors
    /// What the disk said.
    pub(super) fn load(disk: &dyn Disk, dir: &Path) -> Result<Lives, DiskError> {
        let path = dir.join(FILE);
        let Some(bytes) = env::disk::read_whole(disk, &path)? else { return Ok(Lives::default()) };
        Ok(Lives::decode(&bytes).unwrap_or_else(|| {
            tracing::warn!(path = %path.display(), "damaged: which lives peers had is learned anew");
            Lives::default()
        }))
    }

    /// Whether who wrote such a file would tell a peer to give up the life that it has.
    #[must_use]
    pub fn would_supersede(file: &[u8], hello: &Hello) -> bool {
        let lives = Lives::decode(file).unwrap_or_default();
        lives.admit(hello, None).is_err_and(|refusal| refusal.superseded)
    }

    /// Whether a peer may be let in; `connected` is the run of it that stands in connection with this node, if one does.
    ///
    /// # Errors
    /// Why not, in words for its operator.
    pub(super) fn admit(&self, hello: &Hello, connected: Option<Run>) -> Result<(), Refusal> {
        let (run, name) = (Run::of(hello), &hello.name);
        if connected == Some(run) {
            return Ok(());
        }
        if let Some(known) = self.peers.get(&hello.node) {
            let superseded =
                |why: String| Err(Refusal { why, superseded: true, removed: false, try_again: false });
            if known.past.contains(&run.incarnation) {
                return superseded(format!(
                    "{name} has begun another life since: this is its data directory as it was before, or a copy of that"
                ));
            }
            let has_more = hello.tide >= known.tide && run.first_stint > known.latest.first_stint;
            let is_next = has_more || run == known.latest;
            if known.latest.incarnation == run.incarnation && !is_next {
                return superseded(format!(
                    "{name} had come further: its data directory was rolled back to an earlier state, or this is a copy of it"
                ));
            }
        }
        match connected {
            None => Ok(()),
            Some(_) => Err(Refusal::because(format!(
                "{name} is connected already, as another process: two must not run under one node.id (if the first has died, that will be noticed in seconds)"
            ))),
        }
    }

    /// A run of a peer has come so far, as is heard of it. True if that is further than was known. The run may be one that
    /// this node has not met.
    pub(super) fn rose(&mut self, node: NodeId, run: Run, tide: u32) -> bool {
        let known = self.peers.get_mut(&node).filter(|known| known.latest.incarnation == run.incarnation);
        known.is_some_and(|known| {
            let is_later = run.first_stint > known.latest.first_stint;
            let rises = is_later || run == known.latest && known.tide < tide;
            if rises {
                known.is_first &= run == known.latest;
                (known.latest, known.tide) = (run, tide);
            }
            rises
        })
    }

    /// A run of a peer was let in. True if it was not known.
    pub(super) fn met(&mut self, node: NodeId, run: Run, tide: u32) -> bool {
        let Some(known) = self.peers.get_mut(&node) else {
            self.peers.insert(node, Known { is_first: true, latest: run, tide, past: VecDeque::new() });
            return true;
        };
        if known.latest == run {
            return false;
        }
        if known.latest.incarnation != run.incarnation {
            known.past.push_back(known.latest.incarnation);
            if self.over.len() < OVER_MAX {
                self.over.insert(known.latest.incarnation);
            }
            known.past.retain(|past| *past != run.incarnation);
            if known.past.len() > PAST_MAX {
                known.past.pop_front();
            }
        }
        (known.is_first, known.latest, known.tide) = (false, run, tide);
        true
    }

    /// Whether nothing is known of a peer but the run that introduces itself.
    pub(super) fn never_met(&self, hello: &Hello) -> bool {
        self.peers.get(&hello.node).is_none_or(|known| known.is_first && known.latest == Run::of(hello))
    }

    /// The life of a peer that was met last.
    pub(super) fn latest_life(&self, node: NodeId) -> Option<Incarnation> {
        self.peers.get(&node).map(|known| known.latest.incarnation)
    }

    /// The life of a peer, if it has had no other as far as is known here.
    pub(super) fn only_life(&self, node: NodeId) -> Option<Incarnation> {
        self.peers.get(&node).filter(|known| known.past.is_empty()).map(|known| known.latest.incarnation)
    }

    /// All lives that are remembered to be over.
    pub(super) fn past(&self) -> impl Iterator<Item = Incarnation> + '_ {
        self.over.iter().copied()
    }

    /// These are over. True if that was not known of all of them.
    pub(super) fn learn(&mut self, lives: impl IntoIterator<Item = Incarnation>) -> bool {
        let before = self.over.len();
        for life in lives {
            if self.over.len() < OVER_MAX {
                self.over.insert(life);
            }
        }
        self.over.len() > before
    }

    /// As the file has it.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut rest = u16::try_from(self.peers.len()).unwrap_or(u16::MAX).to_le_bytes().to_vec();
        for (node, known) in self.peers.iter().take(usize::from(u16::MAX)) {
            rest.extend_from_slice(&node.0.to_le_bytes());
            rest.extend_from_slice(&known.latest.incarnation.0.to_le_bytes());
            rest.extend_from_slice(&known.latest.first_stint.to_le_bytes());
            rest.extend_from_slice(&known.latest.number.to_le_bytes());
            rest.extend_from_slice(&known.tide.to_le_bytes());
            rest.push(u8::from(known.is_first));
            rest.push(u8::try_from(known.past.len()).expect("no more than 16"));
            known.past.iter().for_each(|past| rest.extend_from_slice(&past.0.to_le_bytes()));
        }
        rest.extend_from_slice(&u16::try_from(self.over.len()).expect("no more than 256").to_le_bytes());
        self.over.iter().for_each(|life| rest.extend_from_slice(&life.0.to_le_bytes()));
        [&MAGIC[..], &checksum(&rest).to_le_bytes(), &rest].concat()
    }

    fn decode(bytes: &[u8]) -> Option<Lives> {
        let rest = bytes.strip_prefix(MAGIC)?;
        let (expected, mut rest) = rest.split_first_chunk::<4>()?;
        if u32::from_le_bytes(*expected) != checksum(rest) {
            return None;
        }
        let mut lives = Lives::default();
        for _ in 0..u16::from_le_bytes(take(&mut rest)?) {
            let node = NodeId(u16::from_le_bytes(take(&mut rest)?));
            let incarnation = Incarnation(u64::from_le_bytes(take(&mut rest)?));
            let first_stint = u32::from_le_bytes(take(&mut rest)?);
            let latest = Run { incarnation, first_stint, number: u64::from_le_bytes(take(&mut rest)?) };
            let tide = u32::from_le_bytes(take(&mut rest)?);
            let [first] = take(&mut rest)?;
            let [past] = take(&mut rest)?;
            let past = (0..past).map(|_| take(&mut rest).map(|life| Incarnation(u64::from_le_bytes(life))));
            lives.peers.insert(
                node,
                Known { is_first: first != 0, latest, tide, past: past.collect::<Option<_>>()? },
            );
        }
        for _ in 0..u16::from_le_bytes(take(&mut rest)?) {
            lives.over.insert(Incarnation(u64::from_le_bytes(take(&mut rest)?)));
        }
        rest.is_empty().then_some(lives)
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*first)
}

#[cfg(test)]
mod tests {
    use types::{Epoch, ShardId};

    use super::*;

    const PEER: NodeId = NodeId(3);

    fn hello(incarnation: u64, first_stint: u32) -> Hello {
        Hello {
            cluster: "c".to_owned(),
            founding: 1,
            epoch: Epoch(1),
            node: PEER,
            name: "n3".to_owned(),
            incarnation: Incarnation(incarnation),
            run: 10 * incarnation + u64::from(first_stint),
            first_stint,
            tide: first_stint,
            is_new: false,
            never_met: false,
            past_lives: Vec::new(),
            shard: ShardId(0),
        }
    }

    /// Lets these in, one after the other, each after the one before has gone.
    fn after(runs: &[(u64, u32)]) -> Lives {
        let mut lives = Lives::default();
        for (incarnation, first_stint) in runs {
            let hello = hello(*incarnation, *first_stint);
            assert_eq!(lives.admit(&hello, None), Ok(()), "{incarnation} {first_stint}");
            lives.met(PEER, Run::of(&hello), hello.tide);
        }
        lives
    }

    fn is_superseded(lives: &Lives, run: (u64, u32)) -> bool {
        lives.admit(&hello(run.0, run.1), None).is_err_and(|refusal| refusal.superseded)
    }

    #[test]
    fn each_start_of_a_life_is_let_in_and_none_before_it() {
        let lives = after(&[(7, 1), (7, 1025), (7, 2049)]);
        assert!(!is_superseded(&lives, (7, 2049)), "the same run by another connection");
        assert!(is_superseded(&lives, (7, 1025)) && is_superseded(&lives, (7, 1)));
    }

    #[test]
    fn a_life_that_had_come_further_is_not_let_in_again_below_that() {
        let mut lives = after(&[(7, 1)]);
        let run = |incarnation, first_stint| Run::of(&hello(incarnation, first_stint));
        let comes = |first_stint, tide| Hello { tide, ..hello(7, first_stint) };
        assert!(lives.rose(PEER, run(7, 1), 30) && !lives.rose(PEER, run(7, 1), 30));
        assert!(!lives.rose(PEER, run(8, 1), 9000), "of another life nothing was known");
        assert_eq!(lives.admit(&comes(1, 1), None), Ok(()), "the run itself");
        for (first_stint, tide) in [(1025, 29), (9 << 20, 29), (1, 30)] {
            let again = Hello { run: 3, ..comes(first_stint, tide) };
            assert!(
                lives.admit(&again, None).is_err_and(|refusal| refusal.superseded),
                "{first_stint} {tide}"
            );
        }
        assert_eq!(lives.admit(&comes(1025, 30), None), Ok(()));
        assert!(lives.rose(PEER, run(7, 1025), 60), "a run that others have met");
        assert!(!lives.rose(PEER, run(7, 1), 61), "news of the run before come late");
        assert_eq!(lives.admit(&comes(2049, 60), None), Ok(()));
        assert!(lives.admit(&comes(2049, 59), None).is_err_and(|refusal| refusal.superseded));
    }

    #[test]
    fn a_directory_that_was_rolled_back_by_one_run_is_not_that_run() {
        let lives = after(&[(7, 1), (7, 1025)]);
        let again = Hello { run: 3, ..hello(7, 1025) };
        assert!(lives.admit(&again, None).is_err_and(|refusal| refusal.superseded));
    }

    #[test]
    fn a_life_that_was_followed_by_another_is_over() {
        let lives = after(&[(7, 1), (8, 1), (9, 1)]);
        assert!(is_superseded(&lives, (7, 4097)) && is_superseded(&lives, (8, 1)));
        assert_eq!(lives.admit(&hello(10, 1), None), Ok(()));
    }

    #[test]
    fn who_is_connected_keeps_another_run_out_but_for_its_own_connections() {
        let lives = after(&[(7, 1025)]);
        let connected = Some(Run::of(&hello(7, 1025)));
        assert_eq!(lives.admit(&hello(7, 1025), connected), Ok(()));
        for run in [(7, 2049), (8, 1)] {
            let refusal = lives.admit(&hello(run.0, run.1), connected).expect_err("two processes");
            assert!(!refusal.superseded && refusal.why.contains("two must not run"), "{refusal:?}");
        }
        assert!(lives.admit(&hello(7, 1), connected).is_err_and(|refusal| refusal.superseded));
    }

    #[test]
    fn who_was_met_in_one_run_only_was_never_met_before() {
        assert!(Lives::default().never_met(&hello(7, 1)));
        assert!(after(&[(7, 1)]).never_met(&hello(7, 1)));
        assert!(!after(&[(7, 1)]).never_met(&hello(7, 1025)) && !after(&[(7, 1)]).never_met(&hello(8, 1)));
        assert!(!after(&[(7, 1), (7, 1025)]).never_met(&hello(7, 1025)));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_read_again() {
        let runs: Vec<(u64, u32)> = (1..=40).map(|life| (life, 1)).collect();
        let lives = after(&runs);
        assert_eq!((lives.peers[&PEER].past.len(), lives.past().count()), (PAST_MAX, 39));
        assert_eq!(Lives::decode(&lives.encode()), Some(lives));
    }

    #[test]
    fn what_others_tell_is_remembered_and_bounded() {
        let mut lives = after(&[(7, 1), (8, 1)]);
        assert!(!lives.learn([Incarnation(7)]) && lives.learn([Incarnation(7), Incarnation(70)]));
        assert!(lives.past().eq([Incarnation(7), Incarnation(70)]));
        lives.learn((1000..2000).map(Incarnation));
        assert_eq!(lives.past().count(), OVER_MAX);
        assert_eq!(Lives::decode(&lives.encode()), Some(lives));
    }

    #[test]
    fn every_damaged_byte_is_noticed() {
        let bytes = after(&[(7, 1), (8, 1025)]).encode();
        for place in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[place] ^= 0x10;
            assert_eq!(Lives::decode(&damaged), None, "byte {place}");
            assert_eq!(Lives::decode(&bytes[..place]), None, "cut at {place}");
        }
    }
}
