//! Values: GET, SET and their kin.
//!
//! A plain read of a key with siblings fails with `CONFLICT` and never picks one in silence; so does one of many keys
//! (MGET) as a whole. An error in one element of an array would be possible in the protocol, but most client libraries
//! hand an array on unlooked at, and an error that nobody looks at is the silence that must not be.

use api::{ExpiryChange, Operation, Reply};

use crate::command::failure::SYNTAX;
use crate::command::many::{self, Part};
use crate::command::options::{Options, TimeForm, integer, is};
use crate::command::row::{Flag, Group, Row};
use crate::command::{Call, Failure, Next, Shown, ask, refused};

const READ: &[Flag] = &[Flag::ReadOnly, Flag::Fast];
const READ_SLOW: &[Flag] = &[Flag::ReadOnly];
const WRITE: &[Flag] = &[Flag::Write, Flag::DenyOom];

/// The commands of this family.
pub const ROWS: &[Row] = &[
    Row::new("get", 2, READ, get).keys(1, 1, 1).about(Group::String, "1.0.0", "O(1)", "The value of a key."),
    Row::new("set", -3, WRITE, set).keys(1, 1, 1).about(
        Group::String,
        "1.0.0",
        "O(1)",
        "Sets the value of a key, and when it expires.",
    ),
    Row::new("setex", 4, WRITE, setex).keys(1, 1, 1).about(
        Group::String,
        "2.0.0",
        "O(1)",
        "Sets the value of a key that expires in so many seconds.",
    ),
    Row::new("psetex", 4, WRITE, psetex).keys(1, 1, 1).about(
        Group::String,
        "2.6.0",
        "O(1)",
        "Sets the value of a key that expires in so many milliseconds.",
    ),
    Row::new("getex", -2, &[Flag::Write, Flag::Fast], getex).keys(1, 1, 1).about(
        Group::String,
        "6.2.0",
        "O(1)",
        "The value of a key, after changing when it expires.",
    ),
    Row::new("mget", -2, READ, mget).keys(1, -1, 1).tips(&["request_policy:multi_shard"]).about(
        Group::String,
        "1.0.0",
        "O(N) for N keys",
        "The values of several keys, of any slots.",
    ),
    Row::new("mset", -3, WRITE, mset)
        .keys(1, -1, 2)
        .tips(&["request_policy:multi_shard", "response_policy:all_succeeded"])
        .about(
            Group::String,
            "1.0.1",
            "O(N) for N keys",
            "Sets several keys, of any slots, each for itself.",
        ),
    Row::new("strlen", 2, READ, strlen).keys(1, 1, 1).about(
        Group::String,
        "2.2.0",
        "O(1)",
        "The length of a key's value, in bytes.",
    ),
    Row::new("getrange", 4, READ_SLOW, getrange).keys(1, 1, 1).about(
        Group::String,
        "2.4.0",
        "O(N) for N bytes answered",
        "A part of a key's value.",
    ),
    Row::new("substr", 4, READ_SLOW, getrange).keys(1, 1, 1).about(
        Group::String,
        "1.0.0",
        "O(N) for N bytes answered",
        "A part of a key's value; an old name of GETRANGE.",
    ),
];

fn get(call: &mut Call<'_>) -> Result<Next, Failure> {
    call.ask_key(call.arguments.take(1), call.get(), |outcome, shown| {
        let value = shown.plain(outcome, 0)?;
        write_value(shown, value.as_ref());
        Ok(Next::Replied)
    })
}

fn write_value(shown: &mut Shown<'_>, value: Option<&api::ShownValue>) {
    match value {
        Some(value) => shown.reply.bulk(&value.value),
        None => shown.reply.null(),
    }
}

/// `SET key value [EX s | PX ms | EXAT s | PXAT ms | KEEPTTL]`
fn set(call: &mut Call<'_>) -> Result<Next, Failure> {
    let expiry = if call.arguments.len() == 3 { ExpiryChange::Clear } else { set_options(call)? };
    put(call, 2, expiry)
}

/// All options are read before any is refused, so that a mistake is told from what cannot be kept.
fn set_options(call: &Call<'_>) -> Result<ExpiryChange, Failure> {
    let mut expiry = None;
    let (mut if_absent, mut if_present, mut get_old) = (false, false, false);
    let mut options = Options::new(call.arguments, 3);
    while let Some(option) = options.next() {
        if let Some(form) = TimeForm::of_option(option).filter(|_| expiry.is_none()) {
            expiry = Some(form.positive_expiry(options.value()?, call.around.now, "set")?);
        } else if is(option, "KEEPTTL") && expiry.is_none() {
            expiry = Some(ExpiryChange::Keep);
        } else if is(option, "NX") && !if_present {
            if_absent = true;
        } else if is(option, "XX") && !if_absent {
            if_present = true;
        } else if is(option, "GET") {
            get_old = true;
        } else {
            return Err(SYNTAX);
        }
    }
    let refused = [(if_absent, "SET with NX"), (if_present, "SET with XX"), (get_old, "SET with GET")];
    match refused.into_iter().find(|(asked, _)| *asked) {
        Some((_, what)) => Err(refused::one_step_failure(what)),
        None => Ok(expiry.unwrap_or_default()),
    }
}

fn setex(call: &mut Call<'_>) -> Result<Next, Failure> {
    let expiry = TimeForm::Seconds.positive_expiry(&call.arguments[2], call.around.now, "setex")?;
    put(call, 3, expiry)
}

fn psetex(call: &mut Call<'_>) -> Result<Next, Failure> {
    let expiry = TimeForm::Millis.positive_expiry(&call.arguments[2], call.around.now, "psetex")?;
    put(call, 3, expiry)
}

/// Sets the key to the argument number `value_at`.
fn put(call: &mut Call<'_>, value_at: usize, expiry: ExpiryChange) -> Result<Next, Failure> {
    let key = call.arguments.take(1);
    let value = call.arguments.take(value_at);
    let operation = call.put(&key, value, expiry);
    call.ask_key(key, operation, |outcome, shown| {
        let Reply::Written(written) = outcome? else {
            return Err(Failure::misplaced());
        };
        shown.written(written, 0);
        shown.reply.ok();
        Ok(Next::Replied)
    })
}

/// `GETEX key [EX s | PX ms | EXAT s | PXAT ms | PERSIST]`
fn getex(call: &mut Call<'_>) -> Result<Next, Failure> {
    let Some(change) = getex_options(call)? else {
        return get(call);
    };
    let levels = call.state.levels;
    let operation = Operation::Expire { change, read: levels.read, write: levels.write };
    call.ask_key(call.arguments.take(1), operation, |outcome, shown| {
        let touched = shown.touched(outcome)?;
        let changed = touched.changed;
        let value = shown.value_of(touched.found, 0).map_err(|conflict| told_of_change(conflict, changed))?;
        write_value(shown, value.as_ref());
        Ok(Next::Replied)
    })
}

/// An error must not hide that the expiry was changed.
fn told_of_change(conflict: Failure, changed: bool) -> Failure {
    if changed {
        conflict.with_context("the expiry is changed, but which value is meant is not clear")
    } else {
        conflict
    }
}

fn getex_options(call: &Call<'_>) -> Result<Option<ExpiryChange>, Failure> {
    let mut options = Options::new(call.arguments, 2);
    let Some(option) = options.next() else {
        return Ok(None);
    };
    let change = match TimeForm::of_option(option) {
        Some(form) => form.positive_expiry(options.value()?, call.around.now, "getex")?,
        None if is(option, "PERSIST") => ExpiryChange::Clear,
        None => return Err(SYNTAX),
    };
    if options.next().is_some() { Err(SYNTAX) } else { Ok(Some(change)) }
}

fn mget(call: &mut Call<'_>) -> Result<Next, Failure> {
    let requests: Vec<_> =
        (1..call.arguments.len()).map(|at| call.key_request(call.arguments.take(at), call.get())).collect();
    let keys = crate::command::shown::keys_of(&requests);
    ask(api::Command::Batch(requests), move |outcome, shown| {
        let outcomes = Shown::batch(outcome, keys.len())?;
        shown.reply.array(keys.len());
        for (index, (outcome, key)) in outcomes.into_iter().zip(&keys).enumerate() {
            let found = shown.found(outcome)?;
            if found.values.len() > 1 {
                return Err(Failure::conflict(found.values.len(), Some(key)));
            }
            let value = shown.value_of(found, index)?;
            write_value(shown, value.as_ref());
        }
        Ok(Next::Replied)
    })
}

/// `MSET key value [key value ...]`. Each key for itself: where some cannot be set, the error says how many were.
fn mset(call: &mut Call<'_>) -> Result<Next, Failure> {
    if call.arguments.len().is_multiple_of(2) {
        return Err(Failure::fixed("wrong number of arguments for 'mset' command"));
    }
    let places = many::last_of_each(call.arguments, 2);
    let mut requests = Vec::with_capacity(places.len());
    for &at in &places {
        let key = call.arguments.take(at);
        let value = call.arguments.take(at + 1);
        let operation = call.put(&key, value, ExpiryChange::Clear);
        requests.push(call.key_request(key, operation));
    }
    let parts = Part::of(&places, &requests, 2);
    ask(api::Command::Batch(requests), move |outcome, shown| {
        many::show_writes(outcome, &parts, "set", shown)?;
        shown.reply.ok();
        Ok(Next::Replied)
    })
}

fn strlen(call: &mut Call<'_>) -> Result<Next, Failure> {
    call.ask_key(call.arguments.take(1), call.get(), |outcome, shown| {
        let value = shown.unseen(outcome)?;
        shown.reply.count(value.map_or(0, |value| value.value.len() as u64));
        Ok(Next::Replied)
    })
}

fn getrange(call: &mut Call<'_>) -> Result<Next, Failure> {
    let start = integer(&call.arguments[2])?;
    let end = integer(&call.arguments[3])?;
    call.ask_key(call.arguments.take(1), call.get(), move |outcome, shown| {
        let value = shown.plain(outcome, 0)?.unwrap_or_default().value;
        shown.reply.bulk(&value[range(value.len(), start, end)]);
        Ok(Next::Replied)
    })
}

/// The bytes from `start` to `end`, both included, counted from the end where negative; what lies outside is cut off.
fn range(length: usize, start: i64, end: i64) -> std::ops::Range<usize> {
    let place = |at: i64| match usize::try_from(at) {
        Ok(at) => at,
        Err(_) => length.saturating_sub(usize::try_from(at.unsigned_abs()).unwrap_or(usize::MAX)),
    };
    if start < 0 && end < 0 && start > end {
        return 0..0;
    }
    let end = place(end).saturating_add(1).min(length);
    place(start).min(end)..end
}

#[cfg(test)]
mod tests {
    use super::range;

    /// What Redis answers for a value of ten bytes.
    #[test]
    fn ranges_are_cut_to_the_value() {
        for (start, end, expected) in [
            (0, 3, 0..4),
            (-3, -1, 7..10),
            (0, -1, 0..10),
            (8, 100, 8..10),
            (100, 200, 10..10),
            (-100, 2, 0..3),
            (5, 2, 3..3),
            (-1, -5, 0..0),
            (i64::MIN, i64::MAX, 0..10),
        ] {
            assert_eq!(range(10, start, end), expected, "{start} {end}");
        }
        assert_eq!(range(0, 0, -1), 0..0);
    }
}
