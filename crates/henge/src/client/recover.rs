//! `henge recover`: shows what the nodes that are left have of the cluster state, and begins its history again.

use std::process::ExitCode;

use anyhow::Result;
use serde_json::{Value, json};

use super::change::{Ask, Method};
use super::show::{list, print, text};
use super::{Node, plan};
use crate::cli::recover::Recover;

pub(crate) fn run(recover: &Recover) -> Result<ExitCode> {
    let body = json!({ "without": recover.without, "losing": recover.losing });
    let ask = Ask { method: Method::Post, path: "/v1/recover".to_owned(), body: Some(body) };
    let node = Node::new(recover.at.at);
    if recover.yes {
        let changed = ask.make(&node)?;
        return print(&if recover.at.json { format!("{changed}\n") } else { done(&changed) });
    }
    let planned = ask.plan(&node)?;
    print(&if recover.at.json { format!("{planned}\n") } else { would(&planned) })
}

fn done(changed: &Value) -> String {
    format!(
        "The history of the cluster state is begun again, in epoch {}. The node that was asked leads from now on, and has others vote \
         as soon as they answer (`henge status`). Partitions to move: {}\n",
        text(&changed["epoch"]),
        text(&changed["partitions"])
    )
}

fn would(planned: &Value) -> String {
    let mut out = String::from("What the nodes that are left have of the cluster state:\n\n");
    for note in list(&planned["notes"]) {
        out.push_str(&format!("  {}\n", text(note)));
    }
    let moves = list(&planned["moves"]).len();
    out.push_str(&format!(
        "\nThe history would be begun again after epoch {}, at the node that was asked; whatever others have agreed on after that would be \
         given up. Partitions to move because of it, or already: {moves}",
        text(&planned["epoch"])
    ));
    if let Some(bytes) = plan::bytes(planned).filter(|_| moves > 0) {
        out.push_str(&format!(", about {}", plan::human(Some(bytes))));
    }
    out.push_str(
        "\nNothing was done. Say --yes to do it, once it is sure that the lost majority is lost for good.\n",
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who is asked first is told what is left, and that nothing has happened yet.
    #[test]
    fn a_plan_shows_what_each_node_has_and_says_that_nothing_was_done() {
        let shown = would(&json!({"epoch": 7, "moves": [], "notes": [
            "n4 (here): generation 0, epoch 7, keeps the history up to term 2, entry 9, epoch 7",
            "no answer from n1, n2",
        ]}));
        assert!(
            shown.contains("  n4 (here): generation 0, epoch 7") && shown.contains("no answer from n1, n2")
        );
        assert!(shown.contains("after epoch 7") && shown.contains("Nothing was done"), "{shown}");
    }

    #[test]
    fn what_was_done_names_its_epoch() {
        let shown = done(&json!({"epoch": 1_000_000_000_000_u64, "partitions": 12, "notes": []}));
        assert!(shown.contains("in epoch 1000000000000") && shown.contains("move: 12"), "{shown}");
    }
}
