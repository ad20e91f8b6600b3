//! All keys: SCAN, KEYS, DBSIZE, RANDOMKEY. Of the whole cluster or of this node's primary ranges, by what the listener
//! pretends to be.

use api::{Command, Outcome, Reply, ScanPage, ScanRequest, Scope};
use bytes::Bytes;
use types::KeyspaceId;

use crate::command::failure::SYNTAX;
use crate::command::options::{Options, integer, is};
use crate::command::row::{Flag, Group, Row};
use crate::command::{Call, Failure, Next, ask};
use crate::frame::number::parse_u64;
use crate::glob;

/// The commands of this family.
pub const ROWS: &[Row] = &[
    Row::new("scan", -2, &[Flag::ReadOnly], scan)
        .alone()
        .tips(&["nondeterministic_output", "request_policy:special"])
        .about(
            Group::Generic,
            "2.8.0",
            "O(1) for each call, O(N) for all N keys",
            "Some of the keys, and where to go on.",
        ),
    Row::new("keys", 2, &[Flag::ReadOnly], keys)
        .alone()
        .tips(&["request_policy:all_shards", "nondeterministic_output_order"])
        .about(Group::Generic, "1.0.0", "O(N) for N keys of the keyspace", "All keys that match a pattern."),
    Row::new("dbsize", 1, &[Flag::ReadOnly], dbsize)
        .alone()
        .tips(&["request_policy:all_shards", "response_policy:agg_sum"])
        .about(Group::Server, "1.0.0", "O(N) for N keys of the keyspace", "How many keys there are."),
    Row::new("randomkey", 1, &[Flag::ReadOnly], randomkey)
        .alone()
        .tips(&["request_policy:all_shards", "nondeterministic_output"])
        .about(Group::Generic, "1.0.0", "O(1)", "Any one of the keys."),
];

/// How many keys a step looks at where nobody says.
const COUNT_DEFAULT: usize = 10;
/// The most that a client may ask a step to look at; more are more steps.
const COUNT_MAX: usize = 10_000;
/// How many keys a step of KEYS looks at.
const KEYS_STEP: usize = 1000;
/// The most bytes of keys that KEYS answers with: it has to hold them all before it can say how many there are.
const KEYS_BYTES_MAX: usize = 32 << 20;

struct ScanOptions {
    count: usize,
    pattern: Option<Bytes>,
    /// A type that no value here has was asked for.
    other_type: bool,
}

/// `SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]`
fn scan(call: &mut Call<'_>) -> Result<Next, Failure> {
    let cursor = parse_u64(&call.arguments[1]).ok_or(Failure::fixed("invalid cursor"))?;
    let options = scan_options(call)?;
    if options.other_type {
        write_page(ScanPage::default(), None, &mut call.reply);
        return Ok(Next::Replied);
    }
    let request = ScanRequest {
        keyspace: call.state.keyspace.id,
        cursor,
        count: options.count,
        scope: call.state.kind.scope(),
    };
    ask(Command::Scan(request), move |outcome, shown| {
        let page = page(outcome)?;
        write_page(page, options.pattern.as_deref(), &mut shown.reply);
        Ok(Next::Replied)
    })
}

fn scan_options(call: &Call<'_>) -> Result<ScanOptions, Failure> {
    let mut read = ScanOptions { count: COUNT_DEFAULT, pattern: None, other_type: false };
    let mut options = Options::new(call.arguments, 2);
    while let Some(option) = options.next() {
        let value = options.value()?;
        if is(option, "COUNT") {
            let count = usize::try_from(integer(value)?).ok().filter(|&count| count > 0);
            read.count = count.ok_or(SYNTAX)?.min(COUNT_MAX);
        } else if is(option, "MATCH") {
            read.pattern = (!glob::is_everything(value)).then(|| Bytes::copy_from_slice(value));
        } else if is(option, "TYPE") {
            read.other_type = !is(value, "string");
        } else {
            return Err(SYNTAX);
        }
    }
    Ok(read)
}

fn write_page(page: ScanPage, pattern: Option<&[u8]>, reply: &mut crate::reply::Writer<'_>) {
    let keys: Vec<Bytes> = matching(page.keys, pattern).collect();
    reply.array(2);
    reply.bulk(page.cursor.to_string().as_bytes());
    reply.array(keys.len());
    for key in keys {
        reply.bulk(&key);
    }
}

fn matching(keys: Vec<Bytes>, pattern: Option<&[u8]>) -> impl Iterator<Item = Bytes> {
    keys.into_iter().filter(move |key| pattern.is_none_or(|pattern| glob::matches(pattern, key)))
}

/// The page that a scan was answered with.
pub(crate) fn page(outcome: Outcome) -> Result<ScanPage, Failure> {
    match outcome? {
        Reply::Scan(page) => Ok(page),
        _ => Err(Failure::misplaced()),
    }
}

/// A walk over a keyspace that collects the keys which match.
struct Collect {
    keyspace: KeyspaceId,
    scope: Scope,
    pattern: Bytes,
    keys: Vec<Bytes>,
    bytes: usize,
}

/// `KEYS pattern`
fn keys(call: &mut Call<'_>) -> Result<Next, Failure> {
    let collect = Collect {
        keyspace: call.state.keyspace.id,
        scope: call.state.kind.scope(),
        pattern: call.arguments.take(1),
        keys: Vec::new(),
        bytes: 0,
    };
    collect_from(0, collect)
}

fn collect_from(cursor: u64, mut collect: Collect) -> Result<Next, Failure> {
    let request = ScanRequest { keyspace: collect.keyspace, cursor, count: KEYS_STEP, scope: collect.scope };
    ask(Command::Scan(request), move |outcome, shown| {
        let page = page(outcome)?;
        collect.take(page.keys)?;
        if page.cursor != 0 {
            return collect_from(page.cursor, collect);
        }
        shown.reply.array(collect.keys.len());
        for key in &collect.keys {
            shown.reply.bulk(key);
        }
        Ok(Next::Replied)
    })
}

impl Collect {
    fn take(&mut self, keys: Vec<Bytes>) -> Result<(), Failure> {
        for key in matching(keys, Some(&self.pattern)) {
            self.bytes += key.len() + size_of::<Bytes>();
            self.keys.push(key);
        }
        if self.bytes > KEYS_BYTES_MAX {
            return Err(Failure::new(format!(
                "KEYS would answer with more than {KEYS_BYTES_MAX} bytes of keys: use SCAN, which answers in steps"
            )));
        }
        Ok(())
    }
}

fn dbsize(call: &mut Call<'_>) -> Result<Next, Failure> {
    let (keyspace, scope) = (call.state.keyspace.id, call.state.kind.scope());
    ask(Command::Count { keyspace, scope }, show_count)
}

/// Shows a count of keys.
pub(crate) fn show_count(outcome: Outcome, shown: &mut crate::command::Shown<'_>) -> Result<Next, Failure> {
    let Reply::Count(count) = outcome? else {
        return Err(Failure::misplaced());
    };
    shown.reply.count(count);
    Ok(Next::Replied)
}

fn randomkey(call: &mut Call<'_>) -> Result<Next, Failure> {
    let (keyspace, scope) = (call.state.keyspace.id, call.state.kind.scope());
    ask(Command::RandomKey { keyspace, scope }, |outcome, shown| {
        match outcome? {
            Reply::RandomKey(Some(key)) => shown.reply.bulk(&key),
            Reply::RandomKey(None) => shown.reply.null(),
            _ => return Err(Failure::misplaced()),
        }
        Ok(Next::Replied)
    })
}
