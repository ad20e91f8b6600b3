//! FLUSHDB: deletes every key of a keyspace, where the keyspace allows it.
//!
//! There is no moment at which all owners could empty a keyspace at once, so this is what it looks like: a walk that
//! deletes what it finds, in steps. A key written meanwhile may stay. It is refused unless the keyspace says
//! `allow_flush = true`, because one word typed into the wrong window should not cost a company its data.

use api::{Command, KeyRequest, Operation, Outcome, Reply, ScanRequest, Scope};
use bytes::Bytes;
use types::KeyspaceId;

use crate::command::failure::SYNTAX;
use crate::command::options::is;
use crate::command::row::{Flag, Group, Row};
use crate::command::{Call, Failure, Next, Shown, ask, scan};

/// The commands of this family.
pub const ROWS: &[Row] = &[Row::new("flushdb", -1, &[Flag::Write], flushdb)
    .alone()
    .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
    .about(
        Group::Server,
        "1.0.0",
        "O(N) for N keys of the keyspace",
        "Deletes every key, where the keyspace allows it (allow_flush).",
    )];

/// How many keys a step looks at and deletes.
const STEP: usize = 500;

/// A walk over a keyspace that deletes what it finds.
struct Flush {
    keyspace: KeyspaceId,
    scope: Scope,
    delete: Operation,
    deleted: u64,
}

/// `FLUSHDB [ASYNC | SYNC]`. The answer comes when it is done, with either.
fn flushdb(call: &mut Call<'_>) -> Result<Next, Failure> {
    let mode_is_known = |mode: &[u8]| is(mode, "ASYNC") || is(mode, "SYNC");
    if call.arguments.len() > 2 || !call.arguments.get(1).is_none_or(mode_is_known) {
        return Err(SYNTAX);
    }
    let id = call.state.keyspace.id;
    let keyspace = call.around.status.keyspace_by_id(id);
    let keyspace = keyspace.ok_or_else(|| Failure::dropped(&call.state.keyspace.name))?;
    if !keyspace.allow_flush {
        return Err(Failure::new(format!(
            "FLUSHDB is not allowed in keyspace '{}': it would delete every key; set allow_flush = true for it",
            keyspace.name
        )));
    }
    flush_from(0, Flush { keyspace: id, scope: call.state.kind.scope(), delete: call.delete(), deleted: 0 })
}

fn flush_from(cursor: u64, flush: Flush) -> Result<Next, Failure> {
    let request = ScanRequest { keyspace: flush.keyspace, cursor, count: STEP, scope: flush.scope };
    ask(Command::Scan(request), move |outcome, shown| {
        let page = scan::page(outcome).map_err(|failure| flush.so_far(failure))?;
        if page.keys.is_empty() {
            return go_on(page.cursor, flush, shown);
        }
        delete_page(page.keys, page.cursor, flush)
    })
}

fn delete_page(keys: Vec<Bytes>, cursor: u64, mut flush: Flush) -> Result<Next, Failure> {
    let delete = |key| KeyRequest { keyspace: flush.keyspace, key, operation: flush.delete.clone() };
    let requests: Vec<_> = keys.into_iter().map(delete).collect();
    let asked = requests.len();
    ask(Command::Batch(requests), move |outcome, shown| {
        let outcomes = Shown::batch(outcome, asked).map_err(|failure| flush.so_far(failure))?;
        for outcome in outcomes {
            flush.count(outcome)?;
        }
        go_on(cursor, flush, shown)
    })
}

fn go_on(cursor: u64, flush: Flush, shown: &mut Shown<'_>) -> Result<Next, Failure> {
    if cursor != 0 {
        return flush_from(cursor, flush);
    }
    shown.reply.ok();
    Ok(Next::Replied)
}

impl Flush {
    fn count(&mut self, outcome: Outcome) -> Result<(), Failure> {
        match outcome {
            Ok(Reply::Deleted(deleted)) => {
                self.deleted += u64::from(deleted.existed);
                Ok(())
            }
            Ok(_) => Err(self.so_far(Failure::misplaced())),
            Err(error) => Err(self.so_far(error.into())),
        }
    }

    /// What stopped the walk, and how far it had come.
    fn so_far(&self, failure: Failure) -> Failure {
        if self.deleted == 0 {
            return failure;
        }
        failure.partly_done(&format!("{} keys are deleted and others are not", self.deleted))
    }
}
