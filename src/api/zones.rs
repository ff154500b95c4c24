//! `GET /api/v1/zones`: the city's zones as GeoJSON (RFC 7946), as they were given at the start.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;

use super::error::ApiError;
use super::etag;
use super::params::Params;
use super::state::ApiState;

/// Media type of RFC 7946.
const GEOJSON: &str = "application/geo+json";
/// What a city without zones shows.
pub const NO_ZONES: Bytes = Bytes::from_static(br#"{"type":"FeatureCollection","features":[]}"#);

/// Zones, and whatever else the map shows.
#[utoipa::path(get, path = "/api/v1/zones", responses(
    (status = 200, description = "a FeatureCollection: polygons with properties `zone` and `name`, others with `kind`",
     content_type = "application/geo+json", body = serde_json::Value),
    (status = 304, description = "as the reader has it"),
))]
pub(super) async fn get(
    State(state): State<ApiState>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, ApiError> {
    Params::read(&uri, &[])?;
    Ok(etag::answer(&headers, state.zones.clone(), GEOJSON, etag::ASK))
}
