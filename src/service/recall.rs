//! Recalls into the live view what stood in the part of the journal that was removed: sensors that
//! have been silent since then, and the accounts of past hours, from the store.
//!
//! It runs beside everything else once the view has caught up, and is bounded: so many sensors, and
//! so much time, going back from the journal's beginning in longer and longer steps. What it does
//! not find in time stays unknown until it speaks, as without it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::{Core, ServiceError};
use crate::api::LiveView;
use crate::api::live::{Recalled, RecalledReading};
use crate::journal::sequencer::SharedDictionary;
use crate::model::time::SECOND;
use crate::model::{DeviceId, Dictionary, FeedId, Span, Timestamp};
use crate::store::{LastFilter, LastRow, QueryLimits, Store, StoreError};

/// Sensors that are looked for at most.
const SENSORS_MAX: usize = 100_000;
/// Sensors of one query.
const SENSORS_AT_ONCE: usize = 1_000;
/// All of it takes no longer.
const TIME_MAX: Duration = Duration::from_secs(20);
/// How often it is looked whether the view has caught up.
const LEVEL_EVERY: Duration = Duration::from_millis(100);
/// How far before the journal's beginning it looks, one after the other; then everywhere.
const BACK: [Span; 3] = [Span::seconds(2 * 86_400), Span::seconds(8 * 86_400), Span::seconds(32 * 86_400)];
/// Accounts of so many days are shown.
const ACCOUNTS: Span = Span::seconds(31 * 86_400);
const HOUR: i64 = 3_600 * SECOND;

/// What it needs.
pub struct Recall {
    /// What is asked.
    pub store: Arc<Store>,
    /// What is told.
    pub live: Arc<LiveView>,
    /// Every name.
    pub dictionary: SharedDictionary,
    /// Bounds of one query.
    pub limits: QueryLimits,
}

/// Begins once `level` says that the view has caught up, however far the flow is; only if the journal's
/// beginning is gone.
///
/// # Errors
/// [`ServiceError::Log`] when the journal's first segment cannot be read.
pub fn spawn(core: &Core, level: Arc<AtomicBool>, recall: Recall) -> Result<(), ServiceError> {
    let mut oldest = core.batches(0);
    if oldest.skip_collected()? == 0 {
        return Ok(());
    }
    let Some((_, first)) = oldest.next(core.journal.now().written)? else { return Ok(()) };
    tokio::spawn(async move {
        while !level.load(Ordering::SeqCst) {
            tokio::time::sleep(LEVEL_EVERY).await;
        }
        recall.run(first.arrived_at).await
    });
    Ok(())
}

impl Recall {
    /// Recalls what came before `begin`, the arrival time of the journal's first record; the number
    /// of sensors found. A store that cannot answer costs what it had not yet said.
    pub async fn run(&self, begin: Timestamp) -> usize {
        let until = Instant::now() + TIME_MAX;
        let found = match self.accounts(begin, until).await {
            Ok(()) => self.sensors(begin, until).await,
            Err(failure) => Err(failure),
        };
        match found {
            Ok(found) => {
                info!(sensors = found, "recalled from the store what the journal no longer holds");
                found
            }
            Err(failure) => {
                warn!(error = %failure, "not everything was recalled: sensors that were not reached are shown once they are heard again, and accounts of past hours may be missing");
                0
            }
        }
    }

    fn limits(&self, until: Instant) -> QueryLimits {
        let left = until.saturating_duration_since(Instant::now());
        QueryLimits { time_max: left.min(self.limits.time_max), ..self.limits }
    }

    async fn accounts(&self, begin: Timestamp, until: Instant) -> Result<(), StoreError> {
        // The journal's first hour may have lost its beginning; the store has all of it.
        let hour = Timestamp(begin.0.div_euclid(HOUR) * HOUR);
        let limits = QueryLimits { rows_max: usize::MAX, ..self.limits(until) };
        for (hour, feed, accounts) in self.store.feed_hours((begin.minus(ACCOUNTS), hour), limits).await? {
            self.live.recall_accounts(hour, &feed, &accounts);
        }
        Ok(())
    }

    async fn sensors(&self, begin: Timestamp, until: Instant) -> Result<usize, StoreError> {
        let mut found = 0;
        for from in BACK.map(|back| Some(begin.minus(back))).into_iter().chain([None]) {
            for (feed, names) in self.silent() {
                for names in names.chunks(SENSORS_AT_ONCE) {
                    if Instant::now() >= until {
                        return Ok(found);
                    }
                    found += self.some((feed.clone(), names, from), until).await?;
                }
            }
        }
        Ok(found)
    }

    /// Sensors of which the view knows nothing, by feed.
    fn silent(&self) -> BTreeMap<Arc<str>, Vec<(DeviceId, Arc<str>)>> {
        let dictionary = self.names();
        let name_of = |feed: FeedId| dictionary.feed(feed).cloned();
        let mut feeds: BTreeMap<Arc<str>, Vec<_>> = BTreeMap::new();
        for (feed, id, sensor) in self.live.silent(&dictionary, SENSORS_MAX) {
            if let Some(feed) = name_of(feed) {
                feeds.entry(feed).or_default().push((id, sensor));
            }
        }
        feeds
    }

    async fn some(
        &self,
        (feed, names, from): (Arc<str>, &[(DeviceId, Arc<str>)], Option<Timestamp>),
        until: Instant,
    ) -> Result<usize, StoreError> {
        let sensors = names.iter().map(|(_, name)| name.clone()).collect();
        let rows = self.store.last_rows(LastFilter { feed, sensors, from }, self.limits(until)).await?;
        let ids: HashMap<&str, DeviceId> = names.iter().map(|(id, name)| (&**name, *id)).collect();
        let recalled = rows.into_iter().filter_map(|row| Some(recalled(*ids.get(row.sensor.as_str())?, row)));
        let recalled: Vec<Recalled> = recalled.collect();
        self.live.recall_sensors(&recalled, &self.names());
        Ok(recalled.len())
    }

    fn names(&self) -> std::sync::RwLockReadGuard<'_, Dictionary> {
        self.dictionary.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn recalled(device: DeviceId, row: LastRow) -> Recalled {
    let mut tags: Vec<_> = row.tags.into_iter().map(|(name, value)| (name, Arc::from(value))).collect();
    // As the dictionary has them.
    tags.sort();
    let reading = |reading: crate::store::LastReading| RecalledReading {
        quantity: reading.quantity,
        unit: reading.unit,
        value: reading.value,
        event_at: reading.event_at,
    };
    Recalled {
        device,
        tags,
        event_at: row.event_at,
        arrived_at: row.arrived_at,
        readings: row.readings.into_iter().map(reading).collect(),
    }
}

#[cfg(test)]
#[path = "recall_tests.rs"]
mod tests;
