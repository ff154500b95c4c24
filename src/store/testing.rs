//! What the store's tests feed it with.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{QueryLimits, Store, StoreOptions};
use crate::model::result::PlanDescription;
use crate::model::time::SECOND;
use crate::model::{
    Aggregate, Batch, Dictionary, Entry, Event, Field, Key, Quantity, Reading, Record, ResultRow, Retraction,
    Timestamp, Value,
};

/// 2026-03-01T00:00:00Z.
pub(super) const DAY: i64 = 1_772_323_200;

/// A journal: counts epochs and sequences, learns names.
#[derive(Default)]
pub(super) struct Journal {
    pub(super) dictionary: Dictionary,
    pub(super) epoch: u64,
    sequence: u64,
    /// Every batch so far.
    pub(super) batches: Vec<Batch>,
}

/// Name, unit, decimals, mantissa.
pub(super) type Cell<'a> = (&'a str, &'a str, u8, i64);

impl Journal {
    /// The next batch, of one feed: sensor, second after [`DAY`], tags, readings.
    pub(super) fn batch(
        &mut self,
        feed: &str,
        events: &[(&str, i64, &[(&str, &str)], &[Cell<'_>])],
    ) -> (u64, Batch) {
        let mut batch = Batch { first: self.sequence, ..Batch::default() };
        for (sensor, second, tags, cells) in events {
            let from = batch.readings.len() as u32;
            for (name, unit, decimals, mantissa) in *cells {
                let quantity =
                    Arc::new(Quantity { name: (*name).into(), unit: (*unit).into(), decimals: *decimals });
                if self.dictionary.quantity_id(&quantity).is_none() {
                    self.dictionary.insert(&Entry::Quantity(quantity.clone()));
                }
                let quantity = self.dictionary.quantity_id(&quantity).unwrap();
                batch.readings.push(Reading { quantity, value: Value(*mantissa) });
            }
            batch.records.push(Record::Event(self.event(
                feed,
                sensor,
                *second,
                tags,
                from..batch.readings.len() as u32,
            )));
        }
        self.sequence += batch.records.len() as u64;
        self.epoch += 1;
        self.batches.push(batch.clone());
        (self.epoch - 1, batch)
    }

    fn event(
        &mut self,
        feed: &str,
        sensor: &str,
        second: i64,
        tags: &[(&str, &str)],
        readings: std::ops::Range<u32>,
    ) -> Event {
        let dictionary = &mut self.dictionary;
        if dictionary.feed_id(feed).is_none() {
            dictionary.insert(&Entry::Feed(feed.into()));
        }
        let feed = dictionary.feed_id(feed).unwrap();
        let sensor: Arc<str> = sensor.into();
        if dictionary.device_id(feed, &sensor).is_none() {
            dictionary.insert(&Entry::Device(feed, sensor.clone()));
        }
        let tags: Vec<(Arc<str>, Arc<str>)> = tags.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        if dictionary.tag_set_id(&tags).is_none() {
            dictionary.insert(&Entry::Tags(tags.clone().into()));
        }
        let event_at = Timestamp((DAY + second) * SECOND);
        let (device, tags) =
            (dictionary.device_id(feed, &sensor).unwrap(), dictionary.tag_set_id(&tags).unwrap());
        Event { feed, device, tags, event_at, arrived_at: event_at, counter: None, readings }
    }

    /// Feeds the store every batch so far from its cursor on, as after a restart.
    pub(super) fn replay(&self, store: &Store) {
        for (epoch, batch) in self.batches.iter().enumerate().skip(store.cursors().journal as usize) {
            store.apply_batch(epoch as u64, batch, &self.dictionary).unwrap();
        }
    }

    /// Feeds the store `rows` events of ten sensors, one a second from `second` on.
    pub(super) fn fill(&mut self, store: &Store, second: i64, rows: i64) {
        let sensors: Vec<String> = (0..10).map(|n| format!("aire-{n}")).collect();
        let cells: Vec<[Cell<'_>; 2]> = (0..rows)
            .map(|n| {
                [
                    ("pm25", "ug/m3", 1, 200 + noise(second + n, 50)),
                    ("temp", "Cel", 1, 180 + noise(second - n, 20)),
                ]
            })
            .collect();
        let tags = [("zone", "comuna-07")];
        let events: Vec<_> = (0..rows)
            .map(|n| (sensors[n as usize % 10].as_str(), second + n, &tags[..], &cells[n as usize][..]))
            .collect();
        let (epoch, batch) = self.batch("air", &events);
        store.apply_batch(epoch, &batch, &self.dictionary).unwrap();
    }
}

/// A number below `bound` that looks random, the same for the same `n`.
fn noise(n: i64, bound: i64) -> i64 {
    (xxhash_rust::xxh3::xxh3_64(&n.to_le_bytes()) % bound.cast_unsigned()).cast_signed()
}

/// A plan of one-hour windows.
pub(super) fn plan(by: &[&str], fields: &[&str]) -> Arc<PlanDescription> {
    let field = |name: &&str| Field { name: (*name).into(), unit: "ug/m3".into() };
    Arc::new(PlanDescription {
        hash: 0xabc,
        pipeline: "air-quality".into(),
        window: "pm25_1h".into(),
        size_ns: 3_600 * SECOND,
        slide_ns: 3_600 * SECOND,
        unit: None,
        by: by.iter().map(|name| (*name).into()).collect(),
        fields: fields.iter().map(field).collect(),
    })
}

/// A revision of the window that begins `hour` hours after [`DAY`].
pub(super) fn revision(
    plan: &Arc<PlanDescription>,
    key: &[&str],
    hour: i64,
    revision: u64,
    fields: &[Option<f64>],
) -> ResultRow {
    let start = (DAY + hour * 3_600) * SECOND;
    ResultRow::Aggregate(Aggregate {
        cause: revision + 1,
        plan: plan.clone(),
        key: key_of(key),
        start: Timestamp(start),
        end: Timestamp(start + 3_600 * SECOND),
        revision,
        count: 360,
        capture: Some(0.75),
        sufficient: true,
        fields: fields.to_vec(),
    })
}

/// Takes that window back.
pub(super) fn retraction(plan: &Arc<PlanDescription>, key: &[&str], hour: i64, revision: u64) -> ResultRow {
    let start = Timestamp((DAY + hour * 3_600) * SECOND);
    ResultRow::Retraction(Retraction {
        cause: revision + 1,
        plan: plan.clone(),
        key: key_of(key),
        start,
        revision,
    })
}

pub(super) fn key_of(parts: &[&str]) -> Key {
    Key(parts.iter().map(|part| Arc::from(*part)).collect())
}

/// A store that flushes only when told to.
pub(super) fn open(dir: &Path) -> Store {
    let options = StoreOptions { flush_age: Duration::from_secs(3_600), ..StoreOptions::default() };
    Store::open(dir, options).unwrap()
}

/// The rows of a statement as CSV without the line of names.
pub(super) async fn rows(store: &Store, sql: &str) -> String {
    let csv = store.query(sql, QueryLimits::default()).await.unwrap().to_csv().unwrap();
    csv.split_once('\n').unwrap().1.to_owned()
}

/// The Parquet files below a folder.
pub(super) fn files(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "parquet") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
