//! `henge get`, `put` and `del`.

use std::io::{IsTerminal, Read, Write};
use std::process::ExitCode;

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::{Node, key_path};
use crate::cli::{Change, Del, Get, Place, Put};

const KEYS: &str = "/v1/keyspaces/{ks}/keys/";

/// Nothing was found: no error, but scripts want to know.
const NOT_FOUND: u8 = 1;

/// Prints the value of a key; all of them, and how to go on, where there are siblings.
pub(crate) fn get(arguments: &Get) -> Result<ExitCode> {
    let mut path = key_path(KEYS, &arguments.place.keyspace, &arguments.place.key);
    if let Some(r) = &arguments.r {
        path.push_str(&format!("?r={r}"));
    }
    let mut headers = vec![("accept", "application/json")];
    if let Some(context) = &arguments.context {
        headers.push(("henge-context", context));
    }
    let answered = Node::new(arguments.at.at).get(&path, &headers)?;
    if answered.status == 404 && is_absent(&answered.body) {
        eprintln!("(nothing)");
        return Ok(ExitCode::from(NOT_FOUND));
    }
    answered.check()?;
    let mut out = std::io::stdout().lock();
    if arguments.at.json {
        out.write_all(&answered.body)?;
        writeln!(out)?;
        return Ok(ExitCode::SUCCESS);
    }
    let document: Value =
        serde_json::from_slice(&answered.body).context("the node did not answer with JSON")?;
    let values = document["values"].as_array().map(Vec::as_slice).unwrap_or_default();
    if let [one] = values {
        out.write_all(&value_of(one)?)?;
        if out.is_terminal() {
            writeln!(out)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(out, "{} siblings:", values.len())?;
    for (place, value) in values.iter().enumerate() {
        write!(out, "  {}) ", place + 1)?;
        out.write_all(&value_of(value)?)?;
        writeln!(out, "   {}", clock_text(&value["clock"]))?;
    }
    writeln!(out, "context: {}", document["context"].as_str().unwrap_or_default())?;
    writeln!(out, "Write one value with --context to replace them all.")?;
    Ok(ExitCode::SUCCESS)
}

/// Writes a key.
pub(crate) fn put(arguments: &Put) -> Result<ExitCode> {
    let (path, mut headers) = change(&arguments.place, &arguments.change);
    let priority = arguments.priority.map(|priority| priority.to_string());
    if let Some(priority) = &priority {
        headers.push(("henge-priority", priority));
    }
    let value = if arguments.value == "-" {
        let mut bytes = Vec::new();
        std::io::stdin().lock().read_to_end(&mut bytes)?;
        bytes
    } else {
        arguments.value.clone().into_bytes()
    };
    let answered = Node::new(arguments.at.at).put(&path, &headers, &value)?;
    answered.check()?;
    println!("stored on {} owners", answered.header("henge-acknowledged").unwrap_or("enough"));
    if let Some(context) = answered.header("henge-context") {
        println!("context: {context}");
    }
    if let Some(marks) = answered.header("henge-marks").filter(|marks| !marks.is_empty()) {
        println!("note: {marks}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Deletes a key.
pub(crate) fn del(arguments: &Del) -> Result<ExitCode> {
    let (path, headers) = change(&arguments.place, &arguments.change);
    let answered = Node::new(arguments.at.at).delete(&path, &headers)?;
    answered.check()?;
    match answered.header("henge-existed") {
        Some("false") => println!("there was nothing to delete"),
        _ => println!("deleted"),
    }
    Ok(ExitCode::SUCCESS)
}

/// The path and the header fields of a request to change a key.
fn change<'a>(place: &Place, change: &'a Change) -> (String, Vec<(&'static str, &'a str)>) {
    let mut path = key_path(KEYS, &place.keyspace, &place.key);
    if let Some(w) = &change.w {
        path.push_str(&format!("?w={w}"));
    }
    let headers = change.context.iter().map(|context| ("henge-context", context.as_str())).collect();
    (path, headers)
}

fn is_absent(body: &[u8]) -> bool {
    let problem: Value = serde_json::from_slice(body).unwrap_or_default();
    problem["type"].as_str().is_none_or(|kind| !kind.contains("keyspace"))
}

fn value_of(value: &Value) -> Result<Vec<u8>> {
    let text = value["value"].as_str().context("a value without its bytes")?;
    STANDARD.decode(text).context("a value that is not base64")
}

/// A vector clock as the literature writes it: `([n1, 2], [n2, 1])`.
pub(crate) fn clock_text(clock: &Value) -> String {
    let entries = clock.as_array().map(Vec::as_slice).unwrap_or_default();
    let entries: Vec<String> = entries
        .iter()
        .map(|entry| {
            format!("[{}, {}]", entry[0].as_str().unwrap_or("?"), entry[1].as_u64().unwrap_or_default())
        })
        .collect();
    format!("({})", entries.join(", "))
}
