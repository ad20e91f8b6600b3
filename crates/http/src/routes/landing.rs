//! `GET /`: a page for whoever opens the address in a browser.

use axum::http::header;
use axum::response::IntoResponse;

const PAGE: &str = include_str!("landing.html");

/// A page with links.
#[utoipa::path(
    get,
    path = "/",
    operation_id = "get_landing_page",
    tag = "health",
    responses((status = 200, description = "A page with links", body = String, content_type = "text/html"))
)]
pub(crate) async fn get() -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
        ),
    ];
    (headers, PAGE)
}
