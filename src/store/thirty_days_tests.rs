//! Thirty days of flushes, merges, late rows, crashes and restarts: the tables hold what a plain
//! list holds, each row once and on its day.

use std::collections::{BTreeMap, BTreeSet};

use super::Store;
use super::testing::{Cell, DAY, Journal, files, open, plan, revision, rows};
use crate::model::crash::Point;
use crate::model::crash::testing::until_crash;
use crate::model::time::SECOND;
use crate::model::{ResultRow, Timestamp};

const DAYS: i64 = 30;
const DAY_SECONDS: i64 = 86_400;
/// Flushes a day.
const PARTS: i64 = 8;
const EVENTS: i64 = 24;

/// What was said, in plain lists, and the logs that said it.
#[derive(Default)]
struct Town {
    journal: Journal,
    /// Batches of the results log and their positions.
    results: Vec<(u64, Vec<ResultRow>)>,
    /// Day, sensor and value of each event.
    heard: Vec<(i64, String, i64)>,
    /// Value of the last revision by sensor and hour.
    last: BTreeMap<(String, i64), i64>,
}

impl Town {
    /// An eighth of a day: events of three sensors, one of which is there for that day only, every
    /// seventh some days late; windows of one hour, with later revisions of an earlier one.
    fn speak(&mut self, store: &Store, day: i64, part: i64) {
        let sensors = ["aire-1".to_owned(), "aire-2".to_owned(), format!("visita-{day}")];
        let mut said: Vec<(String, i64, [Cell<'static>; 1])> = Vec::new();
        for n in 0..EVENTS {
            let late = if n % 7 == 3 { (1 + n % 3).min(day) * DAY_SECONDS } else { 0 };
            let second = day * DAY_SECONDS + part * (DAY_SECONDS / PARTS) + n * 60 - late;
            let value = (day * 31 + part * 7 + n * 3) % 200 - 20;
            let sensor = sensors[(n % 3) as usize].clone();
            self.heard.push((second.div_euclid(DAY_SECONDS), sensor.clone(), value));
            said.push((sensor, second, [("pm25", "ug/m3", 0, value)]));
        }
        let events: Vec<_> = said
            .iter()
            .map(|(sensor, second, cells)| (&**sensor, *second, &[("zone", "norte")][..], &cells[..]))
            .collect();
        let (epoch, batch) = self.journal.batch("air", &events);
        store.apply_batch(epoch, &batch, &self.journal.dictionary).unwrap();

        let plan = plan(&["sensor"], &["pm25_mean"]);
        let position = self.results.len() as u64 + 1;
        let hour = day * 24 + part * 3;
        let window = |(sensor, hour): (&String, i64)| {
            let value = (position * 100).cast_signed() + hour % 7;
            (
                sensor.clone(),
                hour,
                value,
                revision(&plan, &[sensor], hour, position * 10, &[Some(value as f64)]),
            )
        };
        let again = (hour - 30).max(0);
        let published: Vec<_> =
            sensors.iter().map(|sensor| (sensor, hour)).chain([(&sensors[0], again)]).map(window).collect();
        for (sensor, hour, value, _) in &published {
            self.last.insert((sensor.clone(), *hour), *value);
        }
        let published: Vec<_> = published.into_iter().map(|(.., row)| row).collect();
        store.apply_results(position, &published).unwrap();
        self.results.push((position, published));
    }

    /// A start: what the store had not committed comes again from the logs, and nothing before it,
    /// which may be collected.
    fn start(&self, dir: &std::path::Path) -> Store {
        let store = open(dir);
        let cursors = store.cursors();
        self.journal.replay(&store);
        for (position, rows) in self.results.iter().filter(|(position, _)| *position > cursors.results) {
            store.apply_results(*position, rows).unwrap();
        }
        store
    }

    async fn check(&self, store: &Store, day: i64) {
        let mut days: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
        for (day, _, value) in &self.heard {
            days.entry(*day).or_default().push(*value);
        }
        let want: String = days
            .iter()
            .map(|(day, values)| {
                let midnight = Timestamp((DAY + day * DAY_SECONDS) * SECOND);
                let (count, sum) = (values.len(), values.iter().sum::<i64>());
                let (low, high) = (values.iter().min().unwrap(), values.iter().max().unwrap());
                format!("{midnight},{count},{count},{sum}.0,{low}.0,{high}.0\n")
            })
            .collect();
        let found = rows(
            store,
            "SELECT date_trunc('day', time) AS day, count(*), count(DISTINCT sequence), sum(pm25), min(pm25),
             max(pm25) FROM air GROUP BY 1 ORDER BY 1",
        );
        assert_eq!(found.await, want, "on day {day}");
        let sensors: BTreeSet<&str> = self.heard.iter().map(|(_, sensor, _)| &**sensor).collect();
        let found = rows(store, "SELECT count(DISTINCT sensor) FROM air").await;
        assert_eq!(found, format!("{}\n", sensors.len()));
        let found = rows(store, "SELECT count(*), sum(pm25_mean) FROM air_quality_pm25_1h");
        let sum: i64 = self.last.values().sum();
        assert_eq!(found.await, format!("{},{sum}.0\n", self.last.len()), "on day {day}");
    }
}

#[tokio::test]
async fn thirty_days_of_flushes_merges_and_restarts_keep_every_row_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut town = Town::default();
    let mut merged = 0;
    for day in 0..DAYS {
        let store = town.start(folder.path());
        for part in 0..PARTS {
            town.speak(&store, day, part);
            // The last part of a day waits for the end of this life.
            if part + 1 < PARTS {
                store.flush().unwrap();
                merged += store.compact().unwrap().merged;
            }
        }
        let point = [Point::StoreFileWritten, Point::StoreCommitting, Point::StoreCommitted];
        if let Some(point) = point.get(day as usize % 4).copied() {
            let crashed = until_crash(move |at| at == point, || store.flush());
            assert_eq!(crashed.err(), Some(point));
        }
        drop(store);
        if day % 10 == 9 {
            town.check(&town.start(folder.path()), day).await;
        }
    }
    let store = town.start(folder.path());
    store.flush().unwrap();
    merged += store.compact().unwrap().merged;
    town.check(&store, DAYS).await;
    assert_eq!(store.verify(), []);

    assert!(merged > 100, "{merged} files merged");
    let of_air: Vec<String> = files(folder.path())
        .iter()
        .map(|path| path.strip_prefix(folder.path()).unwrap().to_str().unwrap().to_owned())
        .filter(|path| path.starts_with("raw/air/"))
        .collect();
    let days: BTreeSet<&str> = of_air.iter().map(|path| path.split('/').nth(2).unwrap()).collect();
    assert_eq!(days.len() as i64, DAYS, "a folder a day");
    assert!(of_air.len() as i64 <= DAYS * 6, "{} files", of_air.len());
}
