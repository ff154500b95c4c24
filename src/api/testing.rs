//! A whole API on the loopback with a small city behind it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use reqwest::Client;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::accounts::Account;
use super::console::{Console, File};
use super::reads::{
    AccountsQuery, AggregateRow, AggregatesQuery, QueryResult, ReadingRow, ReadingsQuery, Rows, SqlQuery,
};
use super::{
    ApiParts, ApiState, HostPolicy, LiveView, ReadError, Reads, RecomputeRefusal, Recomputes, Recomputing,
};
use crate::journal::Holders;
use crate::model::definition::{DecoderKind, FeedDefinition, PipelineDefinition};
use crate::model::{
    Accounts, Batch, Control, DeviceId, Dictionary, Entry, Event, FeedAccounts, FeedId, Quantity, QuantityId,
    Reading, Reason, Record, Refusal, TagSetId, Timestamp, Value,
};
use crate::notify::Ledger;
use crate::notify::testing::{open, s};
use crate::telemetry::Metrics;

/// Pipeline and feed of the small city, as a person writes them.
const AIR: &str = r#"
version = 1
name = "air-quality"
title = { es = "Calidad del aire", en = "Air quality" }
reads = ["air"]
[[window]]
name = "pm25_1h"
size = "1h"
fields = { pm25_mean = "mean(pm25)", n = "count(*)" }
[[rule]]
name = "pm25-high"
on = "pm25_1h"
when = "pm25_mean > 37"
for = "2h"
severity = "warning"
title = { es = "PM2.5 alto", en = "High PM2.5" }
message = { es = "{pm25_mean}", en = "{pm25_mean}" }
"#;
const AIR_FEED: &str = r#"
name = "air"
topic = "ciudad/{zone}/aire/{sensor}"
decoder = "json"
[quantity.pm25]
unit = "ug/m3"
label = { es = "PM2.5", en = "PM2.5" }
[quantity.lat]
[quantity.lon]
"#;

/// The definition of the feed.
pub(super) fn feed() -> FeedDefinition {
    toml::from_str(AIR_FEED).unwrap()
}

/// The dictionary of the small city.
pub(super) fn dictionary() -> Dictionary {
    let mut dictionary = Dictionary::default();
    let quantity = |name: &str, unit: &str| {
        Entry::Quantity(Arc::new(Quantity { name: name.into(), unit: unit.into(), decimals: 6 }))
    };
    for entry in [
        Entry::Feed("air".into()),
        Entry::Feed("river".into()),
        Entry::Device(FeedId(0), "aire-00042".into()),
        Entry::Device(FeedId(1), "rio-01".into()),
        Entry::Tags(Arc::from(vec![("zone".into(), "comuna-07".into())])),
        Entry::Tags(Arc::from(vec![("zone".into(), "comuna-08".into())])),
        quantity("pm25", "ug/m3"),
        quantity("lat", ""),
        quantity("lon", ""),
    ] {
        dictionary.insert(&entry);
    }
    dictionary
}

/// A batch with one event of one device and the values of the first quantities.
pub(super) fn event(first: u64, device: u32, event_at: i64, arrived_at: i64, values: &[f64]) -> Batch {
    let reading = |(id, value): (usize, &f64)| Reading {
        quantity: QuantityId(id as u16),
        value: Value((value * 1e6).round() as i64),
    };
    let event = Event {
        feed: FeedId(device as u16),
        device: DeviceId(device),
        tags: TagSetId(device),
        event_at: s(event_at),
        arrived_at: s(arrived_at),
        counter: None,
        readings: 0..values.len() as u32,
    };
    Batch {
        first,
        arrived_at: s(arrived_at),
        records: vec![Record::Event(event)],
        readings: values.iter().enumerate().map(reading).collect(),
        ..Batch::default()
    }
}

/// The journal of the small city.
pub(super) fn journal() -> Vec<Batch> {
    assert_eq!(feed().decoder, DecoderKind::Json);
    let pipeline: PipelineDefinition = toml::from_str(AIR).unwrap();
    let refusal = Refusal {
        feed: FeedId(0),
        arrived_at: s(3),
        reason: Reason::BadJson,
        detail: "expected `:` at line 1 column 5".into(),
        topic: "ciudad/comuna-07/aire/aire-00042".into(),
        payload: Bytes::from_static(b"{\"id\" 7}"),
        payload_bytes: 8,
    };
    let delta = Accounts {
        messages_received: 3,
        messages_decoded: 2,
        messages_quarantined: 1,
        ..Accounts::default()
    };
    let controls = Batch {
        first: 0,
        arrived_at: s(0),
        records: vec![
            Record::Control(Arc::new(Control::Feed { feed: Box::new(feed()) })),
            Record::Control(Arc::new(Control::Pipeline { pipeline: Box::new(pipeline) })),
        ],
        ..Batch::default()
    };
    let rest = Batch {
        first: 4,
        arrived_at: s(3),
        records: vec![
            Record::Refusal(Box::new(refusal)),
            Record::Tick { from: s(3), to: s(3), observed: Arc::from([FeedId(0)]) },
        ],
        packets: Vec::new(),
        readings: Vec::new(),
        accounts: vec![FeedAccounts { feed: FeedId(0), delta }],
        devices: Vec::new(),
    };
    vec![controls, event(2, 0, 1, 2, &[23.4, 6.251234, -75.561234]), event(3, 1, 1, 2, &[7.0]), rest]
}

/// Stored data that answers with one row and remembers what it was asked.
#[derive(Default)]
pub(super) struct FakeReads(pub(super) Mutex<Vec<String>>);

impl FakeReads {
    fn note(&self, wanted: &impl std::fmt::Debug) {
        self.0.lock().unwrap().push(format!("{wanted:?}"));
    }
}

impl Reads for FakeReads {
    fn readings(&self, wanted: ReadingsQuery) -> BoxFuture<'_, Result<Rows<ReadingRow>, ReadError>> {
        self.note(&wanted);
        let row = ReadingRow {
            time: wanted.from.to_string(),
            sensor: "aire-00042".into(),
            feed: "air".into(),
            quantity: "pm25".into(),
            value: 23.4,
        };
        futures::future::ready(Ok(Rows { rows: vec![row], truncated: false })).boxed()
    }

    fn aggregates(&self, wanted: AggregatesQuery) -> BoxFuture<'_, Result<Rows<AggregateRow>, ReadError>> {
        self.note(&wanted);
        let row = AggregateRow {
            time: wanted.from.to_string(),
            end: wanted.to.to_string(),
            pipeline: wanted.pipeline,
            window: wanted.window,
            key: wanted.key,
            revision: 123,
            count: 360,
            capture: Some(1.0),
            fields: [("pm25_mean".to_owned(), Some(23.1))].into(),
        };
        futures::future::ready(Ok(Rows { rows: vec![row], truncated: true })).boxed()
    }

    fn sensor_accounts(&self, wanted: AccountsQuery) -> BoxFuture<'_, Result<Vec<Account>, ReadError>> {
        self.note(&wanted);
        let counters =
            Accounts { events_found: 2, events_stored: 1, events_duplicate: 1, ..Accounts::default() };
        let hour = wanted.hour.unwrap_or(Timestamp(0));
        let account = Account { sensor: Some(wanted.sensor), ..Account::of("air", hour, &counters) };
        futures::future::ready(Ok(vec![account])).boxed()
    }

    fn query(&self, wanted: SqlQuery) -> BoxFuture<'_, Result<QueryResult, ReadError>> {
        self.note(&wanted);
        let answer = match wanted.sql.as_str() {
            "broken" => {
                Err(ReadError::BadQuery { message: "no such table".into(), remedy: "see the tables".into() })
            }
            _ => Ok(QueryResult { body: Bytes::from_static(b"[{\"n\":1}]"), truncated: false }),
        };
        futures::future::ready(answer).boxed()
    }
}

/// Answers what it is told to and remembers the ranges.
#[derive(Default)]
pub(super) struct FakeRecomputes {
    pub(super) asked: Mutex<Vec<(Timestamp, Timestamp)>>,
    pub(super) refusals: Mutex<Vec<RecomputeRefusal>>,
}

impl Recomputes for FakeRecomputes {
    fn recompute(
        &self,
        range: (Timestamp, Timestamp),
    ) -> BoxFuture<'_, Result<Recomputing, RecomputeRefusal>> {
        self.asked.lock().unwrap().push(range);
        let recomputing = Recomputing {
            epoch: Some(7),
            from: range.0.to_string(),
            to: range.1.to_string(),
            readings_from: None,
        };
        let refusal = self.refusals.lock().unwrap().pop();
        futures::future::ready(refusal.map_or(Ok(recomputing), Err)).boxed()
    }
}

/// A front end of three files.
fn console(path: &str) -> Option<File> {
    let (bytes, content_type) = match path {
        "index.html" => ("<!doctype html><title>Sereno</title>".repeat(9), "text/html; charset=utf-8"),
        "assets/index-9f86d081.js" => ("export {};".to_owned(), "text/javascript; charset=utf-8"),
        "favicon.svg" => ("<svg/>".to_owned(), "image/svg+xml"),
        _ => return None,
    };
    Some(File { bytes: bytes.into(), content_type: content_type.to_owned() })
}

/// A served API.
pub(super) struct City {
    pub(super) client: Client,
    pub(super) address: SocketAddr,
    pub(super) live: Arc<LiveView>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) reads: Arc<FakeReads>,
    pub(super) recomputes: Arc<FakeRecomputes>,
    pub(super) holders: Arc<Holders>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) ready: Arc<AtomicBool>,
    pub(super) stop: watch::Sender<bool>,
    pub(super) served: tokio::task::JoinHandle<std::io::Result<()>>,
    _directory: TempDir,
}

impl City {
    /// Starts it, `change` having the last word.
    pub(super) async fn start_with(change: impl FnOnce(&mut ApiParts)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let ledger = open(&directory, &["office"]);
        let live = Arc::new(LiveView::new());
        journal().iter().for_each(|batch| live.apply_batch(batch, &dictionary()));
        live.set_connected("air", true);
        let reads = Arc::new(FakeReads::default());
        let metrics = Arc::new(Metrics::new());
        let ready = Arc::new(AtomicBool::new(false));
        let recomputes = Arc::new(FakeRecomputes::default());
        let holders: Arc<Holders> = Arc::default();
        let mut parts = ApiParts {
            live: live.clone(),
            ledger: ledger.clone(),
            reads: reads.clone(),
            holders: holders.clone(),
            recomputes: recomputes.clone(),
            metrics: metrics.clone(),
            ready: ready.clone(),
            clock: Arc::new(|| s(4)),
            started_at: s(0),
            timezone: "America/Bogota".into(),
            default_source: "listener".into(),
            zones: super::zones::NO_ZONES,
            hosts: HostPolicy::new(true, &[]),
            console: Console(console),
        };
        change(&mut parts);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopping) = watch::channel(false);
        let served = tokio::spawn(super::serve(listener, ApiState::new(parts), stopping));
        let client = Client::new();
        Self {
            client,
            address,
            live,
            ledger,
            reads,
            metrics,
            ready,
            recomputes,
            holders,
            stop,
            served,
            _directory: directory,
        }
    }

    /// Starts it.
    pub(super) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// An address of it.
    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// GETs JSON with its status.
    pub(super) async fn get(&self, path: &str) -> (u16, serde_json::Value) {
        let response = self.client.get(self.url(path)).send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or_else(|_| panic!("{path}: {text}")))
    }
}

/// Seconds of the test's time as they leave.
pub(super) fn at(seconds: i64) -> String {
    Timestamp(s(seconds).0).to_string()
}
