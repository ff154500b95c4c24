//! `POST /api/v1/recompute`: windows of the past, computed again from all journaled readings.
//!
//! It changes what everybody reads, and there are no users yet: only callers on the same machine
//! may ask, as for `query`.

use std::net::SocketAddr;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{ConnectInfo, State};
use axum::http::{Extensions, HeaderMap, StatusCode, Uri};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use utoipa::ToSchema;

use super::error::{ApiError, ErrorBody};
use super::params::Params;
use super::query::is_local;
use super::state::ApiState;
use crate::model::{Input, Timestamp};

/// The range.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RecomputeRequest {
    /// The earliest start of a window, inclusive, RFC 3339.
    #[schema(example = "2026-03-01T00:00:00-05:00")]
    pub from: String,
    /// The latest end of a window, inclusive, RFC 3339.
    pub to: String,
}

/// The journal holds the request.
#[derive(Debug, Serialize, ToSchema)]
pub struct Recomputing {
    /// The batch of the journal that holds it; the windows follow when the flow comes there.
    pub epoch: u64,
}

/// Has the windows of a range computed again; callers on the same machine only.
#[utoipa::path(post, path = "/api/v1/recompute", request_body = RecomputeRequest, responses(
    (status = 202, body = Recomputing), (status = 400, body = ErrorBody), (status = 403, body = ErrorBody),
))]
pub(super) async fn run(
    State(state): State<ApiState>,
    uri: Uri,
    headers: HeaderMap,
    extensions: Extensions,
    body: Result<Json<RecomputeRequest>, JsonRejection>,
) -> Result<(StatusCode, Json<Recomputing>), ApiError> {
    Params::read(&uri, &[])?;
    let peer = extensions.get::<ConnectInfo<SocketAddr>>();
    if !is_local(peer.map(|info| info.0), &headers) {
        let remedy = "ask on the machine that Sereno runs on, directly";
        return Err(ApiError::forbidden("a recompute is begun from the same machine only", remedy));
    }
    let Json(request) = body.map_err(|rejection| {
        let remedy = r#"send {"from": "2026-03-01T00:00:00-05:00", "to": "2026-03-02T00:00:00-05:00"}"#;
        ApiError::bad_request(rejection.body_text(), remedy)
    })?;
    let (from, to) = (instant("from", &request.from)?, instant("to", &request.to)?);
    if from >= to {
        return Err(ApiError::bad_request("`from` is not before `to`", "give the earlier time as `from`"));
    }
    let stopping = || ApiError::busy("stopping", "Sereno is stopping", "ask again once it runs");
    state.inputs.send(Input::Recompute { from, to }).await.map_err(|_| stopping())?;
    let (tell, told) = oneshot::channel();
    // Nobody hears it when the caller has gone.
    let flush = Input::Flush(Box::new(move |epoch| tell.send(epoch).unwrap_or_default()));
    state.inputs.send(flush).await.map_err(|_| stopping())?;
    let epoch = told.await.map_err(|_| stopping())?;
    Ok((StatusCode::ACCEPTED, Json(Recomputing { epoch })))
}

fn instant(name: &str, text: &str) -> Result<Timestamp, ApiError> {
    Timestamp::parse_rfc3339(text).ok_or_else(|| {
        let remedy = "write it like 2026-03-01T00:00:00-05:00";
        ApiError::bad_request(format!("`{name}` is no time: {text:?}"), remedy)
    })
}
