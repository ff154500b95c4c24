//! `GET /api/v1/aggregates`: published windows, of each the last revision.

use axum::Json;
use axum::extract::State;
use axum::http::Uri;

use super::error::{ApiError, ErrorBody};
use super::params::Params;
use super::readings::range;
use super::reads::{AggregateRow, AggregatesQuery, Rows};
use super::state::ApiState;

/// Rows unless the request says otherwise.
pub const ROWS_DEFAULT: usize = 1_000;
/// Rows at most.
pub const ROWS_MAX: usize = 10_000;

/// Windows of a range, the newest last.
#[utoipa::path(get, path = "/api/v1/aggregates", params(
    ("pipeline" = String, Query, description = "pipeline name"),
    ("window" = String, Query, description = "window name"),
    ("sensor" = Option<String>, Query, description = "device name, where the window groups by it"),
    ("key.zone" = Option<String>, Query, description = "value of a tag that the window groups by; any tag after `key.`"),
    ("from" = Option<String>, Query, description = "start of the window, inclusive; a day before `to` by default"),
    ("to" = Option<String>, Query, description = "start of the window, exclusive; now by default"),
    ("limit" = Option<usize>, Query, description = "rows, 1,000 by default, at most 10,000"),
), responses((status = 200, body = Rows<AggregateRow>), (status = 400, body = ErrorBody), (status = 501, body = ErrorBody)))]
pub(super) async fn list(
    State(state): State<ApiState>,
    uri: Uri,
) -> Result<Json<Rows<AggregateRow>>, ApiError> {
    let known = ["pipeline", "window", "sensor", "key.", "from", "to", "limit"];
    let params = Params::read(&uri, &known)?;
    let mut key = params.prefixed("key.");
    if let Some(sensor) = params.text("sensor") {
        key.insert("sensor".to_owned(), sensor.to_owned());
    }
    let (from, to) = range(&params, (state.clock)())?;
    let wanted = AggregatesQuery {
        pipeline: params.required("pipeline")?.to_owned(),
        window: params.required("window")?.to_owned(),
        key,
        from,
        to,
        limit: params.limit(ROWS_DEFAULT, ROWS_MAX)?,
    };
    Ok(Json(state.reads.aggregates(wanted).await?))
}
