//! What a reply means for the operation that it answers.

use crate::link::{Outcome, Pending, Step};
use crate::plan::Plan;
use crate::reply::Reply;
use crate::slots::parse_moved;
use crate::value::{Verdict, verify};
use crate::workload::Kind;

/// Errors are shown up to this length.
const MESSAGE_BYTES_MAX: usize = 300;

/// Judges the reply of the server at `address`. `key` is room to write the key into.
pub(crate) fn judge(
    plan: &Plan,
    pending: &Pending,
    reply: Reply<'_>,
    address: &str,
    key: &mut Vec<u8>,
) -> Outcome {
    let reads = pending.step == Step::ReadToModify || pending.kind == Kind::Read;
    match (pending.step, reply) {
        (_, Reply::Error(text)) => failure(plan, text, address),
        (Step::Wait, Reply::Integer(acknowledged)) => waited(plan, acknowledged),
        (Step::Last | Step::ReadToModify, Reply::Bulk(value)) if reads => {
            if plan.verify {
                check(plan, pending.key, value, key)
            } else {
                Outcome::Done
            }
        }
        (Step::Last | Step::ReadToModify, Reply::Null) if reads => Outcome::Miss,
        (Step::Last | Step::SetBeforeWait, Reply::Status(_)) if !reads => Outcome::Done,
        (_, reply) => Outcome::Failed(format!("unexpected reply {}", brief(format!("{reply:?}").as_bytes()))),
    }
}

fn failure(plan: &Plan, text: &[u8], address: &str) -> Outcome {
    let moved = plan.cluster.then(|| parse_moved(text, address)).flatten();
    moved.map_or_else(|| Outcome::Failed(brief(text)), |(slot, address)| Outcome::Moved(slot, address))
}

fn waited(plan: &Plan, acknowledged: i64) -> Outcome {
    let wanted = plan.wait_replicas.unwrap_or(0);
    if acknowledged >= i64::from(wanted) {
        return Outcome::Done;
    }
    Outcome::Failed(format!("WAIT: {acknowledged} of {wanted} replicas acknowledged within a second"))
}

fn check(plan: &Plan, number: u64, value: &[u8], key: &mut Vec<u8>) -> Outcome {
    key.clear();
    plan.key_form.write(number, key);
    let fault = match verify(key, value) {
        Verdict::Good => return Outcome::Done,
        Verdict::OfAnotherKey => "the value of another key",
        Verdict::Damaged => "a value that no run with --verify wrote, or a damaged one",
    };
    let begin = brief(&value[..value.len().min(60)]);
    Outcome::Unverified(format!("VERIFY {}: {fault}: {begin}", String::from_utf8_lossy(key)))
}

fn brief(text: &[u8]) -> String {
    String::from_utf8_lossy(&text[..text.len().min(MESSAGE_BYTES_MAX)]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        args: crate::Args,
    }

    fn plan(flags: &[&str]) -> Plan {
        Plan::from_args(&Program::try_parse_from([&["bench"], flags].concat()).unwrap().args).unwrap()
    }

    fn judged(flags: &[&str], kind: Kind, step: Step, reply: Reply<'_>) -> Outcome {
        let pending = Pending { kind, key: 1, intended: 0, step, hops: 0 };
        judge(&plan(flags), &pending, reply, "h:1", &mut Vec::new())
    }

    #[test]
    fn each_kind_takes_its_own_replies() {
        assert_eq!(judged(&[], Kind::Read, Step::Last, Reply::Bulk(b"v")), Outcome::Done);
        assert_eq!(judged(&[], Kind::Read, Step::Last, Reply::Null), Outcome::Miss);
        assert_eq!(judged(&[], Kind::Update, Step::Last, Reply::Status(b"OK")), Outcome::Done);
        assert_eq!(judged(&[], Kind::ReadModifyWrite, Step::ReadToModify, Reply::Null), Outcome::Miss);
        assert_eq!(judged(&[], Kind::ReadModifyWrite, Step::Last, Reply::Status(b"OK")), Outcome::Done);
        for (kind, reply) in [(Kind::Read, Reply::Status(b"OK")), (Kind::Update, Reply::Null)] {
            assert!(matches!(judged(&[], kind, Step::Last, reply), Outcome::Failed(_)));
        }
    }

    /// A SET that too few replicas acknowledged is no success.
    #[test]
    fn wait_counts_replicas() {
        let wait = |count| judged(&["--wait", "2"], Kind::Update, Step::Wait, Reply::Integer(count));
        assert_eq!(wait(2), Outcome::Done);
        assert!(matches!(wait(1), Outcome::Failed(message) if message.contains("1 of 2")));
    }

    /// Only a cluster client follows MOVED; to others it is an error to be shown.
    #[test]
    fn moved_is_followed_with_cluster_only() {
        let moved = Reply::Error(b"MOVED 1 h:2");
        let outcome = judged(&["--cluster"], Kind::Read, Step::Last, moved);
        assert_eq!(outcome, Outcome::Moved(1, "h:2".to_owned()));
        assert!(matches!(judged(&[], Kind::Read, Step::Last, moved), Outcome::Failed(_)));
    }

    #[test]
    fn verify_refuses_what_was_not_written_for_the_key() {
        let outcome = judged(&["--verify"], Kind::Read, Step::Last, Reply::Bulk(b"anything"));
        assert!(matches!(outcome, Outcome::Unverified(message) if message.starts_with("VERIFY key:")));
    }
}
