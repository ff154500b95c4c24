//! The way to InfluxDB 2, with crate `influxdb2` as client and transport.
//!
//! Nothing is lost: [`InfluxSink::write`] says whether a batch is in, and the caller commits its
//! cursors only then. A failed batch is written again as it is; points are overwritten by
//! themselves, so a batch that half arrived does no harm. A single line that the server will not
//! take (400) is found by halving, dropped, counted and logged: it must not hold the others up.
//!
//! TLS is not built in; a server beyond the local network stands behind a local proxy.

use std::hash::{BuildHasher as _, RandomState};
use std::path::{Path, PathBuf};
use std::time::Duration;

use influxdb2::{Client, RequestError};
use thiserror::Error;
use tracing::{info, warn};

use super::cursor::CursorFile;
use super::known::{Known, WINDOWS_MAX};
use super::lines::{Delete, LineBatch, Step};
use super::points::Points;
use crate::model::time::SECOND;
use crate::model::{Batch, Dictionary, ResultRow};
use crate::store::Cursors;

/// Bytes of a refused line that the log shows.
const LINE_SHOWN_BYTES: usize = 200;

/// What a server that cannot delete is remembered by.
const NO_DELETE: &str = "no delete request";

/// How to reach InfluxDB 2.
#[derive(Clone, Debug)]
pub struct InfluxOptions {
    /// `http://host:8086`; a path is not used.
    pub url: String,
    /// Organization.
    pub org: String,
    /// Bucket.
    pub bucket: String,
    /// API token; empty: none is sent.
    pub token: String,
    /// Most bytes of one request.
    pub request_bytes_max: usize,
    /// Most points of one request.
    pub request_points_max: usize,
    /// A request that takes longer has failed.
    pub request_time_max: Duration,
    /// Pause after a first failure; each further one doubles it.
    pub pause_first: Duration,
    /// Longest pause.
    pub pause_max: Duration,
}

impl Default for InfluxOptions {
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1:8086".into(),
            org: "sereno".into(),
            bucket: "sereno".into(),
            token: String::new(),
            request_bytes_max: 512 * 1024,
            request_points_max: 5_000,
            request_time_max: Duration::from_secs(10),
            pause_first: Duration::from_millis(250),
            pause_max: Duration::from_secs(30),
        }
    }
}

/// Why a sink cannot be opened or cannot commit.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Not a URL.
    #[error("influx.url `{0}` is no http:// address; write for example \"http://127.0.0.1:8086\"")]
    Url(String),
    /// The transport has no TLS.
    #[error("influx.url `{0}` asks for TLS, which is not built in; point it at a proxy on this machine")]
    Tls(String),
    /// The HTTP client.
    #[error("the InfluxDB client cannot be built: {0}")]
    Client(String),
    /// The cursor file. Without it everything is written again, which is only slow.
    #[error(
        "the cursor file {path} cannot be used: {source}; if it is damaged, remove it: everything kept is written again"
    )]
    Cursors {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
}

impl OpenError {
    /// Whether it is a full disk and nothing else: the cursors may be committed once there is room.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        let full = Some(rusqlite::ErrorCode::DiskFull);
        matches!(self, Self::Cursors { source, .. } if source.sqlite_error_code() == full)
    }
}

/// What a batch came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Points the server took.
    pub points: u64,
    /// Points the server would not take, dropped.
    pub dropped: u64,
    /// Points deleted before a revision.
    pub deleted: u64,
    /// Deletions that the server cannot do (VictoriaMetrics): older values may stand there.
    pub deletes_unsupported: u64,
}

/// A batch is not in, or not all of it.
#[derive(Debug, Error)]
#[error("InfluxDB at {url}: {reason}")]
pub struct SendError {
    /// Whether the same batch may get in later by itself: network errors, 429, 5xx. Otherwise the
    /// configuration has to change (token, bucket, organization).
    pub retryable: bool,
    /// How long to wait before writing the same batch again; grows, with jitter.
    pub pause: Duration,
    /// Where.
    pub url: String,
    /// What the server or the network said.
    pub reason: String,
}

/// The sink: connection, cursors and what it knows of what was written.
#[derive(Debug)]
pub struct InfluxSink {
    client: Client,
    options: InfluxOptions,
    path: PathBuf,
    file: CursorFile,
    points: Points,
    failures: u32,
    delete_refused: bool,
}

/// How one request ended.
enum Answer {
    Done,
    TooLarge(String),
    Bad(String),
    Failed { retryable: bool, reason: String },
}

impl InfluxSink {
    /// Opens the sink with its cursor file (`influx.db`); speaks to nobody yet.
    ///
    /// # Errors
    /// [`OpenError`]: mend the configuration.
    pub fn open(options: InfluxOptions, path: &Path) -> Result<Self, OpenError> {
        let url = reqwest::Url::parse(&options.url).map_err(|_| OpenError::Url(options.url.clone()))?;
        match url.scheme() {
            "http" if url.has_host() => {}
            "https" => return Err(OpenError::Tls(options.url)),
            _ => return Err(OpenError::Url(options.url)),
        }
        let client = influxdb2::ClientBuilder::new(&options.url, &options.org, &options.token)
            .build()
            .map_err(|error| OpenError::Client(error.to_string()))?;
        let cursor_fault = |source| OpenError::Cursors { path: path.to_owned(), source };
        let file = CursorFile::open(path).map_err(cursor_fault)?;
        let latest = file.latest().map_err(cursor_fault)?;
        let points = Points::new(Known::new(latest, WINDOWS_MAX));
        let path = path.to_owned();
        Ok(Self { client, options, path, file, points, failures: 0, delete_refused: false })
    }

    /// Where to read on: everything before is in.
    #[must_use]
    pub fn cursors(&self) -> Cursors {
        self.file.cursors()
    }

    /// Commits what was written up to.
    ///
    /// # Errors
    /// [`OpenError::Cursors`]: the same is written again after a restart.
    pub fn commit(&mut self, cursors: Cursors) -> Result<(), OpenError> {
        self.file
            .commit(cursors, self.points.known().latest())
            .map_err(|source| OpenError::Cursors { path: self.path.clone(), source })
    }

    /// Adds the events of a journal batch to what will be written.
    pub fn add_batch(&self, batch: &Batch, dictionary: &Dictionary, lines: &mut LineBatch) {
        self.points.add_batch(batch, dictionary, lines);
    }

    /// Adds rows of the results log to what will be written. A batch that could not be written is
    /// kept and written again, not made anew.
    pub fn add_results(&mut self, rows: &[ResultRow], lines: &mut LineBatch) {
        self.points.add_results(rows, lines);
    }

    /// Writes a batch, in order, in as many requests as it takes.
    ///
    /// # Errors
    /// [`SendError`]: write the same batch again after its pause; commit nothing.
    pub async fn write(&mut self, lines: &LineBatch) -> Result<Written, SendError> {
        let mut written = Written::default();
        for step in lines.steps(self.options.request_points_max, self.options.request_bytes_max) {
            let answer = match step {
                Step::Write(range) => self.write_lines(lines, range, &mut written).await,
                Step::Delete(delete) => self.delete(&delete, &mut written).await,
            };
            if let Err((retryable, reason)) = answer {
                return Err(self.failed(retryable, reason));
            }
        }
        if self.failures > 0 {
            info!(url = %self.options.url, failures = self.failures, "influxdb takes points again");
            self.failures = 0;
        }
        Ok(written)
    }

    /// Writes lines; on 400 or 413 writes each half, down to the single line that is at fault.
    async fn write_lines(
        &self,
        lines: &LineBatch,
        range: std::ops::Range<usize>,
        written: &mut Written,
    ) -> Result<(), (bool, String)> {
        let mut open = vec![range];
        while let Some(range) = open.pop() {
            let (reason, single) = match self.request(lines.text(range.clone())).await {
                Answer::Done => {
                    written.points += range.len() as u64;
                    continue;
                }
                Answer::Failed { retryable, reason } => return Err((retryable, reason)),
                Answer::Bad(reason) | Answer::TooLarge(reason) => (reason, range.len() <= 1),
            };
            if single {
                written.dropped += 1;
                let shown: String = lines.text(range).chars().take(LINE_SHOWN_BYTES).collect();
                warn!(url = %self.options.url, reason, line = shown.trim_end(), "influxdb refused a point; it is dropped");
            } else {
                let middle = range.start + range.len() / 2;
                open.push(middle..range.end);
                open.push(range.start..middle);
            }
        }
        Ok(())
    }

    async fn request(&self, text: &str) -> Answer {
        let request =
            self.client.write_line_protocol(&self.options.org, &self.options.bucket, text.to_owned());
        match tokio::time::timeout(self.options.request_time_max, request).await {
            Ok(Ok(())) => Answer::Done,
            Ok(Err(error)) => answer_of(&error),
            Err(_) => Answer::Failed { retryable: true, reason: "no answer in time".into() },
        }
    }

    async fn delete(&mut self, delete: &Delete, written: &mut Written) -> Result<(), (bool, String)> {
        // The client prints whole seconds; windows start at whole seconds. One that does not stays.
        let whole = delete.at.0.rem_euclid(SECOND) == 0;
        let text = delete.at.to_string();
        let (Ok(start), Ok(stop)) = (seconds(&text).parse(), seconds(&text).parse()) else {
            written.deletes_unsupported += 1;
            return Ok(());
        };
        if self.delete_refused || !whole {
            written.deletes_unsupported += 1;
            return Ok(());
        }
        let request = self.client.delete(&self.options.bucket, start, stop, Some(delete.predicate.clone()));
        let answer = match tokio::time::timeout(self.options.request_time_max, request).await {
            Ok(Ok(())) => Answer::Done,
            Ok(Err(RequestError::Http { status, text })) if matches!(status.as_u16(), 404 | 405 | 501) => {
                Answer::Bad(format!("{NO_DELETE}: {status} {text}"))
            }
            Ok(Err(error)) => answer_of(&error),
            Err(_) => Answer::Failed { retryable: true, reason: "no answer in time".into() },
        };
        match answer {
            Answer::Done => written.deleted += 1,
            Answer::Failed { retryable, reason } => return Err((retryable, reason)),
            Answer::Bad(reason) | Answer::TooLarge(reason) => {
                // VictoriaMetrics has no such request; it keeps the larger of two values of one time.
                self.delete_refused = reason.contains(NO_DELETE) || reason.contains("unsupported path");
                warn!(url = %self.options.url, reason, "the server did not delete a point; values taken back stay there");
                written.deletes_unsupported += 1;
            }
        }
        Ok(())
    }

    fn failed(&mut self, retryable: bool, reason: String) -> SendError {
        if self.failures == 0 {
            warn!(url = %self.options.url, reason, retryable, "influxdb takes no points; they wait in the journal");
        }
        let pause = pause(&self.options, self.failures, RandomState::new().hash_one(self.failures));
        self.failures = self.failures.saturating_add(1);
        SendError { retryable, pause, url: self.options.url.clone(), reason }
    }
}

/// The pause after `failures` earlier ones: doubled each time up to the longest, of which a random
/// half is taken off, so that many sinks do not come back at once.
fn pause(options: &InfluxOptions, failures: u32, random: u64) -> Duration {
    let full = options.pause_first.saturating_mul(1 << failures.min(20)).min(options.pause_max);
    let half = full / 2;
    half + half.mul_f64((random >> 11) as f64 / (1_u64 << 53) as f64)
}

/// `2026-03-01T17:00:00`, the form the client's times are read from.
fn seconds(text: &str) -> &str {
    text.split(['.', 'Z']).next().unwrap_or_default()
}

fn answer_of(error: &RequestError) -> Answer {
    match error {
        RequestError::Http { status, text } => {
            let reason = format!("{status}: {}", text.chars().take(LINE_SHOWN_BYTES).collect::<String>());
            match status.as_u16() {
                400 | 422 => Answer::Bad(reason),
                413 => Answer::TooLarge(reason),
                408 | 429 | 500.. => Answer::Failed { retryable: true, reason },
                _ => Answer::Failed { retryable: false, reason },
            }
        }
        other => Answer::Failed { retryable: true, reason: other.to_string() },
    }
}

#[cfg(test)]
#[path = "sink_tests.rs"]
mod tests;
