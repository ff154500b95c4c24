//! `GET /api/v1/sensors`: every sensor with its latest readings.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use serde::Serialize;
use utoipa::ToSchema;

use super::error::{ApiError, ErrorBody};
use super::params::Params;
use super::state::ApiState;

/// Sensors unless the request says otherwise.
pub const SENSORS_DEFAULT: usize = 1_000;
/// Sensors at most; `next` leads to the others.
pub const SENSORS_MAX: usize = 5_000;

/// Which sensors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SensorFilter {
    /// Only of this feed.
    pub feed: Option<String>,
    /// Only with these tags.
    pub tags: BTreeMap<String, String>,
    /// Only ids after this one.
    pub after: Option<u32>,
    /// Sensors at most.
    pub limit: usize,
}

/// A page of sensors.
#[derive(Debug, Serialize, ToSchema)]
pub struct Sensors {
    /// By id.
    pub sensors: Vec<Sensor>,
    /// Give it as `after` for the next page; null at the end.
    pub next: Option<u32>,
}

/// One sensor. Its position comes from its quantities `lat` and `lon`.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Sensor {
    /// Number in this installation.
    pub id: u32,
    /// The device's own name.
    pub name: String,
    /// Feed it comes by.
    pub feed: String,
    /// Tags of its last event.
    pub tags: BTreeMap<String, String>,
    /// Degrees north, WGS 84.
    pub latitude: Option<f64>,
    /// Degrees east, WGS 84.
    pub longitude: Option<f64>,
    /// Latest event time.
    pub last_event_at: String,
    /// Latest arrival time.
    pub last_arrived_at: String,
    /// Latest reading of each quantity but the position.
    pub readings: Vec<LatestReading>,
}

/// The latest reading of one quantity.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct LatestReading {
    /// Quantity.
    pub quantity: String,
    /// Unit, UCUM spelling.
    pub unit: String,
    /// Value in that unit.
    pub value: f64,
    /// When it was measured.
    pub event_at: String,
}

/// What the live stream says of a sensor: `event: reading`.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct LiveReadings {
    /// The device's own name.
    pub sensor: String,
    /// Feed it comes by.
    pub feed: String,
    /// Latest event time.
    pub event_at: String,
    /// Degrees north, WGS 84.
    pub latitude: Option<f64>,
    /// Degrees east, WGS 84.
    pub longitude: Option<f64>,
    /// Latest reading of each quantity but the position.
    pub readings: Vec<LiveReading>,
}

/// One reading of the live stream.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct LiveReading {
    /// Quantity.
    pub quantity: String,
    /// Value in its unit.
    pub value: f64,
    /// Unit, UCUM spelling.
    pub unit: String,
    /// When it was measured.
    pub event_at: String,
}

/// Sensors by id, with their latest readings.
#[utoipa::path(get, path = "/api/v1/sensors", params(
    ("feed" = Option<String>, Query, description = "feed name"),
    ("tag.zone" = Option<String>, Query, description = "value of a tag; any tag after `tag.`"),
    ("limit" = Option<usize>, Query, description = "sensors, 1,000 by default, at most 5,000"),
    ("after" = Option<u32>, Query, description = "`next` of the page before"),
), responses((status = 200, body = Sensors), (status = 400, body = ErrorBody)))]
pub(super) async fn list(State(state): State<ApiState>, uri: Uri) -> Result<Json<Sensors>, ApiError> {
    let params = Params::read(&uri, &["feed", "tag.", "limit", "after"])?;
    let after = params.text("after").map(str::parse::<u32>).transpose().map_err(|_| {
        ApiError::bad_request("`after` is no id of a sensor", "give the `next` of the page before")
    })?;
    let filter = SensorFilter {
        feed: params.text("feed").map(str::to_owned),
        tags: params.prefixed("tag."),
        after,
        limit: params.limit(SENSORS_DEFAULT, SENSORS_MAX)?,
    };
    let (sensors, next) = state.live.sensors(&filter);
    Ok(Json(Sensors { sensors, next }))
}
