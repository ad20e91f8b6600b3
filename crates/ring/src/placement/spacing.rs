//! Spacing: what makes claims on a ring good.
//!
//! Where any N neighbours on the ring are distinct nodes in racks as even as can be, no walk ever skips a position:
//! the owners of a partition are the claimants of the next N, and so every node holds exactly N replicas for each
//! claim it has. Balance in replicas then follows from balance in claims, and a changed claim moves N replicas and
//! no more. Each neighbour that a walk has to skip (a fault) hands one replica to somebody further on.

/// A position that nobody claims yet.
pub(super) const FREE: u16 = u16::MAX;

/// What a window of neighbours should look like.
pub(super) struct Spacing {
    /// How many neighbours should be distinct.
    window: usize,
    /// How many of them may share a rack.
    rack_most: usize,
    /// For each node the number of its rack.
    pub(super) rack_of: Vec<u16>,
}

impl Spacing {
    /// Spacing for `replicas` owners on a ring of `partitions`; `rounds` as the walk counts them.
    pub(super) fn new(replicas: usize, partitions: usize, rack_of: &[u16], rounds: &[usize]) -> Spacing {
        let window = replicas.min(rack_of.len()).min(partitions);
        let rack_most = rounds.iter().position(|&taken| taken >= window).unwrap_or(0) + 1;
        Spacing { window, rack_most, rack_of: rack_of.to_vec() }
    }

    /// How many neighbours should be distinct.
    pub(super) fn window(&self) -> usize {
        self.window
    }

    /// How many neighbours may share a rack.
    pub(super) fn rack_most(&self) -> usize {
        self.rack_most
    }

    pub(super) fn rack_of(&self, node: u16) -> u16 {
        self.rack_of[usize::from(node)]
    }

    /// The faults of all windows that contain `position`.
    pub(super) fn faults_at(&self, claims: &[u16], position: usize) -> u32 {
        let count = claims.len();
        (0..self.window).map(|back| self.faults_from(claims, (position + count - back) % count)).sum()
    }

    /// The faults that `node` would have at `position`.
    pub(super) fn faults_with(&self, claims: &mut [u16], position: usize, node: u16) -> u32 {
        let before = std::mem::replace(&mut claims[position], node);
        let faults = self.faults_at(claims, position);
        claims[position] = before;
        faults
    }

    /// The faults of the window that begins at `start`: members that a walk from there would skip.
    fn faults_from(&self, claims: &[u16], start: usize) -> u32 {
        let at = |offset: usize| {
            let position = start + offset;
            claims[if position < claims.len() { position } else { position - claims.len() }]
        };
        (1..self.window).map(|offset| u32::from(self.is_skipped(&at, offset))).sum()
    }

    fn is_skipped(&self, at: &impl Fn(usize) -> u16, offset: usize) -> bool {
        let node = at(offset);
        if node == FREE {
            return false;
        }
        let mut of_rack = 0;
        for earlier in (0..offset).map(at).filter(|&earlier| earlier != FREE) {
            if earlier == node {
                return true;
            }
            of_rack += usize::from(self.rack_of(earlier) == self.rack_of(node));
        }
        of_rack >= self.rack_most
    }
}
