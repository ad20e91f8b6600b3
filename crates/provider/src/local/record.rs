//! The list of what was started: `nodes.json` under the root.
//!
//! It is replaced as a whole, and is on stable storage before a process is started that it names. JSON, because it is small
//! and an operator may want to read it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::process::Identity;

/// The version of the file.
const VERSION: u32 = 1;
/// The largest list that is read, in bytes.
const BYTES_MAX: u64 = 4 << 20;
/// How many nodes that have ended are remembered.
const ENDED_MAX: usize = 256;

/// A node that was started, or is about to be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Record {
    /// Under what name it was asked for.
    pub(super) request: String,
    /// What it is called; also its directory under the root.
    pub(super) name: String,
    pub(super) data_center: String,
    pub(super) rack: String,
    /// Its process, once it is known.
    pub(super) process: Option<Identity>,
    /// Whether it has been ended.
    pub(super) has_ended: bool,
}

/// All of them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct List {
    version: u32,
    /// The number of the last name that was given.
    pub(super) last_number: u64,
    pub(super) nodes: Vec<Record>,
}

impl List {
    /// What there is; empty where there is none.
    ///
    /// # Errors
    /// If it cannot be read, or is not what this version writes.
    pub(super) fn read(root: &Path) -> io::Result<List> {
        let path = root.join("nodes.json");
        let damaged =
            |why: String| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {why}", path.display()));
        match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(List { version: VERSION, last_number: 0, nodes: Vec::new() });
            }
            Err(error) => return Err(error),
            Ok(metadata) if metadata.len() > BYTES_MAX => {
                return Err(damaged(format!(
                    "it has {} bytes, and {BYTES_MAX} at most are read",
                    metadata.len()
                )));
            }
            Ok(_) => {}
        }
        let list: List =
            serde_json::from_slice(&fs::read(&path)?).map_err(|error| damaged(error.to_string()))?;
        if list.version != VERSION {
            let found = list.version;
            return Err(damaged(format!("it has version {found}, and this program reads version {VERSION}")));
        }
        Ok(list)
    }

    /// Puts it in the place of what there is.
    ///
    /// # Errors
    /// If the disk does not take it.
    pub(super) fn write(&self, root: &Path) -> io::Result<()> {
        let (path, new) = (root.join("nodes.json"), root.join("nodes.json.new"));
        let bytes = serde_json::to_vec_pretty(self).map_err(io::Error::other)?;
        let mut file = File::create(&new)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        File::open(root)?.sync_all()
    }

    /// Forgets the oldest of those that have ended.
    pub(super) fn forget_old(&mut self) {
        let ended = self.nodes.iter().filter(|record| record.has_ended).count();
        let mut too_many = ended.saturating_sub(ENDED_MAX);
        self.nodes.retain(|record| {
            let is_forgotten = record.has_ended && too_many > 0;
            too_many -= usize::from(is_forgotten);
            !is_forgotten
        });
    }
}
