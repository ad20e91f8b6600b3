//! Stands in for what is being made elsewhere.
use cluster::{ClusterState, Step};
use std::sync::Arc;
use types::Moment;
pub(super) trait Later {
    fn set_state(&mut self, _now: Moment, _state: Arc<ClusterState>, _out: &mut Vec<replica::Effect>) {}
    fn report(&self) -> Vec<Step> {
        Vec::new()
    }
}
impl Later for replica::Replica {}
