//! How long a client may take: to send the rest of a command that it began, and to read replies.
//!
//! A client that does neither holds memory. Within the limit it must get on, by a command or by [`STRIDE_BYTES`]; a
//! byte now and then is not getting on. An idle client holds nothing and may be so for ever.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// So many bytes are getting on: at the usual limit of a minute, 17 KB/s.
const STRIDE_BYTES: u64 = 1 << 20;

/// What a client is being waited for, and how far it has come. Where this changes it has got on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Awaited {
    commands: u64,
    strides: u64,
    is_output: bool,
}

impl Awaited {
    /// The rest of the command after so many, of which so many bytes are here.
    pub(super) fn input(commands: u64, bytes: usize) -> Awaited {
        Awaited { commands, strides: bytes as u64 / STRIDE_BYTES, is_output: false }
    }

    /// That it reads; so many bytes it has been sent before.
    pub(super) fn output(bytes: u64) -> Awaited {
        Awaited { commands: 0, strides: bytes / STRIDE_BYTES, is_output: true }
    }
}

/// The patience with one client.
#[derive(Default)]
pub(super) struct Patience {
    waiting: Option<(Awaited, Pin<Box<Sleep>>)>,
}

impl Patience {
    /// Whether the client is out of time with what is awaited of it. Wakes the task when it is.
    pub(super) fn is_over(
        &mut self,
        awaited: Option<Awaited>,
        most: Duration,
        context: &mut Context<'_>,
    ) -> bool {
        let Some(awaited) = awaited else {
            self.waiting = None;
            return false;
        };
        let (since, sleep) =
            self.waiting.get_or_insert_with(|| (awaited, Box::pin(sleep_until(Instant::now() + most))));
        if *since != awaited {
            *since = awaited;
            sleep.as_mut().reset(Instant::now() + most);
        }
        sleep.as_mut().poll(context) == Poll::Ready(())
    }
}
