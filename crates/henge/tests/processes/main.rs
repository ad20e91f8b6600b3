//! The real `henge` binary: real processes, sockets and files, stopped, killed and damaged.
//!
//! What the crates below prove of their parts is held here against the whole, from where a client and an operator stand.
//! Nothing is measured and no test waits for a fixed time: what has to come is polled for, within generous bounds. Every
//! test has its own directory and ports, and ends its processes whatever becomes of it.

mod common;

mod administration;
mod autoscaling;
mod command_line;
mod configuration;
mod contexts;
mod cutting;
mod damage;
mod data_centers;
mod dev;
mod disagreement;
mod exchange;
mod full_disk;
mod gossip;
mod healing;
mod hints;
mod identity;
mod laboratory;
mod membership;
mod outages;
mod protocols;
mod recovery;
mod shards;
mod siblings;
mod sizes;
mod small_disk;
mod staleness;
mod survival;
