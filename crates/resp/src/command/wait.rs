//! WAIT: how many replicas have the connection's last write.
//!
//! Redis counts the replicas *beside* the primary, and clients are written to that: `WAIT 1` asks for one copy more
//! than the one that answered. Here no owner is more primary than another, so one of the owners that acknowledged is
//! taken for it: with N=3 and all owners done, WAIT answers 2. A connection that has written nothing has nothing to
//! wait for and is answered 0.

use api::{Command, Reply, Request};
use std::time::Duration;

use crate::command::options::integer;
use crate::command::table::{Flag, Group, Row};
use crate::command::{Ask, Call, Failure, Next};
use crate::frame::number::parse_i64;

/// The commands of this family.
pub const ROWS: &[Row] = &[Row::new("wait", 3, &[Flag::Blocking], wait).alone().about(
    Group::Generic,
    "3.0.0",
    "O(1)",
    "Waits until so many further owners hold the connection's last write; answers how many do.",
)];

/// `WAIT numreplicas timeout-in-milliseconds`. A timeout of 0 is the node's own limit: nothing waits for ever.
fn wait(call: &mut Call<'_>) -> Result<Next, Failure> {
    let replicas = integer(&call.arguments[1])?;
    let timeout =
        parse_i64(&call.arguments[2]).ok_or(Failure::fixed("timeout is not an integer or out of range"))?;
    let millis = u64::try_from(timeout).map_err(|_| Failure::fixed("timeout is negative"))?;
    let Some(operation) = call.state.last_write else {
        call.reply.integer(0);
        return Ok(Next::Replied);
    };
    let beside_one = u8::try_from(replicas.clamp(0, 254)).unwrap_or(254);
    let command = Command::AwaitAcknowledgements {
        operation,
        replicas: beside_one + 1,
    };
    let timeout = (millis > 0).then(|| Duration::from_millis(millis));
    Ok(Next::Ask(Ask {
        request: Request { command, timeout },
        then: Box::new(|outcome, shown| {
            let Reply::Acknowledged(owners) = outcome? else {
                return Err(Failure::misplaced());
            };
            shown.reply.integer(i64::from(owners.saturating_sub(1)));
            Ok(Next::Replied)
        }),
    }))
}
