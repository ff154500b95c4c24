//! The reference: the same three queries by a plain loop in one thread. `serde_json` into a borrowed
//! struct of the four fields that the queries need, tables by hash, windows closed by the same
//! watermarks and amended every 10 s. It knows this load and nothing else: no duplicates, quotas,
//! quarantine, silence or restarts, and nothing is durable.

use std::path::Path;

use hashbrown::HashMap;
use serde::Deserialize;

use super::lines;

const MINUTE_MS: i64 = 60_000;
/// Minutes of the zones' windows.
const ZONE_MINUTES: i64 = 5;
const OUT_OF_ORDERNESS_MS: i64 = 30_000;
const ALLOWED_LATENESS_MS: i64 = 600_000;
const AMEND_EVERY_MS: i64 = 10_000;
/// A quantile is within this share of the exact one.
const RELATIVE_ERROR: f64 = 0.005;
const GAMMA: f64 = (1.0 + RELATIVE_ERROR) / (1.0 - RELATIVE_ERROR);
/// Windows in a row over the threshold that make an alert.
const IN_A_ROW: u32 = 3;
const THRESHOLD: f64 = 55.0;

/// One published row; `start_ms` since 1970.
#[derive(Clone, Debug, PartialEq)]
pub enum Row {
    /// (a): count, mean, min, max.
    Sensor { sensor: u32, start_ms: i64, fields: [f64; 4] },
    /// (b): mean, max, p95.
    Zone { zone: u32, start_ms: i64, fields: [f64; 3] },
    /// (c).
    Alert { sensor: u32, at_ms: i64 },
}

#[derive(Deserialize)]
struct Line<'a> {
    id: &'a str,
    t: &'a str,
    zona: &'a str,
    pm25: f64,
}

/// A minute of one key, in tenths.
#[derive(Clone, Debug, Default)]
struct Pane {
    minute: i64,
    count: u64,
    sum: i64,
    min: i64,
    max: i64,
}

#[derive(Debug, Default)]
struct Sensor {
    watermark_ms: i64,
    /// Windows that end at or before are published.
    closed_to: i64,
    panes: Vec<Pane>,
    in_a_row: u32,
}

#[derive(Debug, Default)]
struct Zone {
    /// With the counts of values by the logarithm's bucket.
    panes: Vec<(Pane, Vec<u32>)>,
}

/// All state.
#[derive(Default)]
pub struct Reference {
    sensor_ids: HashMap<Box<str>, u32>,
    zone_ids: HashMap<Box<str>, u32>,
    sensors: Vec<Sensor>,
    zones: Vec<Zone>,
    latest_ms: i64,
    /// Zone windows that end at or before this minute are published; 0: none yet.
    zones_closed_to: i64,
    amended_ms: i64,
    /// (sensor, minute) and (zone, minute of the end) to publish again.
    late_sensors: Vec<(u32, i64)>,
    late_zones: Vec<(u32, i64)>,
}

/// Runs a file's lines; says how many there were.
pub fn run(file: &Path, take: &mut dyn FnMut(Row)) -> u64 {
    let mut state = Reference::default();
    lines::each(file, |line| state.line(line, take))
}

/// Runs a file's lines to the end of all windows; the names of sensors and zones by number.
pub fn run_to_the_end(file: &Path, take: &mut dyn FnMut(Row)) -> [Vec<Box<str>>; 2] {
    let mut state = Reference::default();
    lines::each(file, |line| state.line(line, take));
    for sensor in 0..state.sensors.len() as u32 {
        state.pass(sensor, i64::MAX, take);
    }
    let last = state.latest_ms.div_euclid(MINUTE_MS) + ZONE_MINUTES + 1;
    state.close_zones(last, take);
    state.amend(take);
    [&state.sensor_ids, &state.zone_ids].map(|ids| {
        let mut names: Vec<(u32, Box<str>)> = ids.iter().map(|(name, id)| (*id, name.clone())).collect();
        names.sort();
        names.into_iter().map(|(_, name)| name).collect()
    })
}

impl Reference {
    fn line(&mut self, line: &[u8], take: &mut dyn FnMut(Row)) {
        let Ok(Line { id, t, zona, pm25 }) = serde_json::from_slice(line) else { return };
        let Some(at_ms) = rfc3339_ms(t.as_bytes()) else { return };
        let tenths = (pm25 * 10.0).round() as i64;
        let sensor = number(&mut self.sensor_ids, &mut self.sensors, id);
        let zone = number(&mut self.zone_ids, &mut self.zones, zona);
        let minute = at_ms.div_euclid(MINUTE_MS);

        let run = &mut self.sensors[sensor as usize];
        run.pane(minute).add(tenths);
        if minute < run.closed_to {
            self.late_sensors.push((sensor, minute));
        }
        let watermark_ms = at_ms - OUT_OF_ORDERNESS_MS;
        if watermark_ms > run.watermark_ms {
            self.pass(sensor, watermark_ms, take);
        }

        let panes = &mut self.zones[zone as usize].panes;
        let place = panes.iter().rposition(|(pane, _)| pane.minute == minute).unwrap_or_else(|| {
            panes.push((Pane { minute, ..Pane::default() }, Vec::new()));
            panes.len() - 1
        });
        let (pane, buckets) = &mut panes[place];
        pane.add(tenths);
        count(buckets, bucket(tenths), 1);
        let ends = minute + 1..=(minute + ZONE_MINUTES).min(self.zones_closed_to);
        self.late_zones.extend(ends.map(|end| (zone, end)));

        if at_ms > self.latest_ms {
            self.latest_ms = at_ms;
            // A feed's watermark moves in whole seconds.
            let watermark_ms = (at_ms - OUT_OF_ORDERNESS_MS).div_euclid(1_000) * 1_000;
            self.close_zones(watermark_ms.div_euclid(MINUTE_MS), take);
            if at_ms >= self.amended_ms + AMEND_EVERY_MS {
                self.amended_ms = at_ms;
                self.amend(take);
            }
        }
    }

    fn pass(&mut self, sensor: u32, watermark_ms: i64, take: &mut dyn FnMut(Row)) {
        let run = &mut self.sensors[sensor as usize];
        run.watermark_ms = watermark_ms;
        let closed_to = watermark_ms.div_euclid(MINUTE_MS);
        if closed_to == run.closed_to {
            return;
        }
        run.panes.sort_by_key(|pane| pane.minute);
        for pane in run.panes.iter().filter(|pane| (run.closed_to..closed_to).contains(&pane.minute)) {
            take(pane.row(sensor));
            run.in_a_row = if pane.mean() > THRESHOLD { run.in_a_row + 1 } else { 0 };
            if run.in_a_row == IN_A_ROW {
                take(Row::Alert { sensor, at_ms: (pane.minute + 1) * MINUTE_MS });
            }
        }
        run.closed_to = closed_to;
        if closed_to < i64::MAX / MINUTE_MS {
            run.panes.retain(|pane| (pane.minute + 1) * MINUTE_MS + ALLOWED_LATENESS_MS > watermark_ms);
        }
    }

    fn close_zones(&mut self, closed_to: i64, take: &mut dyn FnMut(Row)) {
        if closed_to <= self.zones_closed_to {
            return;
        }
        let first = self.zones.iter().flat_map(|zone| &zone.panes).map(|(pane, _)| pane.minute + 1).min();
        let Some(first) = first else { return };
        for end in first.max(self.zones_closed_to + 1)..=closed_to {
            for (number, zone) in (0..).zip(&self.zones) {
                zone.row(number, end).map(&mut *take);
            }
        }
        self.zones_closed_to = closed_to;
        let kept = closed_to - ZONE_MINUTES - ALLOWED_LATENESS_MS / MINUTE_MS;
        for zone in &mut self.zones {
            zone.panes.retain(|(pane, _)| pane.minute >= kept);
        }
    }

    fn amend(&mut self, take: &mut dyn FnMut(Row)) {
        for late in [&mut self.late_sensors, &mut self.late_zones] {
            late.sort_unstable();
            late.dedup();
        }
        for (sensor, minute) in self.late_sensors.drain(..) {
            let run = &mut self.sensors[sensor as usize];
            take(run.pane(minute).row(sensor));
        }
        for (zone, end) in self.late_zones.drain(..) {
            self.zones[zone as usize].row(zone, end).map(&mut *take);
        }
    }
}

impl Sensor {
    fn pane(&mut self, minute: i64) -> &mut Pane {
        let place = self.panes.iter().rposition(|pane| pane.minute == minute).unwrap_or_else(|| {
            self.panes.push(Pane { minute, ..Pane::default() });
            self.panes.len() - 1
        });
        &mut self.panes[place]
    }
}

impl Pane {
    fn add(&mut self, tenths: i64) {
        self.min = if self.count == 0 { tenths } else { self.min.min(tenths) };
        self.max = if self.count == 0 { tenths } else { self.max.max(tenths) };
        self.sum += tenths;
        self.count += 1;
    }

    fn mean(&self) -> f64 {
        self.sum as f64 / (self.count * 10) as f64
    }

    fn row(&self, sensor: u32) -> Row {
        let fields = [self.count as f64, self.mean(), self.min as f64 / 10.0, self.max as f64 / 10.0];
        Row::Sensor { sensor, start_ms: self.minute * MINUTE_MS, fields }
    }
}

impl Zone {
    /// The window that ends with minute `end`, if anything is in it.
    fn row(&self, zone: u32, end: i64) -> Option<Row> {
        let (mut all, mut buckets) = (Pane::default(), Vec::new());
        for (pane, own) in self.panes.iter().filter(|pane| (end - ZONE_MINUTES..end).contains(&pane.0.minute))
        {
            all.max = if all.count == 0 { pane.max } else { all.max.max(pane.max) };
            all.sum += pane.sum;
            all.count += pane.count;
            own.iter().enumerate().for_each(|(bucket, n)| count(&mut buckets, bucket, *n));
        }
        let rank = all.count.checked_sub(1)? * 95 / 100;
        let mut seen = 0;
        let place = buckets.iter().position(|n| {
            seen += u64::from(*n);
            seen > rank
        })?;
        let p95 = if place == 0 { 0.0 } else { 2.0 * GAMMA.powi(place as i32 - 1) / (GAMMA + 1.0) / 10.0 };
        let fields = [all.mean(), all.max as f64 / 10.0, p95];
        Some(Row::Zone { zone, start_ms: (end - ZONE_MINUTES) * MINUTE_MS, fields })
    }
}

fn number<T: Default>(ids: &mut HashMap<Box<str>, u32>, all: &mut Vec<T>, name: &str) -> u32 {
    if let Some(known) = ids.get(name) {
        return *known;
    }
    all.push(T::default());
    let next = all.len() as u32 - 1;
    ids.insert(name.into(), next);
    next
}

/// Values of this load are never negative.
fn bucket(tenths: i64) -> usize {
    if tenths == 0 { 0 } else { ((tenths as f64).ln() / GAMMA.ln()).ceil() as usize + 1 }
}

fn count(buckets: &mut Vec<u32>, bucket: usize, n: u32) {
    if buckets.len() <= bucket {
        buckets.resize(bucket + 1, 0);
    }
    buckets[bucket] += n;
}

/// `2026-03-01T12:00:00.250-05:00` as milliseconds since 1970, by Howard Hinnant's
/// `days_from_civil`.
fn rfc3339_ms(text: &[u8]) -> Option<i64> {
    if text.len() != 29 {
        return None;
    }
    let digits = |from: usize, to: usize| {
        text[from..to]
            .iter()
            .try_fold(0, |number, byte| byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0')))
    };
    let (year, month, day) = (digits(0, 4)?, digits(5, 7)?, digits(8, 10)?);
    let of_day = ((digits(11, 13)? * 60 + digits(14, 16)?) * 60 + digits(17, 19)?) * 1_000 + digits(20, 23)?;
    let offset = (digits(24, 26)? * 60 + digits(27, 29)?) * MINUTE_MS;
    let year = if month <= 2 { year - 1 } else { year };
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = year.div_euclid(400) * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    Some(days * 86_400_000 + of_day - if text[23] == b'-' { -offset } else { offset })
}
