//! What consensus costs: many idle groups of three members in one process, and how fast one group commits in memory.
//!
//! `cargo run --release -p henge-consensus --example idle -- [groups] [virtual seconds]`
//!
//! Members speak through their bytes, as they would over a network; disks are instant. Virtual time, so the CPU share is the
//! time that this took over the time that it stood for. Heap bytes are what the allocator was asked for and not given back.

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant as Clock};

use bytes::Bytes;
use consensus::{Effect, Group, MemberId, Message, Options, Role, Stored};
use env::Rng;
use types::Instant;

struct Counting;

static HEAP_BYTES: AtomicUsize = AtomicUsize::new(0);

// SAFETY: it passes everything on to the system's allocator and only counts beside it.
#[allow(unsafe_code, reason = "an allocator that counts cannot be written without")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HEAP_BYTES.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of this very call.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HEAP_BYTES.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of this very call.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const MEMBERS: u64 = 3;

struct Cluster {
    members: Vec<Group>,
    under_way: VecDeque<(MemberId, Vec<u8>)>,
    bytes_max: usize,
    bytes_sent: usize,
    messages_sent: usize,
    applied: usize,
}

impl Cluster {
    fn new(seed: u64, options: &Options) -> Cluster {
        let stored = Stored::founding((1..=MEMBERS).map(MemberId), Bytes::new()).expect("there are three");
        let mut out = Vec::new();
        let member = |id| {
            let rng = Rng::from_seed(seed * MEMBERS + id);
            Group::open(Instant(0), MemberId(id), options.clone(), stored.clone(), 0, rng, &mut out)
                .expect("these options work")
        };
        let members = (1..=MEMBERS).map(member).collect();
        let bytes_max = options.message_bytes_max();
        Cluster {
            members,
            under_way: VecDeque::new(),
            bytes_max,
            bytes_sent: 0,
            messages_sent: 0,
            applied: 0,
        }
    }

    fn member(&mut self, id: MemberId) -> &mut Group {
        &mut self.members[usize::try_from(id.0 - 1).expect("there are three")]
    }

    fn carry_out(&mut self, by: MemberId, now: Instant, mut out: Vec<Effect>) {
        while !out.is_empty() {
            let mut next = Vec::new();
            for effect in out.drain(..) {
                match effect {
                    Effect::Persist { number, .. } => self.member(by).persisted(now, number, &mut next),
                    Effect::Send(_, message) => {
                        let bytes = message.encode();
                        self.bytes_sent += bytes.len();
                        self.messages_sent += 1;
                        self.under_way.push_back((by, bytes));
                    }
                    Effect::Apply(_) => self.applied += 1,
                    _ => {}
                }
            }
            out = next;
        }
        if self.member(by).wants_snapshot() {
            let mut out = Vec::new();
            self.member(by).compact(now, Bytes::new(), &mut out).expect("it is small");
            self.carry_out(by, now, out);
        }
    }

    fn deliver(&mut self, now: Instant) {
        while let Some((from, bytes)) = self.under_way.pop_front() {
            let message = Message::decode(&bytes, self.bytes_max).expect("a member wrote it");
            let (to, mut out) = (message.to, Vec::new());
            self.member(to).receive(now, from, message, &mut out).expect("a member sent it");
            self.carry_out(to, now, out);
        }
    }

    fn timers(&mut self, now: Instant) {
        for id in (1..=MEMBERS).map(MemberId) {
            let mut out = Vec::new();
            self.member(id).timer(now, &mut out);
            self.carry_out(id, now, out);
        }
        self.deliver(now);
    }

    fn leader(&self, now: Instant) -> Option<MemberId> {
        let leads = |group: &&Group| group.status(now).role == Role::Leader;
        self.members.iter().find(leads).map(Group::id)
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter_map(|argument| argument.parse::<u64>().ok());
    let (groups, seconds) = (arguments.next().unwrap_or(256), arguments.next().unwrap_or(60));
    let options = Options::default();

    let before = HEAP_BYTES.load(Ordering::Relaxed);
    let mut clusters: Vec<Cluster> = (0..groups).map(|seed| Cluster::new(seed, &options)).collect();
    let mut now = Instant(0);
    let mut run = |clusters: &mut Vec<Cluster>, duration: Duration| {
        let end = now + duration;
        while now < end {
            now = now + options.tick;
            clusters.iter_mut().for_each(|cluster| cluster.timers(now));
        }
        now
    };
    let elected_at = run(&mut clusters, Duration::from_secs(10));
    let led = clusters.iter().filter(|cluster| cluster.leader(elected_at).is_some()).count();
    let heap = HEAP_BYTES.load(Ordering::Relaxed) - before;
    let sent = |clusters: &[Cluster]| clusters.iter().map(|cluster| cluster.bytes_sent).sum::<usize>();
    let messages = |clusters: &[Cluster]| clusters.iter().map(|cluster| cluster.messages_sent).sum::<usize>();
    let (bytes_before, messages_before) = (sent(&clusters), messages(&clusters));
    let clock = Clock::now();
    run(&mut clusters, Duration::from_secs(seconds));
    let spent = clock.elapsed().as_secs_f64();
    println!("{groups} idle groups of {MEMBERS}, all in one process; {led} of them have a leader");
    println!("  CPU       {:.2} % of a core", 100.0 * spent / seconds as f64);
    println!("  heap      {:.1} MB", heap as f64 / 1e6);
    println!("  messages  {} a second", (messages(&clusters) - messages_before) as u64 / seconds);
    println!("  bytes     {} a second", (sent(&clusters) - bytes_before) as u64 / seconds);

    let mut cluster = clusters.pop().expect("there is one at least");
    let leader = cluster.leader(elected_at).expect("it has had ten seconds");
    let (proposals, batch) = (200_000, 64);
    let applied = cluster.applied;
    let clock = Clock::now();
    let at = elected_at + Duration::from_secs(seconds);
    for _ in 0..proposals / batch {
        let mut out = Vec::new();
        for _ in 0..batch {
            let data = Bytes::from_static(&[7; 100]);
            cluster.member(leader).propose(at, data, &mut out).expect("it leads, and little waits");
        }
        cluster.carry_out(leader, at, out);
        cluster.deliver(at);
    }
    let applied = (cluster.applied - applied) as f64 / MEMBERS as f64;
    println!("one group of {MEMBERS}, proposals of 100 bytes, {batch} at a time");
    println!("  commits   {:.0} a second, all members on one core", applied / clock.elapsed().as_secs_f64());
}
