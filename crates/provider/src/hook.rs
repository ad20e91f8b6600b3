//! Runs a program of the operator's, with a bound on everything: on time, and on what it may print.
//!
//! What must hold: when [`run`] returns, the program does not run any more. One that is killed takes with it what it started
//! in its process group; one that ends by itself does not, for what it started may be the node that it was asked for. What
//! it prints beyond the bound is an error, and never memory.
//!
//! Threads read and write its pipes, because a program that prints before it has read all would otherwise wait for us and
//! we for it. One that passes its pipes on to what it started can keep such a thread waiting after its end; for such an
//! answer it is not waited longer than [`LAST_WORDS`].

use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// The most that a program may print as its answer, in bytes.
pub const ANSWER_BYTES_MAX: usize = 1 << 20;
/// How much of what it prints as an error is kept, in bytes.
pub const ERROR_BYTES_MAX: usize = 16 << 10;
/// How long is waited, after its end, for the rest of what it printed.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How often it is looked at for having ended without a word.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How a program ended.
#[derive(Debug)]
pub enum Ended {
    /// By itself.
    Exited {
        /// With what code.
        status: ExitStatus,
        /// What it answered.
        answer: Vec<u8>,
        /// What it complained about.
        complaint: String,
    },
    /// It took too long and was killed, or there is no end to its answer.
    Killed {
        /// Why.
        why: String,
        /// What it complained about.
        complaint: String,
    },
}

enum Heard {
    Answer(Vec<u8>),
    TooMuch,
    Complaint(Vec<u8>),
}

/// Runs a program with `input` to read, for `within` at the most.
///
/// # Errors
/// If it could not be started: then nothing was done.
pub fn run(command: &mut Command, input: Vec<u8>, within: Duration) -> std::io::Result<Ended> {
    use std::os::unix::process::CommandExt;
    // Of its own group, so that what it started can be ended with it.
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()?;
    let heard = listen(&mut child, input);
    Ok(Running { child, heard, answer: None, complaint: None, end: Instant::now() + within, within }.finish())
}

/// Threads that feed it and hear it.
fn listen(child: &mut Child, input: Vec<u8>) -> Receiver<Heard> {
    let (say, heard) = channel();
    if let Some(mut pipe) = child.stdin.take() {
        thread::spawn(move || {
            // A program that does not read what it is told may still do it.
            let _ = pipe.write_all(&input);
        });
    }
    if let Some(pipe) = child.stdout.take() {
        let say = say.clone();
        thread::spawn(move || {
            let bytes = read(pipe, ANSWER_BYTES_MAX + 1);
            let is_too_much = bytes.len() > ANSWER_BYTES_MAX;
            let _ = say.send(if is_too_much { Heard::TooMuch } else { Heard::Answer(bytes) });
        });
    }
    if let Some(mut pipe) = child.stderr.take() {
        thread::spawn(move || {
            let bytes = read(&mut pipe, ERROR_BYTES_MAX);
            let _ = say.send(Heard::Complaint(bytes));
            // A program that complains more is not stopped by a full pipe.
            let _ = std::io::copy(&mut pipe, &mut std::io::sink());
        });
    }
    heard
}

fn read(pipe: impl Read, bytes_max: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What was read before an error is all that there is to say.
    let _ = pipe.take(u64::try_from(bytes_max).unwrap_or(u64::MAX)).read_to_end(&mut bytes);
    bytes
}

struct Running {
    child: Child,
    heard: Receiver<Heard>,
    answer: Option<Vec<u8>>,
    complaint: Option<Vec<u8>>,
    end: Instant,
    within: Duration,
}

impl Running {
    fn finish(mut self) -> Ended {
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return self.exited(status),
                Ok(None) => {}
                Err(error) => return self.killed(format!("it cannot be watched: {error}")),
            }
            if Instant::now() >= self.end {
                let why = format!("it was not done within {:?}, and was killed", self.within);
                return self.killed(why);
            }
            if !self.hear(LOOK_EVERY) {
                return self.killed(format!("it answered with more than {ANSWER_BYTES_MAX} bytes"));
            }
        }
    }

    /// Takes in what was heard, and waits a little where nothing was; no longer if the answer is too long.
    fn hear(&mut self, wait: Duration) -> bool {
        match self.heard.recv_timeout(wait) {
            Ok(Heard::Answer(bytes)) => self.answer = Some(bytes),
            Ok(Heard::Complaint(bytes)) => self.complaint = Some(bytes),
            Ok(Heard::TooMuch) => return false,
            // All has been heard, and it still runs.
            Err(RecvTimeoutError::Disconnected) => thread::park_timeout(wait),
            Err(RecvTimeoutError::Timeout) => {}
        }
        true
    }

    fn exited(mut self, status: ExitStatus) -> Ended {
        let end = Instant::now() + LAST_WORDS;
        while (self.answer.is_none() || self.complaint.is_none()) && Instant::now() < end {
            if !self.hear(LOOK_EVERY) {
                let why = format!("it answered with more than {ANSWER_BYTES_MAX} bytes");
                return Ended::Killed { why, complaint: self.complaint() };
            }
        }
        let complaint = self.complaint();
        match self.answer {
            Some(answer) => Ended::Exited { status, answer, complaint },
            None => Ended::Killed {
                why: "it has ended, and what it started holds its standard output open".to_owned(),
                complaint,
            },
        }
    }

    fn killed(mut self, why: String) -> Ended {
        self.kill_group();
        let _ = self.child.kill();
        let _ = self.child.wait();
        let end = Instant::now() + LAST_WORDS;
        while self.complaint.is_none() && Instant::now() < end {
            self.hear(LOOK_EVERY);
        }
        Ended::Killed { why, complaint: self.complaint() }
    }

    /// To be called while the child is not yet waited for: as long its number is nobody else's.
    fn kill_group(&self) {
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw) {
            // There is no such group where nothing is left of it.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }

    /// The last line that says something.
    fn complaint(&self) -> String {
        let text = String::from_utf8_lossy(self.complaint.as_deref().unwrap_or_default());
        let last = text.lines().rev().map(str::trim).find(|line| !line.is_empty());
        last.unwrap_or_default().chars().take(400).collect()
    }
}
