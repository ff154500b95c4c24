//! `GET /openapi.json`: the API described for programs (OpenAPI 3.1), made from the same types
//! and handlers that answer.

use std::sync::OnceLock;

use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::response::Response;
use utoipa::OpenApi;

use super::{
    accounts, aggregates, alerts, etag, feeds, pipelines, quarantine, query, readings, recompute, sensors,
    sinks, status,
};
use super::{stream, zones};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Sereno",
        description = "Exact event processing for municipalities. Times are RFC 3339 in UTC; null means no data. \
                       Errors carry a code, a message and a remedy."
    ),
    paths(
        status::get,
        sensors::list,
        readings::list,
        aggregates::list,
        alerts::list,
        alerts::one,
        pipelines::list,
        feeds::list,
        accounts::list,
        quarantine::list,
        zones::get,
        query::run,
        recompute::run,
        sinks::acknowledge,
        stream::live
    ),
    components(schemas(sensors::LiveReadings, sensors::LiveReading))
)]
struct Document;

/// The document as JSON.
pub(super) async fn document(headers: HeaderMap) -> Response {
    static JSON: OnceLock<Bytes> = OnceLock::new();
    // The document is made of constants: a test holds that it can be written.
    let json = JSON.get_or_init(|| Bytes::from(Document::openapi().to_json().unwrap_or_default()));
    etag::answer(&headers, json.clone(), "application/json", etag::ASK)
}
