//! Clusters of nodes on virtual time: what is seen of whom, under every fault that could deceive an observer.

mod deaths;
mod deceptions;
mod network;
mod spreading;
