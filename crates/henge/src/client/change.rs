//! A change to the cluster, as the HTTP API is asked for it: only planned, or made, and watched until all has moved.

use std::process::ExitCode;

use anyhow::{Context, Result};
use serde_json::Value;

use super::Node;
use super::plan;
use super::show::{list, print, text};
use super::watch::{self, Goal};
use crate::cli::At;
use crate::cli::node::How;

/// How it is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Method {
    Delete,
    Patch,
    Post,
    Put,
}

/// What is asked for.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) body: Option<Value>,
}

impl Ask {
    /// Has it made. The answer is what came of it.
    pub(crate) fn make(&self, node: &Node) -> Result<Value> {
        self.send(node, &self.path)
    }

    /// What it would come to.
    pub(super) fn plan(&self, node: &Node) -> Result<Value> {
        self.send(node, &format!("{}?dry-run=true", self.path))
    }

    fn send(&self, node: &Node, path: &str) -> Result<Value> {
        let body = self.body.as_ref().map(Value::to_string).unwrap_or_default();
        let headers = [("accept", "application/json"), ("content-type", "application/json")];
        let answered = match self.method {
            Method::Delete => node.delete(path, &headers[..1]),
            Method::Patch => node.patch(path, &headers, body.as_bytes()),
            Method::Post => node.post_document(path, &headers, body.as_bytes()),
            Method::Put => node.put_document(path, &headers, body.as_bytes()),
        }?;
        answered.check()?;
        serde_json::from_slice(&answered.body).context("the node did not answer with JSON")
    }

    /// Has it made and watched, or only planned.
    pub(crate) fn go(&self, how: &How, goal: &Goal) -> Result<ExitCode> {
        if how.dry_run { self.show_plan(&how.at) } else { self.make_and_watch(&how.at, how.no_wait, goal) }
    }

    /// What it would come to, as the node says that leads, if it can be asked: it knows how many bytes there are of all partitions,
    /// and others of those that they own.
    fn plan_by_who_leads(&self, at: &At) -> Result<Value> {
        let cluster = Node::new(at.at).document("/v1/cluster");
        let leader = cluster.ok().and_then(|cluster| watch::leader(&cluster));
        let planned =
            leader.filter(|leader| *leader != at.at).and_then(|leader| self.plan(&Node::new(leader)).ok());
        planned.map_or_else(|| self.plan(&Node::new(at.at)), Ok)
    }

    /// Shows which partitions would move.
    fn show_plan(&self, at: &At) -> Result<ExitCode> {
        let planned = self.plan_by_who_leads(at)?;
        print(&if at.json { format!("{planned}\n") } else { plan::shown(&planned) })
    }

    /// Has it made, and watches what moves because of it, unless nobody wants to wait.
    fn make_and_watch(&self, at: &At, no_wait: bool, goal: &Goal) -> Result<ExitCode> {
        let node = Node::new(at.at);
        // Only for the time left; what is wrong with the change itself is told when it is made.
        let predicted =
            if no_wait { None } else { self.plan_by_who_leads(at).ok().and_then(|plan| plan::bytes(&plan)) };
        let changed = self.make(&node)?;
        if at.json {
            print(&format!("{changed}\n"))?;
        } else {
            let (epoch, partitions) = (text(&changed["epoch"]), text(&changed["partitions"]));
            eprintln!("agreed on in epoch {epoch}; partitions to move: {partitions}");
            for note in list(&changed["notes"]) {
                eprintln!("note: {}", text(note));
            }
        }
        // What else may be on its way is not waited for.
        let moves = goal.until.may_take_time() || changed["partitions"].as_u64() != Some(0);
        if no_wait || !moves {
            return Ok(ExitCode::SUCCESS);
        }
        watch::until_done(at, goal, &changed, predicted)
    }
}
