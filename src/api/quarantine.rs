//! `GET /api/v1/quarantine`: the newest messages that were not taken in, and why.

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use serde::Serialize;
use utoipa::ToSchema;

use super::error::{ApiError, ErrorBody};
use super::params::Params;
use super::state::ApiState;

/// Refusals unless the request says otherwise.
pub const REFUSALS_DEFAULT: usize = 100;
/// Refusals at most.
pub const REFUSALS_MAX: usize = 1_000;
/// Bytes of a payload that are shown.
pub const PAYLOAD_SHOWN_BYTES_MAX: usize = 4 * 1024;

/// The newest refusals.
#[derive(Debug, Serialize, ToSchema)]
pub struct Quarantine {
    /// The newest first.
    pub quarantine: Vec<Refused>,
}

/// A message, or part of one, that was not taken in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Refused {
    /// Journal sequence.
    pub sequence: u64,
    /// When it came in.
    pub arrived_at: String,
    /// Feed it came by.
    pub feed: String,
    /// Topic.
    pub topic: String,
    /// Why, for programs.
    #[schema(example = "bad_json")]
    pub reason: String,
    /// Why, for people.
    pub detail: String,
    /// The first 4 KiB as text; what is no UTF-8 is replaced.
    pub payload: String,
    /// Length of the whole payload.
    pub payload_bytes: u64,
}

/// The newest refusals, the newest first.
#[utoipa::path(get, path = "/api/v1/quarantine", params(
    ("feed" = Option<String>, Query, description = "feed name"),
    ("limit" = Option<usize>, Query, description = "refusals, 100 by default, at most 1,000"),
), responses((status = 200, body = Quarantine), (status = 400, body = ErrorBody)))]
pub(super) async fn list(State(state): State<ApiState>, uri: Uri) -> Result<Json<Quarantine>, ApiError> {
    let params = Params::read(&uri, &["feed", "limit"])?;
    let limit = params.limit(REFUSALS_DEFAULT, REFUSALS_MAX)?;
    Ok(Json(Quarantine { quarantine: state.live.quarantine(params.text("feed"), limit) }))
}
