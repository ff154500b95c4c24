//! A webhook: one POST per notification, signed, with an idempotency key.
//!
//! 2xx is delivered. 429, 5xx and network trouble are tried again; anything else will not get
//! better by repetition and is given up with its error. Redirects are not followed: a signed
//! alert goes where the operator said and nowhere else.

use std::path::PathBuf;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER, USER_AGENT};
use reqwest::{Client, StatusCode, Url, redirect};
use thiserror::Error;

use super::receiver::{Clock, Notification, Receiver, SendError};
use super::signature::Secret;
use crate::model::time::SECOND;

/// A receiver answers within this time or is tried again.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Idle connections kept for the next alert.
const IDLE_CONNECTIONS_MAX: usize = 4;
/// The longest wait that a receiver may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3_600);
/// Header with time and signature.
pub const SIGNATURE_HEADER: &str = "Sereno-Signature";
/// Header with the delivery id.
pub const IDEMPOTENCY_HEADER: &str = "Idempotency-Key";

/// How a webhook is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookOptions {
    /// Where to, `http` or `https`.
    pub url: String,
    /// File with the shared secret; without one, requests are not signed.
    pub secret_file: Option<PathBuf>,
}

/// What is wrong with a webhook's configuration: the service does not start.
#[derive(Debug, Error)]
pub enum WebhookError {
    /// No URL that can be posted to.
    #[error("`{url}` is no address for a webhook: {reason}; write for example https://example.org/alerts")]
    Url {
        /// The text, without what could be a password.
        url: String,
        /// Why not.
        reason: String,
    },
    /// The secret's file.
    #[error("secret_file of a webhook: {0}")]
    Secret(String),
    /// TLS could not be set up.
    #[error("the webhook client cannot start: {0}; check the system's certificate store")]
    Client(String),
}

/// A webhook receiver.
pub struct Webhook {
    client: Client,
    url: Url,
    secret: Option<Secret>,
    clock: Clock,
}

impl Webhook {
    /// Checks the options and reads the secret; `clock` stamps signatures.
    ///
    /// # Errors
    /// [`WebhookError`]: tell the operator, do not start.
    pub fn try_new(options: &WebhookOptions, clock: Clock) -> Result<Self, WebhookError> {
        let url = Url::parse(&options.url).map_err(|error| WebhookError::Url {
            url: without_user(&options.url),
            reason: error.to_string(),
        })?;
        if !matches!(url.scheme(), "http" | "https") {
            let reason = "only http and https are spoken".to_owned();
            return Err(WebhookError::Url { url: without_user(&options.url), reason });
        }
        let secret = options.secret_file.as_deref().map(Secret::read).transpose();
        let client = Client::builder()
            .timeout(TIMEOUT)
            .redirect(redirect::Policy::none())
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .tcp_nodelay(true)
            .build()
            .map_err(|error| WebhookError::Client(error.to_string()))?;
        Ok(Self { client, url, secret: secret.map_err(WebhookError::Secret)?, clock })
    }

    async fn post(&self, notification: &Notification) -> Result<(), SendError> {
        let mut request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, concat!("sereno/", env!("CARGO_PKG_VERSION")))
            .header(IDEMPOTENCY_HEADER, &notification.id);
        if let Some(secret) = &self.secret {
            let seconds = (self.clock)().0.div_euclid(SECOND);
            request = request.header(SIGNATURE_HEADER, secret.sign(seconds, &notification.body));
        }
        match request.body(notification.body.clone()).send().await {
            Ok(response) => verdict(response.status(), response.headers()),
            // The address may carry a token: it stays out of messages.
            Err(error) => Err(SendError::retry(format!("no answer: {}", cause(&error.without_url())))),
        }
    }
}

impl Receiver for Webhook {
    fn send<'a>(&'a self, notification: &'a Notification) -> BoxFuture<'a, Result<(), SendError>> {
        self.post(notification).boxed()
    }
}

fn verdict(status: StatusCode, headers: &HeaderMap) -> Result<(), SendError> {
    if status.is_success() {
        return Ok(());
    }
    let busy = status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error();
    if busy {
        return Err(SendError::Retry { message: format!("answered {status}"), after: retry_after(headers) });
    }
    let remedy = if status.is_redirection() {
        "redirects are not followed: configure the final address"
    } else {
        "the receiver refuses this request: check its address and secret"
    };
    Err(SendError::refused(format!("answered {status}; {remedy}")))
}

/// `Retry-After` in seconds (RFC 9110 section 10.2.3); dates are left to the usual back-off.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

/// The innermost cause: `connection refused` rather than `error sending request`.
fn cause(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// The text up to its host's user part, for messages.
fn without_user(url: &str) -> String {
    match url.rsplit_once('@') {
        Some((_, rest)) => format!("...@{rest}"),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_say_whether_another_attempt_helps() {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, "7".parse().unwrap());
        for (code, want) in
            [(200, "ok"), (204, "ok"), (302, "refused"), (404, "refused"), (429, "retry"), (503, "retry")]
        {
            let found = match verdict(StatusCode::from_u16(code).unwrap(), &headers) {
                Ok(()) => "ok",
                Err(SendError::Retry { after, .. }) => {
                    assert_eq!(after, Some(Duration::from_secs(7)));
                    "retry"
                }
                Err(SendError::Refused { .. }) => "refused",
            };
            assert_eq!(found, want, "{code}");
        }
    }

    #[test]
    fn an_address_that_cannot_be_posted_to_is_refused_without_its_password() {
        let clock: Clock = std::sync::Arc::new(|| crate::model::Timestamp(0));
        for url in ["ftp://user:secret@example.org", "no address", "http://user:secret@"] {
            let options = WebhookOptions { url: url.to_owned(), secret_file: None };
            let error = Webhook::try_new(&options, clock.clone()).err().unwrap().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
