//! Reading and damaging a node's files, as `docs/formats` draws them.

use std::path::{Path, PathBuf};

/// Where the first record of a segment begins.
const FIRST_RECORD_OFFSET: usize = 4096;

/// The files of a node's store whose names begin so, in order.
pub(crate) fn files(data: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(data.join("store")).expect("a node was here");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("a directory can be read").path())
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix)))
        .collect();
    paths.sort();
    paths
}

/// Every place where these bytes are in the files of a node's store whose names begin so.
pub(crate) fn places(data: &Path, prefix: &str, wanted: &[u8]) -> Vec<(PathBuf, usize)> {
    let in_file = |path: PathBuf| {
        let bytes = std::fs::read(&path).expect("a file of the store can be read");
        let at = bytes.windows(wanted.len()).position(|window| window == wanted);
        at.map(|at| (path, at))
    };
    files(data, prefix).into_iter().filter_map(in_file).collect()
}

/// Changes one byte of a file.
pub(crate) fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).expect("a file of the store can be read");
    bytes[at] ^= 0x10;
    std::fs::write(path, bytes).expect("a file of the store can be written");
}

/// Where the records of a segment begin, and at last where they end.
pub(crate) fn records(segment: &[u8]) -> Vec<usize> {
    let mut starts = vec![FIRST_RECORD_OFFSET];
    loop {
        let start = starts[starts.len() - 1];
        if segment.len() < start + 8 || segment[start..start + 8] == [0; 8] {
            return starts;
        }
        let length = segment[start + 4..start + 8].try_into().map(u32::from_le_bytes);
        let length = usize::try_from(length.expect("four bytes")).expect("segments are small");
        starts.push((start + length).next_multiple_of(8));
    }
}
