//! When a value that is written expires: `ttl_ms`, `expires_ms` or `keep_ttl` in the query, at most one of them. A put
//! with none of them makes a value that lives until it is deleted, as SET does over RESP.
//!
//! A time to live is turned into an absolute time once, here, by this node's clock; from then on it is never prolonged
//! by copying (INVARIANTS D3).

use std::time::{SystemTime, UNIX_EPOCH};

use api::ExpiryChange;
use types::WallTime;

use crate::problem::Problem;

/// What the query asks for.
pub(crate) fn change(
    ttl_ms: Option<u64>,
    expires_ms: Option<u64>,
    keep_ttl: bool,
) -> Result<ExpiryChange, Problem> {
    match (ttl_ms, expires_ms, keep_ttl) {
        (None, None, false) => Ok(ExpiryChange::Clear),
        (None, None, true) => Ok(ExpiryChange::Keep),
        (Some(0), None, false) => {
            Err(Problem::invalid("ttl_ms=0 would be gone at once; delete the key instead"))
        }
        (Some(ttl_ms), None, false) => Ok(ExpiryChange::At(now().plus_millis(ttl_ms))),
        (None, Some(expires_ms), false) => Ok(ExpiryChange::At(WallTime(expires_ms))),
        _ => Err(Problem::invalid("ttl_ms, expires_ms and keep_ttl exclude one another; give one of them")),
    }
}

fn now() -> WallTime {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_wish_a_value_lives_until_it_is_deleted() {
        assert_eq!(change(None, None, false).unwrap(), ExpiryChange::Clear);
    }

    #[test]
    fn a_time_to_live_counts_from_now() {
        let before = now();
        let ExpiryChange::At(time) = change(Some(5_000), None, false).unwrap() else { panic!("not a time") };
        assert!(time >= before.plus_millis(5_000) && time <= now().plus_millis(5_000));
    }

    #[test]
    fn an_absurd_time_to_live_is_the_end_of_time() {
        assert_eq!(change(Some(u64::MAX), None, false).unwrap(), ExpiryChange::At(WallTime(u64::MAX)));
    }

    #[test]
    fn two_wishes_at_once_are_refused() {
        assert!(change(Some(1), Some(2), false).is_err());
        assert!(change(Some(1), None, true).is_err());
        assert!(change(None, Some(1), true).is_err());
        assert!(change(Some(0), None, false).is_err());
    }
}
