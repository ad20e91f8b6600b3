//! `henge node`: lets nodes leave, takes them for gone, weighs them, and turns that round.

use std::process::ExitCode;

use anyhow::Result;
use serde_json::{Value, json};

use super::change::{Ask, Method};
use super::key_path;
use super::watch::{Goal, Until};
use crate::cli::node::{How, NodeCommand};

pub(crate) fn run(command: &NodeCommand) -> Result<ExitCode> {
    match command {
        NodeCommand::Drain(drain) => {
            let names = drain.nodes.join(" ");
            let goal = Goal {
                done: format!("gone, with nothing left at them: {names}"),
                until: Until::TheyLeft(drain.nodes.clone()),
                back: format!("`henge node cancel {}` lets it stay", drain.nodes[0]),
            };
            let body = json!({ "below_n": drain.below_n });
            go(Method::Post, &path(&drain.nodes.join(","), "drain"), Some(body), &drain.how, &goal)
        }
        NodeCommand::Remove(remove) => {
            let goal = Goal {
                done: format!("{} is no member any more, and others have what it had", remove.node),
                until: Until::TheyLeft(vec![remove.node.clone()]),
                back: "it cannot be turned round: a node that was called gone for good is".to_owned(),
            };
            let body = json!({ "below_n": remove.below_n, "lose_data": remove.lose_data });
            go(Method::Post, &path(&remove.node, "remove"), Some(body), &remove.how, &goal)
        }
        NodeCommand::Cancel(cancel) => {
            let goal = Goal {
                done: format!("{} has turned round, and all is where it is to be", cancel.node),
                until: Until::AllIsThere,
                back: format!("`henge node cancel {}` turns it round again", cancel.node),
            };
            go(Method::Post, &path(&cancel.node, "cancel"), None, &cancel.how, &goal)
        }
        NodeCommand::Weight(weigh) => {
            let goal = Goal {
                done: format!("{} weighs {}, and all is where it is to be", weigh.node, weigh.weight),
                until: Until::AllIsThere,
                back: format!("`henge node weight {}` with what it was before turns it round", weigh.node),
            };
            let body = json!({ "weight": weigh.weight });
            go(Method::Put, &path(&weigh.node, "weight"), Some(body), &weigh.how, &goal)
        }
    }
}

fn go(method: Method, path: &str, body: Option<Value>, how: &How, goal: &Goal) -> Result<ExitCode> {
    Ask { method, path: path.to_owned(), body }.go(how, goal)
}

fn path(names: &str, what: &str) -> String {
    format!("{}/{what}", key_path("/v1/nodes/", "", names))
}
