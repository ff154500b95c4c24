//! `/healthz`, `/readyz` and `/metrics`: for those who watch the service.

use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use tokio::task::spawn_blocking;

use super::error::ApiError;
use super::state::ApiState;
use crate::model::AlertState;
use crate::model::definition::Severity;
use crate::telemetry::CONTENT_TYPE as OPEN_METRICS;

/// The process is alive.
pub(super) async fn alive() -> &'static str {
    "ok\n"
}

/// Ingest is open and readers have caught up; 503 until then.
pub(super) async fn ready(State(state): State<ApiState>) -> Response {
    if state.ready.load(Ordering::Relaxed) {
        return "ready\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, "starting\n").into_response()
}

/// Every metric as OpenMetrics text.
pub(super) async fn metrics(State(state): State<ApiState>) -> Result<Response, ApiError> {
    let (counts, receivers) =
        state.ask_ledger(|ledger| Ok((ledger.counts()?, ledger.outbox().accounts()?))).await?;
    for alert_state in [AlertState::Pending, AlertState::Firing, AlertState::Resolved] {
        for severity in [Severity::Info, Severity::Warning, Severity::Critical] {
            let count = counts.0.get(&(alert_state.as_str(), severity)).copied().unwrap_or_default();
            state.metrics.alerts(alert_state.as_str(), severity.as_str(), count);
        }
    }
    for account in receivers {
        state.metrics.outbox(&account.receiver, account.waiting, account.shed);
    }
    // It reads /proc, which is a file.
    let metrics = state.metrics.clone();
    let text = spawn_blocking(move || metrics.encode()).await;
    let text = text.map_err(|_| ApiError::internal("the metrics cannot be written"))?;
    Ok(([(CONTENT_TYPE, OPEN_METRICS), (CACHE_CONTROL, "no-store")], text).into_response())
}
