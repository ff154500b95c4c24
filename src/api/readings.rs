//! `GET /api/v1/readings`: stored readings.

use axum::Json;
use axum::extract::State;
use axum::http::Uri;

use super::error::{ApiError, ErrorBody};
use super::params::Params;
use super::reads::{ReadingRow, ReadingsQuery, Rows};
use super::state::ApiState;
use crate::model::{Span, Timestamp};

/// Rows unless the request says otherwise.
pub const ROWS_DEFAULT: usize = 1_000;
/// Rows at most.
pub const ROWS_MAX: usize = 10_000;
/// The range without `from` ends at `to` and is this long.
const RANGE_DEFAULT: Span = Span::seconds(86_400);

/// Readings of a range, the newest last.
#[utoipa::path(get, path = "/api/v1/readings", params(
    ("sensor" = Option<String>, Query, description = "device name"),
    ("quantity" = Option<String>, Query, description = "quantity name"),
    ("from" = Option<String>, Query, description = "event time, inclusive; a day before `to` by default"),
    ("to" = Option<String>, Query, description = "event time, exclusive; now by default"),
    ("limit" = Option<usize>, Query, description = "rows, 1,000 by default, at most 10,000"),
), responses((status = 200, body = Rows<ReadingRow>), (status = 400, body = ErrorBody), (status = 501, body = ErrorBody)))]
pub(super) async fn list(
    State(state): State<ApiState>,
    uri: Uri,
) -> Result<Json<Rows<ReadingRow>>, ApiError> {
    let params = Params::read(&uri, &["sensor", "quantity", "from", "to", "limit"])?;
    let (from, to) = range(&params, (state.clock)())?;
    let wanted = ReadingsQuery {
        sensor: params.text("sensor").map(str::to_owned),
        quantity: params.text("quantity").map(str::to_owned),
        from,
        to,
        limit: params.limit(ROWS_DEFAULT, ROWS_MAX)?,
    };
    Ok(Json(state.reads.readings(wanted).await?))
}

/// `from` and `to`; by default the day before now.
pub(super) fn range(params: &Params, now: Timestamp) -> Result<(Timestamp, Timestamp), ApiError> {
    let to = params.time("to")?.unwrap_or(now);
    let from = params.time("from")?.unwrap_or(to.minus(RANGE_DEFAULT));
    if from >= to {
        let message = format!("the range from {from} to {to} is empty");
        return Err(ApiError::bad_request(message, "let `from` be earlier than `to`"));
    }
    Ok((from, to))
}
