//! The whole path over a file, as fast as it goes: arrival times come from the file, or are the
//! running maximum of event time, and the ticks are made from them: the same result at any speed.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;

use super::core::CoreOptions;
use super::readers::Readers;
use super::restore::{Asked, Recomputer};
use super::sinks::LedgerSink;
use super::statistics::{Counted, Counting, Statistics, peak_rss_bytes};
use super::{Core, DataDir, ServiceError, sources};
use crate::api::LiveView;
use crate::config::{Configuration, controls};
use crate::feed::{Route, Routes};
use crate::journal::{Clock as _, SystemClock};
use crate::model::definition::FeedDefinition;
use crate::model::{Arrival, Input, Span, Submission, Timestamp};
use crate::notify::Ledger;
use crate::telemetry::Metrics;

/// Messages handed over at once. What waits for the sequencer stays in a processor's cache.
const BURST: usize = 128;
/// Event times further ahead of the host's clock do not set the arrival clock.
const AHEAD_MAX: Span = Span::seconds(300);

/// What is replayed.
#[derive(Clone, Debug)]
pub struct ReplayOptions {
    /// The file: payloads one a line (with `feed`), or arrivals
    /// (`{"at": .., "topic": .., "payload": ..}`, or `payload_b64`).
    pub file: PathBuf,
    /// Feed that takes every line as a payload.
    pub feed: Option<String>,
    /// Topic of those payloads, for feeds that take tags from it.
    pub topic: Option<String>,
    /// Dataflow workers.
    pub workers: usize,
}

/// One line of an arrivals file.
#[derive(Deserialize)]
struct Line<'a> {
    at: std::borrow::Cow<'a, str>,
    topic: std::borrow::Cow<'a, str>,
    #[serde(default)]
    payload: Option<String>,
    #[serde(default)]
    payload_b64: Option<String>,
}

/// Replays a file into the data folder of `configuration`. `told` hears of the bytes read.
///
/// # Errors
/// [`ServiceError`]; a folder that already holds later arrivals is refused.
pub fn replay(
    configuration: &Configuration,
    options: &ReplayOptions,
    told: &dyn Fn(u64),
) -> Result<Statistics, ServiceError> {
    let path = options.file.display().to_string();
    let file = File::open(&options.file).map_err(ServiceError::io(path.clone()))?;
    let (core, mut feeder, readers, kept) = open(configuration, options)?;
    let began = Instant::now();
    hand_over(&core, Input::Control(controls(configuration)))?;
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let mut line = Vec::new();
    let (mut number, mut untold) = (0_u64, 0);
    loop {
        line.clear();
        let read = reader.read_until(b'\n', &mut line).map_err(ServiceError::io(path.clone()))?;
        if read == 0 {
            break;
        }
        number += 1;
        untold += read as u64;
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        if text.is_empty() {
            continue;
        }
        feeder.line(text).map_err(|what| ServiceError::Setting(format!("{path}:{number}: {what}")))?;
        if feeder.waiting.len() >= BURST {
            hand_over(&core, Input::Messages(std::mem::take(&mut feeder.waiting)))?;
            told(std::mem::take(&mut untold));
        }
    }
    hand_over(&core, Input::Messages(std::mem::take(&mut feeder.waiting)))?;
    told(untold);
    finish(core, readers, &kept.counted, began)
}

/// Feeds messages that carry their arrival time (the demo's history) and stops the core again.
/// `messages` is told the last arrival that the data folder holds.
///
/// # Errors
/// [`ServiceError`].
pub fn history<M>(
    configuration: &Configuration,
    workers: usize,
    messages: impl FnOnce(Timestamp) -> M,
) -> Result<Statistics, ServiceError>
where
    M: Iterator<Item = (Timestamp, String, Bytes)>,
{
    let options = ReplayOptions { file: PathBuf::new(), feed: None, topic: None, workers };
    let (core, mut feeder, readers, kept) = open(configuration, &options)?;
    let began = Instant::now();
    hand_over(&core, Input::Control(controls(configuration)))?;
    for (at, topic, payload) in messages(core.last_arrival) {
        feeder.arrival(at, &topic, payload);
        if feeder.waiting.len() >= BURST {
            hand_over(&core, Input::Messages(std::mem::take(&mut feeder.waiting)))?;
        }
    }
    hand_over(&core, Input::Messages(std::mem::take(&mut feeder.waiting)))?;
    finish(core, readers, &kept.counted, began)
}

/// Has the windows of a range computed again in a data folder that no service runs in; what was asked
/// of the journal, and what came of it.
///
/// # Errors
/// [`ServiceError::Held`] when a service runs: ask it. [`ServiceError::Recompute`] when it cannot be
/// made. Others as of [`replay`].
pub fn recompute(
    configuration: &Configuration,
    workers: usize,
    range: (Timestamp, Timestamp),
) -> Result<(Asked, Statistics), ServiceError> {
    let options = ReplayOptions { file: PathBuf::new(), feed: None, topic: None, workers };
    let (core, _, readers, kept) = open(configuration, &options)?;
    let began = Instant::now();
    hand_over(&core, Input::Control(controls(configuration)))?;
    let max_skew = configuration.feeds().map(|feed| feed.max_skew).max().unwrap_or_default();
    let recomputer = Recomputer::new(&core, Arc::new(move || max_skew));
    #[cfg(feature = "store")]
    let recomputer = recomputer.with_store(kept.store);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(ServiceError::io("the threads of a recompute"))?;
    let asked = runtime.block_on(recomputer.ask(range));
    // Whatever came of it, what is journalled is worked off.
    drop(recomputer);
    let statistics = finish(core, readers, &kept.counted, began)?;
    Ok((asked?, statistics))
}

/// What a run keeps beside the logs.
#[derive(Default)]
struct Kept {
    counted: Arc<Mutex<Counted>>,
    #[cfg(feature = "store")]
    store: Option<Arc<crate::store::Store>>,
}

type Opened = (Core, Feeder, Readers, Kept);

/// Locks the data folder and starts the core with its readers.
fn open(configuration: &Configuration, options: &ReplayOptions) -> Result<Opened, ServiceError> {
    let dir = DataDir::open(&configuration.path(&configuration.sereno.data_dir))?;
    let segment_bytes_max = configuration.sereno.journal.segment_bytes.0;
    let core = Core::start(
        dir.clone(),
        &CoreOptions {
            segment_bytes_max,
            workers: options.workers,
            checkpoints: (&configuration.sereno.checkpoint).into(),
            live: false,
            linked: Arc::new(|_, _| {}),
        },
    )?;
    // Whoever waits for a file waits for all of it, and a checkpoint that does not load says so first.
    core.wait_for_flow();
    let feeder = Feeder::new(configuration, options, &core)?;
    let mut kept = Kept::default();
    let mut readers = Readers::default();
    start_readers(&mut readers, &core, &dir, configuration, &mut kept)?;
    Ok((core, feeder, readers, kept))
}

fn hand_over(core: &Core, input: Input) -> Result<(), ServiceError> {
    core.inputs.blocking_send(input).map_err(|_| ServiceError::Setting("the sequencer has stopped".into()))
}

fn finish(
    core: Core,
    readers: Readers,
    counted: &Mutex<Counted>,
    began: Instant,
) -> Result<Statistics, ServiceError> {
    let (flushed, journalled) = std::sync::mpsc::channel();
    hand_over(&core, Input::Flush(Box::new(move |epoch| flushed.send(epoch).unwrap_or_default())))?;
    // The sequencer answers, or the process has ended.
    let _ = journalled.recv();
    core.settle();
    let tally = core.tally();
    readers.stop();
    let seconds = began.elapsed().as_secs_f64();
    core.stop()?;
    let mut sums = crate::flow::Counts::default();
    tally.now().values().for_each(|counts| sums.add(*counts));
    let counted = *counted.lock().unwrap_or_else(PoisonError::into_inner);
    let accounts = counted.accounts;
    Ok(Statistics {
        messages: accounts.messages_received,
        events: accounts.events_stored,
        seconds,
        events_per_second: accounts.events_stored as f64 / seconds.max(1e-9),
        windows: counted.windows,
        transitions: counted.transitions,
        late: sums.late,
        too_late: sums.too_late,
        excluded: sums.excluded,
        quarantined: accounts.messages_quarantined + accounts.events_quarantined,
        duplicates: accounts.events_duplicate,
        conflicting: accounts.events_conflicting,
        peak_rss_bytes: peak_rss_bytes(),
    })
}

fn start_readers(
    readers: &mut Readers,
    core: &Core,
    dir: &DataDir,
    configuration: &Configuration,
    kept: &mut Kept,
) -> Result<(), ServiceError> {
    let metrics = Arc::new(Metrics::new());
    let ledger = Arc::new(Ledger::open(&dir.ledger())?);
    let cursor = ledger.cursor()?;
    let sink = LedgerSink::new(ledger, Arc::new(LiveView::new()), metrics.clone());
    readers.start(core, &metrics, (u64::MAX, cursor), sink)?;
    #[cfg(feature = "store")]
    if configuration.sereno.store.embedded {
        let store =
            Arc::new(crate::store::Store::open(&dir.store(), super::run::store_options(configuration))?);
        let cursors = store.cursors();
        kept.store = Some(store.clone());
        let inner = super::sinks::StoreSink(store);
        let sink = Counting { inner, counted: kept.counted.clone() };
        return readers.start(core, &metrics, (cursors.journal, cursors.results), sink);
    }
    let _ = configuration;
    let inner = super::statistics::Nothing;
    let from = (core.journal.now().written, core.results.now().written);
    readers.start(core, &metrics, from, Counting { inner, counted: kept.counted.clone() })
}

/// The topic that a file's payloads are taken to have come by.
fn topic_of(feed: &FeedDefinition, given: Option<&str>) -> Result<Arc<str>, ServiceError> {
    if let Some(topic) = given {
        return Ok(topic.into());
    }
    if feed.topic.contains('{') {
        let example = feed.topic.replace(['{', '}'], "");
        return Err(ServiceError::Setting(format!(
            "feed {} takes names from the topic ({}); give --topic, for example --topic {example}",
            feed.name, feed.topic
        )));
    }
    Ok(feed.topic.as_str().into())
}

/// Turns lines into submissions with their arrival times.
struct Feeder {
    routes: Routes,
    fixed: Option<(Route, Arc<str>)>,
    arrived_at: Timestamp,
    /// Arrivals in the data folder so far; the file must not begin before.
    last: Timestamp,
    limit: Timestamp,
    waiting: Vec<Submission>,
}

impl Feeder {
    fn new(
        configuration: &Configuration,
        options: &ReplayOptions,
        core: &Core,
    ) -> Result<Self, ServiceError> {
        let routes = configuration.feeds().map(sources::route).collect::<Result<Vec<_>, _>>()?;
        let fixed = match &options.feed {
            None => None,
            Some(name) => {
                let feed = configuration.feeds().find(|feed| feed.name == *name).ok_or_else(|| {
                    let known: Vec<&str> = configuration.feeds().map(|feed| feed.name.as_str()).collect();
                    ServiceError::Setting(format!(
                        "there is no feed `{name}`; there are {}",
                        known.join(", ")
                    ))
                })?;
                Some((sources::route(feed)?, topic_of(feed, options.topic.as_deref())?))
            }
        };
        let limit = SystemClock::default().wall().plus(AHEAD_MAX);
        let waiting = Vec::with_capacity(BURST);
        Ok(Self {
            routes: Routes::new(routes),
            fixed,
            arrived_at: Timestamp::MIN,
            last: core.last_arrival,
            limit,
            waiting,
        })
    }

    fn line(&mut self, text: &[u8]) -> Result<(), String> {
        if self.fixed.is_some() {
            self.payload(Bytes::copy_from_slice(text));
        } else {
            let line: Line<'_> = serde_json::from_slice(text)
                .map_err(|error| format!("no arrival ({error}); give --feed for a file of plain payloads"))?;
            let at = Timestamp::parse_rfc3339(&line.at)
                .ok_or_else(|| format!("`{}` is no RFC 3339 time", line.at))?;
            let payload = match (line.payload, line.payload_b64) {
                (Some(text), _) => Bytes::from(text),
                (None, Some(text)) => {
                    STANDARD.decode(text).map_err(|error| format!("payload_b64: {error}"))?.into()
                }
                (None, None) => return Err("an arrival has `payload` or `payload_b64`".into()),
            };
            self.arrival(at, &line.topic, payload);
        }
        if self.last > self.arrived_at && self.arrived_at != Timestamp::MIN {
            return Err(format!(
                "the data folder holds arrivals up to {}, later than this line's {}; replay into another data_dir",
                self.last, self.arrived_at
            ));
        }
        Ok(())
    }

    /// A payload without an arrival time: the running maximum of event time.
    fn payload(&mut self, payload: Bytes) {
        let Some((route, topic)) = &self.fixed else { return };
        let arrival = Arrival {
            topic: topic.clone(),
            payload: payload.clone(),
            arrived_at: self.arrived_at.max(Timestamp(0)),
        };
        let decoded = route.decode.decode(&arrival);
        let latest =
            decoded.events.iter().filter_map(|event| event.event_at).filter(|at| *at <= self.limit).max();
        if let Some(latest) = latest {
            self.arrived_at = self.arrived_at.max(latest);
        }
        if self.arrived_at == Timestamp::MIN {
            // Nothing carried a time yet: the file's clock begins at the folder's, or now.
            let now = self.limit.minus(AHEAD_MAX);
            self.arrived_at = if self.last == Timestamp::MIN { now } else { self.last };
        }
        self.waiting.push(Submission {
            feed: route.feed.clone(),
            topic: topic.clone(),
            payload,
            arrived_at: Some(self.arrived_at),
            decoded,
            repeated: false,
            brought: None,
            ack: None,
        });
    }

    fn arrival(&mut self, at: Timestamp, topic: &str, payload: Bytes) {
        self.arrived_at = self.arrived_at.max(at);
        let Some(route) = self.routes.find(topic) else { return };
        let topic: Arc<str> = topic.into();
        let arrival = Arrival { topic: topic.clone(), payload: payload.clone(), arrived_at: self.arrived_at };
        let decoded = route.decode.decode(&arrival);
        self.waiting.push(Submission {
            feed: route.feed.clone(),
            topic,
            payload,
            arrived_at: Some(self.arrived_at),
            decoded,
            repeated: false,
            brought: None,
            ack: None,
        });
    }
}
