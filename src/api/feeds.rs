//! `GET /api/v1/feeds`: inbound connections as last defined, and how they fare.

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use serde::Serialize;
use utoipa::ToSchema;

use super::error::ApiError;
use super::params::Params;
use super::state::ApiState;
use crate::notify::Text;

/// All feeds.
#[derive(Debug, Serialize, ToSchema)]
pub struct Feeds {
    /// By name.
    pub feeds: Vec<Feed>,
}

/// One feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Feed {
    /// Name.
    pub name: String,
    /// `listener`, or the name of a broker.
    pub source: String,
    /// Topic template.
    pub topic: String,
    /// How payloads are read.
    pub decoder: String,
    /// Whether it is connected and subscribed.
    pub connected: bool,
    /// Whether it is connected and its backlog has drained: its silence means something.
    pub observed: bool,
    /// When its last message came in.
    pub last_arrived_at: Option<String>,
    /// What its devices measure.
    pub quantities: Vec<FeedQuantity>,
}

/// One quantity of a feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FeedQuantity {
    /// Name, as conditions and columns spell it.
    pub name: String,
    /// Unit, UCUM spelling.
    pub unit: String,
    /// What people see it called.
    pub label: Text,
}

/// All feeds.
#[utoipa::path(get, path = "/api/v1/feeds", responses((status = 200, body = Feeds)))]
pub(super) async fn list(State(state): State<ApiState>, uri: Uri) -> Result<Json<Feeds>, ApiError> {
    Params::read(&uri, &[])?;
    Ok(Json(Feeds { feeds: state.live.feeds(&state.default_source) }))
}
