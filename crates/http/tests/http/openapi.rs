//! The description says what there is, and what there is is described.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::StatusCode;
use serde_json::Value;

use crate::client::Site;

async fn description() -> Value {
    let answer = Site::new().get("/openapi.json").await;
    assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, "application/json"));
    answer.json()
}

/// Every operation: method, path, and what is said of it.
fn operations(description: &Value) -> Vec<(String, String, Value)> {
    let paths = description["paths"].as_object().unwrap();
    let of_path = |(path, item): (&String, &Value)| {
        let operations = item.as_object().unwrap().iter();
        operations
            .map(|(method, operation)| (method.to_uppercase(), path.clone(), operation.clone()))
            .collect::<Vec<_>>()
    };
    paths.iter().flat_map(of_path).collect()
}

/// The contract's list of routes, by hand: taking one away must not go unnoticed.
#[tokio::test]
async fn every_route_of_the_contract_is_described() {
    let described: BTreeSet<String> = operations(&description().await)
        .into_iter()
        .map(|(method, path, _)| format!("{method} {path}"))
        .collect();
    let contract = [
        "GET /",
        "GET /healthz",
        "GET /metrics",
        "GET /problems/{name}",
        "GET /readyz",
        "GET /v1/autoscaler",
        "GET /v1/cluster",
        "GET /v1/explain/{keyspace}/{key}",
        "GET /v1/hot",
        "GET /v1/keyspaces",
        "POST /v1/keyspaces",
        "GET /v1/keyspaces/{keyspace}",
        "PATCH /v1/keyspaces/{keyspace}",
        "DELETE /v1/keyspaces/{keyspace}",
        "POST /v1/nodes/{name}/cancel",
        "POST /v1/nodes/{name}/drain",
        "POST /v1/nodes/{name}/remove",
        "PUT /v1/nodes/{name}/weight",
        "POST /v1/partitions/{partition}/move",
        "POST /v1/partitions/halve",
        "POST /v1/partitions/merge",
        "DELETE /v1/partitions/merge",
        "POST /v1/recover",
        "GET /v1/members",
        "GET /v1/repair",
        "POST /v1/repair",
        "GET /v1/ring",
        "DELETE /v1/keyspaces/{keyspace}/keys/{key}",
        "GET /v1/keyspaces/{keyspace}/keys/{key}",
        "HEAD /v1/keyspaces/{keyspace}/keys/{key}",
        "PUT /v1/keyspaces/{keyspace}/keys/{key}",
        "POST /v1/keyspaces/{keyspace}/keys",
    ];
    assert_eq!(described, contract.map(str::to_owned).into());
}

/// What is described is reached, and answers with a status that the description announces.
#[tokio::test]
async fn what_is_described_is_served() {
    let site = Site::new();
    for (method, path, operation) in operations(&description().await) {
        let path = path
            .replace("{keyspace}", "default")
            .replace("{key}", "k")
            .replace("{name}", "unknown")
            .replace("{partition}", "17");
        let answer = site.ask(&format!("{method} {path}"), Body::empty()).await;
        assert_ne!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
        assert!(!String::from_utf8_lossy(&answer.body).contains("no-such-route"), "{method} {path}");
        let responses = &operation["responses"];
        let is_announced = responses[answer.status.as_str()].is_object()
            || (method == "HEAD" && responses["default"].is_object());
        assert!(is_announced, "{method} {path} answers {}", answer.status);
    }
}

/// Whatever goes wrong is announced as a problem document.
#[tokio::test]
async fn every_error_is_announced_as_a_problem() {
    let description = description().await;
    for (method, path, operation) in operations(&description) {
        let responses = operation["responses"].as_object().unwrap();
        assert!(!responses.is_empty(), "{method} {path} announces nothing");
        for (status, response) in responses {
            let is_problem = status.starts_with(['4', '5']) || status == "default";
            if method == "HEAD" {
                continue; // Has no body to announce.
            }
            let has_problem = !response["content"]["application/problem+json"].is_null();
            assert_eq!(is_problem, has_problem, "{method} {path} {status}");
        }
        assert!(operation["operationId"].is_string() && operation["summary"].is_string(), "{method} {path}");
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        for parameter in parameters {
            assert!(
                parameter["description"].as_str().is_some_and(|text| !text.is_empty()),
                "{method} {path}: {parameter}"
            );
        }
    }
}

/// Generated clients name their functions by it.
#[tokio::test]
async fn every_operation_has_an_id_of_its_own() {
    let operations = operations(&description().await);
    let ids: BTreeSet<&str> =
        operations.iter().map(|(_, _, operation)| operation["operationId"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), operations.len());
}

/// Every reference leads somewhere.
#[tokio::test]
async fn no_reference_dangles() {
    let description = description().await;
    let mut references = Vec::new();
    collect_references(&description, &mut references);
    assert!(!references.is_empty());
    for reference in references {
        let target = description.pointer(reference.trim_start_matches('#'));
        assert!(target.is_some(), "{reference}");
    }
}

fn collect_references(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            references.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|member| collect_references(member, references));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_references(item, references)),
        _ => {}
    }
}

/// The members of an answer are those that its schema has, no more and no fewer (but for those that may be left out).
#[tokio::test]
async fn answers_have_the_members_that_their_schema_has() {
    let description = description().await;
    let site = Site::new();
    site.put("/v1/keyspaces/siblings/keys/k", "1").await;
    site.put("/v1/keyspaces/siblings/keys/k", "2").await;
    let siblings = site.get("/v1/keyspaces/siblings/keys/k").await.json();
    let cluster = site.get("/v1/cluster").await.json();
    let ring = site.get("/v1/ring").await.json();
    let keyspaces = site.get("/v1/keyspaces").await.json();
    let explanation = site.get("/v1/explain/siblings/k").await.json();
    let changed = site.ask("POST /v1/nodes/n3/drain", "").await.json();
    let plan = site.ask("POST /v1/nodes/n3/drain?dry-run=true", "").await.json();
    for (schema, answer) in [
        ("SiblingsDocument", &siblings),
        ("ValueDocument", &siblings["values"][0]),
        ("ClusterDocument", &cluster),
        ("NodeDocument", &cluster["nodes"][0]),
        ("RingDocument", &ring),
        ("SlotsDocument", &ring["slots"][0]),
        ("KeyspacesDocument", &keyspaces),
        ("KeyspaceDocument", &keyspaces["keyspaces"][0]),
        ("ExplanationDocument", &explanation),
        ("OwnerDocument", &explanation["owners"][0]),
        ("ChangedDocument", &changed),
        ("PlanDocument", &plan),
        ("MoveDocument", &plan["moves"][0]),
    ] {
        let schema_value = &description["components"]["schemas"][schema];
        let properties: BTreeSet<&String> = schema_value["properties"].as_object().unwrap().keys().collect();
        let members: BTreeSet<&String> = answer.as_object().unwrap().keys().collect();
        assert!(members.is_subset(&properties), "{schema}: {members:?} beside {properties:?}");
        let required = schema_value["required"].as_array().cloned().unwrap_or_default();
        for name in required {
            assert!(members.iter().any(|member| name == member.as_str()), "{schema} lacks {name}");
        }
    }
}
