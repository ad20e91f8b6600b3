//! The router and its description (OpenAPI 3.1), from one list: a handler that is not described cannot be reached, and
//! what is described is reached.

use std::sync::Arc;

use api::Store;
use axum::extract::{Request, State};
use axum::http::{Method, header};
use axum::response::IntoResponse;
use axum::{Router, middleware};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::front::{Front, Shared};
use crate::guard;
use crate::options::HttpOptions;
use crate::problem::{self, Kind, Problem};
use crate::routes::{
    autoscaler, cluster, explain, halve, hashed, health, hot, keys, keyspaces, landing, members, merge,
    metrics, nodes, partitions, problems, recover, repair, ring,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Henge",
        description = "A distributed key-value store: a ring of equal nodes that keeps answering while nodes fail. \
            Any node answers for any key. Values are raw bytes; what else there is to say of them is in header fields. \
            Every error is a problem document (RFC 9457), and its `result` says whether a write took effect.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    tags(
        (name = "keys", description = "Read, write and delete"),
        (name = "cluster", description = "Members, ring, keyspaces, and where a key lives; and changes to them"),
        (name = "health", description = "For probes, monitoring and people"),
    )
)]
struct Description;

/// The HTTP front end of a node: all routes, behind the checks of who may speak to it.
pub fn router<S>(store: S, options: HttpOptions) -> Router
where
    S: Store + Send + Sync,
    S::Pending: Send,
{
    let front: Shared = Arc::new(Front::new(Box::new(store), options));
    let (router, description) = described().split_for_parts();
    // A description is strings and numbers only, which always can be written.
    let description: Arc<str> = description.to_pretty_json().unwrap_or_default().into();
    let served = axum::routing::get(move |_: State<Shared>| serve_description(description.clone()));
    router
        .route("/openapi.json", served)
        .fallback(no_such_route)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn_with_state(front.clone(), guard::check))
        .layer(middleware::from_fn(problem::complete))
        .with_state(front)
}

fn described() -> OpenApiRouter<Shared> {
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(keys::get, keys::head, keys::put, keys::delete))
        .routes(routes!(hashed::post))
        .routes(routes!(cluster::get))
        .routes(routes!(ring::get))
        .routes(routes!(members::get))
        .routes(routes!(hot::get))
        .routes(routes!(repair::get, repair::post))
        .routes(routes!(keyspaces::list, keyspaces::create))
        .routes(routes!(keyspaces::get, keyspaces::alter, keyspaces::remove))
        .routes(routes!(recover::recover))
        .routes(routes!(nodes::drain))
        .routes(routes!(nodes::remove))
        .routes(routes!(nodes::cancel))
        .routes(routes!(nodes::weigh))
        .routes(routes!(halve::halve))
        .routes(routes!(merge::merge, merge::keep_halves))
        .routes(routes!(partitions::relocate))
        .routes(routes!(autoscaler::get))
        .routes(routes!(explain::get))
        .routes(routes!(metrics::get))
        .routes(routes!(health::healthy))
        .routes(routes!(health::ready))
        .routes(routes!(problems::get))
        .routes(routes!(landing::get))
}

async fn serve_description(description: Arc<str>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], description.to_string())
}

async fn no_such_route(request: Request) -> Problem {
    let path = request.uri().path();
    let detail = format!(
        "there is nothing at {path}; /openapi.json lists what there is, and a slash within a key is written %2F"
    );
    Problem::new(Kind::NoSuchRoute, detail)
}

async fn method_not_allowed(method: Method) -> Problem {
    Problem::new(
        Kind::MethodNotAllowed,
        format!("this path does not know {method}; Allow lists what it knows"),
    )
}
