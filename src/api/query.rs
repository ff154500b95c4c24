//! `POST /api/v1/query`: one SQL query over stored data, read only.
//!
//! There are no users yet, and a query can cost far more than a list. So only callers on the same
//! machine may ask, and not by way of a proxy that speaks for others.

use std::net::SocketAddr;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{ConnectInfo, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{Extensions, HeaderMap, HeaderName, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::error::{ApiError, ErrorBody};
use super::params::Params;
use super::reads::{QueryFormat, QueryResult, SqlQuery};
use super::state::ApiState;

/// Header of a CSV result that a bound has cut.
const TRUNCATED: HeaderName = HeaderName::from_static("sereno-truncated");

/// The body of a request.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QueryRequest {
    /// One SELECT.
    #[schema(example = "SELECT count(*) FROM events")]
    pub sql: String,
    /// Form of the result, `json` by default.
    #[serde(default)]
    pub format: QueryFormat,
}

/// A result as JSON.
#[derive(Debug, Serialize, ToSchema)]
pub struct QueryRows<'a> {
    /// Objects of column names to values.
    #[serde(borrow)]
    #[schema(value_type = Vec<serde_json::Value>)]
    pub rows: &'a RawValue,
    /// Whether a bound cut it.
    pub truncated: bool,
}

/// Runs one SQL query that only reads; callers on the same machine only.
#[utoipa::path(post, path = "/api/v1/query", request_body = QueryRequest, responses(
    (status = 200, body = QueryRows, description = "rows as JSON, or `text/csv`"),
    (status = 400, body = ErrorBody), (status = 403, body = ErrorBody), (status = 501, body = ErrorBody),
))]
pub(super) async fn run(
    State(state): State<ApiState>,
    uri: Uri,
    headers: HeaderMap,
    extensions: Extensions,
    body: Result<Json<QueryRequest>, JsonRejection>,
) -> Result<Response, ApiError> {
    Params::read(&uri, &[])?;
    let peer = extensions.get::<ConnectInfo<SocketAddr>>();
    if !is_local(peer.map(|info| info.0), &headers) {
        let remedy = "ask on the machine that Sereno runs on, directly";
        return Err(ApiError::forbidden("queries are answered to the same machine only", remedy));
    }
    let Json(request) = body.map_err(|rejection| refused(&rejection))?;
    if request.sql.trim().is_empty() {
        return Err(ApiError::bad_request("`sql` is empty", "write one SELECT"));
    }
    let result = state.reads.query(SqlQuery { sql: request.sql, format: request.format }).await?;
    answer(request.format, &result)
}

/// Whether a caller is on this machine and speaks for itself.
pub(super) fn is_local(peer: Option<SocketAddr>, headers: &HeaderMap) -> bool {
    let is_loopback = peer.is_some_and(|peer| peer.ip().to_canonical().is_loopback());
    let is_forwarded =
        ["forwarded", "x-forwarded-for", "x-real-ip"].iter().any(|name| headers.contains_key(*name));
    is_loopback && !is_forwarded
}

fn refused(rejection: &JsonRejection) -> ApiError {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::too_large(),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => ApiError::not_json(),
        _ => ApiError::bad_request(rejection.body_text(), r#"send {"sql": "SELECT ...", "format": "json"}"#),
    }
}

fn answer(format: QueryFormat, result: &QueryResult) -> Result<Response, ApiError> {
    match format {
        QueryFormat::Json => {
            let broken = |_| ApiError::internal("the store answered with something that is no JSON");
            let rows: &RawValue = serde_json::from_slice(&result.body).map_err(broken)?;
            Ok(Json(QueryRows { rows, truncated: result.truncated }).into_response())
        }
        QueryFormat::Csv => {
            let headers = [
                (CONTENT_TYPE, "text/csv; charset=utf-8; header=present"),
                (TRUNCATED, if result.truncated { "true" } else { "false" }),
            ];
            Ok((headers, result.body.clone()).into_response())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_machine_and_no_proxy_may_ask() {
        let none = HeaderMap::new();
        let local = |peer: &str| is_local(Some(peer.parse().unwrap()), &none);
        assert!(local("127.0.0.1:5") && local("[::1]:5") && local("[::ffff:127.0.0.1]:5"));
        assert!(!local("192.168.1.5:5") && !local("[2001:db8::1]:5"));
        assert!(!is_local(None, &none));
        let forwarded =
            HeaderMap::from_iter([("x-forwarded-for".parse().unwrap(), "10.0.0.1".parse().unwrap())]);
        assert!(!is_local(Some("127.0.0.1:5".parse().unwrap()), &forwarded));
    }
}
