//! The live service: everything joined, until it is told to stop.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
#[cfg(feature = "store")]
use std::time::Duration;

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{info, warn};

use super::audit::Audit;
use super::core::CoreOptions;
use super::gaps::Gaps;
use super::outputs::{self, Own};
use super::readers::Readers;
use super::restore::Recomputer;
use super::sinks::{LedgerSink, LiveSink};
use super::sources::{self, RouteTables};
use super::{Core, DataDir, ServiceError, reload};
use crate::api::console::Console;
use crate::api::{ApiParts, ApiState, HostPolicy, LiveView, Reads, Recomputes};
use crate::config::{Configuration, LISTENER, controls};
use crate::feed::broker::{Broker, BrokerEdges, RumqttClient};
use crate::journal::{Clock as _, Holders, SystemClock};
use crate::model::{Input, Span, Timestamp};
use crate::notify::{Backoff, Clock, Dispatcher, Ledger};
use crate::telemetry::Metrics;

/// A ledger that is rebuilt tells nobody of transitions older than this.
const OWED_FOR: Span = Span::seconds(86_400);

/// How the service runs, beyond its configuration.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Dataflow workers.
    pub workers: usize,
    /// GeoJSON of the map, instead of the configured file (the demo's city).
    pub zones: Option<Bytes>,
    /// Where the configuration was read from, to be read again when it changes.
    pub source: Option<std::path::PathBuf>,
}

/// A running service.
pub struct Service {
    /// Where it answers HTTP.
    pub http: SocketAddr,
    /// Where it listens for MQTT, if it does.
    pub mqtt: Option<SocketAddr>,
    /// The latest state.
    pub live: Arc<LiveView>,
    /// The alerts.
    pub ledger: Arc<Ledger>,
    /// Whether it has caught up.
    pub ready: Arc<AtomicBool>,
    core: Core,
    readers: Readers,
    feeds: JoinSet<()>,
    others: JoinSet<()>,
    stop_feeds: watch::Sender<bool>,
    stop_others: watch::Sender<bool>,
    ending: Arc<AtomicBool>,
}

impl Service {
    /// Opens the data folder, starts every part and opens ingest.
    ///
    /// # Errors
    /// [`ServiceError`]: nothing runs.
    pub async fn start(configuration: Configuration, options: RunOptions) -> Result<Self, ServiceError> {
        let dir = DataDir::open(&configuration.path(&configuration.sereno.data_dir))?;
        let live = Arc::new(LiveView::new());
        let core_options = CoreOptions {
            segment_bytes_max: configuration.sereno.journal.segment_bytes.0,
            workers: options.workers,
            checkpoints: (&configuration.sereno.checkpoint).into(),
            live: true,
            linked: Arc::new({
                let live = live.clone();
                move |feed, up| live.set_connected(feed, up)
            }),
        };
        let core = tokio::task::block_in_place(|| Core::start(dir.clone(), &core_options))?;
        let parts = Parts::open(&dir, live)?;
        // Before anything reads on: an alert that the ledger takes is owed to whoever is subscribed.
        parts.ledger.subscribe(outputs::subscriptions(&configuration))?;
        let ending = Arc::new(AtomicBool::new(false));
        let gaps = Gaps::new(parts.ledger.clone(), parts.live.clone(), core.journal.clone())?;
        let gaps = Arc::new(gaps);
        let mut readers = Readers::telling(gaps.clone());
        // Definitions that stand unchanged since before the journal's first segment.
        parts.live.define(&controls(&configuration));
        let (reads, recomputes) = start_readers(&mut readers, &core, &dir, &configuration, &parts, &ending)?;
        send(&core, Input::Control(controls(&configuration))).await;

        let (stop_feeds, _) = watch::channel(false);
        let (stop_others, stopping) = watch::channel(false);
        let mut others = JoinSet::new();
        let tables = Arc::new(RouteTables::new(&configuration, core.throttled.clone())?);
        let mut feeds = JoinSet::new();
        let (mqtt, own) =
            start_feeds(&mut feeds, &core, &configuration, &tables, &parts, &stop_feeds).await?;
        start_receivers(&mut others, &configuration, &own, &parts, &stopping)?;
        let edges = Edges { reads, recomputes, holders: core.holders.clone() };
        let http = serve_http(&mut others, &configuration, &options, &parts, edges, &stopping).await?;
        keep_house(&mut others, &core, &dir, &configuration, (&parts, gaps), &stopping);
        if let Some(source) = options.source {
            others.spawn(reload::watch(source, core.inputs.clone(), tables, stopping));
        }
        info!(%http, mqtt = ?mqtt, "sereno is running");
        let Parts { live, ledger, ready, .. } = parts;
        Ok(Self {
            http,
            mqtt,
            live,
            ledger,
            ready,
            core,
            readers,
            feeds,
            others,
            stop_feeds,
            stop_others,
            ending,
        })
    }

    /// Stops: feeds first, so that what they took is journalled and acknowledged, then the flow and
    /// its readers, then everything that people see.
    ///
    /// # Errors
    /// [`ServiceError`] when the last writes failed.
    pub async fn stop(mut self) -> Result<(), ServiceError> {
        info!("stopping");
        self.stop_feeds.send_replace(true);
        while self.feeds.join_next().await.is_some() {}
        self.ending.store(true, Ordering::SeqCst);
        let (core, readers) = (self.core, self.readers);
        let stopped = tokio::task::spawn_blocking(move || {
            core.settle();
            readers.stop();
            core.stop()
        });
        // A panic ends the process through the hook of `main`.
        let result = stopped.await.unwrap_or(Ok(()));
        self.stop_others.send_replace(true);
        while self.others.join_next().await.is_some() {}
        result
    }
}

/// What most parts share.
struct Parts {
    live: Arc<LiveView>,
    ledger: Arc<Ledger>,
    metrics: Arc<Metrics>,
    ready: Arc<AtomicBool>,
    /// Whether the live view has caught up; the flow may be behind.
    level: Arc<AtomicBool>,
    clock: Clock,
    started_at: Timestamp,
}

impl Parts {
    fn open(dir: &DataDir, live: Arc<LiveView>) -> Result<Self, ServiceError> {
        let clock = wall_clock();
        let started_at = clock();
        Ok(Self {
            live,
            ledger: Arc::new(Ledger::open(&dir.ledger())?.owing_since(started_at.minus(OWED_FOR))),
            metrics: Arc::new(Metrics::new()),
            ready: Arc::new(AtomicBool::new(false)),
            level: Arc::new(AtomicBool::new(false)),
            clock,
            started_at,
        })
    }
}

/// Starts what measures, and what removes old segments.
fn keep_house(
    others: &mut JoinSet<()>,
    core: &Core,
    dir: &DataDir,
    configuration: &Configuration,
    (parts, gaps): (&Parts, Arc<Gaps>),
    stop: &watch::Receiver<bool>,
) {
    let syncs = parts.metrics.clone();
    core.journal.time_syncs(Box::new(move |took| syncs.journal_sync_seconds.observe(took.as_secs_f64())));
    let sources = super::gauges::Sources::of(core, parts.live.clone(), dir.journal());
    others.spawn(super::gauges::run(sources, parts.metrics.clone(), stop.clone()));
    let settings = &configuration.sereno.journal;
    let retention = core.retention(settings.keep, settings.behind_max);
    let journal = core.journal.clone();
    others.spawn(super::retention::run(retention, gaps, journal, parts.metrics.clone(), stop.clone()));
}

/// Starts what sends to the receivers.
fn start_receivers(
    others: &mut JoinSet<()>,
    configuration: &Configuration,
    own: &Own,
    parts: &Parts,
    stop: &watch::Receiver<bool>,
) -> Result<(), ServiceError> {
    let routes = outputs::build(configuration, own, &parts.clock, stop)?;
    #[cfg(feature = "broker")]
    if let Some(publications) = &own.publications {
        let receivers = configuration.sereno.receivers.iter().filter_map(|receiver| receiver.mqtt.as_ref());
        for receiver in receivers.filter(|receiver| receiver.broker == LISTENER) {
            outputs::retain_firing(&parts.ledger, publications, &receiver.topic_prefix)?;
        }
    }
    let dispatcher = Dispatcher {
        ledger: parts.ledger.clone(),
        metrics: parts.metrics.clone(),
        backoff: Backoff::default(),
        clock: parts.clock.clone(),
    };
    others.spawn(dispatcher.run(routes, stop.clone()));
    Ok(())
}

fn wall_clock() -> Clock {
    let clock = SystemClock::default();
    Arc::new(move || clock.wall())
}

async fn send(core: &Core, input: Input) {
    // The sequencer only goes away when the process does.
    let _ = core.inputs.send(input).await;
}

/// Ends when `stop` says so, or its sender is gone.
pub async fn stopped(mut stop: watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// What is asked of stored data, and what restores it to the journal.
type Stored = (Arc<dyn Reads>, Arc<dyn Recomputes>);

fn start_readers(
    readers: &mut Readers,
    core: &Core,
    dir: &DataDir,
    configuration: &Configuration,
    parts: &Parts,
    ending: &Arc<AtomicBool>,
) -> Result<Stored, ServiceError> {
    let until = core.journal.now().written;
    parts.ready.store(until == 0, Ordering::SeqCst);
    parts.level.store(until == 0, Ordering::SeqCst);
    let live = LiveSink {
        live: parts.live.clone(),
        metrics: parts.metrics.clone(),
        ready: parts.ready.clone(),
        until,
        flow: core.flow.clone(),
        level: parts.level.clone(),
        ledger: parts.ledger.clone(),
        audit: Audit::default(),
        untold: VecDeque::new(),
    };
    readers.start(core, &parts.metrics, (0, u64::MAX), live)?;
    let ledger = LedgerSink::new(parts.ledger.clone(), parts.live.clone(), parts.metrics.clone());
    readers.start(core, &parts.metrics, (u64::MAX, parts.ledger.cursor()?), ledger)?;
    super::sinks::start_influx(readers, core, dir, configuration, (&parts.metrics, ending))?;
    start_store(readers, core, dir, configuration, parts)
}

#[cfg(feature = "store")]
fn start_store(
    readers: &mut Readers,
    core: &Core,
    dir: &DataDir,
    configuration: &Configuration,
    parts: &Parts,
) -> Result<Stored, ServiceError> {
    if !configuration.sereno.store.embedded {
        let remedy = "set embedded = true under [store] in sereno.toml";
        return Ok((Arc::new(crate::api::NoStore { remedy }), Arc::new(recomputer(core, parts))));
    }
    let store = Arc::new(crate::store::Store::open(&dir.store(), store_options(configuration))?);
    let (cursors, sink) = (store.cursors(), super::sinks::StoreSink(store.clone()));
    readers.start(core, &parts.metrics, (cursors.journal, cursors.results), sink)?;
    let (live, dictionary) = (parts.live.clone(), core.dictionary.clone());
    let limits = super::reads::query_limits(&configuration.sereno.limits);
    let recall = super::recall::Recall { store: store.clone(), live, dictionary, limits };
    super::recall::spawn(core, parts.level.clone(), recall)?;
    let recomputer = recomputer(core, parts).with_store(Some(store.clone()));
    let reads = super::reads::StoreReads::new(store, &configuration.sereno.limits);
    Ok((Arc::new(reads), Arc::new(recomputer)))
}

/// What asks for recomputes, by the feeds as they are defined at the time.
fn recomputer(core: &Core, parts: &Parts) -> Recomputer {
    let live = parts.live.clone();
    Recomputer::new(core, Arc::new(move || live.max_skew()))
}

/// The store as configured.
#[cfg(feature = "store")]
#[must_use]
pub fn store_options(configuration: &Configuration) -> crate::store::StoreOptions {
    let settings = &configuration.sereno.store;
    crate::store::StoreOptions {
        flush_bytes: settings.flush_bytes.0,
        flush_age: Duration::from_nanos(u64::try_from(settings.flush_every.0).unwrap_or(0)),
        ..crate::store::StoreOptions::default()
    }
}

#[cfg(not(feature = "store"))]
fn start_store(
    _: &mut Readers,
    core: &Core,
    _: &DataDir,
    _: &Configuration,
    parts: &Parts,
) -> Result<Stored, ServiceError> {
    Ok((Arc::new(crate::api::NoStore::default()), Arc::new(recomputer(core, parts))))
}

async fn start_feeds(
    feeds: &mut JoinSet<()>,
    core: &Core,
    configuration: &Configuration,
    tables: &RouteTables,
    parts: &Parts,
    stop: &watch::Sender<bool>,
) -> Result<(Option<SocketAddr>, Own), ServiceError> {
    for (name, settings) in &configuration.sereno.brokers {
        let Some(routes) = tables.of(name) else { continue };
        let options = sources::broker_options(configuration, name, settings)?;
        let edges = BrokerEdges {
            routes,
            input: core.inputs.clone(),
            durable: core.journal.subscribe(),
            clock: parts.clock.clone(),
        };
        let client = RumqttClient::new(&options)?;
        feeds.spawn(Broker::new(&options, edges).run(client, stopped(stop.subscribe())));
    }
    start_listener(feeds, core, configuration, tables, parts, stop).await
}

#[cfg(feature = "broker")]
async fn start_listener(
    feeds: &mut JoinSet<()>,
    core: &Core,
    configuration: &Configuration,
    tables: &RouteTables,
    parts: &Parts,
    stop: &watch::Sender<bool>,
) -> Result<(Option<SocketAddr>, Own), ServiceError> {
    use crate::feed::listener::{
        Authority, Listener, ListenerEdges, ListenerOptions, PublicationLimits, TlsFiles,
    };
    let settings = &configuration.sereno.listener;
    let Some(routes) = tables.of(LISTENER).filter(|_| settings.enabled) else {
        return Ok((None, Own { publications: None }));
    };
    let bind = address(&settings.bind, "listener.bind")?;
    let mut users = Vec::new();
    for user in &settings.users {
        users.push((user.name.clone(), sources::secret(&configuration.path(&user.password_file))?));
    }
    let mut options = ListenerOptions::new(bind, Authority::new(settings.anonymous(), users));
    options.tls = settings.tls.as_ref().map(|tls| TlsFiles {
        certificate: configuration.path(&tls.cert_file),
        key: configuration.path(&tls.key_file),
    });
    options.limits.connections_max = settings.connections_max as usize;
    options.limits.packet_bytes_max =
        u32::try_from(settings.packet_bytes_max.0.saturating_add(2 * 1_024)).unwrap_or(u32::MAX);
    let edges = ListenerEdges {
        routes,
        input: core.inputs.clone(),
        durable: core.journal.subscribe(),
        clock: parts.clock.clone(),
    };
    let listener = Listener::bind(options, PublicationLimits::default(), edges).await?;
    let (at, publications) = (listener.address(), listener.publications());
    feeds.spawn(listener.run(stopped(stop.subscribe())));
    Ok((Some(at), Own { publications: Some(publications) }))
}

#[cfg(not(feature = "broker"))]
async fn start_listener(
    _: &mut JoinSet<()>,
    _: &Core,
    configuration: &Configuration,
    _: &RouteTables,
    _: &Parts,
    _: &watch::Sender<bool>,
) -> Result<(Option<SocketAddr>, Own), ServiceError> {
    if configuration.feeds().any(|feed| configuration.source_of(feed) == LISTENER) {
        warn!("this binary was built without the feature `broker`: feeds of the listener receive nothing");
    }
    Ok((None, Own {}))
}

fn address(text: &str, setting: &str) -> Result<SocketAddr, ServiceError> {
    text.parse().map_err(|_| {
        ServiceError::Setting(format!("{setting}: `{text}` is no address; write for example 127.0.0.1:8080"))
    })
}

/// What HTTP reads of the logs' readers.
struct Edges {
    reads: Arc<dyn Reads>,
    recomputes: Arc<dyn Recomputes>,
    holders: Arc<Holders>,
}

async fn serve_http(
    others: &mut JoinSet<()>,
    configuration: &Configuration,
    options: &RunOptions,
    parts: &Parts,
    edges: Edges,
    stop: &watch::Receiver<bool>,
) -> Result<SocketAddr, ServiceError> {
    let settings = &configuration.sereno;
    let listen = address(&settings.http.listen, "http.listen")?;
    let listener =
        TcpListener::bind(listen).await.map_err(ServiceError::io(format!("http.listen {listen}")))?;
    let http = listener.local_addr().map_err(ServiceError::io("http.listen"))?;
    let zones = match (&options.zones, &settings.zones) {
        (Some(zones), _) => zones.clone(),
        (None, Some(file)) => read_zones(&configuration.path(file))?,
        (None, None) => Bytes::from_static(br#"{"type":"FeatureCollection","features":[]}"#),
    };
    let state = ApiState::new(ApiParts {
        live: parts.live.clone(),
        ledger: parts.ledger.clone(),
        reads: edges.reads,
        holders: edges.holders,
        recomputes: edges.recomputes,
        metrics: parts.metrics.clone(),
        ready: parts.ready.clone(),
        clock: parts.clock.clone(),
        started_at: parts.started_at,
        timezone: settings.timezone.clone(),
        default_source: settings.default_source.clone(),
        zones,
        hosts: HostPolicy::new(http.ip().is_loopback(), &[]),
        console: Console::default(),
    });
    let stop = stop.clone();
    others.spawn(async move {
        if let Err(failure) = crate::api::serve(listener, state, stop).await {
            warn!(error = %failure, "HTTP ended");
        }
    });
    Ok(http)
}

fn read_zones(path: &Path) -> Result<Bytes, ServiceError> {
    std::fs::read(path).map(Bytes::from).map_err(ServiceError::io(format!("zones {}", path.display())))
}
