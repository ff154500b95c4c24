//! HTTP: the API, the live stream, metrics and the console.
//!
//! Everything is read from four places: the live view (a fold of the journal kept in memory), the
//! ledger of alerts, the store behind the [`Reads`] trait, and the metrics. Nothing here writes;
//! answers are bounded by named limits, and a slow reader of the live stream is dropped.

pub mod accounts;
pub mod aggregates;
pub mod alerts;
pub mod console;
pub mod error;
mod etag;
pub mod feeds;
mod guard;
pub mod health;
pub mod host;
pub mod listener;
pub mod live;
mod openapi;
mod params;
pub mod pipelines;
pub mod quarantine;
pub mod query;
pub mod readings;
pub mod reads;
pub mod recompute;
pub mod sensors;
pub mod sinks;
pub mod state;
pub mod status;
pub mod stream;
pub mod zones;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{get, post};
use axum::serve::ListenerExt as _;
use listener::{BoundedListener, CONNECTIONS_MAX, STILL_MAX};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tower_http::compression::CompressionLayer;

pub use error::ApiError;
pub use host::HostPolicy;
pub use live::LiveView;
pub use reads::{NoStore, ReadError, Reads};
pub use recompute::{RecomputeRefusal, Recomputes, Recomputing};
pub use state::{ApiParts, ApiState};

/// Bytes of a request's body.
pub const REQUEST_BYTES_MAX: usize = 64 * 1024;
/// After the stop, requests may end within this time.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// Every route. Serve it with connection info, or query requests are refused; [`serve`] does.
pub fn router(state: ApiState) -> Router {
    Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .route("/openapi.json", get(openapi::document))
        .route("/api/v1/status", get(status::get))
        .route("/api/v1/sensors", get(sensors::list))
        .route("/api/v1/readings", get(readings::list))
        .route("/api/v1/aggregates", get(aggregates::list))
        .route("/api/v1/alerts", get(alerts::list))
        .route("/api/v1/alerts/{id}", get(alerts::one))
        .route("/api/v1/pipelines", get(pipelines::list))
        .route("/api/v1/feeds", get(feeds::list))
        .route("/api/v1/accounts", get(accounts::list))
        .route("/api/v1/quarantine", get(quarantine::list))
        .route("/api/v1/zones", get(zones::get))
        .route("/api/v1/query", post(query::run))
        .route("/api/v1/recompute", post(recompute::run))
        .route("/api/v1/sinks/acknowledge", post(sinks::acknowledge))
        .route("/api/v1/live", get(stream::live))
        .fallback(console::file)
        .method_not_allowed_fallback(error::method_not_allowed)
        .layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX))
        .layer(CompressionLayer::new())
        .layer(middleware::from_fn_with_state(state.clone(), guard::guard))
        .with_state(state)
}

/// Serves until `stop` says true or its sender is gone: the router and the task behind the live
/// stream.
///
/// # Errors
/// When the listener fails for good: the service stops.
pub async fn serve(listener: TcpListener, state: ApiState, stop: watch::Receiver<bool>) -> io::Result<()> {
    let ticker = tokio::spawn(stream::run(state.clone(), stop.clone()));
    // Tapped only because that passes the peer's address on to the handlers.
    let listener = BoundedListener::new(listener, CONNECTIONS_MAX, STILL_MAX).tap_io(|_| {});
    let service = router(state.clone()).into_make_service_with_connect_info::<SocketAddr>();
    let graceful = axum::serve(listener, service).with_graceful_shutdown(stopped(stop.clone()));
    let served = tokio::select! {
        served = graceful => served,
        () = async { stopped(stop).await; tokio::time::sleep(STOP_GRACE).await } => Ok(()),
    };
    ticker.abort();
    served
}

/// Ends when the service is to stop.
async fn stopped(mut stop: watch::Receiver<bool>) {
    // A sender that is gone means the same as one that says stop.
    let _ = stop.wait_for(|stop| *stop).await;
}
