//! Reading what is left of a commit log in which synced entries are damaged, where others hold what is lost.
//!
//! Every record that is whole is taken in, in order, also behind a hole. What a hole had is lost, and nobody can say of which
//! keys: so afterwards any key may be missing (`crate::missing`), and whoever opens the database has to say so, durably,
//! before anything is served. What was never synced may be taken in too. It was not acknowledged; that does not forbid it.
//!
//! Nothing is changed here. The files that are damaged are named, to be kept for people.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::record::{self, Logged};
use super::recovery::Source;
use super::scan::{Segment, damage, read_header};
use super::segment::{Life, SegmentFile};
use crate::error::OpenError;
use crate::files;

/// What was found.
#[derive(Debug)]
pub(crate) struct Salvaged {
    /// Every sequence number that was ever acknowledged is at most this.
    pub(crate) last_sequence: u64,
    pub(crate) entries: u64,
    pub(crate) next_segment: u64,
    /// The segments that are damaged or missing, and what is wrong with each.
    pub(crate) damaged: BTreeMap<PathBuf, String>,
}

/// Takes in every whole record of the log that the tables lack.
pub(crate) fn salvage(
    source: &Source<'_>,
    apply: &mut dyn FnMut(Logged, u64) -> Result<(), OpenError>,
) -> Result<Salvaged, OpenError> {
    source.check_unnamed()?;
    let mut found = Salvaged {
        last_sequence: source.flushed_through.max(source.synced_through),
        entries: 0,
        next_segment: source.next_segment,
        damaged: BTreeMap::new(),
    };
    let mut next = source.flushed_through + 1;
    for (file, path, life) in readable(source, &mut found)? {
        let mut segment = Segment::read_what_is_left(file, path, life)?;
        if segment.torn {
            let what = "no record follows here, and something does behind".to_owned();
            let what = damage(&segment.path, segment.end as u64, what).what();
            found.damaged.insert(segment.path.clone(), what);
        }
        found.last_sequence = found.last_sequence.max(segment.synced_through);
        segment.pass_over_holes();
        for (offset, header) in &segment.records {
            next = next.max(header.first_sequence);
            take_in(&segment, *offset, header, &mut next, &mut found.entries, apply)?;
        }
    }
    found.last_sequence = found.last_sequence.max(next - 1);
    Ok(found)
}

fn take_in(
    segment: &Segment,
    offset: usize,
    header: &record::Header,
    next: &mut u64,
    count: &mut u64,
    apply: &mut dyn FnMut(Logged, u64) -> Result<(), OpenError>,
) -> Result<(), OpenError> {
    let payload = &segment.bytes[offset + record::HEADER_BYTES..offset + header.length];
    let entries = record::decode_entries(payload, header.entries).ok_or_else(|| {
        damage(&segment.path, offset as u64, "a record's entries are not what its header says".to_owned())
    })?;
    for (logged, sequence) in entries.into_iter().zip(header.first_sequence..) {
        if sequence >= *next {
            *next = sequence + 1;
            *count += 1;
            apply(logged, sequence)?;
        }
    }
    Ok(())
}

/// The segments that can be read at all, in the order of the log. The others are noted.
fn readable(
    source: &Source<'_>,
    found: &mut Salvaged,
) -> Result<Vec<(SegmentFile, PathBuf, Life)>, OpenError> {
    let mut segments = Vec::new();
    for (&number, &named_life) in source.named {
        let path = files::segment(source.dir, number);
        let opened = source.open_named(&path).and_then(|handle| {
            let life = read_header(&path, &*handle, source.home(number))?;
            Ok((SegmentFile { number, handle }, life))
        });
        let (file, life) = match opened {
            Ok(opened) => opened,
            Err(error @ (OpenError::Damaged(_) | OpenError::Missing { .. })) => {
                found.damaged.insert(path, error.what());
                continue;
            }
            Err(error) => return Err(error),
        };
        found.next_segment = found.next_segment.max(life.segment + 1);
        if life.segment > named_life {
            source.check_unknown_life(file, &path, life)?;
        } else if life.segment < named_life {
            let what = format!("it is of life {}, and the manifest names life {named_life}", life.segment);
            found.damaged.insert(path.clone(), damage(&path, 0, what).what());
        } else {
            let len = file.handle.len()?;
            if len < life.bytes {
                let what = format!("it had {} bytes and ends here", life.bytes);
                found.damaged.insert(path.clone(), damage(&path, len, what).what());
            }
            segments.push((file, path, life));
        }
    }
    segments.sort_by_key(|(_, _, life)| life.segment);
    Ok(segments)
}
