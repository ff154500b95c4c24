//! What the handlers share. The service builds it of the running parts, tests of fakes.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use axum::body::Bytes;
use tokio::task::spawn_blocking;

use super::console::Console;
use super::error::ApiError;
use super::host::HostPolicy;
use super::live::LiveView;
use super::reads::Reads;
use super::recompute::Recomputes;
use crate::journal::Holders;
use crate::model::Timestamp;
use crate::notify::{Clock, Ledger, LedgerError};
use crate::telemetry::Metrics;

/// The parts behind the API.
pub struct ApiParts {
    /// The latest state of sensors, feeds, pipelines, accounts and quarantine.
    pub live: Arc<LiveView>,
    /// The alerts.
    pub ledger: Arc<Ledger>,
    /// Stored readings and aggregates.
    pub reads: Arc<dyn Reads>,
    /// The sinks and how far each has come.
    pub holders: Arc<Holders>,
    /// Who has windows of the past computed again.
    pub recomputes: Arc<dyn Recomputes>,
    /// Every metric.
    pub metrics: Arc<Metrics>,
    /// Whether ingest is open and the readers have caught up; the service sets it.
    pub ready: Arc<AtomicBool>,
    /// The wall clock.
    pub clock: Clock,
    /// When the service started.
    pub started_at: Timestamp,
    /// Time zone of the city, by its tz database name.
    pub timezone: String,
    /// Source of feeds that do not say where they come from.
    pub default_source: String,
    /// GeoJSON FeatureCollection of the city's zones.
    pub zones: Bytes,
    /// Names the service answers to.
    pub hosts: HostPolicy,
    /// The front end's files.
    pub console: Console,
}

/// Shared by all requests; cheap to clone.
#[derive(Clone)]
pub struct ApiState(Arc<ApiParts>);

impl ApiState {
    /// Joins the parts.
    #[must_use]
    pub fn new(parts: ApiParts) -> Self {
        Self(Arc::new(parts))
    }

    /// Asks the ledger off the async threads.
    pub(super) async fn ask_ledger<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Ledger) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let ledger = self.ledger.clone();
        let answer = spawn_blocking(move || ask(&ledger)).await;
        Ok(answer.unwrap_or(Err(LedgerError::Stopping))?)
    }
}

impl Deref for ApiState {
    type Target = ApiParts;

    fn deref(&self) -> &ApiParts {
        &self.0
    }
}
