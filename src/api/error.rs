//! What a request that cannot be answered gets: a code for programs, a message and a remedy for
//! people.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::notify::LedgerError;

/// An error as it leaves: `{"error":{"code","message","remedy"}}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    remedy: String,
}

/// The JSON of an error.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorBody {
    /// The error.
    pub error: ErrorDetail,
}

/// What went wrong.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorDetail {
    /// For programs.
    #[schema(example = "bad_request")]
    pub code: String,
    /// What is wrong, for people.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

impl ApiError {
    fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { status, code, message: message.into(), remedy: remedy.into() }
    }

    /// 400: the request says something that cannot be.
    pub fn bad_request(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message, remedy)
    }

    /// 403: this caller may not.
    pub fn forbidden(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", message, remedy)
    }

    /// 404: there is no such thing.
    pub fn not_found(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message, remedy)
    }

    /// 413: the body is longer than [`super::REQUEST_BYTES_MAX`].
    #[must_use]
    pub fn too_large() -> Self {
        let message = format!("the request is longer than {} bytes", super::REQUEST_BYTES_MAX);
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message, "shorten the query")
    }

    /// 415: the body is of another type than JSON.
    #[must_use]
    pub fn not_json() -> Self {
        let (message, remedy) = ("the request's body must be JSON", "send Content-Type: application/json");
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", message, remedy)
    }

    /// 500: something broke; the log says more.
    pub fn internal(message: impl Into<String>) -> Self {
        let remedy = "look into Sereno's log; if it persists, restart Sereno";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message, remedy)
    }

    /// 501: this build or configuration cannot answer.
    pub fn not_available(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, "not_available", message, remedy)
    }

    /// 503: not now.
    pub fn busy(code: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message, remedy)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let error = ErrorDetail { code: self.code.to_owned(), message: self.message, remedy: self.remedy };
        (self.status, Json(ErrorBody { error })).into_response()
    }
}

impl From<LedgerError> for ApiError {
    fn from(error: LedgerError) -> Self {
        tracing::error!(%error, "alert ledger cannot answer");
        Self::internal("the alert ledger cannot be read")
    }
}

/// What a known path answers to another method.
pub(super) async fn method_not_allowed() -> ApiError {
    let message = "this address does not take this method";
    let status = StatusCode::METHOD_NOT_ALLOWED;
    ApiError::new(status, "method_not_allowed", message, "see /openapi.json for what there is")
}
