//! INVARIANTS F2: a tree that stands as true is the tree of what is stored, whatever writes and pages came in which
//! order; and none is ever in the way of a write.

use std::collections::BTreeMap;

use merkle::{Digest, Nodes, Place, Progress, Shape, Standing, Tree, rebuild::KEPT_MAX};
use proptest::prelude::*;

use crate::support::{SEED, usual_shape};

/// Few places, several keys at each, some at borders.
fn place_of(shape: Shape, key: u16) -> Place {
    let hash = [0, 1, 1 << 60, u64::MAX][usize::from(key % 4)];
    Place { slot: shape.first().slot + key / 4 % 8 * 7, hash }
}

/// What is stored, in the order of storage.
type Model = BTreeMap<(Place, u16), Digest>;

/// A rebuild's view of the store, taken when its page was begun.
struct View {
    from: Place,
    stored: Model,
}

impl View {
    /// A page of about so many entries: keys of one place stay together.
    fn page(&self, limit: usize) -> (Vec<(Place, Digest)>, Option<Place>) {
        let mut rest = self.stored.range((self.from, 0)..).map(|(&(place, _), &digest)| (place, digest));
        let mut page: Vec<_> = rest.by_ref().take(limit).collect();
        let last = page.last().map(|entry| entry.0);
        let mut rest = rest.skip_while(|entry| {
            let same = Some(entry.0) == last;
            if same {
                page.push(*entry);
            }
            same
        });
        let next = rest.next().map(|entry| entry.0);
        (page, next)
    }
}

#[derive(Clone, Debug)]
enum Event {
    Write { key: u16, version: Option<u8> },
    BeginRebuild,
    BeginPage,
    PageArrives { limit: usize },
    Doubt,
    Forget,
}

fn any_event() -> impl Strategy<Value = Event> {
    let write = (0..64_u16, prop::option::weighted(0.8, any::<u8>()))
        .prop_map(|(key, version)| Event::Write { key, version });
    prop_oneof![
        12 => write,
        1 => Just(Event::BeginRebuild),
        6 => Just(Event::BeginPage),
        6 => (1..12_usize).prop_map(|limit| Event::PageArrives { limit }),
        1 => Just(Event::Doubt),
        1 => Just(Event::Forget),
    ]
}

struct Owner {
    tree: Tree,
    stored: Model,
    view: Option<View>,
}

impl Owner {
    fn new(tree: Tree) -> Owner {
        Owner { tree, stored: Model::new(), view: None }
    }

    fn take(&mut self, event: &Event) {
        match *event {
            Event::Write { key, version } => self.write(key, version),
            Event::BeginRebuild => {
                self.tree.begin_rebuild();
                self.view = None;
            }
            Event::BeginPage => {
                let stored = self.stored.clone();
                self.view = self.tree.begin_page().map(|from| View { from, stored });
            }
            Event::PageArrives { limit } => {
                if let Some(view) = self.view.take() {
                    let (page, next) = view.page(limit);
                    self.tree.page(page, next);
                }
            }
            Event::Doubt => {
                self.tree.doubt();
                self.view = None;
            }
            Event::Forget => {
                self.tree.forget();
                self.view = None;
            }
        }
    }

    fn write(&mut self, key: u16, version: Option<u8>) {
        let place = place_of(self.tree.shape(), key);
        let after = version.map(|version| SEED.digest(&key.to_le_bytes(), &[version]));
        let before = match after {
            Some(after) => self.stored.insert((place, key), after),
            None => self.stored.remove(&(place, key)),
        };
        self.tree.change(place, before, after);
    }

    /// The tree of what is stored, built from nothing.
    fn model(&self) -> Tree {
        let mut tree = Tree::empty(self.tree.shape());
        for (&(place, _), &digest) in &self.stored {
            tree.change(place, None, Some(digest));
        }
        tree
    }

    fn is_that_of_the_model(&mut self) -> bool {
        let mut model = self.model();
        let (Some(ours), Some(model)) = (self.tree.nodes(), model.nodes()) else {
            return false;
        };
        ours.differing_leaves(model) == 0
            && ours.root() == model.root()
            && ours.branches() == model.branches()
    }

    fn rebuild(&mut self) -> Progress {
        if !self.tree.is_rebuilding() {
            self.tree.begin_rebuild();
        }
        loop {
            let from = self.tree.begin_page().expect("a rebuild is under way");
            let (page, next) = View { from, stored: self.stored.clone() }.page(5);
            if let done @ Progress::Done { .. } = self.tree.page(page, next) {
                return done;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn a_true_tree_is_that_of_the_store(
        empty: bool,
        events in prop::collection::vec(any_event(), 0..120),
    ) {
        let shape = usual_shape();
        let mut owner = Owner::new(if empty { Tree::empty(shape) } else { Tree::unknown(shape) });
        for event in &events {
            owner.take(event);
            if owner.tree.standing() == Standing::True {
                prop_assert!(owner.is_that_of_the_model(), "after {:?}", event);
            }
        }
        let stood = owner.tree.standing();
        let done = owner.rebuild();
        prop_assert_eq!(owner.tree.standing(), Standing::True);
        prop_assert!(owner.is_that_of_the_model());
        // Nothing made the old tree untrue, so the rebuild had nothing to correct.
        let corrected = (stood != Standing::Unknown).then_some(0);
        prop_assert_eq!(done, Progress::Done { corrected });
    }

    /// The hashes do not tell in which order keys came, nor what was there once.
    #[test]
    fn hashes_depend_on_what_is_stored_only(
        events in prop::collection::vec(any_event(), 0..60),
    ) {
        let mut owner = Owner::new(Tree::empty(usual_shape()));
        for event in &events {
            if let &Event::Write { key, version } = event {
                owner.write(key, version);
                // Asked in between, so that what is kept of branches is what is tested.
                owner.tree.nodes().map(Nodes::root);
            }
        }
        prop_assert!(owner.is_that_of_the_model());
        for key in 0..64 {
            owner.write(key, None);
        }
        prop_assert_eq!(owner.tree.nodes().map(Nodes::root), Some(Digest(0)));
    }
}

/// What is written while a page is read is in the tree afterwards, on whichever side of the page's end it falls.
#[test]
fn a_write_while_a_page_is_read_is_counted_once() {
    let mut owner = Owner::new(Tree::unknown(usual_shape()));
    for key in 0..64 {
        owner.write(key, Some(1));
    }
    owner.take(&Event::BeginRebuild);
    owner.take(&Event::BeginPage);
    for key in 0..64 {
        owner.write(key, Some(2));
    }
    owner.take(&Event::PageArrives { limit: 30 });
    owner.rebuild();
    assert!(owner.is_that_of_the_model());
}

/// A page that was overrun by writes is not counted, and not half of it either.
#[test]
fn too_many_writes_void_a_page() {
    let mut owner = Owner::new(Tree::unknown(usual_shape()));
    owner.take(&Event::BeginRebuild);
    let from = owner.tree.begin_page().unwrap();
    for nth in 0..=KEPT_MAX {
        owner.write(u16::try_from(nth % 64).unwrap(), Some(u8::try_from(nth % 251).unwrap()));
    }
    assert_eq!(owner.tree.page([], None), Progress::Again(from));
    assert_eq!(owner.tree.page([], None), Progress::Idle);
    owner.rebuild();
    assert!(owner.is_that_of_the_model());
}

/// A page too small for the keys of its first place is not counted.
#[test]
fn a_page_that_gets_nowhere_is_read_again() {
    let mut owner = Owner::new(Tree::unknown(usual_shape()));
    owner.take(&Event::BeginRebuild);
    let from = owner.tree.begin_page().unwrap();
    let digest = SEED.digest(b"key", b"record");
    assert_eq!(owner.tree.page([(from, digest)], Some(from)), Progress::Again(from));
    assert_eq!(owner.rebuild(), Progress::Done { corrected: None });
    assert!(owner.is_that_of_the_model());
}

/// While it is in doubt the old tree is there to be compared, and follows the writes.
#[test]
fn a_tree_in_doubt_stays_usable_until_it_is_rebuilt() {
    let mut owner = Owner::new(Tree::empty(usual_shape()));
    owner.write(1, Some(1));
    owner.take(&Event::Doubt);
    owner.take(&Event::BeginRebuild);
    owner.write(2, Some(1));
    assert_eq!(owner.tree.standing(), Standing::Doubted);
    assert!(owner.is_that_of_the_model());
    owner.rebuild();
    assert_eq!(owner.tree.standing(), Standing::True);
}

/// A doubt that arises in the midst of a rebuild is a doubt about that rebuild too.
#[test]
fn a_doubt_ends_a_rebuild() {
    let mut owner = Owner::new(Tree::empty(usual_shape()));
    owner.take(&Event::BeginRebuild);
    owner.take(&Event::BeginPage);
    owner.take(&Event::Doubt);
    assert!(!owner.tree.is_rebuilding());
    assert_eq!(owner.tree.page([], None), Progress::Idle);
    assert_eq!(owner.tree.standing(), Standing::Doubted);
}

/// A rebuild finds out that a tree had gone wrong, and says in how many leaves.
#[test]
fn a_rebuild_tells_what_it_corrected() {
    let mut owner = Owner::new(Tree::empty(usual_shape()));
    for key in 0..64 {
        owner.write(key, Some(1));
    }
    let lost = SEED.digest(b"lost", b"record");
    owner.tree.change(place_of(usual_shape(), 5), None, Some(lost));
    assert!(!owner.is_that_of_the_model());
    assert_eq!(owner.rebuild(), Progress::Done { corrected: Some(1) });
    assert!(owner.is_that_of_the_model());
}

/// A key that was counted twice by mistake shows; under XOR it would be gone.
#[test]
fn what_is_counted_twice_does_not_vanish() {
    let (shape, digest) = (usual_shape(), SEED.digest(b"key", b"record"));
    let mut tree = Tree::empty(shape);
    let empty = tree.nodes().map(Nodes::root);
    tree.change(shape.first(), None, Some(digest));
    let once = tree.nodes().map(Nodes::root);
    tree.change(shape.first(), None, Some(digest));
    let twice = tree.nodes().map(Nodes::root);
    assert!(once != empty && twice != once && twice != empty);
}

/// Without keys a tree takes next to nothing, with any number of them little more than its leaves.
#[test]
fn memory_is_bounded() {
    let shape = usual_shape();
    assert!(Tree::unknown(shape).memory_bytes() < 256);
    let mut tree = Tree::empty(shape);
    assert!(tree.memory_bytes() < 256);
    tree.change(shape.first(), None, Some(Digest(1)));
    assert!(tree.memory_bytes() < 1536, "{}", tree.memory_bytes());
    for leaf in 0..shape.leaves() {
        tree.change(shape.places_of(leaf).unwrap().start, None, Some(Digest(1)));
    }
    tree.nodes().unwrap().root();
    assert!(tree.memory_bytes() <= 17 * 1024 + 256, "{}", tree.memory_bytes());
}
