//! What can be set, and what is said of what cannot work.

use std::time::Duration;

use autoscale::{AutoscalerConfig, Policy, PolicyError, ProviderKind};

fn policy(text: &str) -> Result<Policy, PolicyError> {
    toml::from_str::<AutoscalerConfig>(text).expect("known keys").policy()
}

/// Nothing said is as usual, and off.
#[test]
fn what_is_left_out_is_as_usual() {
    let policy = policy("").unwrap();
    assert_eq!(policy, Policy::default());
    assert!(!policy.enabled);
}

/// What is said counts, with its units.
#[test]
fn what_is_said_counts() {
    let policy = policy(
        "enabled = true\nprovider = \"command\"\nmin = 2\nmax = 9\nreplace_after = \"1h\"\ncalm = \"90s\"\n\
         target = { cpu_percent = 50 }\n[[pool]]\nrack = \"r1\"\nweight = 2.5\nnodes = 3\n",
    )
    .unwrap();
    assert_eq!((policy.min, policy.max, policy.provider), (2, 9, ProviderKind::Command));
    assert_eq!((policy.replace_after, policy.calm), (Duration::from_secs(3_600), Duration::from_secs(90)));
    assert_eq!((policy.target.cpu, policy.target.disk), (50, 70));
    assert_eq!((policy.pool[0].weight_thousandths, policy.pool[0].data_center.as_str()), (2_500, "dc1"));
}

/// Who names a minimum and no maximum has not asked for nodes.
#[test]
fn without_a_maximum_nothing_is_added() {
    assert_eq!(policy("min = 5").unwrap().max, 5);
}

/// A key that is not known is refused by its name.
#[test]
fn an_unknown_key_is_named() {
    for text in ["colour = 3", "target = { memory_percent = 3 }", "[[pool]]\nrack = \"r\"\ncolour = 3"] {
        let error = toml::from_str::<AutoscalerConfig>(text).unwrap_err().to_string();
        assert!(error.contains("colour") || error.contains("memory_percent"), "{error}");
    }
}

/// An error names the key, its value and what would be right.
#[test]
fn what_cannot_work_is_named_with_what_would() {
    for (text, words) in [
        ("min = 0", ["autoscaler.min", "= 0:", "usually 3"]),
        ("min = 5\nmax = 4", ["autoscaler.max", "= 4:", "want 5"]),
        ("max_per_rack = 0", ["autoscaler.max_per_rack", "= 0:", "leave it out"]),
        ("operations_per_second = 0", ["autoscaler.operations_per_second", "= 0:", "leave it out"]),
        ("provider = \"magic\"", ["autoscaler.provider", "magic", "local, command or kubernetes"]),
        ("target = { cpu_percent = 99 }", ["autoscaler.target.cpu_percent", "99", "1 to 95"]),
        ("low_percent = 95", ["autoscaler.low_percent", "95", "1 to 90"]),
        ("window = \"soon\"", ["autoscaler.window", "soon", "90s"]),
        ("window = \"5m\"", ["autoscaler.cool_down_out", "120s", "autoscaler.window"]),
        ("calm = \"1s\"", ["autoscaler.calm", "1s", "autoscaler.window"]),
        ("replace_after = \"900h\"", ["autoscaler.replace_after", "3240000s", "a week"]),
        ("[[pool]]\nrack = \"a b\"", ["autoscaler.pool.rack", "a b", "letters"]),
        ("[[pool]]\nrack = \"../r\"", ["autoscaler.pool.rack", "../r", "the first a letter"]),
        ("[[pool]]\nrack = \"r\"\nweight = 0.0", ["autoscaler.pool.weight", "= 0:", "usually 1"]),
        ("[[pool]]\nrack = \"r\"\nnodes = 0", ["autoscaler.pool.nodes", "= 0:", "how many"]),
        ("[[pool]]\nrack = \"r\"\n[[pool]]\nrack = \"r\"", ["autoscaler.pool", "dc1/r", "listed once"]),
    ] {
        let error = policy(text).expect_err(text).to_string();
        assert!(words.iter().all(|word| error.contains(word)), "{text}: {error}");
    }
}
