//! From the words of a command to the row that runs it, or to the error that Redis answers.

use crate::command::options::is;
use crate::command::row::{Action, Row};
use crate::command::table;
use crate::command::{Call, Failure, Next, describe};
use crate::frame::Arguments;

/// How much of an unknown command is repeated in the error, in bytes.
const QUOTED_BYTES_MAX: usize = 128;

/// The row of a command whose number of arguments is right.
pub(crate) fn find(arguments: Arguments<'_>) -> Result<&'static Row, Failure> {
    let row = table::find(&arguments[0]).ok_or_else(|| unknown(arguments))?;
    let row = match (&row.action, arguments.get(1)) {
        (Action::Container { .. }, Some(name)) if is(name, "HELP") => row,
        (Action::Container { .. }, Some(name)) => {
            row.subcommand(name).ok_or_else(|| unknown_subcommand(row, name))?
        }
        _ => row,
    };
    if row.takes(arguments.len()) { Ok(row) } else { Err(wrong_number(row)) }
}

/// Runs a command.
pub(crate) fn run(row: &Row, call: &mut Call<'_>) -> Result<Next, Failure> {
    match row.action {
        Action::Container { .. } if call.arguments.len() > 1 => describe::help(row, call),
        Action::Run(run) | Action::Container { bare: Some(run), .. } => run(call),
        Action::Container { bare: None, .. } => Err(wrong_number(row)),
        Action::Refuse(why) => {
            Err(Failure::new(format!("{} {why}", row.name.to_ascii_uppercase().replace('|', " "))))
        }
    }
}

fn wrong_number(row: &Row) -> Failure {
    Failure::new(format!("wrong number of arguments for '{}' command", row.name))
}

fn unknown_subcommand(row: &Row, name: &[u8]) -> Failure {
    let quoted = quoted(name, QUOTED_BYTES_MAX);
    Failure::new(format!("unknown subcommand '{quoted}'. Try {} HELP.", row.name.to_ascii_uppercase()))
}

fn unknown(arguments: Arguments<'_>) -> Failure {
    let mut message =
        format!("unknown command '{}', with args beginning with: ", quoted(&arguments[0], QUOTED_BYTES_MAX));
    let mut left = QUOTED_BYTES_MAX;
    for argument in arguments.from(1).iter() {
        if left == 0 {
            break;
        }
        let shown = quoted(argument, left);
        left = left.saturating_sub(shown.len());
        message.push_str(&format!("'{shown}' "));
    }
    Failure::new(message)
}

fn quoted(bytes: &[u8], most: usize) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(most)]).into_owned()
}
