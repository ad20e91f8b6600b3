//! Tables for the tests of this module.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use env::{Disk, SimDisk};

use crate::merge::Kind;
use crate::options::Options;
use crate::sstable::Table;
use crate::sstable::writer::{TableSink, TableWriter};
use crate::table_set::TableSet;

/// Tables with the keys `from` and `to`, at a level, numbered from 1.
pub(super) fn tables(of: &[(u8, &str, &str)]) -> TableSet {
    let disk: Arc<dyn Disk> = Arc::new(SimDisk::new());
    let dir = PathBuf::from("d");
    disk.create_dir_all(&dir).unwrap();
    let options = Arc::new(Options::tiny());
    let sink = TableSink {
        disk: Arc::clone(&disk),
        dir: dir.clone(),
        options,
        store: 1,
        warm: None,
        reports: Arc::default(),
    };
    let made = of.iter().zip(1..).map(|((level, from, to), number)| {
        let mut writer = TableWriter::create(sink.clone(), number).unwrap();
        writer.add(from.as_bytes(), Kind::Full, b"v").unwrap();
        writer.add(to.as_bytes(), Kind::Full, b"v").unwrap();
        let meta = writer.finish(1).unwrap();
        (*level, Arc::new(Table::open(&*disk, &dir, 1, meta, Path::new("manifest"), &sink.reports).unwrap()))
    });
    TableSet::new(made.collect::<Vec<_>>())
}
