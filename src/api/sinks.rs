//! `POST /api/v1/sinks/acknowledge`: a person says that a sink's gap is filled or accepted.
//!
//! It ends an alert, and there are no users yet: only callers on the same machine may say so, as
//! for `query`.

use std::net::SocketAddr;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{ConnectInfo, State};
use axum::http::{Extensions, HeaderMap, StatusCode, Uri};
use serde::Deserialize;
use utoipa::ToSchema;

use super::error::{ApiError, ErrorBody};
use super::params::Params;
use super::query::is_local;
use super::state::ApiState;

/// Whose gap.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GapAcknowledged {
    /// The sink's name, as in `GET /api/v1/status`.
    #[schema(example = "influx")]
    pub sink: String,
}

/// The gap of a sink is filled or accepted; callers on the same machine only. Its alert is over
/// within a second.
#[utoipa::path(post, path = "/api/v1/sinks/acknowledge", request_body = GapAcknowledged, responses(
    (status = 204), (status = 400, body = ErrorBody), (status = 403, body = ErrorBody),
    (status = 404, body = ErrorBody),
))]
pub(super) async fn acknowledge(
    State(state): State<ApiState>,
    uri: Uri,
    headers: HeaderMap,
    extensions: Extensions,
    body: Result<Json<GapAcknowledged>, JsonRejection>,
) -> Result<StatusCode, ApiError> {
    Params::read(&uri, &[])?;
    let peer = extensions.get::<ConnectInfo<SocketAddr>>();
    if !is_local(peer.map(|info| info.0), &headers) {
        let remedy = "ask on the machine that Sereno runs on, directly";
        return Err(ApiError::forbidden("a gap is acknowledged from the same machine only", remedy));
    }
    let Json(request) =
        body.map_err(|rejection| ApiError::bad_request(rejection.body_text(), r#"send {"sink": "influx"}"#))?;
    let sinks = state.holders.sinks();
    let Some(sink) = sinks.iter().find(|sink| sink.name() == request.sink) else {
        let remedy = "see `sinks` in /api/v1/status for those there are";
        return Err(ApiError::not_found(format!("there is no sink `{}`", request.sink), remedy));
    };
    // One without a gap stays as it is: whoever asks twice has what they asked for.
    sink.acknowledge_gap();
    Ok(StatusCode::NO_CONTENT)
}
