//! What the service keeps by reading the two logs: the live view, the ledger, the store, InfluxDB.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

#[cfg(feature = "influx")]
use tracing::warn;

use super::audit::Audit;
use super::readers::{Readers, Sink};
#[cfg(feature = "influx")]
use super::sources;
use super::{Core, DataDir, ServiceError};
use crate::api::LiveView;
use crate::config::Configuration;
use crate::journal::Progress;
use crate::model::{Batch, Dictionary, ResultRow, Transition};
use crate::notify::Ledger;
use crate::telemetry::Metrics;

/// What people and programs look up may be so much older than what was taken in.
const GATHERS: Duration = Duration::from_millis(10);
/// The ledger's commits are synced this often.
const SECURE_EVERY: Duration = Duration::from_secs(10);

/// Keeps the live view and the metrics.
pub struct LiveSink {
    /// The view.
    pub live: Arc<LiveView>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// Set once the view and the flow have caught up with `until`.
    pub ready: Arc<AtomicBool>,
    /// Epoch up to which they are to catch up.
    pub until: u64,
    /// How far the flow has come.
    pub flow: Arc<Progress>,
    /// Set once the view has caught up, whether or not the flow has.
    pub level: Arc<AtomicBool>,
    /// The ledger, told when accounts differ.
    pub ledger: Arc<Ledger>,
    /// Looks for that.
    pub audit: Audit,
    /// Steps of its alerts that the ledger has not taken yet, in order.
    pub untold: VecDeque<Transition>,
}

impl LiveSink {
    /// Tells the ledger what it has not taken yet.
    fn tell(&mut self) -> Result<(), ServiceError> {
        while let Some(step) = self.untold.front() {
            self.live.alerts_changed(&self.ledger.observe(step.clone())?);
            self.untold.pop_front();
        }
        Ok(())
    }
}

impl Sink for LiveSink {
    fn name(&self) -> &'static str {
        "live-view"
    }

    fn gathers(&self) -> Duration {
        GATHERS
    }

    fn batch(&mut self, epoch: u64, batch: &Batch, dictionary: &Dictionary) -> Result<(), ServiceError> {
        // While the ledger has no room, nothing more is taken.
        self.tell()?;
        self.live.apply_batch(batch, dictionary);
        for accounts in &batch.accounts {
            if let Some(feed) = dictionary.feed(accounts.feed) {
                self.metrics.account(feed, &accounts.delta);
            }
        }
        // From here on the batch is taken; its steps are told in `rest`, or before the next one.
        self.untold.extend(self.audit.fold(batch, dictionary));
        if epoch + 1 >= self.until {
            self.level.store(true, Ordering::SeqCst);
        }
        Ok(())
    }

    fn rest(&mut self) -> Result<(), ServiceError> {
        if self.level.load(Ordering::SeqCst) && self.flow.now().written >= self.until {
            self.ready.store(true, Ordering::SeqCst);
        }
        self.tell()
    }
}

/// Keeps the ledger of alerts and its outbox.
pub struct LedgerSink {
    ledger: Arc<Ledger>,
    live: Arc<LiveView>,
    metrics: Arc<Metrics>,
    secured: Instant,
}

impl LedgerSink {
    /// A sink that tells the live view and the metrics of changes.
    #[must_use]
    pub fn new(ledger: Arc<Ledger>, live: Arc<LiveView>, metrics: Arc<Metrics>) -> Self {
        Self { ledger, live, metrics, secured: Instant::now() }
    }

    fn secure(&mut self) -> Result<(), ServiceError> {
        if self.ledger.cursor()? > self.ledger.durable_cursor() {
            self.ledger.secure()?;
        }
        self.secured = Instant::now();
        Ok(())
    }
}

impl Sink for LedgerSink {
    fn name(&self) -> &'static str {
        "ledger"
    }

    fn rows(&mut self, frame: u64, rows: &[ResultRow]) -> Result<(), ServiceError> {
        let changes = self.ledger.apply(frame + 1, rows)?;
        self.live.alerts_changed(&changes);
        let kinds = [
            ("aggregate", rows.iter().filter(|row| matches!(row, ResultRow::Aggregate(_))).count()),
            ("transition", rows.iter().filter(|row| matches!(row, ResultRow::Transition(_))).count()),
        ];
        for (kind, count) in kinds {
            self.metrics.results(kind, count as u64);
        }
        if !changes.is_empty() {
            for ((state, severity), count) in &self.ledger.counts()?.0 {
                self.metrics.alerts(state, severity.as_str(), *count);
            }
        }
        Ok(())
    }

    /// Each frame is committed before the next is read, but unsynced: a loss of power may take the
    /// latest commits back, and what they were made of has to be there still.
    fn committed(&self, _: (u64, u64)) -> Option<(u64, u64)> {
        Some((u64::MAX, self.ledger.durable_cursor()))
    }

    fn rest(&mut self) -> Result<(), ServiceError> {
        if self.secured.elapsed() >= SECURE_EVERY { self.secure() } else { Ok(()) }
    }

    fn end(&mut self) -> Result<(), ServiceError> {
        self.secure()
    }
}

/// Keeps the embedded store.
#[cfg(feature = "store")]
pub struct StoreSink(pub Arc<crate::store::Store>);

#[cfg(feature = "store")]
impl Sink for StoreSink {
    fn name(&self) -> &'static str {
        "store"
    }

    fn gathers(&self) -> Duration {
        GATHERS
    }

    fn batch(&mut self, epoch: u64, batch: &Batch, dictionary: &Dictionary) -> Result<(), ServiceError> {
        match self.0.apply_batch(epoch, batch, dictionary) {
            Err(crate::store::StoreError::TailFull { .. }) => {
                self.0.flush()?;
                Ok(self.0.apply_batch(epoch, batch, dictionary)?)
            }
            result => Ok(result?),
        }
    }

    fn rows(&mut self, frame: u64, rows: &[ResultRow]) -> Result<(), ServiceError> {
        match self.0.apply_results(frame + 1, rows) {
            Err(crate::store::StoreError::TailFull { .. }) => {
                self.0.flush()?;
                Ok(self.0.apply_results(frame + 1, rows)?)
            }
            result => Ok(result?),
        }
    }

    fn committed(&self, _: (u64, u64)) -> Option<(u64, u64)> {
        let cursors = self.0.cursors();
        Some((cursors.journal, cursors.results))
    }

    fn rest(&mut self) -> Result<(), ServiceError> {
        self.0.flush_due()?;
        Ok(())
    }

    fn end(&mut self) -> Result<(), ServiceError> {
        self.0.flush()?;
        Ok(())
    }
}

/// Keeps InfluxDB 2; waits, and holds back only itself, while the server is away.
#[cfg(feature = "influx")]
pub struct InfluxReader {
    /// The sink.
    pub sink: crate::store::influx::InfluxSink,
    /// Where its requests run.
    pub runtime: tokio::runtime::Handle,
    /// Set when the service ends: an unreachable server no longer holds it up.
    pub stop: Arc<AtomicBool>,
    lines: crate::store::influx::LineBatch,
    cursors: crate::store::Cursors,
    /// The server was away when the service ended.
    away: bool,
}

#[cfg(feature = "influx")]
impl InfluxReader {
    /// A reader that goes on where the sink's cursors stand.
    #[must_use]
    pub fn new(
        sink: crate::store::influx::InfluxSink,
        runtime: tokio::runtime::Handle,
        stop: Arc<AtomicBool>,
    ) -> Self {
        let cursors = sink.cursors();
        Self { sink, runtime, stop, lines: crate::store::influx::LineBatch::default(), cursors, away: false }
    }

    fn write(&mut self) -> Result<(), ServiceError> {
        let mut troubled = false;
        while !self.lines.is_empty() {
            match self.runtime.block_on(self.sink.write(&self.lines)) {
                Ok(_) => self.lines.clear(),
                Err(failure) => {
                    if !troubled {
                        warn!(error = %failure, retryable = failure.retryable, "InfluxDB does not take points; trying again");
                        troubled = true;
                    }
                    if self.stop.load(Ordering::SeqCst) {
                        // Its cursor stays where it is: the same is written after the next start.
                        self.away = true;
                        return Ok(());
                    }
                    std::thread::sleep(failure.pause.min(Duration::from_secs(1)));
                }
            }
        }
        self.away = false;
        // Points that are in are not written again while a full disk keeps the cursor waiting.
        self.sink.commit(self.cursors).map_err(ServiceError::Influx)
    }
}

#[cfg(feature = "influx")]
impl Sink for InfluxReader {
    fn name(&self) -> &'static str {
        "influx"
    }

    fn gathers(&self) -> Duration {
        GATHERS
    }

    fn batch(&mut self, epoch: u64, batch: &Batch, dictionary: &Dictionary) -> Result<(), ServiceError> {
        self.sink.add_batch(batch, dictionary, &mut self.lines);
        self.cursors.journal = epoch + 1;
        Ok(())
    }

    fn rows(&mut self, frame: u64, rows: &[ResultRow]) -> Result<(), ServiceError> {
        self.sink.add_results(rows, &mut self.lines);
        self.cursors.results = frame + 1;
        Ok(())
    }

    fn committed(&self, _: (u64, u64)) -> Option<(u64, u64)> {
        let cursors = self.sink.cursors();
        Some((cursors.journal, cursors.results))
    }

    fn is_away(&self) -> bool {
        self.away
    }

    fn rest(&mut self) -> Result<(), ServiceError> {
        if self.cursors == self.sink.cursors() && self.lines.is_empty() { Ok(()) } else { self.write() }
    }
}

/// Starts the reader that keeps InfluxDB, if one is configured.
///
/// # Errors
/// [`ServiceError::Setting`] naming what to mend.
#[cfg(feature = "influx")]
pub fn start_influx(
    readers: &mut Readers,
    core: &Core,
    dir: &DataDir,
    configuration: &Configuration,
    (metrics, ending): (&Arc<Metrics>, &Arc<AtomicBool>),
) -> Result<(), ServiceError> {
    use crate::store::influx::{InfluxOptions, InfluxSink};
    let Some(settings) = &configuration.sereno.influx else { return Ok(()) };
    let token =
        settings.token_file.as_ref().map(|file| sources::secret(&configuration.path(file))).transpose()?;
    let options = InfluxOptions {
        url: settings.url.clone(),
        org: settings.org.clone(),
        bucket: settings.bucket.clone(),
        token: token.unwrap_or_default(),
        request_points_max: settings.batch_points as usize,
        ..InfluxOptions::default()
    };
    let sink =
        InfluxSink::open(options, &dir.influx()).map_err(|error| ServiceError::Setting(error.to_string()))?;
    let cursors = sink.cursors();
    let reader = InfluxReader::new(sink, tokio::runtime::Handle::current(), ending.clone());
    readers.start(core, metrics, (cursors.journal, cursors.results), reader)
}

/// Refuses InfluxDB, which this binary was built without.
///
/// # Errors
/// [`ServiceError::Setting`] if it is configured.
#[cfg(not(feature = "influx"))]
pub fn start_influx(
    _: &mut Readers,
    _: &Core,
    _: &DataDir,
    configuration: &Configuration,
    _: (&Arc<Metrics>, &Arc<AtomicBool>),
) -> Result<(), ServiceError> {
    match &configuration.sereno.influx {
        Some(_) => Err(ServiceError::Setting(
            "[influx] is set, and this binary was built without the feature `influx`".into(),
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Accounts, AlertState, Entry, FeedAccounts, FeedId};
    use crate::notify::StateFilter;

    #[test]
    fn the_ledgers_reader_tells_collection_only_what_a_loss_of_power_cannot_take_back() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Arc::new(Ledger::open(&folder.path().join("ledger.db")).unwrap());
        let mut sink = LedgerSink::new(ledger, Arc::new(LiveView::new()), Arc::new(Metrics::new()));
        for frame in 0..5 {
            sink.rows(frame, &[]).unwrap();
            sink.rest().unwrap();
            assert_eq!(sink.committed((9, frame + 1)), Some((u64::MAX, 0)), "committed, not synced");
        }
        sink.secured = Instant::now().checked_sub(SECURE_EVERY).unwrap();
        sink.rest().unwrap();
        assert_eq!(sink.committed((9, 5)), Some((u64::MAX, 5)));
        sink.rows(5, &[]).unwrap();
        sink.end().unwrap();
        assert_eq!(sink.committed((9, 6)), Some((u64::MAX, 6)));
    }

    /// The sink of a view that has caught up once it holds so many epochs.
    fn view_up_to(until: u64, ledger: Arc<Ledger>) -> LiveSink {
        LiveSink {
            live: Arc::new(LiveView::new()),
            metrics: Arc::new(Metrics::new()),
            ready: Arc::default(),
            flow: Arc::new(Progress::new(0)),
            level: Arc::new(AtomicBool::new(until == 0)),
            until,
            ledger,
            audit: Audit::default(),
            untold: VecDeque::new(),
        }
    }

    #[test]
    fn the_view_is_level_before_the_flow_is_and_ready_only_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Arc::new(Ledger::open(&folder.path().join("ledger.db")).unwrap());
        let mut sink = view_up_to(2, ledger);
        let mut take = |epoch, flow| {
            sink.flow.written(flow);
            sink.batch(epoch, &Batch::default(), &Dictionary::default()).unwrap();
            sink.rest().unwrap();
            (sink.level.load(Ordering::SeqCst), sink.ready.load(Ordering::SeqCst))
        };
        assert_eq!(take(0, 0), (false, false));
        // What is silent is recalled from here on.
        assert_eq!(take(1, 1), (true, false));
        assert_eq!(take(2, 2), (true, true));
    }

    #[test]
    fn a_batch_whose_alert_finds_no_room_is_taken_once_and_told_once_there_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        let ledger = Arc::new(Ledger::open(&path).unwrap());
        let file = rusqlite::Connection::open(&path).unwrap();
        let mut sink = view_up_to(0, ledger.clone());
        let mut dictionary = Dictionary::default();
        dictionary.insert(&Entry::Feed("air".into()));
        // Two events are said to be stored, and none is there.
        let delta = Accounts { events_found: 2, events_stored: 2, ..Accounts::default() };
        let batch = Batch { accounts: vec![FeedAccounts { feed: FeedId(0), delta }], ..Batch::default() };
        let stored = |sink: &LiveSink| sink.live.accounts(None, None)[0].events.stored;
        let told = || ledger.alerts(StateFilter::In(AlertState::Firing), 10).unwrap().len();

        file.execute_batch("CREATE TRIGGER full BEFORE INSERT ON alert BEGIN SELECT RAISE(ABORT, ''); END")
            .unwrap();
        sink.batch(0, &batch, &dictionary).unwrap();
        sink.rest().unwrap_err();
        for _ in 0..3 {
            sink.batch(1, &batch, &dictionary).unwrap_err();
        }
        assert_eq!((stored(&sink), told()), (2, 0), "an error means that nothing was taken");
        file.execute_batch("DROP TRIGGER full").unwrap();
        sink.batch(1, &batch, &dictionary).unwrap();
        sink.rest().unwrap();
        assert_eq!((stored(&sink), told()), (4, 1));
    }
}
