//! The control socket of a laboratory: where `henge dev kill 2` reaches the `henge dev` that runs.
//!
//! What must hold: only whoever may use the data directory's files gives orders, so the socket is for its owner alone from
//! the moment that it can be found. Orders are carried out one after the other. One that says nothing holds up the next for a
//! few seconds at the most, and a line is only so long.

use std::fs::{DirBuilder, Permissions};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

use super::Lab;
use super::order::{Answer, Order};

/// The socket's name in the data directory.
const SOCKET: &str = "control.sock";

/// Where it is made before it is shown.
const DRAFTS: &str = "control.new";

const LINE_BYTES_MAX: u64 = 64 * 1024;

/// How long a line may take to come or to be taken.
const LINE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an order may take: a node that starts may have much to recover.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

/// A socket at which orders are taken, until it is dropped.
#[derive(Debug)]
pub(crate) struct Control {
    path: PathBuf,
}

impl Control {
    /// Takes orders for a laboratory. Its nodes hold the directories under this one, so nobody else's socket is there.
    pub(crate) fn open(data: &Path, lab: Arc<Mutex<Lab>>) -> Result<Control> {
        let path = data.join(SOCKET);
        let listener = listen(data, &path).with_context(|| {
            format!("no socket can be made at {}, whose path may be 107 bytes long at most", path.display())
        })?;
        std::thread::Builder::new().name("control".to_owned()).spawn(move || {
            for stream in listener.incoming() {
                if let Err(error) =
                    stream.map_err(anyhow::Error::from).and_then(|stream| serve(&stream, &lab))
                {
                    tracing::info!(%error, "ended a connection of the control socket");
                }
            }
        })?;
        Ok(Control { path })
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A socket becomes everybody's to connect to by the same call that makes it, where the user's mask says so; so it is made
/// where only its owner gets to.
fn listen(data: &Path, path: &Path) -> std::io::Result<UnixListener> {
    let drafts = data.join(DRAFTS);
    match std::fs::remove_dir_all(&drafts) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    DirBuilder::new().mode(0o700).create(&drafts)?;
    let made = make(&drafts.join("s"), path);
    std::fs::remove_dir_all(&drafts)?;
    made
}

fn make(draft: &Path, path: &Path) -> std::io::Result<UnixListener> {
    let listener = UnixListener::bind(draft)?;
    std::fs::set_permissions(draft, Permissions::from_mode(0o600))?;
    std::fs::rename(draft, path)?;
    Ok(listener)
}

fn serve(stream: &UnixStream, lab: &Mutex<Lab>) -> Result<()> {
    stream.set_read_timeout(Some(LINE_TIMEOUT))?;
    stream.set_write_timeout(Some(LINE_TIMEOUT))?;
    let mut lines = BufReader::new(stream);
    while let Some(line) = read_line(&mut lines)? {
        let answer = match serde_json::from_str::<Order>(&line) {
            Ok(order) => {
                let mut lab = lab.lock().unwrap_or_else(PoisonError::into_inner);
                match lab.carry_out(&order) {
                    Ok(said) => Answer::Done(said),
                    Err(error) => Answer::Refused(format!("{error:#}")),
                }
            }
            Err(error) => Answer::Refused(format!("this is no order: {error}")),
        };
        let mut text = serde_json::to_string(&answer)?;
        text.push('\n');
        let mut out = stream;
        out.write_all(text.as_bytes())?;
    }
    Ok(())
}

/// A line without its end; nothing where the other side has no more to say.
fn read_line(from: &mut impl BufRead) -> Result<Option<String>> {
    let mut line = String::new();
    from.by_ref().take(LINE_BYTES_MAX).read_line(&mut line)?;
    match line.strip_suffix('\n') {
        Some(whole) => Ok(Some(whole.to_owned())),
        None if line.is_empty() => Ok(None),
        None => bail!("a line of the control socket is longer than {LINE_BYTES_MAX} bytes, or has no end"),
    }
}

/// Gives an order to the laboratory that runs on this data directory; what it has to say.
pub(crate) fn give(data: &Path, order: &Order) -> Result<Vec<String>> {
    let path = data.join(SOCKET);
    let mut stream = UnixStream::connect(&path).map_err(|error| {
        anyhow!(
            "no `henge dev` takes orders at {} ({error}): is it running, and on this directory? --data names another",
            path.display()
        )
    })?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    stream.set_write_timeout(Some(LINE_TIMEOUT))?;
    let mut text = serde_json::to_string(order)?;
    text.push('\n');
    stream.write_all(text.as_bytes())?;
    let line = read_line(&mut BufReader::new(&stream)).context("`henge dev` did not answer")?;
    let line = line.context("`henge dev` has ended without an answer")?;
    match serde_json::from_str(&line)
        .context("`henge dev` answered with something else: is it another version?")?
    {
        Answer::Done(said) => Ok(said),
        Answer::Refused(why) => bail!(why),
    }
}
