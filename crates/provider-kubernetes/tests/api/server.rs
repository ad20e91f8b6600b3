//! An API server on the loopback address, with one StatefulSet.
//!
//! It does what the provider depends on: a patch of the scale that names another version than the present one is refused
//! with 409, every change makes a new version, and so does the controller that writes the status. Troubles are played in the
//! order in which a test lists them, one for each request of their kind.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch};
use serde_json::{Value, json};

/// What goes wrong with a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Trouble {
    /// Nothing.
    None,
    /// Somebody writes the StatefulSet just before the patch arrives.
    Overtaken,
    /// An answer with this code, and nothing is done.
    Answers(u16),
    /// An answer with this code, though it is done.
    DoneBut(u16),
    /// No answer, and nothing is done.
    Silent,
    /// No answer, though it is done.
    DoneSilently,
    /// An answer that is no StatefulSet.
    Rubbish,
    /// Somebody else sets so many replicas just before the request arrives.
    SetBySomebody(i64),
}

/// What it keeps.
pub(crate) struct Kept {
    pub(crate) replicas: i64,
    pub(crate) running: i64,
    pub(crate) start: Option<i64>,
    version: u64,
    pub(crate) reads: VecDeque<Trouble>,
    pub(crate) patches: VecDeque<Trouble>,
    /// The replicas of each patch that was done.
    pub(crate) done: Vec<i64>,
    /// How many patches arrived.
    pub(crate) asked: usize,
}

type Shared = Arc<Mutex<Kept>>;

/// A server that runs until the tests end.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    kept: Shared,
}

impl Server {
    /// With a StatefulSet `henge-r1` of so many replicas, all of which run.
    pub(crate) fn start(replicas: i64) -> Server {
        let kept = Arc::new(Mutex::new(Kept {
            replicas,
            running: replicas,
            start: None,
            version: 100,
            reads: VecDeque::new(),
            patches: VecDeque::new(),
            done: Vec::new(),
            asked: 0,
        }));
        let set = "/apis/apps/v1/namespaces/{namespace}/statefulsets/{name}";
        let router = Router::new()
            .route(set, get(read))
            .route(&format!("{set}/scale"), patch(scale))
            .with_state(kept.clone());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                axum::serve(listener, router).await.unwrap();
            });
        });
        Server { address, kept }
    }

    /// Looks at what it keeps, or changes it.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut Kept) -> T) -> T {
        look(&mut self.kept.lock().unwrap())
    }
}

impl Kept {
    fn set(&mut self, replicas: i64) {
        self.replicas = replicas;
        self.version += 1;
    }
}

fn status(code: u16, reason: &str, message: &str) -> Response {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    });
    (StatusCode::from_u16(code).unwrap(), axum::Json(body)).into_response()
}

fn troubled(code: u16) -> Response {
    match code {
        403 => status(
            403,
            "Forbidden",
            "statefulsets.apps \"henge-r1\" is forbidden: no right to patch its scale",
        ),
        429 => status(429, "TooManyRequests", "the server has received too many requests"),
        code => status(code, "InternalError", "etcdserver: request timed out"),
    }
}

async fn silence() -> Response {
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    status(500, "InternalError", "nobody waits as long")
}

async fn read(State(kept): State<Shared>, Path((_, name)): Path<(String, String)>) -> Response {
    let trouble = kept.lock().unwrap().reads.pop_front().unwrap_or(Trouble::None);
    match trouble {
        Trouble::Answers(code) | Trouble::DoneBut(code) => return troubled(code),
        Trouble::Silent | Trouble::DoneSilently => return silence().await,
        Trouble::Rubbish => return "<html>a proxy</html>".into_response(),
        Trouble::SetBySomebody(replicas) => kept.lock().unwrap().set(replicas),
        Trouble::None | Trouble::Overtaken => {}
    }
    let kept = kept.lock().unwrap();
    if name != "henge-r1" {
        return status(404, "NotFound", &format!("statefulsets.apps {name:?} not found"));
    }
    axum::Json(set(&kept)).into_response()
}

fn set(kept: &Kept) -> Value {
    let ordinals = kept.start.map_or(Value::Null, |start| json!({ "start": start }));
    json!({
        "kind": "StatefulSet", "apiVersion": "apps/v1",
        "metadata": { "name": "henge-r1", "namespace": "stores", "resourceVersion": kept.version.to_string() },
        "spec": {
            "replicas": kept.replicas, "ordinals": ordinals, "serviceName": "henge",
            "selector": { "matchLabels": { "app": "henge" } },
            "template": { "metadata": {}, "spec": { "containers": [] } },
        },
        "status": { "replicas": kept.running },
    })
}

async fn scale(
    State(kept): State<Shared>,
    Path((namespace, name)): Path<(String, String)>,
    headers: HeaderMap,
    body: String,
) -> Response {
    let trouble = {
        let mut kept = kept.lock().unwrap();
        kept.asked += 1;
        kept.patches.pop_front().unwrap_or(Trouble::None)
    };
    match trouble {
        Trouble::Answers(code) => return troubled(code),
        Trouble::Silent => return silence().await,
        Trouble::Rubbish => return "<html>a proxy</html>".into_response(),
        Trouble::Overtaken => kept.lock().unwrap().version += 1,
        Trouble::SetBySomebody(replicas) => kept.lock().unwrap().set(replicas),
        Trouble::None | Trouble::DoneBut(_) | Trouble::DoneSilently => {}
    }
    let answer = patched(&mut kept.lock().unwrap(), &namespace, &name, &headers, &body);
    match trouble {
        Trouble::DoneBut(code) => troubled(code),
        Trouble::DoneSilently => silence().await,
        _ => answer,
    }
}

fn patched(kept: &mut Kept, namespace: &str, name: &str, headers: &HeaderMap, body: &str) -> Response {
    if (namespace, name) != ("stores", "henge-r1") {
        return status(404, "NotFound", &format!("statefulsets.apps {name:?} not found"));
    }
    let kind = headers.get("content-type").and_then(|kind| kind.to_str().ok());
    if kind != Some("application/merge-patch+json") {
        return status(415, "UnsupportedMediaType", "this is no merge patch");
    }
    let patch: Value = serde_json::from_str(body).unwrap();
    let version = patch["metadata"]["resourceVersion"].as_str();
    if version.is_some_and(|version| version != kept.version.to_string()) {
        let why = "Operation cannot be fulfilled on statefulsets.apps \"henge-r1\": the object has been modified; please apply your changes to the latest version and try again";
        return status(409, "Conflict", why);
    }
    let replicas = patch["spec"]["replicas"].as_i64().unwrap();
    kept.set(replicas);
    kept.done.push(replicas);
    let scale = json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": { "name": "henge-r1", "namespace": "stores", "resourceVersion": kept.version.to_string() },
        "spec": { "replicas": replicas }, "status": { "replicas": kept.running },
    });
    axum::Json(scale).into_response()
}
