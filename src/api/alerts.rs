//! `GET /api/v1/alerts` and `/api/v1/alerts/{id}`: the ledger.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::Uri;
use serde::Serialize;
use utoipa::ToSchema;

use super::error::{ApiError, ErrorBody};
use super::params::Params;
use super::state::ApiState;
use crate::model::AlertState;
use crate::notify::{Alert, StateFilter};

/// Alerts unless the request says otherwise.
pub const ALERTS_DEFAULT: usize = 200;
/// Alerts at most.
pub const ALERTS_MAX: usize = 2_000;

/// A list of alerts.
#[derive(Debug, Serialize, ToSchema)]
pub struct Alerts {
    /// The last changed first.
    pub alerts: Vec<Alert>,
}

/// Alerts, the last changed first.
#[utoipa::path(get, path = "/api/v1/alerts", params(
    ("state" = Option<String>, Query, description = "`firing`, `resolved`, `pending` or `all` (default)"),
    ("limit" = Option<usize>, Query, description = "alerts, 200 by default, at most 2,000"),
), responses((status = 200, body = Alerts), (status = 400, body = ErrorBody)))]
pub(super) async fn list(State(state): State<ApiState>, uri: Uri) -> Result<Json<Alerts>, ApiError> {
    let params = Params::read(&uri, &["state", "limit"])?;
    let filter = match params.text("state") {
        None | Some("all") => StateFilter::All,
        Some("firing") => StateFilter::In(AlertState::Firing),
        Some("resolved") => StateFilter::In(AlertState::Resolved),
        Some("pending") => StateFilter::In(AlertState::Pending),
        Some(other) => {
            let message = format!("`state={other}` is no state of alerts");
            return Err(ApiError::bad_request(message, "use firing, resolved, pending or all"));
        }
    };
    let limit = params.limit(ALERTS_DEFAULT, ALERTS_MAX)?;
    let alerts = state.ask_ledger(move |ledger| ledger.alerts(filter, limit)).await?;
    Ok(Json(Alerts { alerts }))
}

/// One alert.
#[utoipa::path(get, path = "/api/v1/alerts/{id}", params(
    ("id" = String, Path, description = "32 hexadecimal digits"),
), responses((status = 200, body = Alert), (status = 404, body = ErrorBody)))]
pub(super) async fn one(
    State(state): State<ApiState>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Json<Alert>, ApiError> {
    Params::read(&uri, &[])?;
    let found = state.ask_ledger(move |ledger| ledger.alert(&id)).await?;
    found.map(Json).ok_or_else(|| {
        let remedy = "see /api/v1/alerts for those there are; old ones are in the store's transitions";
        ApiError::not_found("there is no alert with this id", remedy)
    })
}
