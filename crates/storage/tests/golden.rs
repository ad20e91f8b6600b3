//! A directory written by the first version of each format stays readable: its files are kept in `testdata/v1`.
//! After a deliberate change of a format, raise its version, keep reading the old one, and keep a sample of the new one
//! (`HENGE_ACCEPT=1 cargo test -p henge-storage --test golden` writes it).
#![allow(clippy::unwrap_used, reason = "a test may stop at surprises")]

mod support;

use std::path::{Path, PathBuf};

use bytes::Bytes;
use env::SimDisk;
use storage::{Kind, Options};
use support::{get, open_with, scan_all, settle, sync};

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/v1")
}

fn options() -> Options {
    Options { level0_tables: 2, ..support::script::options() }
}

/// Two levels of tables, compressed and plain blocks, full entries and operands, and a log with some of each.
fn write_sample(disk: &SimDisk) {
    let (mut db, _) = open_with(disk, options()).unwrap();
    for round in 0..3u8 {
        for number in 0..20u8 {
            let value = vec![round * 32 + number; if number < 10 { 100 } else { 3 }];
            db.put(&[b'k', number], Bytes::from(value), Kind::Full).unwrap();
            db.put(b"operands", Bytes::from(vec![b'a' + round]), Kind::Merge).unwrap();
        }
        sync(&mut db).unwrap();
        if round < 2 {
            db.freeze();
            settle(&mut db).unwrap();
        }
    }
    db.close().unwrap();
}

#[test]
fn version_1_is_readable() {
    if std::env::var_os("HENGE_ACCEPT").is_some() {
        let disk = SimDisk::new();
        write_sample(&disk);
        for path in disk.paths() {
            std::fs::write(samples().join(path.file_name().unwrap()), disk.read_file(&path).unwrap())
                .unwrap();
        }
    }
    let disk = SimDisk::new();
    for entry in std::fs::read_dir(samples()).unwrap() {
        let entry = entry.unwrap();
        disk.write_file(&support::dir().join(entry.file_name()), std::fs::read(entry.path()).unwrap());
    }
    let (mut db, recovery) = open_with(&disk, options()).unwrap();
    assert!(recovery.was_clean && recovery.tables > 0 && recovery.replayed_entries == 40);
    assert_eq!(scan_all(&db, 100).unwrap().len(), 21);
    assert_eq!(get(&mut db, &[b'k', 7]).unwrap().unwrap(), vec![71; 100]);
    let operands = [[b'a'; 20], [b'b'; 20], [b'c'; 20]].concat();
    assert_eq!(get(&mut db, b"operands").unwrap().unwrap(), operands);
}
