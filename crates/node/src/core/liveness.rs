//! Who is alive: the gossip of the whole node, which one shard speaks for all.
//!
//! It is told of time, of sealed messages that came, and of requests to peers that were answered or failed, by all shards;
//! it lists messages to seal and send, and verdicts that changed. What must hold: nothing is believed that was not sealed
//! with the cluster's secret; and what is found here changes who is asked first, never who is an owner (INVARIANTS E9).
//!
//! The generation of a start is the wall clock's, so that it rises also where a data directory was emptied. Where that is not
//! enough, because the clock was set back, the node learns from its peers what they remember, and outlives it.

use std::sync::Arc;

use api::NodeLoad;
use cluster::ClusterState;
use env::Rng;
use gossip::{
    Change, Generation, Gossip, Key, OpenError, Options, OptionsError, Outgoing, Refused, Row, Seal,
};
use types::{Incarnation, Instant, Moment, NodeId};

use super::lives::Run;
use super::load;

/// What gossip is sealed with where the cluster has no secret. It keeps clusters apart, and nobody out.
const NO_SECRET: &[u8] = b"this cluster has no secret";

/// What is said of a disk that is full; of others nothing is.
const DISK_FULL: &[u8] = &[1];

/// The gossip of a node.
#[derive(Debug)]
pub struct Liveness {
    settings: Settings,
    seal: Seal,
    rng: Rng,
    /// Made at the first turn, when the time is known.
    gossip: Option<Gossip>,
    outgoing: Vec<Outgoing>,
    /// What peers were told of this node's disk.
    is_full: bool,
    figures: Figures,
}

#[derive(Debug)]
struct Settings {
    options: Options,
    here: NodeId,
    incarnation: Incarnation,
    state: Arc<ClusterState>,
}

/// Counts since the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Figures {
    /// Messages sent.
    pub sent: u64,
    /// Their bytes, sealed.
    pub sent_bytes: u64,
    /// Messages taken in.
    pub received: u64,
    /// Those that were not: not sealed with this cluster's secret, of strangers, or damaged.
    pub refused: u64,
}

/// Why a message was not taken in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum Unheard {
    /// Its seal.
    #[error(transparent)]
    Seal(#[from] OpenError),
    /// What it says, or who does.
    #[error(transparent)]
    Gossip(#[from] Refused),
}

impl Liveness {
    /// The gossip of a node that has not spoken yet.
    ///
    /// # Errors
    /// Where the options would not work.
    pub(super) fn new(
        options: Options,
        secret: Option<&[u8]>,
        state: &Arc<ClusterState>,
        (here, incarnation): (NodeId, Incarnation),
        rng: Rng,
    ) -> Result<Liveness, LivenessError> {
        options.check()?;
        // Two clusters of one name are told apart by what they were founded with.
        let cluster = format!("{} {}", state.name(), state.founding());
        Ok(Liveness {
            seal: Seal::new(secret.unwrap_or(NO_SECRET), &cluster)?,
            settings: Settings { options, here, incarnation, state: Arc::clone(state) },
            rng,
            gossip: None,
            outgoing: Vec::new(),
            is_full: false,
            figures: Figures::default(),
        })
    }

    /// The members are these from now on.
    pub(super) fn set_state(&mut self, now: Moment, state: &Arc<ClusterState>) {
        self.settings.state = Arc::clone(state);
        if let Some(gossip) = &mut self.gossip {
            gossip.set_members(now.mono, members(state));
        }
    }

    /// Does what is due. Verdicts that changed, and sealed messages to send.
    pub(super) fn turn(&mut self, now: Moment, out: &mut Vec<(NodeId, Vec<u8>)>) -> Vec<Change> {
        let gossip = self.settings.speak(&mut self.gossip, now);
        if now.mono < gossip.next_round() {
            return Vec::new();
        }
        if let Some(known) = gossip.outlive() {
            tracing::warn!(
                generation = known.generation.0,
                heartbeat = known.heartbeat,
                "peers remember a later start of this node than this one: its clock was set back, or another process runs as it"
            );
        }
        gossip.round(now.mono, &mut self.rng, &mut self.outgoing);
        let changes = gossip.changes();
        self.send(out);
        changes
    }

    /// Takes in a sealed message; there may be one to reply with.
    pub(super) fn receive(
        &mut self,
        now: Moment,
        sealed: &[u8],
        out: &mut Vec<(NodeId, Vec<u8>)>,
    ) -> Result<(), Unheard> {
        let gossip = self.settings.speak(&mut self.gossip, now);
        let opened = self.seal.open(gossip.me(), sealed).map_err(Unheard::from);
        let taken = opened.and_then(|(from, message)| {
            gossip.receive(now.mono, from, message, &mut self.outgoing).map_err(Unheard::from)
        });
        self.figures.received += u64::from(taken.is_ok());
        self.figures.refused += u64::from(taken.is_err());
        self.send(out);
        taken
    }

    /// Requests to a peer were answered, or failed.
    pub(super) fn evidence(&mut self, now: Moment, of: NodeId, evidence: Evidence) {
        let gossip = self.settings.speak(&mut self.gossip, now);
        match evidence {
            Evidence::Answered => gossip.request_succeeded(now.mono, of),
            Evidence::Failed => gossip.request_failed(now.mono, of),
        }
    }

    /// This node's data directory has come so far: peers are told in the next rounds.
    pub(super) fn rose(&mut self, now: Moment, run: Run, level: u32) {
        let (life, first) = (run.incarnation.0.to_le_bytes(), run.first_stint.to_le_bytes());
        let tide = [&life[..], &first, &run.number.to_le_bytes(), &level.to_le_bytes()].concat();
        let gossip = self.settings.speak(&mut self.gossip, now);
        if let Err(error) = gossip.set_fact(Key::TIDE, &tide) {
            tracing::warn!(%error, "peers are not told how far the data directory has come");
        }
    }

    /// How far those of all members have come, as far as that was heard, each by which run.
    pub(super) fn tides(&self) -> impl Iterator<Item = (NodeId, Run, u32)> + '_ {
        let members = self.settings.state.members().iter();
        members.filter_map(|member| {
            let tide = self.gossip.as_ref()?.fact(member.id, Key::TIDE)?;
            let (life, rest) = tide.split_first_chunk::<8>()?;
            let (first, rest) = rest.split_first_chunk::<4>()?;
            let (number, level) = rest.split_first_chunk::<8>()?;
            let run = Run {
                incarnation: Incarnation(u64::from_le_bytes(*life)),
                first_stint: u32::from_le_bytes(*first),
                number: u64::from_le_bytes(*number),
            };
            Some((member.id, run, u32::from_le_bytes(level.try_into().ok()?)))
        })
    }

    /// This node takes no values because its disk is full, or takes them again: peers are told in the next rounds.
    pub(super) fn disk(&mut self, now: Moment, is_full: bool) {
        if std::mem::replace(&mut self.is_full, is_full) == is_full {
            return;
        }
        let gossip = self.settings.speak(&mut self.gossip, now);
        let fact = if is_full { DISK_FULL } else { &[] };
        if let Err(error) = gossip.set_fact(Key::DISK, fact) {
            tracing::warn!(%error, "peers are not told that the disk is full");
        }
    }

    /// Whether the disk of a peer is full, as far as that was heard.
    pub fn has_full_disk(&self, peer: NodeId) -> bool {
        self.gossip.as_ref().and_then(|gossip| gossip.fact(peer, Key::DISK)) == Some(DISK_FULL)
    }

    /// This node has so much to do: peers are told in the next rounds, if it is news.
    pub(super) fn set_load(&mut self, now: Moment, load: &NodeLoad) {
        let gossip = self.settings.speak(&mut self.gossip, now);
        if let Err(error) = gossip.set_fact(Key::LOAD, &load::encode(&load::stated(load))) {
            tracing::warn!(%error, "peers are not told how much this node has to do");
        }
    }

    /// How much a member has to do, as far as that was heard.
    pub fn load(&self, of: NodeId) -> Option<NodeLoad> {
        load::decode(self.gossip.as_ref()?.fact(of, Key::LOAD)?)
    }

    /// When there is something to do.
    pub(super) fn next_timer(&self) -> Instant {
        self.gossip.as_ref().map_or(Instant::default(), Gossip::next_round)
    }

    /// What is known of all members, by ascending number.
    pub fn table(&self, now: Instant) -> Vec<Row> {
        self.gossip.as_ref().map(|gossip| gossip.table(now)).unwrap_or_default()
    }

    /// Counts since the start.
    pub fn figures(&self) -> Figures {
        self.figures
    }

    fn send(&mut self, out: &mut Vec<(NodeId, Vec<u8>)>) {
        for Outgoing { to, message } in self.outgoing.drain(..) {
            let sealed = self.seal.seal(self.settings.here, to, &message);
            self.figures.sent += 1;
            self.figures.sent_bytes += sealed.len() as u64;
            out.push((to, sealed));
        }
    }
}

/// Whom gossip is about: those who are gone for good are not heard of any more.
fn members(state: &ClusterState) -> impl Iterator<Item = (NodeId, Option<Incarnation>)> + '_ {
    let here = state.members().iter().filter(|member| member.standing != cluster::Standing::Gone);
    here.map(|member| (member.id, None))
}

impl Settings {
    fn speak<'a>(&self, gossip: &'a mut Option<Gossip>, now: Moment) -> &'a mut Gossip {
        gossip.get_or_insert_with(|| {
            let generation = Generation(now.wall.0);
            let (options, incarnation) = (self.options.clone(), self.incarnation);
            let mut gossip = Gossip::new(options, self.here, incarnation, generation, now.mono)
                .expect("the options were checked when this was made");
            gossip.set_members(now.mono, members(&self.state));
            gossip
        })
    }
}

/// What requests to a peer say of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Evidence {
    /// One was answered.
    Answered,
    /// One could not be sent, was broken off, or was not answered in time.
    Failed,
}

/// Why a node cannot gossip.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LivenessError {
    /// Its options.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// The cluster's secret.
    #[error(transparent)]
    Secret(#[from] gossip::SecretError),
}
