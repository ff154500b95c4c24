//! Bytes that a browser may keep, with the tag it asks by whether they changed.

use axum::body::Bytes;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use xxhash_rust::xxh3::xxh3_64;

/// Ask every time whether it is still so.
pub(super) const ASK: &str = "no-cache";

/// The bytes, or 304 when `request` says that the reader has them (RFC 9110 section 13.1.2). The
/// tag is weak: the same bytes may leave compressed or not.
pub(super) fn answer(request: &HeaderMap, bytes: Bytes, content_type: &str, cache: &'static str) -> Response {
    let tag = format!("W/\"{:016x}\"", xxh3_64(&bytes));
    let held = request.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let unchanged = held.split(',').any(|one| one.trim() == tag || one.trim() == "*");
    let headers = [(ETAG, tag), (CACHE_CONTROL, cache.to_owned())];
    if unchanged {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (headers, [(CONTENT_TYPE, content_type.to_owned())], bytes).into_response()
}
