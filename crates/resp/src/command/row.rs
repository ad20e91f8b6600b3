//! A row of the command table: what a command is called and takes, as data. `COMMAND` shows it, the session checks
//! arguments by it and finds in it the keys that order commands, and `COMMAND DOCS` is made from it.
//!
//! The columns are those of Redis's own table ("Command key specifications", "COMMAND" in its documentation).

use crate::command::Run;

/// One command.
#[derive(Debug)]
pub struct Row {
    /// In lower case; `container|subcommand` for a subcommand.
    pub name: &'static str,
    /// How many arguments it takes, its name (and its container's) included; at least so many if negative.
    pub arity: i32,
    /// What clients and proxies should know of it.
    pub flags: &'static [Flag],
    /// Where its keys are.
    pub keys: Keys,
    /// When it may run beside other commands of its connection.
    pub turn: Turn,
    /// How a client of a cluster should send it, and put several replies together: Redis's "command tips".
    pub tips: &'static [&'static str],
    /// What it is about.
    pub group: Group,
    /// Since which version there is one: of Redis, or of Henge for `KV.*`.
    pub since: &'static str,
    /// How its cost grows.
    pub complexity: &'static str,
    /// What it does, in a sentence.
    pub summary: &'static str,
    /// What runs.
    pub action: Action,
}

/// What a row does.
#[derive(Debug)]
pub enum Action {
    /// This function.
    Run(Run),
    /// One of these, by the second argument.
    Container {
        /// The rows to choose from.
        subcommands: &'static [Row],
        /// What runs where there is no second argument, if the row's arity allows that.
        bare: Option<Run>,
    },
    /// Nothing: it cannot be kept here, for this reason.
    Refuse(&'static str),
}

/// What is to be known of a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flag {
    /// Changes data.
    Write,
    /// Looks at data and changes none.
    ReadOnly,
    /// Takes constant or logarithmic time.
    Fast,
    /// For operators.
    Admin,
    /// Works without a login.
    NoAuth,
    /// Works while a node starts.
    Loading,
    /// Works while a node lags behind.
    Stale,
    /// May wait for others.
    Blocking,
    /// Not from scripts.
    NoScript,
    /// May take new memory.
    DenyOom,
}

impl Flag {
    /// As `COMMAND` spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Flag::Write => "write",
            Flag::ReadOnly => "readonly",
            Flag::Fast => "fast",
            Flag::Admin => "admin",
            Flag::NoAuth => "no_auth",
            Flag::Loading => "loading",
            Flag::Stale => "stale",
            Flag::Blocking => "blocking",
            Flag::NoScript => "noscript",
            Flag::DenyOom => "denyoom",
        }
    }
}

/// Which arguments are keys: from `first` to `last` (counted from the end where negative), each `step`th. All zero for
/// none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Keys {
    /// The first.
    pub first: usize,
    /// The last, included.
    pub last: i32,
    /// The distance between two.
    pub step: usize,
}

impl Keys {
    /// The places of the keys among `count` arguments.
    pub fn places(self, count: usize) -> impl Iterator<Item = usize> {
        let from_end = usize::try_from(self.last.unsigned_abs()).unwrap_or(usize::MAX);
        let last = if self.last < 0 { count.checked_sub(from_end) } else { Some(from_end) };
        let end = last.map_or(0, |last| (last + 1).min(count));
        let none = self.first == 0;
        (self.first..if none { 0 } else { end }).step_by(self.step.max(1))
    }
}

/// When a command may run beside other commands of its connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Turn {
    /// As soon as no earlier unfinished one touches one of its keys, unless both only read.
    #[default]
    ByKeys,
    /// When all earlier ones are answered, and none later runs until it is: it speaks of a whole keyspace, or of what
    /// went before on the connection.
    Alone,
}

/// What a command is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Group {
    /// The connection itself.
    Connection,
    /// Values.
    String,
    /// Keys, whatever their values.
    Generic,
    /// The cluster.
    Cluster,
    /// The server.
    Server,
    /// All or nothing.
    Transactions,
    /// Programs that run in the server.
    Scripting,
    /// Versions, siblings and levels: Henge's own.
    Versions,
}

impl Group {
    /// As `COMMAND DOCS` spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Group::Connection => "connection",
            Group::String => "string",
            Group::Generic => "generic",
            Group::Cluster => "cluster",
            Group::Server => "server",
            Group::Transactions => "transactions",
            Group::Scripting => "scripting",
            Group::Versions => "module",
        }
    }
}

impl Row {
    /// A row that runs `run`; what it is about is said with the methods below.
    pub const fn new(name: &'static str, arity: i32, flags: &'static [Flag], run: Run) -> Row {
        Row::with_action(name, arity, flags, Action::Run(run))
    }

    /// A row that stands for others.
    pub const fn container(name: &'static str, subcommands: &'static [Row]) -> Row {
        Row::with_action(name, -2, &[], Action::Container { subcommands, bare: None })
    }

    /// The same, running `bare` where it is given nothing.
    pub const fn bare(self, bare: Run) -> Row {
        let Action::Container { subcommands, .. } = self.action else {
            return self;
        };
        Row { arity: -1, action: Action::Container { subcommands, bare: Some(bare) }, ..self }
    }

    /// A row that says why there is no such command here.
    pub const fn refused(name: &'static str, arity: i32, flags: &'static [Flag], why: &'static str) -> Row {
        Row::with_action(name, arity, flags, Action::Refuse(why))
    }

    const fn with_action(name: &'static str, arity: i32, flags: &'static [Flag], action: Action) -> Row {
        Row {
            name,
            arity,
            flags,
            keys: Keys { first: 0, last: 0, step: 0 },
            turn: Turn::ByKeys,
            tips: &[],
            group: Group::Generic,
            since: "",
            complexity: "",
            summary: "",
            action,
        }
    }

    /// The same with keys.
    pub const fn keys(self, first: usize, last: i32, step: usize) -> Row {
        Row { keys: Keys { first, last, step }, ..self }
    }

    /// The same, running alone.
    pub const fn alone(self) -> Row {
        Row { turn: Turn::Alone, ..self }
    }

    /// The same, with tips to clients of a cluster.
    pub const fn tips(self, tips: &'static [&'static str]) -> Row {
        Row { tips, ..self }
    }

    /// The same, described.
    pub const fn about(
        self,
        group: Group,
        since: &'static str,
        complexity: &'static str,
        summary: &'static str,
    ) -> Row {
        Row { group, since, complexity, summary, ..self }
    }

    /// Whether it may change data.
    pub fn writes(&self) -> bool {
        self.flags.contains(&Flag::Write)
    }

    /// Whether it may be given so many arguments.
    pub fn takes(&self, arguments: usize) -> bool {
        let least = usize::try_from(self.arity.unsigned_abs()).unwrap_or(usize::MAX);
        if self.arity < 0 { arguments >= least } else { arguments == least }
    }

    /// The subcommand called `name`, in any case of letters.
    pub fn subcommand(&self, name: &[u8]) -> Option<&'static Row> {
        self.subcommands().iter().find(|row| row.own_name().as_bytes().eq_ignore_ascii_case(name))
    }

    /// All of its subcommands.
    pub fn subcommands(&self) -> &'static [Row] {
        if let Action::Container { subcommands, .. } = self.action { subcommands } else { &[] }
    }

    /// Its name without its container's.
    pub fn own_name(&self) -> &'static str {
        self.name.rsplit_once('|').map_or(self.name, |(_, own)| own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_where_the_row_says() {
        let places = |keys: Keys, count| keys.places(count).collect::<Vec<_>>();
        assert_eq!(places(Keys { first: 1, last: 1, step: 1 }, 4), [1]);
        assert_eq!(places(Keys { first: 1, last: -1, step: 1 }, 4), [1, 2, 3]);
        assert_eq!(places(Keys { first: 1, last: -1, step: 2 }, 5), [1, 3]);
        assert!(places(Keys::default(), 4).is_empty());
        assert!(places(Keys { first: 1, last: -1, step: 1 }, 1).is_empty());
    }
}
