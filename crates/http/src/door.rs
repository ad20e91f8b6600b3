//! A node behind one type, whatever store it is.
//!
//! [`Store`] is generic, so that the hot protocol pays nothing for it. This front end is not the hot one: its handlers
//! are written against a trait object, compile once, and are plain functions, which is also what the OpenAPI macros
//! can name. An answer that is ready stays unboxed; only one that must be awaited is put on the heap.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use api::{Answer, Counter, HeatStatus, MemberStatus, Outcome, Request, Status, Store};

type BoxedOutcome = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// [`Store`], as a trait object can be one.
pub(crate) trait Door: Send + Sync {
    fn call(&self, request: Request) -> Answer<BoxedOutcome>;
    fn status(&self) -> Arc<Status>;
    fn counters(&self) -> Vec<Counter>;
    fn members(&self) -> Arc<[MemberStatus]>;
    fn heat(&self) -> HeatStatus;
}

impl<S> Door for S
where
    S: Store + Send + Sync,
    S::Pending: Send,
{
    fn call(&self, request: Request) -> Answer<BoxedOutcome> {
        match Store::call(self, request) {
            Answer::Ready(outcome) => Answer::Ready(outcome),
            Answer::Pending(pending) => Answer::Pending(Box::pin(pending)),
        }
    }

    fn status(&self) -> Arc<Status> {
        Store::status(self)
    }

    fn counters(&self) -> Vec<Counter> {
        Store::counters(self)
    }

    fn members(&self) -> Arc<[MemberStatus]> {
        Store::members(self)
    }

    fn heat(&self) -> HeatStatus {
        Store::heat(self)
    }
}
