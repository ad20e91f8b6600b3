//! How two cluster states differ, in words.
//!
//! A configuration is read when a cluster is founded; at every later start it is only compared with the state that the
//! data directory keeps. Who changes it by mistake is told what it says and what it would say, line by line.

use std::collections::BTreeSet;
use std::fmt::Display;

use crate::keyspace::Keyspace;
use crate::member::Member;
use crate::state::ClusterState;

impl ClusterState {
    /// What would be different if `other` took the place of this state, a line for each; none if nothing would.
    pub fn diff(&self, other: &ClusterState) -> Vec<String> {
        let mut lines = Vec::new();
        let mut compare = Compare { what: "the cluster".to_owned(), lines: &mut lines };
        compare.field("name", self.name(), other.name());
        compare.field("partitions", &self.partition_count(), &other.partition_count());
        diff_members(self.members(), other.members(), &mut lines);
        diff_keyspaces(self.keyspaces(), other.keyspaces(), &mut lines);
        if lines.is_empty() && self.rings() != other.rings() {
            lines.push("the same members would own other partitions".to_owned());
        }
        if lines.is_empty() && self.epoch() != other.epoch() {
            lines.push(format!("the epoch is {}, would be {}", self.epoch(), other.epoch()));
        }
        lines
    }
}

/// Lists differing fields of one thing.
struct Compare<'a> {
    what: String,
    lines: &'a mut Vec<String>,
}

impl Compare<'_> {
    fn field<T: Display + PartialEq + ?Sized>(&mut self, field: &str, is: &T, would_be: &T) {
        if is != would_be {
            self.lines.push(format!("{}: {field} is {is}, would be {would_be}", self.what));
        }
    }

    fn maybe<T: Display>(&mut self, field: &str, is: Option<T>, would_be: Option<T>) {
        let text = |value: Option<T>| value.map_or_else(|| "none".to_owned(), |value| value.to_string());
        self.field(field, &text(is), &text(would_be));
    }
}

/// Says who is in one list alone, and hands the pairs that are in both to `compare`.
fn diff_named<T>(
    what: &str,
    (is, would_be): (&[T], &[T]),
    name: impl Fn(&T) -> &str,
    lines: &mut Vec<String>,
    compare: impl Fn(&T, &T, &mut Compare<'_>),
) {
    let names: BTreeSet<&str> = is.iter().chain(would_be).map(&name).collect();
    for each in names {
        let find = |list: &'_ [T]| list.iter().position(|item| name(item) == each);
        match (find(is), find(would_be)) {
            (Some(old), Some(new)) => {
                compare(&is[old], &would_be[new], &mut Compare { what: format!("{what} {each}"), lines });
            }
            (Some(_), None) => lines.push(format!("{what} {each} would be gone")),
            (None, _) => lines.push(format!("{what} {each} would be new")),
        }
    }
}

fn diff_members(is: &[Member], would_be: &[Member], lines: &mut Vec<String>) {
    diff_named(
        "member",
        (is, would_be),
        |member| &member.name,
        lines,
        |is, would_be, compare| {
            compare.field("datacenter", &is.data_center, &would_be.data_center);
            compare.field("rack", &is.rack, &would_be.rack);
            compare.field("weight", &is.weight, &would_be.weight);
            let (old, new) = (is.addresses, would_be.addresses);
            compare.maybe("resp", old.resp, new.resp);
            compare.maybe("cluster", old.cluster, new.cluster);
            compare.maybe("http", old.http, new.http);
            compare.maybe("peer", old.peer, new.peer);
        },
    );
}

fn diff_keyspaces(is: &[Keyspace], would_be: &[Keyspace], lines: &mut Vec<String>) {
    diff_named(
        "keyspace",
        (is, would_be),
        |keyspace| &keyspace.name,
        lines,
        |is, would_be, compare| {
            compare.field("number", &is.number, &would_be.number);
            compare.field("n", &is.n_text(), &would_be.n_text());
            compare.field("r", &is.r, &would_be.r);
            compare.field("w", &is.w, &would_be.w);
            compare.field("policy", &is.policy, &would_be.policy);
            compare.field("quorum", &is.quorum_mode, &would_be.quorum_mode);
            compare.field("durability", &is.durability, &would_be.durability);
            compare.field("require_context", &is.require_context, &would_be.require_context);
            compare.maybe("max_clock_entries", is.max_clock_entries, would_be.max_clock_entries);
            compare.field("allow_flush", &is.allow_flush, &would_be.allow_flush);
            let (old, new) = (is.limits, would_be.limits);
            compare.field("limits.key_bytes_max", &old.key_bytes_max, &new.key_bytes_max);
            compare.field("limits.value_bytes_max", &old.value_bytes_max, &new.value_bytes_max);
            compare.field("limits.siblings_max", &old.siblings_max, &new.siblings_max);
            compare.field("limits.record_bytes_max", &old.record_bytes_max, &new.record_bytes_max);
            compare.field("limits.scan_keys_max", &old.scan_keys_max, &new.scan_keys_max);
        },
    );
}
