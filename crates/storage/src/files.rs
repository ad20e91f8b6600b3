//! The names of the files in a data directory, and what each is.
//!
//! Tables and segments share one counter, so a number names one file for the directory's whole life; a checksum bound
//! to it cannot match a file of another time.

use std::path::{Path, PathBuf};

/// What a name says a file is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FileKind {
    Table(u64),
    Segment(u64),
    Manifest(u64),
    Current,
    /// Written and renamed to `CURRENT`; worth nothing under this name.
    CurrentDraft,
    /// Kept by recovery for people to look at.
    Aside,
    Unknown,
}

pub(crate) fn table(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("table-{number:010}"))
}

pub(crate) fn segment(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("log-{number:010}"))
}

pub(crate) fn manifest(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("manifest-{number:010}"))
}

pub(crate) fn current(dir: &Path) -> PathBuf {
    dir.join("CURRENT")
}

pub(crate) fn current_draft(dir: &Path) -> PathBuf {
    dir.join("CURRENT.new")
}

/// Where the tail of a segment's life is kept. Sorted by name, later lives come later.
pub(crate) fn aside(dir: &Path, life: u64, number: u64) -> PathBuf {
    dir.join(format!("aside-{life:010}-{number:010}"))
}

/// Where a damaged file is kept.
pub(crate) fn aside_of(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("aside-{name}"))
}

pub(crate) fn kind_of(name: &str) -> FileKind {
    let number = |prefix: &str| name.strip_prefix(prefix)?.parse().ok();
    if let Some(number) = number("table-") {
        return FileKind::Table(number);
    }
    if let Some(number) = number("log-") {
        return FileKind::Segment(number);
    }
    if let Some(number) = number("manifest-") {
        return FileKind::Manifest(number);
    }
    match name {
        "CURRENT" => FileKind::Current,
        "CURRENT.new" => FileKind::CurrentDraft,
        _ if name.starts_with("aside-") => FileKind::Aside,
        _ => FileKind::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart() {
        let name = |path: PathBuf| kind_of(path.file_name().unwrap().to_str().unwrap());
        let dir = Path::new("d");
        assert_eq!(name(table(dir, 7)), FileKind::Table(7));
        assert_eq!(name(segment(dir, 7)), FileKind::Segment(7));
        assert_eq!(name(manifest(dir, 7)), FileKind::Manifest(7));
        assert_eq!(name(current(dir)), FileKind::Current);
        assert_eq!(name(current_draft(dir)), FileKind::CurrentDraft);
        assert_eq!(name(aside(dir, 1, 2)), FileKind::Aside);
        assert_eq!(name(aside_of(&table(dir, 7))), FileKind::Aside);
        assert_eq!(kind_of("table-x"), FileKind::Unknown);
    }
}
