//! The provider against an API server that keeps a StatefulSet and answers as Kubernetes does, also when it is in trouble.
#![allow(clippy::unwrap_used, reason = "a server that cannot be set up fails its test")]

mod rules;
mod server;
