//! The kinds of background work.
//!
//! What must hold: kinds depend on each other only through what is on disk. A driver that has to leave one alone for a
//! while asks for the others as before, since puts wait for some of them and would wait for the wrong one.

/// What a piece of background work is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum BackgroundKind {
    /// Lays out the commit log's next segment. Puts wait for it.
    Segment,
    /// Makes a table of a frozen memtable. Puts wait for it.
    Flush,
    /// Merges tables into the level below.
    Compaction,
    /// Removes files that nothing names any more.
    Removal,
    /// Looks how much room the disk has left.
    Space,
    /// Keeps account of what is damaged, and of what is whole again.
    Damage,
}

impl BackgroundKind {
    /// All kinds, the most pressing first.
    pub const ALL: [BackgroundKind; 6] = [
        BackgroundKind::Segment,
        BackgroundKind::Flush,
        BackgroundKind::Damage,
        BackgroundKind::Compaction,
        BackgroundKind::Removal,
        BackgroundKind::Space,
    ];

    /// In a word, for logs.
    pub fn name(self) -> &'static str {
        match self {
            BackgroundKind::Segment => "segment",
            BackgroundKind::Flush => "flush",
            BackgroundKind::Compaction => "compaction",
            BackgroundKind::Removal => "removal",
            BackgroundKind::Space => "space",
            BackgroundKind::Damage => "damage",
        }
    }

    /// Whether puts wait for it.
    pub(crate) fn holds_up_puts(self) -> bool {
        matches!(self, BackgroundKind::Segment | BackgroundKind::Flush)
    }
}
