//! One window's definition, naively: every window is the plain list of its events.

use std::collections::BTreeMap;
use std::sync::Arc;

use sereno::model::definition::WindowDefinition;
use sereno::model::result::PlanDescription;
use sereno::model::{Aggregate, Key, ResultRow};

use super::alerts::Note;
use super::fields;
use super::posts::Place;
use super::world::{Said, floor, stamp};

/// Where the clocks of a pipeline stand.
#[derive(Clone, Copy)]
pub struct Clock {
    /// Watermark of keys that are not a single sensor.
    pub zone: i64,
    /// The last tick at which its feeds had drained.
    pub drained_tick: i64,
    /// The last tick.
    pub tick: i64,
    /// Whether this very record is a tick, and its feeds have drained.
    pub now: (bool, bool),
}

/// One window's definition from its first window to its last.
pub struct Plan {
    pub window: WindowDefinition,
    pub identity: String,
    pub description: Arc<PlanDescription>,
    pub begins_at: i64,
    pub ends_at: i64,
    pub lateness: i64,
    pub close_after: i64,
    pub open_max: i64,
    pub amend_every: i64,
    pub zone: String,
    /// The record that defined it, and its place there.
    pub since: u64,
    pub place: usize,
    /// Expected interval of the devices of each feed.
    pub intervals: Vec<Option<i64>>,
    pub keys: BTreeMap<Key, KeyState>,
}

pub struct KeyState {
    /// Place of the feed that named the key first.
    pub feed: usize,
    /// The feed by which its last event came.
    pub last_feed: usize,
    pub watermark: i64,
    pub amended_at: i64,
    pub windows: BTreeMap<i64, Window>,
}

#[derive(Default)]
pub struct Window {
    pub events: Vec<(u64, Said)>,
    pub closed: bool,
    pub changed: bool,
}

impl Plan {
    /// Length of a window: units of the calendar here have one length, their zones one offset.
    pub fn size(&self) -> i64 {
        self.window.size.nominal().0
    }

    fn by_sensor(&self) -> bool {
        self.window.by.iter().any(|name| name == "sensor")
    }

    /// What rules call it.
    pub fn named(&self) -> Place {
        (self.description.pipeline.to_string(), Some((self.since, self.place)))
    }

    /// How long a verdict of its windows stands.
    pub fn stale_after(&self) -> i64 {
        self.window.step().nominal().0
    }

    /// The start of its first window that begins at `at` or later.
    pub fn first_from(&self, at: i64) -> i64 {
        let (size, slide) = (self.window.size.nominal(), self.window.step().nominal());
        let start = floor(at, size, slide, &self.zone);
        if start < at { start + slide.0 } else { start }
    }

    /// The end of the last window of a plan that has ended.
    pub fn last_end(&self) -> i64 {
        let (size, slide) = (self.window.size.nominal(), self.window.step().nominal());
        floor(self.ends_at - 1, size, slide, &self.zone) + size.0
    }

    /// By key, the end of what is closed.
    pub fn closed_to(&self, clock: Clock) -> BTreeMap<Key, i64> {
        let closed =
            |state: &KeyState| self.limits(state.watermark, clock).map(|limit| limit.0).into_iter().max();
        self.keys.iter().map(|(key, state)| (key.clone(), closed(state).unwrap_or(i64::MIN))).collect()
    }

    /// The key's watermark.
    fn watermark(&self, own: i64, clock: Clock) -> i64 {
        if self.by_sensor() { own } else { clock.zone }
    }

    /// Until when the windows of a key are closed and sealed: by its watermark, then by tick.
    fn limits(&self, own: i64, clock: Clock) -> [(i64, i64); 2] {
        let watermark = self.watermark(own, clock);
        let by_tick = clock.tick - self.open_max;
        let closed = clock.drained_tick.saturating_sub(self.close_after).max(by_tick);
        [(watermark, watermark.saturating_sub(self.lateness)), (closed, by_tick)]
    }

    /// Counts an event: 0 in time, 1 late, 2 too late; `None` where it is none of the plan's.
    pub fn count(
        &mut self,
        said: &Said,
        feed: usize,
        excluded: bool,
        sequence: u64,
        clock: Clock,
    ) -> Option<usize> {
        let value = |name: &String| match name.as_str() {
            "sensor" => said.device.clone(),
            name => said.tags.iter().find(|tag| *tag.0 == *name).map_or("".into(), |tag| tag.1.clone()),
        };
        let key = Key(self.window.by.iter().map(value).collect());
        let fresh = || KeyState {
            feed,
            last_feed: feed,
            watermark: i64::MIN,
            amended_at: i64::MIN,
            windows: BTreeMap::new(),
        };
        let watermark = self.keys.entry(key.clone()).or_insert_with(fresh).watermark;
        let limits = self.limits(watermark, clock);
        let closed_to = limits[0].0.max(limits[1].0);
        let sealed_to = limits[0].1.max(limits[1].1);
        let state = self.keys.get_mut(&key)?;
        state.last_feed = said.feed;
        state.watermark = watermark.max(said.watermark);
        let quantities: Vec<&str> =
            self.window.fields.values().map(|sql| call(sql).1).filter(|quantity| *quantity != "*").collect();
        let speaks =
            quantities.is_empty() || said.readings.iter().any(|(q, _)| quantities.contains(&&*q.name));
        if excluded || !speaks {
            return None;
        }
        let (size, slide) = (self.window.size.nominal(), self.window.step().nominal());
        let last = floor(said.event_at, size, slide, &self.zone);
        let starts = (0..size.0 / slide.0).map(|n| last - n * slide.0);
        let starts: Vec<i64> = starts.filter(|at| (self.begins_at..self.ends_at).contains(at)).collect();
        let open: Vec<i64> = starts.iter().copied().filter(|start| start + size.0 > sealed_to).collect();
        for start in &open {
            let late = start + size.0 <= closed_to;
            let window =
                state.windows.entry(*start).or_insert_with(|| Window { closed: late, ..Window::default() });
            window.events.push((sequence, said.clone()));
            window.changed = true;
        }
        match (starts.is_empty(), open.is_empty()) {
            (true, _) => None,
            (false, true) => Some(2),
            (false, false) => Some(usize::from(open.iter().any(|start| start + size.0 <= closed_to))),
        }
    }

    /// Publishes what this record closed or sealed by the keys' watermarks.
    pub fn settle(&mut self, cause: u64, clock: Clock, out: &mut Vec<ResultRow>, notes: &mut Vec<Note>) {
        let mut keys = std::mem::take(&mut self.keys);
        for (key, state) in &mut keys {
            let [by_watermark, by_tick] = self.limits(state.watermark, clock);
            self.stage(cause, key, state, by_watermark.0, i64::MIN, out, notes);
            notes.push(self.passed(key, state, clock));
            self.stage(cause, key, state, i64::MIN, by_watermark.1, out, notes);
            notes.push(self.passed(key, state, clock));
            let sealed_to = by_watermark.1.max(by_tick.1);
            state.windows.retain(|start, _| start + self.size() > sealed_to || clock.now.0);
        }
        self.keys = keys;
    }

    fn passed(&self, key: &Key, state: &KeyState, clock: Clock) -> Note {
        Note::Passed(self.named(), key.clone(), self.watermark(state.watermark, clock), self.close_after)
    }

    /// Publishes what this tick closed, sealed or made due.
    pub fn tick(&mut self, cause: u64, clock: Clock, out: &mut Vec<ResultRow>, notes: &mut Vec<Note>) {
        let mut keys = std::mem::take(&mut self.keys);
        for (key, state) in &mut keys {
            let [by_watermark, by_tick] = self.limits(state.watermark, clock);
            self.stage(cause, key, state, by_tick.0, i64::MIN, out, notes);
            notes.push(self.passed(key, state, clock));
            if clock.now.1 {
                notes.push(Note::Ticked(self.named(), key.clone(), clock.tick - self.close_after));
            }
            self.stage(cause, key, state, by_tick.1, by_tick.1, out, notes);
            if state.amended_at.saturating_add(self.amend_every) <= clock.tick
                && self.stage(cause, key, state, i64::MIN, i64::MAX, out, notes)
            {
                state.amended_at = clock.tick;
            }
            notes.push(self.passed(key, state, clock));
            let sealed_to = by_watermark.1.max(by_tick.1);
            state.windows.retain(|start, _| start + self.size() > sealed_to);
        }
        self.keys = keys;
    }

    /// Publishes a key's windows that close by `closed_to`, and its changed ones that end by
    /// `changed_to`; whether there were any.
    #[allow(clippy::too_many_arguments, reason = "the parts of one key, borrowed apart")]
    fn stage(
        &self,
        cause: u64,
        key: &Key,
        state: &mut KeyState,
        closed_to: i64,
        changed_to: i64,
        out: &mut Vec<ResultRow>,
        notes: &mut Vec<Note>,
    ) -> bool {
        let mut any = false;
        for (start, window) in &mut state.windows {
            let end = start + self.size();
            let closes = !window.closed && end <= closed_to;
            let changed = window.closed && window.changed && end <= changed_to;
            if closes || changed {
                let row = self.row(cause, key, state.feed, *start, window);
                notes.push(Note::Published(self.named(), Box::new(row.clone()), state.last_feed));
                out.push(ResultRow::Aggregate(row));
                (window.closed, window.changed) = (true, false);
                any = true;
            }
        }
        any
    }

    fn row(&self, cause: u64, key: &Key, feed: usize, start: i64, window: &Window) -> Aggregate {
        let count = window.events.len() as u64;
        let field = |sql: &String| match call(sql) {
            ("count", "*") => Some(count as f64),
            (function, quantity) => {
                let mut readings = Vec::new();
                let mut decimals = 0;
                for (sequence, said) in &window.events {
                    for (own, mantissa) in said.readings.iter().filter(|(q, _)| *q.name == *quantity) {
                        let order = (said.event_at, said.device.to_string(), said.counter, *sequence);
                        readings.push((order, *mantissa));
                        decimals = own.decimals;
                    }
                }
                fields::value(function, &readings, decimals)
            }
        };
        let interval = self.intervals.get(feed).copied().flatten().filter(|_| self.by_sensor());
        let capture = interval.map(|interval| count as f64 / (self.size() as f64 / interval as f64));
        let enough = self.window.capture_min.unwrap_or(0.0);
        Aggregate {
            cause,
            plan: self.description.clone(),
            key: key.clone(),
            start: stamp(start),
            end: stamp(start + self.size()),
            revision: window.events.iter().map(|(sequence, _)| *sequence).max().unwrap_or_default(),
            count,
            capture,
            sufficient: capture.is_none_or(|capture| capture >= enough),
            fields: self.window.fields.values().map(field).collect(),
        }
    }
}

/// `mean(pm25)` as its two words.
pub fn call(sql: &str) -> (&str, &str) {
    sql.trim_end_matches(')').split_once('(').expect("an aggregate of one quantity")
}
