//! The rules of this crate, as tests: first the sentences of the papers, then the algebra, then what it is all for.

mod algebra;
mod codec;
mod dynamo_walk;
mod given;
mod interleaving;
mod oracle;
mod outline;
mod prune;
mod settled;
mod stamps;
mod tokens;
mod view;
