use std::collections::BTreeMap;

use super::*;
use crate::Rng;
use crate::disk::{CrashMode, SimDisk};

/// A directory for a test, gone when it ends.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let dir = std::env::temp_dir().join(format!("henge-forgetful-{name}-{}", std::process::id()));
        drop(std::fs::remove_dir_all(&dir));
        std::fs::create_dir_all(&dir).unwrap();
        Scratch(dir)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

fn content(disk: &dyn Disk, path: &Path) -> Vec<u8> {
    super::super::read_whole(disk, path).unwrap().unwrap()
}

/// What a directory holds, by name.
fn everything(disk: &dyn Disk, dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let names = disk.list(dir).unwrap();
    names.into_iter().map(|name| (name.clone(), content(disk, &dir.join(name)))).collect()
}

/// Does one thing at random to both disks, which must say the same of it.
struct Pair {
    disks: [Arc<dyn Disk>; 2],
    roots: [PathBuf; 2],
    /// Open handles, some of them of files that have lost their names.
    handles: Vec<[Arc<dyn File>; 2]>,
}

const DIRS: [&str; 2] = ["one", "two"];

impl Pair {
    fn both<T>(&self, act: impl Fn(&dyn Disk, &Path) -> Result<T, DiskError>) -> Option<[T; 2]> {
        let [real, simulated] = [0, 1].map(|place| act(self.disks[place].as_ref(), &self.roots[place]));
        match (real, simulated) {
            (Ok(real), Ok(simulated)) => Some([real, simulated]),
            (Err(real), Err(simulated)) => {
                assert_eq!(real.kind, simulated.kind, "{real} / {simulated}");
                None
            }
            (real, simulated) => panic!("{:?} / {:?}", real.err(), simulated.err()),
        }
    }

    fn step(&mut self, rng: &mut Rng) {
        let dir = DIRS[usize::from(rng.chance(1, 3))];
        let mut name =
            || PathBuf::from(dir).join(["a", "b", "c", "d"][usize::try_from(rng.below(4)).unwrap()]);
        let (path, other) = (name(), name());
        match rng.below(12) {
            0 | 1 => self.handles.extend(self.both(|disk, root| disk.create(&root.join(&path)))),
            2 => self.handles.extend(self.both(|disk, root| disk.open(&root.join(&path)))),
            3 => _ = self.both(|disk, root| disk.remove(&root.join(&path))),
            4 if path != other => {
                let _ = self.both(|disk, root| disk.rename(&root.join(&path), &root.join(&other)));
            }
            5 => _ = self.both(|disk, root| disk.sync_dir(&root.join(dir))),
            what => {
                let handles = self.handles.len();
                if handles == 0 {
                    return;
                }
                let place = usize::try_from(rng.below(handles as u64)).unwrap();
                let (offset, filler) = (rng.below(2000), u8::try_from(rng.below(3)).unwrap());
                let bytes = vec![filler; usize::try_from(rng.below(600)).unwrap() + 1];
                for file in &self.handles[place] {
                    match what {
                        6 => file.sync().unwrap(),
                        7 => file.set_len(offset).unwrap(),
                        _ => file.write_all_at(offset, &bytes).unwrap(),
                    }
                }
                if what == 8 {
                    drop(self.handles.swap_remove(place));
                }
            }
        }
    }

    fn compare(&self) {
        for dir in DIRS {
            let [real, simulated] =
                [0, 1].map(|place| everything(self.disks[place].as_ref(), &self.roots[place].join(dir)));
            assert!(real == simulated, "in {dir}: {:?} / {:?}", real.keys(), simulated.keys());
        }
    }
}

/// On real files it loses what the simulated disk loses, whatever was done before, and again in the next life.
#[test]
fn it_loses_exactly_what_the_simulated_disk_loses() {
    let scratch = Scratch::new("model");
    for seed in 0..150 {
        let mut rng = Rng::from_seed(seed);
        let (mut real, simulated) = (ForgetfulDisk::new(), SimDisk::new());
        let roots = [scratch.0.join(seed.to_string()), PathBuf::from("sim")];
        for dir in DIRS {
            real.create_dir_all(&roots[0].join(dir)).unwrap();
            simulated.create_dir_all(&roots[1].join(dir)).unwrap();
        }
        for _ in 0..3 {
            let disks: [Arc<dyn Disk>; 2] = [Arc::new(real.clone()), Arc::new(simulated.clone())];
            let mut pair = Pair { disks, roots: roots.clone(), handles: Vec::new() };
            for _ in 0..rng.below(120) {
                pair.step(&mut rng);
            }
            pair.compare();
            real.kill().unwrap();
            simulated.crash(CrashMode::LoseUnsynced, &mut rng);
            for [dead, _] in &pair.handles {
                assert!(dead.write_all_at(0, b"late").is_err() && dead.sync().is_err());
            }
            real = real.restarted();
            pair.disks[0] = Arc::new(real.clone());
            pair.compare();
        }
        for dir in DIRS {
            let left = std::fs::read_dir(roots[0].join(dir)).unwrap().count();
            assert_eq!(
                left,
                real.list(&roots[0].join(dir)).unwrap().len(),
                "hidden names are left, seed {seed}"
            );
        }
    }
}

/// A sync vouches for what was there when it began.
#[test]
fn it_says_how_much_was_lost() {
    let scratch = Scratch::new("lost");
    let disk = ForgetfulDisk::new();
    let file = disk.create(&scratch.0.join("f")).unwrap();
    file.write_all_at(0, b"kept").unwrap();
    file.sync().unwrap();
    disk.sync_dir(&scratch.0).unwrap();
    file.write_all_at(2, b"lost").unwrap();
    drop(file); // Closing is not syncing.
    assert_eq!(disk.kill().unwrap(), Lost { bytes: 4, names: 0 });
    assert_eq!(disk.kill().unwrap(), Lost::default(), "nothing dies twice");
    assert_eq!(content(&disk.restarted(), &scratch.0.join("f")), b"kept");
}

/// Between death and restart nobody else gets the directory; a process that ends well gives it back.
#[test]
fn the_directory_of_a_killed_process_is_kept_for_its_successor() {
    let scratch = Scratch::new("lock");
    let disk = ForgetfulDisk::new();
    let held = disk.lock_dir(&scratch.0).unwrap();
    assert_eq!(disk.lock_dir(&scratch.0).unwrap_err().kind, DiskErrorKind::Locked);
    disk.kill().unwrap();
    drop(held);
    assert_eq!(RealDisk.lock_dir(&scratch.0).unwrap_err().kind, DiskErrorKind::Locked);
    let next = disk.restarted();
    let held = next.lock_dir(&scratch.0).unwrap();
    assert_eq!(RealDisk.lock_dir(&scratch.0).unwrap_err().kind, DiskErrorKind::Locked);
    drop(held);
    assert!(RealDisk.lock_dir(&scratch.0).is_ok());
}

/// What an earlier process has left behind under hidden names is cleared away.
#[test]
fn hidden_names_of_a_process_that_is_gone_are_removed() {
    let scratch = Scratch::new("hidden");
    let disk = ForgetfulDisk::new();
    disk.create(&scratch.0.join("f")).unwrap();
    disk.remove(&scratch.0.join("f")).unwrap();
    drop(disk);
    assert!(ForgetfulDisk::new().list(&scratch.0).unwrap().is_empty());
    assert_eq!(std::fs::read_dir(&scratch.0).unwrap().count(), 0);
}
