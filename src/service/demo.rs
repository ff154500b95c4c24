//! The service with a simulated city: the last hours at full speed, then live over real MQTT
//! connections, with the shipped pipelines as they are.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use sereno_simulators::{City, PublishOptions};
use tokio::sync::watch;
use tracing::warn;

use super::ServiceError;
use super::replay::history;
use super::run::{RunOptions, Service, stopped};
use super::texts::{Texts, fill};
use crate::config::{Configuration, Diagnostic, Language, SourceFile};
use crate::journal::{Clock as _, SystemClock};
use crate::model::{AlertState, Span, Timestamp};

/// Terminal status every so often.
const STATUS_EVERY: Duration = Duration::from_secs(5);
/// Alerts are looked for this often.
const ALERTS_EVERY: Duration = Duration::from_millis(500);
/// Changes told at once.
const CHANGES_MAX: usize = 100;
/// A longer gap since the last run is not simulated.
const GAP_HOURS_MAX: i64 = 24;

/// The shipped pipelines, inside the binary.
const PIPELINES: [(&str, &str); 4] = [
    ("pipelines/air-quality/pipeline.toml", include_str!("../../pipelines/air-quality/pipeline.toml")),
    ("pipelines/parking/pipeline.toml", include_str!("../../pipelines/parking/pipeline.toml")),
    ("pipelines/river-level/pipeline.toml", include_str!("../../pipelines/river-level/pipeline.toml")),
    (
        "pipelines/service-requests/pipeline.toml",
        include_str!("../../pipelines/service-requests/pipeline.toml"),
    ),
];

/// How the demo runs.
#[derive(Clone, Debug)]
pub struct DemoOptions {
    /// Data folder.
    pub data_dir: PathBuf,
    /// Seed of the city.
    pub seed: u64,
    /// Simulated hours before now that are replayed first.
    pub hours: u32,
    /// Port of the console on 127.0.0.1.
    pub http_port: u16,
    /// Port of the listener on 127.0.0.1.
    pub mqtt_port: u16,
    /// Language of the terminal.
    pub language: Language,
    /// Dataflow workers.
    pub workers: usize,
}

/// The demo's configuration: defaults and the shipped pipelines.
///
/// # Errors
/// The faults of the options.
pub fn configuration(options: &DemoOptions) -> Result<Configuration, Vec<Diagnostic>> {
    let sereno = format!(
        "version = 1\n[http]\nlisten = \"127.0.0.1:{}\"\n[listener]\nbind = \"127.0.0.1:{}\"\n\
         [[receiver]]\nname = \"mqtt\"\nmqtt = {{ broker = \"listener\" }}\n",
        options.http_port, options.mqtt_port
    );
    let files: Vec<SourceFile> = PIPELINES.iter().map(|(name, text)| SourceFile::new(*name, *text)).collect();
    let mut configuration =
        Configuration::from_files(Path::new("."), Some(&SourceFile::new("sereno.toml", sereno)), &files)?;
    configuration.sereno.data_dir.clone_from(&options.data_dir);
    Ok(configuration)
}

/// Runs the demo until `stop`.
///
/// # Errors
/// [`ServiceError`].
pub async fn run(
    configuration: Configuration,
    options: DemoOptions,
    stop: watch::Receiver<bool>,
) -> Result<(), ServiceError> {
    let texts = Texts::of(options.language);
    println!("{}", texts.demo_title);
    let city = City::new(options.seed);
    let now = SystemClock::default().wall();
    let until = replay_history(&configuration, &options, &city, texts, now)?;
    let zones = Bytes::from(city.zones_geojson());
    let run = RunOptions { workers: options.workers, zones: Some(zones), source: None };
    let service = Service::start(configuration, run).await?;
    let mqtt = service.mqtt.map_or_else(|| "-".to_owned(), |at| at.to_string());
    println!("{}", fill(texts.demo_ready, &[("http", service.http.to_string()), ("mqtt", mqtt)]));
    println!("{}", texts.demo_stop);
    let port = service.mqtt.map_or(options.mqtt_port, |at| at.port());
    let publish = PublishOptions::new("127.0.0.1", port, until.millis());
    let publishing = tokio::spawn({
        let stop = stop.clone();
        async move {
            if let Err(error) = sereno_simulators::publish(&city, &publish, stopped(stop)).await {
                warn!(%error, "the simulated city has fallen silent");
            }
        }
    });
    watch_service(&service, texts, options.language, stopped(stop)).await;
    let _ = publishing.await;
    service.stop().await?;
    println!("{}", texts.demo_stopped);
    Ok(())
}

/// Replays what lies between the last arrival (or so many hours ago) and now; until when.
fn replay_history(
    configuration: &Configuration,
    options: &DemoOptions,
    city: &City,
    texts: &Texts,
    now: Timestamp,
) -> Result<Timestamp, ServiceError> {
    println!("{}", fill(texts.demo_history, &[("hours", options.hours.to_string())]));
    let earliest = now.minus(Span::seconds(i64::from(options.hours) * 3_600));
    let furthest = now.minus(Span::seconds(GAP_HOURS_MAX * 3_600));
    let messages = |last: Timestamp| {
        let begin = if last == Timestamp::MIN { earliest } else { last.max(furthest) };
        city.messages(begin.millis() + 1, now.millis()).filter_map(|message| {
            let at = Timestamp::from_millis(message.sent_at_ms)?;
            Some((at, message.topic, Bytes::from(message.payload)))
        })
    };
    let statistics = tokio::task::block_in_place(|| history(configuration, options.workers, messages))?;
    let places = [
        ("events", statistics.events.to_string()),
        ("seconds", format!("{:.1}", statistics.seconds)),
        ("windows", statistics.windows.to_string()),
    ];
    println!("{}", fill(texts.demo_replayed, &places));
    Ok(now)
}

async fn watch_service(service: &Service, texts: &Texts, language: Language, stop: impl Future<Output = ()>) {
    let mut status = tokio::time::interval(STATUS_EVERY);
    let mut alerts = tokio::time::interval(ALERTS_EVERY);
    let mut stop = std::pin::pin!(stop);
    let mut seen = newest_change(service);
    loop {
        tokio::select! {
            _ = status.tick() => print_status(service, texts),
            _ = alerts.tick() => seen = print_alerts(service, texts, language, seen),
            () = &mut stop => return,
        }
    }
}

fn newest_change(service: &Service) -> u64 {
    *service.ledger.changed().borrow()
}

fn print_status(service: &Service, texts: &Texts) {
    let totals = service.live.totals();
    let firing = service.ledger.counts().map(|counts| counts.of(AlertState::Firing)).unwrap_or_default();
    let places = [
        ("rate", format!("{:.1}", totals.events_per_second)),
        ("sensors", totals.sensors.to_string()),
        ("firing", firing.to_string()),
        ("events", totals.events.to_string()),
        ("quarantined", totals.quarantined.to_string()),
    ];
    println!("{}", fill(texts.demo_status, &places));
}

fn print_alerts(service: &Service, texts: &Texts, language: Language, seen: u64) -> u64 {
    let changes = service.ledger.changes_after(seen, CHANGES_MAX).unwrap_or_default();
    for change in &changes {
        let alert = &change.alert;
        let Some(state) = texts.state(alert.state) else { continue };
        let message = match language {
            Language::Es => &alert.message.es,
            Language::En => &alert.message.en,
        };
        println!("  {state:8} [{}] {message}", texts.severity(alert.severity));
    }
    changes.last().map_or(seen, |change| change.change)
}
