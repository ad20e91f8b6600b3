//! The HTTP front end of a laboratory's node, on a thread of its own, so that it stands still and dies with its node and with
//! no other.

use std::io;
use std::net::TcpListener;
use std::thread::JoinHandle;

use http_front::HttpOptions;
use node::runtime::RemoteHandle;
use tokio::sync::watch;

use super::brake::Brake;
use crate::launch::serve_http;

/// How it ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wish {
    Serve,
    /// Requests in flight are answered first.
    Stop,
    /// Connections are dropped where they are.
    Die,
}

/// A front end that runs.
#[derive(Debug)]
pub(super) struct Web {
    wish: watch::Sender<Wish>,
    thread: JoinHandle<()>,
}

impl Web {
    /// Starts it.
    pub(super) fn start(
        node: &str,
        listener: TcpListener,
        handle: RemoteHandle,
        brake: Brake,
    ) -> io::Result<Web> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (wish, wished) = watch::channel(Wish::Serve);
        let name = format!("http-{node}");
        let serve = move || {
            let (mut stop, mut die) = (wished.clone(), wished);
            let until_stopped = async move {
                // An error means that nobody is left to wish for anything.
                let _ = stop.wait_for(|wish| *wish == Wish::Stop).await;
            };
            runtime.block_on(async {
                tokio::select! {
                    biased;
                    _ = die.wait_for(|wish| *wish == Wish::Die) => {}
                    () = brake.obey() => {}
                    ended = serve_http(listener, handle, HttpOptions::default(), until_stopped) => {
                        if let Err(error) = ended {
                            tracing::error!(%error, "an HTTP listener ended");
                        }
                    }
                }
            });
        };
        let thread = std::thread::Builder::new().name(name).spawn(serve)?;
        Ok(Web { wish, thread })
    }

    /// Asks it to end in good order.
    pub(super) fn stop(&self) {
        self.wish.send_replace(Wish::Stop);
    }

    /// Has it end at once, as soon as its thread runs.
    pub(super) fn die(&self) {
        self.wish.send_replace(Wish::Die);
    }

    /// Waits until it has ended.
    pub(super) fn join(self) {
        if self.thread.join().is_err() {
            tracing::error!("an HTTP front end panicked");
        }
    }
}
