//! `POST /api/v1/recompute`: windows of the past, computed again from all stored readings.
//!
//! It changes what everybody reads, and there are no users yet: only callers on the same machine
//! may ask, as for `query`.

use std::net::SocketAddr;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{ConnectInfo, State};
use axum::http::{Extensions, HeaderMap, StatusCode, Uri};
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;

use super::error::{ApiError, ErrorBody};
use super::params::Params;
use super::query::is_local;
use super::state::ApiState;
use crate::model::Timestamp;

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

/// What is computed again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Recomputing {
    /// The batch of the journal that holds the request; the windows follow when the flow comes there.
    /// Null while more than a moment is needed to fetch old readings from the store: the request
    /// follows them by itself.
    pub epoch: Option<u64>,
    /// The earliest start of a window that is computed, RFC 3339: later than asked where readings
    /// before it are gone.
    pub from: String,
    /// The latest end of a window.
    pub to: String,
    /// All readings are there from here on; null where none is gone.
    pub readings_from: Option<String>,
}

/// Asks the journal for recomputes. Implementations fetch what it no longer holds.
pub trait Recomputes: Send + Sync {
    /// Has the windows of a range computed again.
    fn recompute(
        &self,
        range: (Timestamp, Timestamp),
    ) -> BoxFuture<'_, Result<Recomputing, RecomputeRefusal>>;
}

/// Why nothing is computed again.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RecomputeRefusal {
    /// Another one is being handed to the journal; ask again later.
    #[error("another recompute is being handed to the journal")]
    Busy,
    /// Sereno is stopping.
    #[error("Sereno is stopping")]
    Stopping,
    /// No window of the range has all its readings.
    #[error("readings of the whole range are gone; all of them are there from {readings_from} on")]
    Gone {
        /// From when on.
        readings_from: Timestamp,
    },
    /// The range is to be computed in parts.
    #[error("the range and the day before it hold {events} events; a recompute takes {most}")]
    TooMany {
        /// How many there are.
        events: u64,
        /// How many one takes.
        most: u64,
    },
    /// Journal or store cannot be read as they must.
    #[error("{0}")]
    Unreadable(String),
}

impl From<RecomputeRefusal> for ApiError {
    fn from(refusal: RecomputeRefusal) -> Self {
        let message = refusal.to_string();
        match refusal {
            RecomputeRefusal::Busy => Self::busy("busy", message, "ask again in a moment"),
            RecomputeRefusal::Stopping => Self::busy("stopping", message, "ask again once it runs"),
            RecomputeRefusal::Gone { .. } => Self::bad_request(message, "give a later range"),
            RecomputeRefusal::TooMany { .. } => Self::bad_request(message, "compute it in parts"),
            RecomputeRefusal::Unreadable(_) => {
                tracing::error!(error = %message, "a recompute could not be made");
                Self::internal(message)
            }
        }
    }
}

/// Has the windows of a range computed again; callers on the same machine only.
#[utoipa::path(post, path = "/api/v1/recompute", request_body = RecomputeRequest, responses(
    (status = 202, body = Recomputing), (status = 400, body = ErrorBody), (status = 403, body = ErrorBody),
    (status = 503, body = ErrorBody),
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
    let recomputing = state.recomputes.recompute((from, to)).await?;
    Ok((StatusCode::ACCEPTED, Json(recomputing)))
}

fn instant(name: &str, text: &str) -> Result<Timestamp, ApiError> {
    Timestamp::parse_rfc3339(text).ok_or_else(|| {
        let remedy = "write it like 2026-03-01T00:00:00-05:00";
        ApiError::bad_request(format!("`{name}` is no time: {text:?}"), remedy)
    })
}
