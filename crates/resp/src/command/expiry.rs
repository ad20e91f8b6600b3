//! When keys expire.
//!
//! An expiry is a register beside the value, so none of these writes the value again or makes a new version. The
//! conditions NX, XX, GT and LT compare with what is there and write in one step, and are refused with the others that
//! do.

use api::{ExpiryChange, Operation, ShownValue};
use types::WallTime;

use crate::command::options::{Options, TimeForm, is};
use crate::command::row::{Flag, Group, Row};
use crate::command::{Call, Failure, Next, refused};

const READ: &[Flag] = &[Flag::ReadOnly, Flag::Fast];
const WRITE: &[Flag] = &[Flag::Write, Flag::Fast];

/// The commands of this family.
pub const ROWS: &[Row] = &[
    Row::new("expire", -3, WRITE, |call| expire(call, "expire", TimeForm::Seconds)).keys(1, 1, 1).about(
        Group::Generic,
        "1.0.0",
        "O(1)",
        "Lets a key expire in so many seconds.",
    ),
    Row::new("pexpire", -3, WRITE, |call| expire(call, "pexpire", TimeForm::Millis)).keys(1, 1, 1).about(
        Group::Generic,
        "2.6.0",
        "O(1)",
        "Lets a key expire in so many milliseconds.",
    ),
    Row::new("expireat", -3, WRITE, |call| expire(call, "expireat", TimeForm::AtSeconds))
        .keys(1, 1, 1)
        .about(Group::Generic, "1.2.0", "O(1)", "Lets a key expire at a time, in seconds since 1970."),
    Row::new("pexpireat", -3, WRITE, |call| expire(call, "pexpireat", TimeForm::AtMillis))
        .keys(1, 1, 1)
        .about(Group::Generic, "2.6.0", "O(1)", "Lets a key expire at a time, in milliseconds since 1970."),
    Row::new("persist", 2, WRITE, persist).keys(1, 1, 1).about(
        Group::Generic,
        "2.2.0",
        "O(1)",
        "Lets a key live until it is deleted.",
    ),
    Row::new("ttl", 2, READ, |call| show_time(call, |at, now| (remaining_millis(at, now) + 500) / 1000))
        .keys(1, 1, 1)
        .about(
            Group::Generic,
            "1.0.0",
            "O(1)",
            "In how many seconds a key expires; -1 for never, -2 for no key.",
        ),
    Row::new("pttl", 2, READ, |call| show_time(call, remaining_millis)).keys(1, 1, 1).about(
        Group::Generic,
        "2.6.0",
        "O(1)",
        "In how many milliseconds a key expires; -1 for never, -2 for no key.",
    ),
    Row::new("expiretime", 2, READ, |call| show_time(call, |at, _| (at.0 + 500) / 1000)).keys(1, 1, 1).about(
        Group::Generic,
        "7.0.0",
        "O(1)",
        "When a key expires, in seconds since 1970; -1 for never, -2 for no key.",
    ),
    Row::new("pexpiretime", 2, READ, |call| show_time(call, |at, _| at.0)).keys(1, 1, 1).about(
        Group::Generic,
        "7.0.0",
        "O(1)",
        "When a key expires, in milliseconds since 1970; -1 for never, -2 for no key.",
    ),
];

/// `EXPIRE key time`; answers whether there was such a key. A time that has passed deletes it.
fn expire(call: &mut Call<'_>, name: &'static str, form: TimeForm) -> Result<Next, Failure> {
    refuse_conditions(call, name)?;
    let change = form.expiry(&call.arguments[2], call.around.now, name)?;
    touch(call, change, |touched| !touched.found.values.is_empty())
}

fn refuse_conditions(call: &Call<'_>, name: &str) -> Result<(), Failure> {
    let mut condition = None;
    for option in Options::new(call.arguments, 3) {
        if !["NX", "XX", "GT", "LT"].iter().any(|known| is(option, known)) {
            return Err(Failure::new(format!("Unsupported option {}", option.escape_ascii())));
        }
        condition.get_or_insert(option);
    }
    let Some(condition) = condition else { return Ok(()) };
    let what =
        format!("{} with {}", name.to_ascii_uppercase(), condition.to_ascii_uppercase().escape_ascii());
    Err(refused::one_step_failure(&what))
}

fn persist(call: &mut Call<'_>) -> Result<Next, Failure> {
    touch(call, ExpiryChange::Clear, |touched| touched.changed && !touched.found.values.is_empty())
}

fn touch(
    call: &mut Call<'_>,
    change: ExpiryChange,
    is_yes: fn(&api::Touched) -> bool,
) -> Result<Next, Failure> {
    let levels = call.state.levels;
    let operation = Operation::Expire { change, read: levels.read, write: levels.write };
    call.ask_key(call.arguments.take(1), operation, move |outcome, shown| {
        let touched = shown.touched(outcome)?;
        shown.reply.integer(i64::from(is_yes(&touched)));
        Ok(Next::Replied)
    })
}

fn show_time(call: &mut Call<'_>, form: fn(WallTime, WallTime) -> u64) -> Result<Next, Failure> {
    call.ask_key(call.arguments.take(1), call.get(), move |outcome, shown| {
        match shown.unseen(outcome)? {
            None => shown.reply.integer(-2),
            Some(ShownValue { expires: None, .. }) => shown.reply.integer(-1),
            Some(ShownValue { expires: Some(at), .. }) => shown.reply.count(form(at, shown.around.now)),
        }
        Ok(Next::Replied)
    })
}

fn remaining_millis(at: WallTime, now: WallTime) -> u64 {
    at.0.saturating_sub(now.0)
}
