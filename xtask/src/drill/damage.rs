//! Flipping a byte in a file of a node that does not run.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use env::Rng;

/// How often to look for a byte that is worth flipping.
const TRIES: u32 = 100_000;

/// A kind of file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Log,
    Table,
    Manifest,
    Current,
    Identity,
    Division,
    Lives,
}

impl Kind {
    /// Whether others can give what is in it, so that the node starts all the same; else it names the file, and does not.
    pub(super) fn is_healed(self) -> bool {
        matches!(self, Kind::Log | Kind::Table | Kind::Lives)
    }

    /// The files of this kind, in order of their names; of logs and manifests, of which the last is in use, only the last.
    fn files(self, data: &Path) -> Result<Vec<PathBuf>> {
        let prefix = match self {
            Kind::Log => "log-",
            Kind::Table => "table-",
            Kind::Manifest => "manifest-",
            Kind::Current => "CURRENT",
            Kind::Identity => return named(data, "identity"),
            Kind::Division => return named(data, "division"),
            Kind::Lives => return named(data, "lives"),
        };
        let mut all = Vec::new();
        // A store for each shard.
        for store in named(data, "store")? {
            let mut found = named(&store, prefix)?;
            if matches!(self, Kind::Log | Kind::Manifest) {
                found.drain(..found.len().saturating_sub(1));
            }
            all.extend(found);
        }
        Ok(all)
    }
}

/// What is in a directory under names that begin so, in order.
fn named(dir: &Path, prefix: &str) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| dir.display().to_string())? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix)) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Flips a byte in one of a node's files of this kind, and says in which and where; nothing where it has none. Bytes that are zero
/// are left: logs are laid out with zeros before they are written, which say nothing yet.
pub(super) fn flip(data: &Path, kind: Kind, rng: &mut Rng) -> Result<Option<(PathBuf, usize)>> {
    let files = kind.files(data)?;
    let Some(path) = rng.pick(&files) else { return Ok(None) };
    let mut bytes = fs::read(path).with_context(|| path.display().to_string())?;
    for _ in 0..TRIES {
        let at = usize::try_from(rng.below(bytes.len() as u64))?;
        if bytes.get(at).is_some_and(|byte| *byte != 0) {
            bytes[at] ^= 1 << rng.below(8);
            fs::write(path, bytes)?;
            return Ok(Some((path.clone(), at)));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Exactly one bit changes, in a place that says something.
    #[test]
    fn one_bit_of_one_file_is_flipped() {
        let data = std::env::temp_dir().join(format!("henge-drill-damage-{}", std::process::id()));
        fs::create_dir_all(data.join("store")).expect("a directory");
        let mut whole = vec![0; 1000];
        whole[700..710].fill(0xff);
        fs::write(data.join("store").join("log-1"), b"the first").expect("a file");
        fs::write(data.join("store").join("log-2"), &whole).expect("a file");
        let mut rng = Rng::from_seed(1);
        let (path, at) = flip(&data, Kind::Log, &mut rng).expect("files").expect("a log");
        let damaged = fs::read(&path).expect("a file");
        assert!(path.ends_with("log-2") && (700..710).contains(&at));
        assert_eq!((damaged[at] ^ whole[at]).count_ones(), 1);
        assert_eq!(damaged.iter().zip(&whole).filter(|(one, other)| one != other).count(), 1);
        assert_eq!(flip(&data, Kind::Table, &mut rng).expect("files"), None);
        fs::remove_dir_all(&data).expect("a directory");
    }
}
