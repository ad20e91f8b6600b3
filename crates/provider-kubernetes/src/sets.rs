//! What a StatefulSet says of its pods, by numbers alone.
//!
//! Its pods are called `NAME-ORDINAL`, with ordinals from `spec.ordinals.start`, or 0, on.

use k8s_openapi::api::apps::v1::StatefulSet;

/// How many pods a StatefulSet has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scale {
    /// How many there are to be.
    pub replicas: u32,
    /// How many there are.
    pub running: u32,
    /// The ordinal of the first.
    pub start: u32,
    /// Of which version of the StatefulSet all this is.
    pub version: String,
}

impl Scale {
    /// What the API said.
    ///
    /// # Errors
    /// If it said something that a StatefulSet cannot be.
    pub fn of(set: &StatefulSet) -> Result<Scale, String> {
        let number = |what: &str, number: i32| {
            u32::try_from(number).map_err(|_| format!("the API says that {what} is {number}"))
        };
        let spec = set.spec.as_ref().ok_or("the API says nothing of its spec")?;
        let start = spec.ordinals.as_ref().and_then(|ordinals| ordinals.start).unwrap_or(0);
        let running = set.status.as_ref().map_or(0, |status| status.replicas);
        Ok(Scale {
            // One that says nothing has one, by the API's own words.
            replicas: number("spec.replicas", spec.replicas.unwrap_or(1))?,
            running: number("status.replicas", running)?,
            start: number("spec.ordinals.start", start)?,
            version: set.metadata.resource_version.clone().ok_or("the API says nothing of its version")?,
        })
    }

    /// What the pod at a place, counted from 0, is called.
    pub fn pod(&self, set: &str, place: u32) -> String {
        format!("{set}-{}", u64::from(self.start) + u64::from(place))
    }

    /// How many pods there are up to this ordinal, and with it.
    pub fn up_to(&self, ordinal: u32) -> u32 {
        ordinal.saturating_add(1).saturating_sub(self.start)
    }
}

/// The ordinal of a pod, if it is one of this StatefulSet.
pub fn ordinal(set: &str, pod: &str) -> Option<u32> {
    let digits = pod.strip_prefix(set)?.strip_prefix('-')?;
    let is_plain = digits == "0" || !digits.starts_with(['0', '+']);
    digits.parse().ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `henge-r1-2` is not a pod of `henge`, and only the API's own way of writing numbers counts.
    #[test]
    fn a_pod_is_of_one_set_only() {
        assert_eq!(ordinal("henge", "henge-12"), Some(12));
        assert_eq!(ordinal("henge", "henge-0"), Some(0));
        for other in
            ["henge-r1-2", "henge", "henge-", "henge-02", "henge-+2", "henge--2", "henge-99999999999"]
        {
            assert_eq!(ordinal("henge", other), None, "{other}");
        }
    }

    /// Ordinals need not begin at 0.
    #[test]
    fn pods_are_counted_from_the_first_ordinal() {
        let scale = Scale { replicas: 3, running: 3, start: 5, version: "1".to_owned() };
        assert_eq!(scale.pod("henge", 2), "henge-7");
        assert_eq!((scale.up_to(7), scale.up_to(4)), (3, 0));
    }
}
