//! A run of keys.

use bytes::Bytes;

/// Every key from `start` up to and without `end`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyRange {
    /// The first key that is in it.
    pub start: Bytes,
    /// The first key behind it; `None` where it goes on to the last key.
    pub end: Option<Bytes>,
}

impl KeyRange {
    /// The range from `start` up to and without `end`.
    pub fn new(start: &[u8], end: Option<&[u8]>) -> KeyRange {
        KeyRange { start: Bytes::copy_from_slice(start), end: end.map(Bytes::copy_from_slice) }
    }

    /// Every key.
    pub fn all() -> KeyRange {
        KeyRange { start: Bytes::new(), end: None }
    }

    /// Whether a key is in it.
    pub fn contains(&self, key: &[u8]) -> bool {
        key >= self.start.as_ref() && self.ends_after(key)
    }

    /// Whether no key is in it.
    pub fn is_empty(&self) -> bool {
        self.end.as_ref().is_some_and(|end| *end <= self.start)
    }

    /// What is left of it without the keys of another range: what lies before and what lies behind.
    pub(crate) fn without(&self, other: &KeyRange) -> impl Iterator<Item = KeyRange> + use<> {
        let (before, behind) = if other.is_empty() {
            (Some(self.clone()), None)
        } else {
            let end = self.end.as_ref().map_or(&other.start, |end| end.min(&other.start)).clone();
            let before = KeyRange { start: self.start.clone(), end: Some(end) };
            let behind = other
                .end
                .as_ref()
                .map(|end| KeyRange { start: end.max(&self.start).clone(), end: self.end.clone() });
            (Some(before), behind)
        };
        [before, behind].into_iter().flatten().filter(|part| !part.is_empty())
    }

    /// Whether a key lies before its end.
    pub(crate) fn ends_after(&self, key: &[u8]) -> bool {
        self.end.as_ref().is_none_or(|end| key < end.as_ref())
    }
}

/// Where a range ends whose last key is `key`: at the least key above it; nowhere where that is too long to be written down.
pub(crate) fn end_behind(key: &[u8]) -> Option<Bytes> {
    (key.len() < usize::from(u16::MAX)).then(|| successor(key))
}

/// The least key above `key`.
pub(crate) fn successor(key: &[u8]) -> Bytes {
    let mut next = Vec::with_capacity(key.len() + 1);
    next.extend_from_slice(key);
    next.push(0);
    Bytes::from(next)
}
