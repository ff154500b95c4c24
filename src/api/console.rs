//! The front end's files, inside the binary.
//!
//! Files with a hash in their name (`assets/`) may be kept for ever; the page itself is asked for
//! each time. A path without a file and without an extension is a page of the front end. Without
//! a built front end, a plain page says how to build it.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

use super::error::{self, ApiError};
use super::etag;
use super::state::ApiState;

/// For files whose name changes with their content.
const FOR_EVER: &str = "public, max-age=31536000, immutable";
/// The page that every address of the front end gets.
const INDEX: &str = "index.html";
/// Folder of the files with a hash in their name.
const HASHED: &str = "assets/";

/// Said when no front end was built.
const NOT_BUILT: &str = "<!doctype html>
<html lang=\"es\"><head><meta charset=\"utf-8\"><title>Sereno</title></head>
<body>
<h1>Sereno</h1>
<p>La consola no está en este binario. Constrúyala con <code>make console</code> y compile de nuevo.
La API responde en <a href=\"/api/v1/status\">/api/v1/status</a>; su descripción está en
<a href=\"/openapi.json\">/openapi.json</a>.</p>
<p lang=\"en\">The console is not in this binary. Build it with <code>make console</code> and compile again.
The API answers at <a href=\"/api/v1/status\">/api/v1/status</a>; it is described in
<a href=\"/openapi.json\">/openapi.json</a>.</p>
</body></html>
";

#[derive(RustEmbed)]
#[folder = "console/dist"]
struct Embedded;

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its bytes.
    pub bytes: Bytes,
    /// Its media type.
    pub content_type: String,
}

/// Where files come from: a path without a leading slash, to a file.
#[derive(Clone, Copy, Debug)]
pub struct Console(pub fn(&str) -> Option<File>);

impl Default for Console {
    /// The files that were there when the binary was built.
    fn default() -> Self {
        Self(embedded)
    }
}

fn embedded(path: &str) -> Option<File> {
    let file = Embedded::get(path)?;
    let content_type = match file.metadata.mimetype() {
        text if text.starts_with("text/") => format!("{text}; charset=utf-8"),
        other => other.to_owned(),
    };
    let bytes = match file.data {
        std::borrow::Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        std::borrow::Cow::Owned(bytes) => Bytes::from(bytes),
    };
    Some(File { bytes, content_type })
}

/// Everything that is no route.
pub(super) async fn file(
    State(state): State<ApiState>,
    method: Method,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, ApiError> {
    let path = uri.path().trim_start_matches('/');
    if path == "api" || path.starts_with("api/") {
        let remedy = "see /openapi.json for what there is";
        return Err(ApiError::not_found("there is nothing at this address", remedy));
    }
    if method != Method::GET && method != Method::HEAD {
        return Err(error::method_not_allowed().await);
    }
    let files = state.console.0;
    if let Some(file) = files(path) {
        let cache = if path.starts_with(HASHED) { FOR_EVER } else { etag::ASK };
        return Ok(etag::answer(&headers, file.bytes, &file.content_type, cache));
    }
    let is_page = !path.rsplit('/').next().unwrap_or_default().contains('.');
    if !is_page && path != INDEX {
        return Err(ApiError::not_found("there is no such file", "see / for the console"));
    }
    Ok(match files(INDEX) {
        Some(index) => etag::answer(&headers, index.bytes, &index.content_type, etag::ASK),
        None => (StatusCode::OK, [(CONTENT_TYPE, "text/html; charset=utf-8")], NOT_BUILT).into_response(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_page_is_html_or_absent() {
        let Console(files) = Console::default();
        assert!(files(INDEX).is_none_or(|page| page.content_type == "text/html; charset=utf-8"));
        assert_eq!(files("../Cargo.toml"), None);
    }
}
