//! One running `henge`, ended when it is dropped.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use super::patience::{wait_for, wait_until};

/// What can be sent to a process.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Signal {
    /// Ctrl-C.
    Interrupt,
    /// What an init system sends.
    Terminate,
    /// The end, without a word.
    Kill,
    /// Hold still: sockets stay open and nothing is answered.
    Stop,
    /// Go on.
    Continue,
}

impl Signal {
    fn name(self) -> &'static str {
        match self {
            Signal::Interrupt => "INT",
            Signal::Terminate => "TERM",
            Signal::Kill => "KILL",
            Signal::Stop => "STOP",
            Signal::Continue => "CONT",
        }
    }
}

/// A process that serves, with what it prints in two files.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    printed: PathBuf,
    logged: PathBuf,
}

impl Process {
    /// Starts `henge` with these arguments; what it prints goes into `dir`, under `name`.
    pub(crate) fn start<A: AsRef<OsStr>>(
        dir: &Path,
        name: &str,
        arguments: impl IntoIterator<Item = A>,
    ) -> Process {
        std::fs::create_dir_all(dir).expect("the target directory takes files");
        let (printed, logged) = (dir.join(format!("{name}.out")), dir.join(format!("{name}.err")));
        let file = |path: &Path| File::create(path).expect("the target directory takes files");
        let child = command(arguments)
            .stdin(Stdio::null())
            .stdout(file(&printed))
            .stderr(file(&logged))
            .spawn()
            .expect("the binary was built for this test");
        Process { child, printed, logged }
    }

    /// What it has printed to standard output so far.
    pub(crate) fn printed(&self) -> String {
        read(&self.printed)
    }

    /// What it has logged to standard error so far.
    pub(crate) fn logged(&self) -> String {
        read(&self.logged)
    }

    /// Waits for something of it; fails with its own words if it ends before.
    #[track_caller]
    pub(crate) fn wait_for<T>(&mut self, what: &str, mut look: impl FnMut(&Process) -> Option<T>) -> T {
        wait_for(what, || {
            if let Some(status) = self.child.try_wait().expect("a child can be asked") {
                panic!("{status} before {what}: {}", self.logged());
            }
            look(self)
        })
    }

    /// Sends a signal, through the shell: the standard library knows `KILL` alone.
    pub(crate) fn signal(&self, signal: Signal) {
        let line = format!("kill -s {} {}", signal.name(), self.child.id());
        let status = Command::new("sh").args(["-c", &line]).status().expect("there is a shell");
        assert!(status.success(), "{line}");
        // A thread holds still when it next leaves the kernel, which on a busy machine is some time after the signal.
        if matches!(signal, Signal::Stop) {
            wait_until("all threads to hold still", || self.holds_still());
        }
    }

    /// Whether the kernel says of each of its threads that it is stopped.
    fn holds_still(&self) -> bool {
        let tasks = format!("/proc/{}/task", self.child.id());
        let tasks = std::fs::read_dir(tasks).expect("tests run on Linux");
        let mut states = tasks.map(|task| {
            let stat = task.and_then(|task| std::fs::read_to_string(task.path().join("stat")));
            stat.ok().and_then(|stat| stat.rsplit(") ").next()?.chars().next())
        });
        states.all(|state| state == Some('T'))
    }

    /// Waits until it has ended by itself.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        wait_for("a process to end", || self.child.try_wait().expect("a child can be asked"))
    }

    /// Ends it without a word, wherever it is.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a killed child ends");
    }

    /// Asks it to stop, and gives how it ended.
    #[track_caller]
    pub(crate) fn stop(&mut self, signal: Signal) -> ExitStatus {
        self.signal(signal);
        self.wait()
    }

    /// The memory that is its own now, in bytes, as Linux counts it.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let status = read(Path::new(&format!("/proc/{}/status", self.child.id())));
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|rest| rest.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        kib.expect("Linux tells the resident memory of a process") * 1024
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("{}:\n{}", self.logged.display(), self.logged());
        }
    }
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}

/// A command line of the binary, with nothing of this process's environment that could change its configuration.
fn command<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_henge"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("HENGE_")) {
        command.env_remove(name);
    }
    command.args(arguments);
    command
}

/// Runs `henge` to its end.
pub(crate) fn run<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Ended {
    run_in(&[], arguments)
}

/// The same, with these variables in its environment.
pub(crate) fn run_in<A: AsRef<OsStr>>(
    variables: &[(&str, &str)],
    arguments: impl IntoIterator<Item = A>,
) -> Ended {
    let output = command(arguments).envs(variables.iter().copied()).stdin(Stdio::null()).output();
    Ended::from(output.expect("the binary was built for this test"))
}

/// What a process said and how it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) printed: String,
    pub(crate) said: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Ended {
        Ended {
            code: output.status.code(),
            printed: String::from_utf8_lossy(&output.stdout).into_owned(),
            said: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Ended {
    /// Fails the test unless it refused, with all of these words.
    #[track_caller]
    pub(crate) fn refused_with(&self, words: &[&str]) {
        assert_eq!(self.code, Some(1), "{self:?}");
        for word in words {
            assert!(self.said.contains(word), "`{word}` is not in: {}", self.said);
        }
    }
}
