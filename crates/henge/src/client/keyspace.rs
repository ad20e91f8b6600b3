//! `henge keyspace`: makes, alters, lists and drops keyspaces.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use anyhow::{Result, bail};
use serde_json::json;

use super::change::{Ask, Method};
use super::show::{keyspaces_table, print, text};
use super::watch::{Goal, Until};
use super::{Node, key_path};
use crate::cli::At;
use crate::cli::keyspace::{Alter, Create, Drop, KeyspaceCommand};

pub(crate) fn run(command: &KeyspaceCommand) -> Result<ExitCode> {
    match command {
        KeyspaceCommand::Create(create) => make(create),
        KeyspaceCommand::Alter(arguments) => alter(arguments),
        KeyspaceCommand::List(at) => list(at),
        KeyspaceCommand::Drop(drop) => remove(drop),
    }
}

fn make(arguments: &Create) -> Result<ExitCode> {
    let mut body = serde_json::to_value(&arguments.settings)?;
    body["name"] = json!(arguments.name);
    let ask = Ask { method: Method::Post, path: "/v1/keyspaces".to_owned(), body: Some(body) };
    let made = ask.make(&Node::new(arguments.at.at))?;
    if arguments.at.json {
        return print(&format!("{made}\n"));
    }
    let mut out = format!(
        "keyspace {} is there, with number {}: {}: {}\n",
        arguments.name,
        text(&made["number"]),
        text(&made["model"]),
        text(&made["promise"])
    );
    for note in super::show::list(&made["notes"]) {
        out.push_str(&format!("note: {}\n", text(note)));
    }
    print(&out)
}

fn alter(arguments: &Alter) -> Result<ExitCode> {
    let ask = Ask {
        method: Method::Patch,
        path: path(&arguments.name),
        body: Some(serde_json::to_value(&arguments.settings)?),
    };
    let goal = Goal {
        done: format!("keyspace {} is altered", arguments.name),
        until: Until::AllIsThere,
        back: format!("`henge keyspace alter {}` with what it was before turns it round", arguments.name),
    };
    ask.go(&arguments.how, &goal)
}

fn list(at: &At) -> Result<ExitCode> {
    let keyspaces = Node::new(at.at).document("/v1/keyspaces")?;
    if at.json {
        return print(&format!("{keyspaces}\n"));
    }
    print(&format!("{}\n", keyspaces_table(&keyspaces)))
}

fn remove(arguments: &Drop) -> Result<ExitCode> {
    if !arguments.yes {
        confirm(&arguments.name)?;
    }
    let ask = Ask { method: Method::Delete, path: path(&arguments.name), body: None };
    let dropped = ask.make(&Node::new(arguments.at.at))?;
    if arguments.at.json {
        return print(&format!("{dropped}\n"));
    }
    print(&format!("keyspace {} is dropped, in epoch {}\n", arguments.name, text(&dropped["epoch"])))
}

/// Has the name typed, by somebody who is there to type it.
fn confirm(name: &str) -> Result<()> {
    let mut asked = std::io::stderr();
    if !std::io::stdin().is_terminal() {
        bail!("this drops keyspace {name} and all its keys, for ever: say --yes if that is meant");
    }
    write!(asked, "This drops keyspace {name} and all its keys, for ever. Type its name to go on: ")?;
    asked.flush()?;
    let mut typed = String::new();
    std::io::stdin().read_line(&mut typed)?;
    if typed.trim() != name {
        bail!("that is not its name; nothing was dropped");
    }
    Ok(())
}

fn path(name: &str) -> String {
    key_path("/v1/keyspaces/", "", name)
}
