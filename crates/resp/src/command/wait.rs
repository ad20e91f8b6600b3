//! WAIT: how many replicas have the connection's writes.
//!
//! Redis counts the replicas *beside* the primary, and clients are written to that: `WAIT 1` asks for one copy more
//! than the one that answered. Here no owner is more primary than another, so one of the owners that acknowledged is
//! taken for it: with N=3 and all owners done, WAIT answers 2. A connection that has written nothing has nothing to
//! wait for and is answered 0. Of several writes the one that fewest owners hold counts.

use std::collections::VecDeque;
use std::time::Duration;

use api::{Command, Reply, Request};
use types::{OperationId, WallTime};

use crate::command::options::integer;
use crate::command::row::{Flag, Group, Row};
use crate::command::{Ask, Call, Failure, Next, Shown};
use crate::frame::number::parse_i64;

/// The commands of this family.
pub const ROWS: &[Row] = &[Row::new("wait", 3, &[Flag::Blocking], wait).alone().about(
    Group::Generic,
    "3.0.0",
    "O(N) for N writes that not all owners hold",
    "Waits until so many further owners hold the connection's writes; answers how many do.",
)];

/// A WAIT under way.
struct Wait {
    /// The writes still to be asked about.
    left: VecDeque<OperationId>,
    /// How many owners hold the least held write of those asked about.
    least: Option<u8>,
    /// How many owners are asked for.
    owners: u8,
    /// Until when; the node's own limit where absent.
    until: Option<WallTime>,
}

/// `WAIT numreplicas timeout-in-milliseconds`. A timeout of 0 is the node's own limit: nothing waits for ever.
fn wait(call: &mut Call<'_>) -> Result<Next, Failure> {
    let replicas = integer(&call.arguments[1])?;
    let timeout =
        parse_i64(&call.arguments[2]).ok_or(Failure::fixed("timeout is not an integer or out of range"))?;
    let millis = u64::try_from(timeout).map_err(|_| Failure::fixed("timeout is negative"))?;
    let (left, least) = call.state.writes.take();
    let wait = Wait {
        left,
        least,
        owners: u8::try_from(replicas.clamp(0, 254)).unwrap_or(254) + 1,
        until: (millis > 0).then(|| call.around.now.plus_millis(millis)),
    };
    match wait.ask(call.around.now) {
        Ok(ask) => Ok(Next::Ask(ask)),
        Err(least) => {
            call.reply.integer(beside_one(least));
            Ok(Next::Replied)
        }
    }
}

fn beside_one(owners: Option<u8>) -> i64 {
    i64::from(owners.unwrap_or(0).saturating_sub(1))
}

impl Wait {
    /// The question about the next write, or the answer to all.
    fn ask(mut self, now: WallTime) -> Result<Ask, Option<u8>> {
        let Some(operation) = self.left.pop_front() else {
            return Err(self.least);
        };
        let remaining = |until: WallTime| Duration::from_millis(until.0.saturating_sub(now.0));
        let timeout = self.until.map(remaining);
        let command = Command::AwaitAcknowledgements { operation, replicas: self.owners };
        let then = Box::new(move |outcome, shown: &mut Shown<'_>| {
            let Reply::Acknowledged(owners) = outcome? else {
                return Err(Failure::misplaced());
            };
            self.least = Some(self.least.map_or(owners, |least| least.min(owners)));
            shown.acknowledged(operation, owners);
            match self.ask(shown.around.now) {
                Ok(ask) => Ok(Next::Ask(ask)),
                Err(least) => {
                    shown.reply.integer(beside_one(least));
                    Ok(Next::Replied)
                }
            }
        });
        Ok(Ask { request: Request { command, timeout }, then })
    }
}
