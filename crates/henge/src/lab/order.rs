//! What a laboratory can be told to do, as it goes over its control socket: a line of JSON, answered by one.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Nodes, as people call them: `n2`, or `2`.
pub(crate) type Nodes = Vec<String>;

/// One thing to do.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Order {
    /// End them at once; what they had not synced is lost.
    Kill { nodes: Nodes },
    /// Let them stand still.
    Pause { nodes: Nodes },
    /// Let them go on.
    Resume { nodes: Nodes },
    /// Start them, those that run after stopping them in good order.
    Restart { nodes: Nodes },
    /// Let nothing pass between these sides.
    Cut { sides: Vec<Nodes> },
    /// End all cuts and delays.
    Heal {},
    /// Let every message to or from them take longer by this.
    Slow { nodes: Nodes, by_ms: u64 },
    /// Say how they are.
    Show {},
}

/// What came of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Answer {
    /// It is done: what there is to say of it, line by line.
    Done(Vec<String>),
    /// It is not, or not all of it: why.
    Refused(String),
}

/// Sides of a cut, as they are said: `1,2/3`.
pub(crate) fn parse_sides(text: &str) -> Result<Vec<Nodes>, String> {
    let nodes = |side: &str| side.split(',').map(|node| node.trim().to_owned()).collect::<Nodes>();
    let sides: Vec<Nodes> = text.split('/').map(nodes).collect();
    if sides.len() < 2 || sides.iter().flatten().any(String::is_empty) {
        return Err(format!("`{text}` names no sides: write them as 1,2/3"));
    }
    Ok(sides)
}

/// A delay, as it is said: `200ms`, `1.5s`, `0`.
pub(crate) fn parse_delay(text: &str) -> Result<Duration, String> {
    let wanted = || format!("`{text}` is no delay: write it as 200ms or 1.5s, at most 60s; 0 ends it");
    let text = text.trim();
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 0.001),
        None => (text.strip_suffix('s').unwrap_or(text), 1.0),
    };
    let seconds: f64 = number.trim().parse().map_err(|_| wanted())?;
    let has_unit = number.len() < text.len();
    let delay = Duration::try_from_secs_f64(seconds * unit).map_err(|_| wanted())?;
    if delay > DELAY_MAX || (!has_unit && !delay.is_zero()) {
        return Err(wanted());
    }
    Ok(delay)
}

/// The longest delay: by then a connection has long been given up.
pub(crate) const DELAY_MAX: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_are_read_as_they_are_written() {
        let side = |nodes: &[&str]| nodes.iter().map(|&node| node.to_owned()).collect::<Nodes>();
        assert_eq!(parse_sides("1,2/3"), Ok(vec![side(&["1", "2"]), side(&["3"])]));
        assert_eq!(parse_sides("n1 / n2 / 3"), Ok(vec![side(&["n1"]), side(&["n2"]), side(&["3"])]));
        for wrong in ["", "1,2", "1,/2", "/1"] {
            assert!(parse_sides(wrong).expect_err(wrong).contains("1,2/3"));
        }
    }

    #[test]
    fn a_delay_has_a_unit_and_an_end() {
        assert_eq!(parse_delay("200ms"), Ok(Duration::from_millis(200)));
        assert_eq!(parse_delay("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse_delay("0"), Ok(Duration::ZERO));
        for wrong in ["", "200", "-1s", "fast", "61s", "NaNs", "1e300s"] {
            assert!(parse_delay(wrong).expect_err(wrong).contains("200ms"));
        }
    }

    /// What one program writes another reads.
    #[test]
    fn orders_and_answers_survive_the_socket() {
        let orders = [
            Order::Kill { nodes: vec!["2".to_owned()] },
            Order::Cut { sides: vec![vec!["1".to_owned(), "2".to_owned()], vec!["3".to_owned()]] },
            Order::Heal {},
            Order::Slow { nodes: vec!["n3".to_owned()], by_ms: 200 },
        ];
        for order in orders {
            let line = serde_json::to_string(&order).expect("can be written");
            assert!(!line.contains('\n'));
            assert_eq!(serde_json::from_str::<Order>(&line).expect("can be read"), order);
        }
        assert!(serde_json::from_str::<Order>(r#"{"order":"heal","nodes":["1"]}"#).is_err());
    }
}
