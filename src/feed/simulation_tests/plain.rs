//! What must be published, from plain sorted lists: no pane, no accumulator, no state. Events are
//! those of the archive, which the oracle holds against what the devices said.

use std::collections::BTreeMap;

use super::devices::FEEDS;
use super::oracle::OUT_OF_ORDERNESS;
use crate::model::time::SECOND;
use crate::model::{Accounts, Batch, Dictionary, Record, ResultRow};

const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
/// Of the pipeline.
const ALLOWED_LATENESS: i64 = 10 * MINUTE;
/// Of the windows of zones.
const ZONE_SIZE: i64 = 5 * MINUTE;

/// One event.
struct Heard {
    sensor: String,
    zone: String,
    feed: usize,
    event_at: i64,
    arrived_at: i64,
    readings: u64,
    pm25: Option<i64>,
}

/// Values of the windows by name, key and start.
type Windows = BTreeMap<(String, String, i64), (u64, Vec<Option<f64>>)>;

/// The lists.
pub(super) struct Plain {
    heard: Vec<Heard>,
    /// Sums of the batch headers by feed and hour of arrival.
    accounts: BTreeMap<(String, i64), Accounts>,
    refusals: BTreeMap<(String, i64), u64>,
}

impl Plain {
    /// Of a whole journal.
    pub(super) fn of(archive: &[Batch], dictionary: &Dictionary) -> Self {
        let mut plain = Self { heard: Vec::new(), accounts: BTreeMap::new(), refusals: BTreeMap::new() };
        for batch in archive {
            let hour = batch.arrived_at.0.div_euclid(HOUR);
            for part in &batch.accounts {
                let feed = dictionary.feed(part.feed).unwrap().to_string();
                plain.accounts.entry((feed, hour)).or_default().add(&part.delta);
            }
            for record in &batch.records {
                match record {
                    Record::Event(event) => {
                        let (feed, sensor) = dictionary.device(event.device).unwrap();
                        let feed = dictionary.feed(*feed).unwrap();
                        let named = |name: &str| {
                            let mut readings = batch.readings_of(event).iter();
                            let reading = readings
                                .find(|one| &*dictionary.quantity(one.quantity).unwrap().name == name);
                            reading.map(|reading| reading.value.0)
                        };
                        plain.heard.push(Heard {
                            sensor: sensor.to_string(),
                            zone: dictionary.tags(event.tags).unwrap()[0].1.to_string(),
                            feed: FEEDS.iter().position(|name| **name == **feed).unwrap(),
                            event_at: event.event_at.0,
                            arrived_at: event.arrived_at.0,
                            readings: batch.readings_of(event).len() as u64,
                            pm25: named("pm25"),
                        });
                    }
                    Record::Refusal(refusal) => {
                        let feed = dictionary.feed(refusal.feed).unwrap().to_string();
                        *plain.refusals.entry((feed, hour)).or_default() += 1;
                    }
                    _ => {}
                }
            }
        }
        plain
    }

    /// The accounts of each feed and hour say what the lists hold.
    pub(super) fn check_accounts(&self) {
        for (name, feed) in FEEDS.iter().zip(0..) {
            let own = || self.heard.iter().filter(|heard| heard.feed == feed);
            let of_feed = || self.accounts.iter().filter(|((feed, _), _)| feed == name);
            let sum = |count: fn(&Accounts) -> u64| of_feed().map(|(_, sums)| count(sums)).sum::<u64>();
            assert_eq!(sum(|sums| sums.events_stored), own().count() as u64, "{name}");
            assert_eq!(
                sum(|sums| sums.readings_stored),
                own().map(|heard| heard.readings).sum::<u64>(),
                "{name}"
            );
            for ((_, hour), sums) in of_feed() {
                let refused = sums.messages_quarantined + sums.events_quarantined + sums.events_conflicting;
                let refusals = self.refusals.get(&((*name).to_owned(), *hour)).copied().unwrap_or_default();
                assert_eq!(refused, refusals, "{name}, hour {hour}");
            }
        }
    }

    /// The last revisions among `rows` are what the lists give. Returns how many windows of
    /// sensors and of zones were compared, and how many readings came too late.
    pub(super) fn check_windows(&self, rows: &[ResultRow]) -> (usize, usize, usize) {
        let found = last_revisions(rows);
        let (minutes, too_late) = self.minutes();
        let of = |name: &'static str| found.iter().filter(move |((window, ..), _)| window == name);
        for (id, value) in &minutes {
            assert_eq!(found.get(id), Some(value), "{id:?}");
        }
        assert_eq!(of("minute").count(), minutes.len(), "windows that nobody's readings made");
        let mut exact = 0;
        let zones = self.zones();
        for (id, list) in &zones {
            let top = |in_time_only: bool| {
                list.iter().filter(|(_, in_time)| *in_time || !in_time_only).map(|(value, _)| *value).max()
            };
            let value = found.get(id).and_then(|(_, fields)| fields[0]).map(|value| value as i64);
            // A reading more than the allowed lateness behind its window may be too late or not:
            // that is the zone watermark's matter, which no list knows.
            if list.iter().all(|(_, in_time)| *in_time) {
                exact += 1;
                assert_eq!(value, top(false), "{id:?}");
                assert_eq!(found[id].0, list.len() as u64, "{id:?}");
            } else {
                // One all of whose readings came too late need not be.
                assert!(value >= top(true) && value <= top(false), "{id:?}: {value:?}");
            }
        }
        assert!(of("zone").all(|(id, _)| zones.contains_key(id)), "windows that nobody's readings made");
        (minutes.len(), exact, too_late)
    }

    /// Windows of a minute by sensor, and how many readings were too late for theirs.
    fn minutes(&self) -> (Windows, usize) {
        let mut watermarks: BTreeMap<&str, i64> = BTreeMap::new();
        let mut lists: BTreeMap<(String, String, i64), Vec<i64>> = BTreeMap::new();
        let mut too_late = 0;
        for heard in &self.heard {
            let start = heard.event_at.div_euclid(MINUTE) * MINUTE;
            let watermark = watermarks.entry(&heard.sensor).or_insert(i64::MIN);
            let sealed = start + MINUTE <= watermark.saturating_sub(ALLOWED_LATENESS);
            let behind = OUT_OF_ORDERNESS[heard.feed] * SECOND;
            *watermark = (*watermark).max(heard.event_at.min(heard.arrived_at) - behind);
            let Some(value) = heard.pm25 else { continue };
            if sealed {
                too_late += 1;
            } else {
                lists.entry(("minute".into(), heard.sensor.clone(), start)).or_default().push(value);
            }
        }
        let window = |mut list: Vec<i64>| {
            list.sort_unstable();
            let (sum, count) = (list.iter().sum::<i64>() as f64, list.len() as u64);
            // In the order of their names: high, low, mean, n, sum.
            let (low, high) = (list[0] as f64, list[list.len() - 1] as f64);
            let fields = [high, low, sum / count as f64, count as f64, sum];
            (count, fields.map(Some).to_vec())
        };
        (lists.into_iter().map(|(id, list)| (id, window(list))).collect(), too_late)
    }

    /// Readings of each window of a zone, and whether each came within the allowed lateness.
    fn zones(&self) -> BTreeMap<(String, String, i64), Vec<(i64, bool)>> {
        let mut lists: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for heard in &self.heard {
            let Some(value) = heard.pm25 else { continue };
            let last = heard.event_at.div_euclid(MINUTE) * MINUTE;
            for start in (0..ZONE_SIZE / MINUTE).map(|back| last - back * MINUTE) {
                let in_time = heard.arrived_at < start + ZONE_SIZE + ALLOWED_LATENESS;
                lists
                    .entry(("zone".to_owned(), heard.zone.clone(), start))
                    .or_default()
                    .push((value, in_time));
            }
        }
        lists
    }
}

/// The last revision of each window that counted something.
fn last_revisions(rows: &[ResultRow]) -> Windows {
    let mut windows = Windows::new();
    let mut revisions: BTreeMap<(String, String, i64), u64> = BTreeMap::new();
    for row in rows {
        match row {
            ResultRow::Aggregate(row) => {
                let id = (row.plan.window.to_string(), row.key.0[0].to_string(), row.start.0);
                let before = revisions.insert(id.clone(), row.revision);
                assert!(before.is_none_or(|before| before < row.revision), "{id:?}: a revision goes back");
                windows.insert(id, (row.count, row.fields.clone()));
            }
            ResultRow::Retraction(row) => panic!("nothing is taken back here: {row:?}"),
            ResultRow::Plan(..) | ResultRow::Transition(_) => {}
        }
    }
    windows.retain(|_, (count, _)| *count > 0);
    windows
}
