//! What one simulated file holds: what a reader sees now, what is on the medium, and the changes between the two.
//!
//! The medium writes whole sectors. After a crash each sector holds what it held at the last sync plus some prefix of
//! the changes made to it since, whatever became of its neighbours: that covers writes lost, torn and reordered, and
//! nothing that a real device cannot do. The length is chosen likewise, as one of those that the file had since the
//! last sync.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::Rng;

/// The unit that a device writes whole or not at all, in bytes.
pub(super) const SECTOR_BYTES: usize = 512;

#[derive(Clone, Debug)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Cut { from: usize, to: usize },
    Grow { to: usize },
}

impl Change {
    /// The bytes that it sets; a growth sets none, since what lies beyond the end is zero anyway.
    fn span(&self) -> Range<usize> {
        match self {
            Change::Write { offset, bytes } => *offset..*offset + bytes.len(),
            Change::Cut { from, to } => *to..*from,
            Change::Grow { .. } => 0..0,
        }
    }

    fn len_after(&self, before: usize) -> usize {
        match self {
            Change::Write { offset, bytes } => before.max(offset + bytes.len()),
            Change::Cut { to, .. } | Change::Grow { to } => *to,
        }
    }

    /// Applies the part of this change that lies within `window`.
    fn apply_within(&self, window: &Range<usize>, content: &mut [u8]) {
        let span = self.span();
        let (start, end) = (span.start.max(window.start), span.end.min(window.end).min(content.len()));
        if start >= end {
            return;
        }
        match self {
            Change::Write { offset, bytes } => {
                content[start..end].copy_from_slice(&bytes[start - offset..end - offset]);
            }
            Change::Cut { .. } => content[start..end].fill(0),
            Change::Grow { .. } => {}
        }
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    birthmark: u64,
    live: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
}

impl Content {
    /// Of a file without bytes.
    pub(super) fn new(birthmark: u64) -> Content {
        Content { birthmark, ..Content::default() }
    }

    /// What tells this file from all others that there ever were on its disk.
    pub(super) fn birthmark(&self) -> u64 {
        self.birthmark
    }

    pub(super) fn live(&self) -> &[u8] {
        &self.live
    }

    /// What the medium holds for certain.
    pub(super) fn durable(&self) -> &[u8] {
        &self.durable
    }

    /// Overwrites file and medium, as damage or a test's hand does.
    pub(super) fn overwrite(&mut self, bytes: Vec<u8>) {
        self.durable.clone_from(&bytes);
        self.live = bytes;
        self.unsynced.clear();
    }

    /// Flips the bit in file and medium; false if there is no such byte.
    pub(super) fn flip(&mut self, offset: usize, bit: u8) -> bool {
        let mask = 1u8 << (bit % 8);
        if let Some(byte) = self.durable.get_mut(offset) {
            *byte ^= mask;
        }
        self.live.get_mut(offset).map(|byte| *byte ^= mask).is_some()
    }

    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        if self.live.len() < end {
            self.live.resize(end, 0);
        }
        self.live[offset..end].copy_from_slice(bytes);
        self.unsynced.push(Change::Write { offset, bytes: bytes.to_vec() });
    }

    pub(super) fn set_len(&mut self, len: usize) {
        let from = self.live.len();
        let change = if len < from { Change::Cut { from, to: len } } else { Change::Grow { to: len } };
        self.unsynced.push(change);
        self.live.resize(len, 0);
    }

    pub(super) fn sync(&mut self) {
        for change in std::mem::take(&mut self.unsynced) {
            let len = change.len_after(self.durable.len());
            self.durable.resize(len, 0);
            change.apply_within(&(0..len), &mut self.durable);
        }
    }

    /// A failed sync: readers go on seeing the pages, the kernel takes them for clean, and they never reach the medium.
    pub(super) fn fail_sync(&mut self) {
        self.unsynced.clear();
    }

    pub(super) fn lose_unsynced(&mut self) {
        self.unsynced.clear();
        self.live.clone_from(&self.durable);
    }

    pub(super) fn keep_some(&mut self, rng: &mut Rng) {
        let len = self.surviving_len(rng);
        let whole = self.unsynced.iter().map(|change| change.span().end).max().unwrap_or(0);
        self.durable.resize(self.durable.len().max(whole).max(len), 0);
        for (sector, changes) in self.changes_by_sector() {
            let kept = usize::try_from(rng.below(changes.len() as u64 + 1)).unwrap_or(0);
            let window = sector * SECTOR_BYTES..(sector + 1) * SECTOR_BYTES;
            for &change in &changes[..kept] {
                self.unsynced[change].apply_within(&window, &mut self.durable);
            }
        }
        self.durable.truncate(len);
        self.lose_unsynced();
    }

    fn surviving_len(&self, rng: &mut Rng) -> usize {
        let mut lens = vec![self.durable.len()];
        for change in &self.unsynced {
            lens.push(change.len_after(lens[lens.len() - 1]));
        }
        rng.pick(&lens).copied().unwrap_or(0)
    }

    /// For each sector touched since the last sync, the changes that touched it, oldest first.
    fn changes_by_sector(&self) -> BTreeMap<usize, Vec<usize>> {
        let mut sectors: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (index, change) in self.unsynced.iter().enumerate() {
            let span = change.span();
            for sector in span.start / SECTOR_BYTES..span.end.div_ceil(SECTOR_BYTES) {
                sectors.entry(sector).or_default().push(index);
            }
        }
        sectors
    }
}
