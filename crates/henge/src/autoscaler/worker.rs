//! The thread of the provider, whose calls block: for seconds where a program is started, for longer where a server is silent.
//!
//! What must hold: it does one thing after the other, and what waits for it is bounded.

use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::thread;

use provider::{Order, Provided, Provider, ProviderError};

/// What may wait for the thread: a node that is started, and some that are ended.
const WAITING_MAX: usize = 8;

/// What the provider is asked to do.
#[derive(Debug)]
pub(super) enum Task {
    List,
    Add(Order),
    End(String),
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Done {
    Listed(Result<Vec<Provided>, ProviderError>),
    Added(Result<String, ProviderError>),
    Ended(String, Result<(), ProviderError>),
}

/// The way to the thread.
#[derive(Debug)]
pub(super) struct Worker {
    tasks: SyncSender<Task>,
    done: Receiver<Done>,
    is_listing: bool,
}

impl Worker {
    /// Starts the thread. It ends when this is dropped and the call that it is in is over.
    pub(super) fn start(mut provider: Box<dyn Provider>) -> std::io::Result<Worker> {
        let (tasks, asked) = sync_channel(WAITING_MAX);
        // As much as can have been asked for, so that the thread never waits for who asked.
        let (tell, done) = sync_channel(2 * WAITING_MAX);
        thread::Builder::new().name("provider".to_owned()).spawn(move || {
            for task in asked {
                let done = match task {
                    Task::List => Done::Listed(provider.list()),
                    Task::Add(order) => Done::Added(provider.add(&order)),
                    Task::End(name) => {
                        let outcome = provider.retire(&name);
                        Done::Ended(name, outcome)
                    }
                };
                if tell.send(done).is_err() {
                    return;
                }
            }
        })?;
        Ok(Worker { tasks, done, is_listing: false })
    }

    /// Has the list made anew, unless it is being made.
    pub(super) fn list(&mut self) {
        if !self.is_listing {
            self.is_listing = self.ask(Task::List).is_ok();
        }
    }

    /// Asks for something; why not, where that cannot be.
    pub(super) fn ask(&self, task: Task) -> Result<(), String> {
        self.tasks.try_send(task).map_err(|error| match error {
            TrySendError::Full(_) => "the provider is still at work on what it was asked before".to_owned(),
            TrySendError::Disconnected(_) => "the provider's thread has ended: restart this node".to_owned(),
        })
    }

    /// What has been done since the last time.
    pub(super) fn done(&mut self) -> Vec<Done> {
        let mut all = Vec::new();
        loop {
            match self.done.try_recv() {
                Ok(done) => {
                    self.is_listing &= !matches!(done, Done::Listed(_));
                    all.push(done);
                }
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return all,
            }
        }
    }
}
