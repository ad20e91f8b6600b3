//! What is shown of the autoscaler, where there is one, and where it does not decide.

use std::sync::Arc;

use api::{
    AutoscalerFigures, AutoscalerStatus, Autoscaling, Counter, DataCenterLoad, DecisionOutcome,
    DecisionStatus,
};
use http_front::HttpOptions;
use serde_json::{Value, json};
use types::{Epoch, WallTime};

use crate::client::Site;

#[derive(Debug)]
struct Fixed(AutoscalerStatus);

impl Autoscaling for Fixed {
    fn status(&self) -> AutoscalerStatus {
        self.0.clone()
    }

    fn counters(&self) -> Vec<Counter> {
        vec![Counter { name: "autoscaler_looks_total", help: "Looks.", value: 7.0 }]
    }
}

fn decision(outcome: DecisionOutcome) -> DecisionStatus {
    let load = DataCenterLoad {
        name: "dc1".to_owned(),
        up: 3,
        operations_per_second: 5_400,
        cpu_permille: 900,
        disk_permille: Some(120),
        pressure_permille: 1_500,
        ..DataCenterLoad::default()
    };
    DecisionStatus {
        at: WallTime(5),
        epoch: Epoch(4),
        action: "add a node".to_owned(),
        reason: "too much".to_owned(),
        is_dry: false,
        outcome,
        figures: AutoscalerFigures { members: 3, data_centers: vec![load], ..AutoscalerFigures::default() },
    }
}

fn site(status: AutoscalerStatus) -> Site {
    Site::with_options(HttpOptions { autoscaler: Some(Arc::new(Fixed(status))), ..HttpOptions::default() })
}

/// A node that was started without one says so, and who leads all the same.
#[tokio::test]
async fn a_node_without_an_autoscaler_says_so() {
    let document = Site::new().get("/v1/autoscaler").await.json();
    let part = |name: &str| document[name].clone();
    assert_eq!(
        [part("enabled"), part("decides"), part("provider")],
        [json!(false), json!(false), json!("none")]
    );
    assert_eq!([part("node"), part("leader"), part("decisions")], [json!("n1"), json!("n2"), json!([])]);
}

/// Each decision is told with its figures, its reason and what came of it.
#[tokio::test]
async fn decisions_are_told_with_figures_and_outcome() {
    let outcomes = [
        (DecisionOutcome::Asked, "asked", ""),
        (DecisionOutcome::Began("auto-1".to_owned()), "begun", "auto-1"),
        (DecisionOutcome::Refused("no room".to_owned()), "refused", "no room"),
    ];
    let status = AutoscalerStatus {
        decides: true,
        provider: "local",
        max: 5,
        trouble: Some("the list cannot be had".to_owned()),
        latest: Some(decision(DecisionOutcome::Nothing)),
        decisions: outcomes.iter().map(|(outcome, ..)| decision(outcome.clone())).collect(),
        ..AutoscalerStatus::default()
    };
    let site = site(status);
    let document = site.get("/v1/autoscaler").await.json();
    let part = |name: &str| document[name].clone();
    assert_eq!([part("enabled"), part("decides"), part("max")], [json!(true), json!(true), json!(5)]);
    assert_eq!(part("trouble"), "the list cannot be had");
    assert_eq!(document["latest"]["outcome"], "nothing");
    for (decision, (_, outcome, detail)) in document["decisions"].as_array().unwrap().iter().zip(&outcomes) {
        assert_eq!((&decision["outcome"], &decision["detail"]), (&json!(outcome), &json!(detail)));
        assert_eq!(
            (&decision["at"], &decision["epoch"], &decision["dry_run"]),
            (&json!(5), &json!(4), &json!(false))
        );
    }
    let load = &document["decisions"][0]["figures"]["data_centers"][0];
    let expected = json!({
        "name": "dc1", "up": 3, "down": 0, "operations_per_second": 5400, "operations_per_second_max": null,
        "cpu_permille": 900, "disk_permille": 120, "pressure_permille": 1500, "pressure_peak_permille": 0
    });
    assert_eq!(load, &expected);
}

/// Its figures stand beside the node's.
#[tokio::test]
async fn its_figures_are_among_the_nodes() {
    let text = site(AutoscalerStatus::default()).get("/metrics").await;
    let text = String::from_utf8_lossy(&text.body).into_owned();
    assert!(
        text.contains("henge_autoscaler_looks_total 7\n") && text.contains("henge_writes_total"),
        "{text}"
    );
    assert_eq!(Site::new().get("/v1/autoscaler").await.json()["latest"], Value::Null);
}
