//! Opening a data directory: who it is, how it is divided, and the shards on its stores.
//!
//! What must hold: nothing is served before the directory is known to be this node's, and a refusal changes nothing in it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cluster::{ClusterState, Standing, Topology};
use coordinator::{Ids, Operations, Options};
use env::{Disk, Rng};
use replica::actors::Actors;
use replica::collection::mark::MarksError;
use replica::{Identity, IdentityError, Origin, RecordMerge, Replica, ReplicaOptions, store_key};
use storage::Db;
use types::{Epoch, PartitionId, ShardId};
use wire::Hello;

use super::batch::Batches;
use super::governing::{self, Governing};
use super::held::HeldBack;
use super::lives::Lives;
use super::sights::Sights;
use super::tide::Tide;
use super::{Figures, Liveness, LivenessError, Shard, lives};
use crate::division::{Division, DivisionError, Known, Wanted};
use crate::heat::Heat;
use crate::job::{Job, Place, Remember};
use crate::shards::Shards;

/// Settings of a node. Limits are those of the whole node; its shards have equal parts of them.
#[derive(Clone, Debug)]
pub struct NodeOptions {
    /// How many shards it has.
    pub shards: Wanted,
    /// Of its store.
    pub storage: storage::Options,
    /// Of its replica.
    pub replica: ReplicaOptions,
    /// Of its coordinator.
    pub coordinator: Options,
    /// Of its gossip.
    pub gossip: gossip::Options,
    /// What the nodes of the cluster share and nobody else knows; nothing where they have no secret.
    pub secret: Option<Secret>,
    /// How often it is written down how far its data directory has come.
    pub tide: Duration,
}

impl Default for NodeOptions {
    fn default() -> NodeOptions {
        NodeOptions {
            shards: Wanted::default(),
            storage: storage::Options::default(),
            replica: ReplicaOptions::default(),
            coordinator: Options::default(),
            gossip: gossip::Options::default(),
            secret: None,
            tide: Duration::from_secs(10),
        }
    }
}

/// A cluster's secret. It is never shown.
#[derive(Clone)]
pub struct Secret(Arc<[u8]>);

impl Secret {
    /// A secret of these bytes.
    pub fn new(bytes: impl Into<Arc<[u8]>>) -> Secret {
        Secret(bytes.into())
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Why a node cannot start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its data directory is not usable as this node's.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Its store is not divided as was asked, and cannot be.
    #[error(transparent)]
    Division(#[from] DivisionError),
    /// Its store cannot be opened.
    #[error(transparent)]
    Storage(#[from] storage::OpenError),
    /// It cannot gossip as it is set.
    #[error(transparent)]
    Liveness(#[from] LivenessError),
    /// Its store cannot be told that it lacks what was here before.
    #[error("the store cannot be told that it may lack something: {0}")]
    Untold(String),
    /// Its configuration names no such member.
    #[error("node.id is `{0}`, and no member of the cluster is called that: add it to [[cluster.members]]")]
    NotAMember(String),
    /// It was a member, and is none any more.
    #[error(
        "{}: node `{name}` has left the cluster, or was removed from it: empty the directory to have it join anew, under another \
         node.id", path.display()
    )]
    Removed {
        /// The data directory.
        path: PathBuf,
        /// What it was called.
        name: String,
    },
    /// Nobody has said which cluster it is to be of.
    #[error(
        "{}: there is no cluster here yet: say cluster.seeds to join one, or cluster.bootstrap = true on its first node, or list its \
         first members in [[cluster.members]]", path.display()
    )]
    NoCluster {
        /// The data directory.
        path: PathBuf,
    },
    /// Its log of the cluster state cannot be used.
    #[error(transparent)]
    Log(#[from] consensus::StoreError),
    /// What was agreed on of deletes cannot be read from its store.
    #[error(transparent)]
    Marks(#[from] MarksError),
    /// The cluster state kept in the data directory cannot be read.
    #[error(
        "{}: the cluster state kept here, in `identity` or `state`, cannot be read: {why}; restore the file, or empty the directory and let \
         this node's peers fill it",
        path.display()
    )]
    State {
        /// The data directory.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The configuration says something else than the data directory.
    #[error(
        "{}: the configuration differs from what this cluster was made with: {}. Members and keyspaces are read at the first start only",
        path.display(), differences.join("; ")
    )]
    Changed {
        /// The data directory.
        path: PathBuf,
        /// In words, each with both values.
        differences: Vec<String>,
    },
}

/// Where a shard's node keeps what is not in a store.
#[derive(Debug)]
pub(super) struct Home {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) dir: PathBuf,
    /// For the life that would follow this one.
    pub(super) seed: u64,
}

impl Home {
    /// Writes down how far the directory has come.
    pub(super) fn rise(&self) -> Job {
        Job::Rise(self.place())
    }

    /// Writes down that nothing is lacking any more because of how its life began.
    pub(super) fn settle(&self) -> Job {
        Job::Settle(self.place())
    }

    fn place(&self) -> Place {
        Place { disk: Arc::clone(&self.disk), dir: self.dir.clone() }
    }

    /// Writes down which lives peers are in.
    pub(super) fn remember(&self, lives: &Lives) -> Job {
        let (disk, dir) = (Arc::clone(&self.disk), self.dir.clone());
        Job::Remember(Remember { disk, dir, name: lives::FILE, bytes: lives.encode() })
    }
}

/// A node's data directory, found to be its own: what its shards are opened on, each in its own thread if need be.
#[derive(Debug)]
pub struct Directory {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    identity: Identity,
    division: Division,
    shards: Shards,
    topology: Arc<Topology>,
    hello: Hello,
    lives: Lives,
    options: NodeOptions,
    /// For the choices of its gossip.
    gossip_seed: u64,
    /// For those of its part in keeping the cluster state.
    governing_seed: u64,
    /// Whether it knows of no later state than the first.
    may_found: bool,
    /// For each shard; unknown to clients, so that none can choose keys that collide in the store's tables.
    secrets: Vec<u64>,
}

impl Directory {
    /// Makes sure that the directory is this node's, and divided as its options want. Blocks. `configured` is the state that its
    /// configuration founds, or that it was told when it joined; nothing where it says only whom to ask. A directory that
    /// knows a state goes by that.
    ///
    /// # Errors
    /// As [`OpenError`] says.
    pub fn open(
        disk: &Arc<dyn Disk>,
        dir: &Path,
        name: &str,
        configured: Option<&Arc<ClusterState>>,
        options: NodeOptions,
        rng: &mut Rng,
    ) -> Result<Directory, OpenError> {
        let mut open = |first: &[u8]| Identity::open(disk.as_ref(), dir, name, first, rng);
        // A new directory gets its identity last: one that is cut short in between is as new as before.
        let known = if Identity::exists(disk.as_ref(), dir)? { Some(open(&[])?) } else { None };
        let first = known.as_ref().map(|identity| first_state(dir, identity)).transpose()?;
        if let (Some(first), Some(configured)) = (&first, configured)
            && first.epoch() == configured.epoch()
        {
            check_state(dir, first, configured)?;
        }
        let kept = governing::store::kept_state(disk.as_ref(), dir).map_err(|why| unreadable(dir, why))?;
        let kept = kept.filter(|_| known.is_some()).map(Arc::new);
        let first = match (first, configured) {
            (Some(first), _) => Arc::new(first),
            (None, Some(configured)) => Arc::clone(configured),
            (None, None) => return Err(OpenError::NoCluster { path: dir.to_owned() }),
        };
        let Some(here) = first.member_by_name(name).map(|member| member.id) else {
            return Err(OpenError::NotAMember(name.to_owned()));
        };
        let state = kept.unwrap_or_else(|| Arc::clone(&first));
        let is_member = state.member(here).is_some_and(|member| member.standing != Standing::Gone);
        if !is_member || state.founding() != first.founding() {
            return Err(OpenError::Removed { path: dir.to_owned(), name: name.to_owned() });
        }
        let stores = match &known {
            None => Known::New,
            Some(identity) if identity.origin.is_untold() => Known::Named,
            Some(_) => Known::Opened,
        };
        let replicated = options.storage.replicated || is_replicated(&state);
        let storage = storage::Options { replicated, ..options.storage.clone() };
        let options = NodeOptions { storage, ..options };
        let (division, shards) =
            Division::settle(disk, dir, stores, options.shards, &state, &options.storage)?;
        let identity = match known {
            Some(identity) => identity,
            None => open(&first.encode())?,
        };
        let hello = Hello {
            cluster: state.name().to_owned(),
            founding: state.founding(),
            epoch: state.epoch(),
            node: here,
            name: name.to_owned(),
            incarnation: identity.incarnation,
            run: rng.next_u64(),
            first_stint: identity.stints.start,
            tide: identity.tide,
            is_new: false,
            never_met: false,
            past_lives: Vec::new(),
            shard: ShardId(0),
        };
        let state_is_first = state.epoch() == Epoch(1);
        let topology = Topology::new(state, here, identity.incarnation)
            .ok_or_else(|| OpenError::NotAMember(name.to_owned()))?;
        let mut lives = Lives::load(disk.as_ref(), dir).map_err(IdentityError::from)?;
        // All but that of this run, which is told when nobody mints under it any more.
        let provisional = identity.provisional.split_last().map_or(&[][..], |(_, earlier)| earlier);
        lives.learn(provisional.iter().copied());
        Ok(Directory {
            lives,
            gossip_seed: rng.next_u64(),
            governing_seed: rng.next_u64(),
            may_found: state_is_first,
            secrets: shards.iter().map(|_| rng.next_u64()).collect(),
            disk: Arc::clone(disk),
            dir: dir.to_owned(),
            identity,
            division,
            shards,
            topology: Arc::new(topology),
            hello,
            options,
        })
    }

    /// The cluster as the node sees it before it has met a peer.
    pub fn topology(&self) -> &Arc<Topology> {
        &self.topology
    }

    /// How the node is divided.
    pub fn shards(&self) -> Shards {
        self.shards
    }

    /// Opens one shard: recovers what its store holds. Blocks. Each is to be opened once.
    ///
    /// # Errors
    /// As [`OpenError`] says.
    pub fn open_shard(&self, index: ShardId) -> Result<Shard, OpenError> {
        let count = self.shards.count();
        let secret = self.secrets[usize::from(index.0)];
        let options = self.options.storage.clone().divided(usize::from(count));
        let storage = storage::Options { secret, ..options };
        let store = self.division.store_dir(&self.dir, index);
        let (mut db, recovery) = Db::open(Arc::clone(&self.disk), &store, storage, Arc::new(RecordMerge))?;
        let has_peers = self.topology.state.members().len() > 1;
        let origin = if has_peers { self.identity.origin } else { Origin::Settled };
        if origin.is_untold() {
            db.lose(store_key::records()).map_err(|error| OpenError::Untold(error.to_string()))?;
        }
        // Ids are never used twice by one incarnation: each run begins above all that an earlier one can have reached. A
        // start reserves 1,024 stints, so a run has 2^42 ids, and the last stint there can be still leaves room.
        let first = u64::from(self.identity.stints.start) << 32;
        let ids = Ids { first, shard: index, shards: count };
        // Every shard may use all stints of this run: a dot's counter is its partition's, and that has one shard.
        let actors = Actors::new(self.identity.incarnation, self.identity.stints.clone());
        let actors = match self.identity.provisional.last() {
            Some(provisional) if has_peers => actors.under(*provisional),
            _ => actors,
        };
        let (state, here) = (Arc::clone(&self.topology.state), self.topology.here);
        let partitions: Vec<PartitionId> = state
            .partitions()
            .iter()
            .filter(|partition| self.shards.of_partition(*partition, state.partitions()) == index)
            .collect();
        let options = self.options.replica.of_shard(index.0, count);
        let mut replica = Replica::new(here, state, &partitions, db, actors, options)?;
        replica.add_past_lives(self.lives.past());
        if origin != Origin::Settled {
            replica.begin_without();
        }
        if matches!(origin, Origin::New | Origin::Founding) {
            replica.begin_new();
        }
        let options = self.options.coordinator.divided(usize::from(count));
        let operations = Operations::new(Arc::clone(&self.topology), ids, options);
        let speaks = index == ShardId(0);
        Ok(Shard {
            governing: speaks.then(|| self.governing()).transpose()?,
            told_report: None,
            looking: super::amounts::Looking::default(),
            sights: Sights::default(),
            lacks: origin != Origin::Settled,
            lacking: if origin == Origin::Settled { 0 } else { usize::from(count) },
            lives: self.lives.clone(),
            tide: Tide::new(self.options.tide, self.identity.tide),
            home: Home { disk: Arc::clone(&self.disk), dir: self.dir.clone(), seed: secret.rotate_left(17) },
            liveness: speaks.then(|| self.liveness()).transpose()?,
            index,
            shards: self.shards,
            replica,
            operations,
            topology: Arc::clone(&self.topology),
            hello: Hello { shard: index, ..self.hello.clone() },
            recovery,
            figures: Figures::default(),
            heat: Heat::new(secret.rotate_left(29)),
            batches: Batches::default(),
            held: HeldBack::default(),
            asks: Vec::new(),
            serves: Vec::new(),
        })
    }

    /// All shards are open: their stores know what they lack because of how the life of the directory began. Blocks.
    ///
    /// # Errors
    /// As [`OpenError`] says.
    pub fn opened(&self) -> Result<(), OpenError> {
        if self.topology.state.members().len() < 2 && self.identity.origin != Origin::Settled {
            Identity::settle(self.disk.as_ref(), &self.dir)?;
        } else if self.identity.origin.is_untold() {
            Identity::told(self.disk.as_ref(), &self.dir)?;
        }
        Ok(())
    }

    /// In words, what people should know of how the life of the directory begins; nothing where it goes on.
    pub fn begins(&self) -> Option<&'static str> {
        match self.identity.origin {
            Origin::Renounced if self.identity.was_copied => Some(
                "this data directory is a copy: it begins a life of its own, and serves when it was compared with the other owners",
            ),
            Origin::Renounced | Origin::CatchingUp => Some(
                "this data directory may be out of date: it serves when it was compared with the other owners",
            ),
            Origin::New | Origin::Founding | Origin::Settled => None,
        }
    }

    fn governing(&self) -> Result<Governing, OpenError> {
        let place = governing::Place { disk: Arc::clone(&self.disk), dir: self.dir.clone() };
        let state = &self.topology.state;
        let history = wire::History { generation: state.generation(), number: state.history() };
        let log_of = governing::store::log_of(self.identity.incarnation, history);
        let stored = governing::store::open_log(&place, log_of)?;
        Ok(Governing::new(governing::Begin {
            here: self.topology.here,
            incarnation: self.identity.incarnation,
            state: Arc::clone(&self.topology.state),
            place,
            stored,
            may_found: self.may_found,
            shards: self.shards.count(),
            seed: self.governing_seed,
        }))
    }

    fn liveness(&self) -> Result<Liveness, LivenessError> {
        Liveness::new(
            self.options.gossip.clone(),
            self.options.secret.as_ref().map(|Secret(bytes)| &bytes[..]),
            &self.topology.state,
            (self.topology.here, self.identity.incarnation),
            Rng::from_seed(self.gossip_seed),
        )
    }
}

/// Whether each key has another owner, so that what is damaged on one can come back from there.
fn is_replicated(state: &ClusterState) -> bool {
    let has_others = |keyspace, partition| state.owners(keyspace, partition).len() > 1;
    let partitions = state.partitions();
    state.keyspaces().iter().all(|keyspace| partitions.iter().all(|one| has_others(keyspace.id, one)))
}

fn unreadable(dir: &Path, why: String) -> OpenError {
    OpenError::State { path: dir.to_owned(), why }
}

/// The state that a directory was made with.
fn first_state(dir: &Path, identity: &Identity) -> Result<ClusterState, OpenError> {
    ClusterState::decode(&identity.state).map_err(|error| unreadable(dir, error.to_string()))
}

fn check_state(dir: &Path, kept: &ClusterState, state: &ClusterState) -> Result<(), OpenError> {
    let differences = kept.diff(state);
    if differences.is_empty() {
        Ok(())
    } else {
        Err(OpenError::Changed { path: dir.to_owned(), differences })
    }
}
