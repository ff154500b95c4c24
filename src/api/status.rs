//! `GET /api/v1/status`: the service at a glance; the live stream sends the same each second.

use std::sync::atomic::Ordering;

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use prometheus_client::metrics::gauge::Gauge;
use serde::Serialize;
use utoipa::ToSchema;

use super::error::ApiError;
use super::params::Params;
use super::state::ApiState;
use crate::model::AlertState;
use crate::telemetry::CheckpointMetrics;

/// Languages of titles, messages and the console.
const LANGUAGES: [&str; 2] = ["es", "en"];

/// The service at a glance.
#[derive(Debug, Serialize, ToSchema)]
pub struct Status {
    /// Version of the binary.
    pub version: String,
    /// Whether ingest is open and readers have caught up.
    pub ready: bool,
    /// When the service started.
    pub started_at: String,
    /// Now.
    pub now: String,
    /// Events per second of arrival, over the last ten seconds.
    pub events_per_second: f64,
    /// Events stored.
    pub events: u64,
    /// Sensors that sent at least one.
    pub sensors: u64,
    /// Alerts that are firing.
    pub alerts_firing: u64,
    /// Messages or parts of messages refused.
    pub quarantined: u64,
    /// Bytes of the journal on disk.
    pub journal_bytes: u64,
    /// The last checkpoint of the dataflow's state since the start.
    pub checkpoint: CheckpointStatus,
    /// How far the host's clock jumped ahead of the time that Sereno goes by, in seconds; negative:
    /// back. 0 unless it jumped by more than a minute and is not followed.
    pub host_clock_ahead_seconds: i64,
    /// What follows the logs, and whether it has a gap.
    pub sinks: Vec<SinkStatus>,
    /// Time zone of the city, by its tz database name.
    pub zone: String,
    /// Languages of titles, messages and the console.
    pub languages: Vec<String>,
}

/// The last checkpoint since the start; looked up each five seconds.
#[derive(Debug, Serialize, ToSchema)]
pub struct CheckpointStatus {
    /// Seconds since it was written; before the first, since the start.
    pub age_seconds: f64,
    /// How long the dataflow paused for it, in seconds.
    pub pause_seconds: f64,
    /// Bytes that it wrote.
    pub bytes: u64,
    /// Keys that it wrote.
    pub keys: u64,
    /// Checkpoints that could not be written.
    pub failures: u64,
}

/// One sink.
#[derive(Debug, Serialize, ToSchema)]
pub struct SinkStatus {
    /// `store`, `influx`, `ledger`.
    pub name: String,
    /// Whether it fell so far behind that what it had not read was removed.
    pub needs_backfill: bool,
}

/// The service at a glance.
#[utoipa::path(get, path = "/api/v1/status", responses((status = 200, body = Status)))]
pub(super) async fn get(State(state): State<ApiState>, uri: Uri) -> Result<Json<Status>, ApiError> {
    Params::read(&uri, &[])?;
    Ok(Json(status(&state).await?))
}

/// The status now.
pub(super) async fn status(state: &ApiState) -> Result<Status, ApiError> {
    let totals = state.live.totals();
    let counts = state.ask_ledger(|ledger| ledger.counts()).await?;
    Ok(Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ready: state.ready.load(Ordering::Relaxed),
        started_at: state.started_at.to_string(),
        now: (state.clock)().to_string(),
        events_per_second: totals.events_per_second,
        events: totals.events,
        sensors: totals.sensors,
        alerts_firing: counts.of(AlertState::Firing),
        quarantined: totals.quarantined,
        journal_bytes: u64::try_from(state.metrics.journal_bytes.get()).unwrap_or_default(),
        checkpoint: checkpoint(&state.metrics.checkpoint),
        host_clock_ahead_seconds: totals.host_clock_ahead_seconds,
        sinks: state
            .holders
            .sinks()
            .iter()
            .map(|sink| SinkStatus { name: sink.name().to_owned(), needs_backfill: sink.needs_backfill() })
            .collect(),
        zone: state.timezone.clone(),
        languages: LANGUAGES.map(str::to_owned).to_vec(),
    })
}

fn checkpoint(metrics: &CheckpointMetrics) -> CheckpointStatus {
    let count = |gauge: &Gauge| u64::try_from(gauge.get()).unwrap_or_default();
    CheckpointStatus {
        age_seconds: metrics.age_seconds.get(),
        pause_seconds: metrics.pause_seconds.get(),
        bytes: count(&metrics.bytes),
        keys: count(&metrics.keys),
        failures: count(&metrics.failures),
    }
}
