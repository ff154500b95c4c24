//! What every request passes through: host check, time limit, security headers, counting.

use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::header::{
    CONTENT_SECURITY_POLICY, HOST, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::error::ApiError;
use super::state::ApiState;

/// An answer takes at most this long; the live stream may stay.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// The one path without a time limit.
const LIVE: &str = "/api/v1/live";

/// What a page of the console may load: its own files, maps' workers and pictures made in the
/// browser, and style attributes; nothing from elsewhere, and no page may frame it.
const CONTENT_POLICY: &str = "default-src 'self'; style-src 'self'; style-src-attr 'unsafe-inline'; \
    img-src 'self' data: blob:; worker-src 'self' blob:; child-src blob:; connect-src 'self'; \
    object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Routes by which requests are counted.
const ROUTES: [&str; 18] = [
    "/healthz",
    "/readyz",
    "/metrics",
    "/openapi.json",
    "/api/v1/status",
    "/api/v1/sensors",
    "/api/v1/readings",
    "/api/v1/aggregates",
    "/api/v1/alerts",
    "/api/v1/pipelines",
    "/api/v1/feeds",
    "/api/v1/accounts",
    "/api/v1/quarantine",
    "/api/v1/zones",
    "/api/v1/query",
    "/api/v1/recompute",
    "/api/v1/sinks/acknowledge",
    LIVE,
];

/// The outermost layer.
pub(super) async fn guard(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    let begin = Instant::now();
    let route = route_of(request.uri().path());
    let mut response = if state.hosts.allows(host_of(request.headers(), request.uri())) {
        answer(request, next, route).await
    } else {
        let remedy = "use the address Sereno listens on, or add this name to `http.hosts` in sereno.toml";
        ApiError::forbidden("this service does not answer to that host name", remedy).into_response()
    };
    secure(response.headers_mut());
    state.metrics.http_request(route, response.status().as_u16());
    if route != LIVE {
        state.metrics.http_request_seconds.observe(begin.elapsed().as_secs_f64());
    }
    response
}

async fn answer(request: Request, next: Next, route: &str) -> Response {
    let answered = next.run(request);
    if route == LIVE {
        return answered.await;
    }
    tokio::time::timeout(REQUEST_TIMEOUT, answered).await.unwrap_or_else(|_| {
        let message = format!("there was no answer within {} s", REQUEST_TIMEOUT.as_secs());
        ApiError::busy("timeout", message, "ask for a shorter range, or again later").into_response()
    })
}

/// HTTP/1.1 puts the name into `Host`; an absolute request target goes before it
/// (RFC 9112 section 3.2.2).
fn host_of<'a>(headers: &'a HeaderMap, uri: &'a Uri) -> Option<&'a str> {
    let header = || headers.get(HOST).and_then(|host| host.to_str().ok());
    uri.authority().map(|authority| authority.as_str()).or_else(header)
}

fn secure(headers: &mut HeaderMap) {
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, CONTENT_POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// The label of a path: a closed list, whatever is asked for.
fn route_of(path: &str) -> &'static str {
    if let Some(route) = ROUTES.iter().find(|route| **route == path) {
        return route;
    }
    match path {
        _ if path.starts_with("/api/v1/alerts/") => "/api/v1/alerts/{id}",
        _ if path.starts_with("/api/") => "unknown",
        _ => "console",
    }
}
