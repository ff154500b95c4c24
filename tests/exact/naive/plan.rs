//! One window's definition, naively: every window is the plain list of its events.

use std::collections::BTreeMap;
use std::sync::Arc;

use sereno::model::definition::WindowDefinition;
use sereno::model::result::PlanDescription;
use sereno::model::{Key, ResultRow};

use super::alerts::Note;
use super::call::Call;
use super::grid::Grid;
use super::met::Met;
use super::posts::Place;
use super::register::{Register, Registered};
use super::sensors::Terms;
use super::world::{Said, World};

/// Of what closes at once so many windows are looked at, whether they are missed.
const MISSED_MAX: usize = 1_440;
const SECOND: i64 = 1_000_000_000;

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
    /// The period of the day.
    pub period: Option<String>,
    pub grid: Grid,
    pub calls: Vec<Call>,
    pub terms: Terms,
    pub identity: String,
    pub description: Arc<PlanDescription>,
    pub begins_at: i64,
    pub ends_at: i64,
    pub lateness: i64,
    pub close_after: i64,
    pub open_max: i64,
    pub amend_every: i64,
    /// The record that defined it, and its place there.
    pub since: u64,
    pub place: usize,
    /// Ids of the pipeline's feeds.
    pub feeds: Vec<usize>,
    /// Expected interval of the devices of each feed.
    pub intervals: Vec<Option<i64>>,
    pub keys: BTreeMap<Key, KeyState>,
}

pub struct KeyState {
    /// The feed by which its last event came.
    pub last_feed: usize,
    pub watermark: i64,
    pub amended_at: i64,
    /// Windows that end by then are closed.
    pub closed_to: i64,
    pub registered: Registered,
    /// Events that a window counted, or that lie ahead of the first one or between periods.
    pub heard: Vec<(u64, Said)>,
    pub windows: BTreeMap<i64, Window>,
}

impl KeyState {
    fn new() -> Self {
        Self {
            last_feed: 0,
            watermark: i64::MIN,
            amended_at: i64::MIN,
            closed_to: i64::MIN,
            registered: Registered::default(),
            heard: Vec::new(),
            windows: BTreeMap::new(),
        }
    }
}

pub struct Window {
    pub end: i64,
    pub events: Vec<(u64, Said)>,
    pub closed: bool,
    pub changed: bool,
}

impl Plan {
    pub fn by_sensor(&self) -> bool {
        self.window.by.iter().any(|name| name == "sensor")
    }

    /// What rules call it.
    pub fn named(&self) -> Place {
        (self.description.pipeline.to_string(), Some((self.since, self.place)))
    }

    /// The end of the last window of a plan that has ended, or its own if that is later: between
    /// periods of the day it is in no window.
    pub fn last_end(&self) -> i64 {
        self.grid.end(self.grid.before(self.ends_at)).max(self.ends_at)
    }

    /// By key, the end of what is closed.
    pub fn closed_to(&self, clock: Clock) -> BTreeMap<Key, i64> {
        let limits = |state: &KeyState| self.limits(state.watermark, clock);
        let closed = |[by_watermark, by_tick]: [(i64, i64); 2]| by_watermark.0.max(by_tick.0);
        self.keys.iter().map(|(key, state)| (key.clone(), closed(limits(state)))).collect()
    }

    fn passed(&self, key: &Key, state: &KeyState, clock: Clock) -> Note {
        Note::Passed(self.named(), key.clone(), self.watermark(state.watermark, clock), self.close_after)
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

    fn key(&self, mut value: impl FnMut(&String) -> Arc<str>) -> Key {
        let by: Vec<Arc<str>> = self.window.by.iter().map(&mut value).collect();
        Key(by.into_iter().chain(self.period.iter().map(|name| name.as_str().into())).collect())
    }

    fn is_own(&self, start: i64) -> bool {
        (self.begins_at..self.ends_at).contains(&start)
    }

    /// Counts an event: 0 in time, 1 late, 2 too late; `None` where it is none of the plan's.
    pub fn count(&mut self, said: &Said, excluded: bool, sequence: u64, clock: Clock) -> Option<usize> {
        let key = self.key(|name| match name.as_str() {
            "sensor" => said.device.clone(),
            name => said.tags.iter().find(|tag| *tag.0 == *name).map_or("".into(), |tag| tag.1.clone()),
        });
        let mut state = self.keys.remove(&key).unwrap_or_else(KeyState::new);
        let limits = self.limits(state.watermark, clock);
        let closed_to = limits[0].0.max(limits[1].0);
        let sealed_to = limits[0].1.max(limits[1].1);
        state.last_feed = said.feed;
        state.watermark = state.watermark.max(said.watermark);
        let quantities = || self.calls.iter().map(|call| call.quantity.as_str()).filter(|name| *name != "*");
        let carried = said.readings.iter().any(|(own, _)| quantities().any(|name| *name == *own.name));
        let speaks = !excluded && (carried || quantities().next().is_none());
        let outcome = speaks.then(|| self.take(&mut state, said, sequence, (closed_to, sealed_to))).flatten();
        self.keys.insert(key, state);
        outcome
    }

    fn take(
        &self,
        state: &mut KeyState,
        said: &Said,
        sequence: u64,
        (closed_to, sealed_to): (i64, i64),
    ) -> Option<usize> {
        let holding = self.grid.holding(said.event_at);
        let own: Vec<(i64, i64)> =
            holding.iter().filter(|at| self.is_own(**at)).map(|at| (*at, self.grid.end(*at))).collect();
        let open: Vec<(i64, i64)> = own.iter().copied().filter(|window| window.1 > sealed_to).collect();
        if own.is_empty() {
            let next = self.grid.from(said.event_at).max(self.begins_at);
            if next >= self.ends_at || self.grid.end(next) <= sealed_to {
                return None;
            }
        } else if open.is_empty() {
            return Some(2);
        }
        for (start, end) in &open {
            let late = *end <= closed_to;
            let fresh = || Window { end: *end, events: Vec::new(), closed: late, changed: false };
            let window = state.windows.entry(*start).or_insert_with(fresh);
            window.events.push((sequence, said.clone()));
            window.changed = true;
        }
        state.heard.push((sequence, said.clone()));
        let mut behind: Vec<i64> =
            state.windows.range(said.event_at + 1..).map(|(start, _)| *start).collect();
        behind
            .retain(|start| self.ahead(&state.heard, (*start, state.windows[start].end)).contains(&sequence));
        for start in behind {
            state.windows.get_mut(&start)?.changed = true;
        }
        if own.is_empty() { None } else { Some(usize::from(open.iter().any(|window| window.1 <= closed_to))) }
    }

    /// The register is as written at `at` of the arrival clock.
    pub fn register(&mut self, register: &Register, at: i64) {
        if self.ends_at != i64::MAX || self.window.by != ["sensor"] {
            return;
        }
        for (key, state) in &mut self.keys {
            if !register.contains_key(&*key.0[0]) {
                state.registered.write(&[], at);
            }
        }
        for (name, services) in register {
            let key = self.key(|_| name.as_str().into());
            let last_feed = self.feeds[services[0].0];
            let fresh = || KeyState { last_feed, ..KeyState::new() };
            let state = self.keys.entry(key).or_insert_with(fresh);
            state.registered.write(services, at);
        }
    }

    /// Publishes what changed, of the keys whose instant in a second lies between `before` and the arrival
    /// clock: the first four bits of a key's group are its sixteenth.
    pub fn amend(
        &mut self,
        record: (u64, &World),
        (clock, before): (Clock, i64),
        met: &mut Met,
        out: &mut Vec<ResultRow>,
        notes: &mut Vec<Note>,
    ) {
        let mut keys = std::mem::take(&mut self.keys);
        for (key, state) in &mut keys {
            let own = i64::from(key.group().0 >> 4) * (SECOND / 16);
            let instant = (record.1.arrival - own).div_euclid(SECOND) * SECOND + own;
            if instant > before
                && state.amended_at.saturating_add(self.amend_every) <= instant
                && self.stage(record, key, state, (i64::MIN, i64::MAX), met, out, notes)
            {
                state.amended_at = instant;
                notes.push(self.passed(key, state, clock));
            }
        }
        self.keys = keys;
    }

    /// Publishes what this record closed or sealed by the keys' watermarks, or, where `by_tick`, as a
    /// tick.
    pub fn settle(
        &mut self,
        record: (u64, &World),
        (clock, by_tick): (Clock, bool),
        met: &mut Met,
        out: &mut Vec<ResultRow>,
        notes: &mut Vec<Note>,
    ) {
        let mut keys = std::mem::take(&mut self.keys);
        for (key, state) in &mut keys {
            let [watermark, tick] = self.limits(state.watermark, clock);
            let closed_to = if by_tick { tick.0 } else { watermark.0 };
            self.stage(record, key, state, (closed_to, i64::MIN), met, out, notes);
            notes.push(self.passed(key, state, clock));
        }
        for (key, state) in keys.iter().filter(|_| by_tick && clock.now.1) {
            notes.push(Note::Ticked(self.named(), key.clone(), clock.tick - self.close_after));
            // After a silence what was unobserved before it no longer counts.
            notes.push(self.passed(key, state, clock));
        }
        for (key, state) in &mut keys {
            let [watermark, tick] = self.limits(state.watermark, clock);
            if !by_tick {
                self.stage(record, key, state, (i64::MIN, watermark.1), met, out, notes);
            } else {
                if self.stage(record, key, state, (tick.1, tick.1), met, out, notes) {
                    // What was sealed is judged and its time passes before anything is amended.
                    notes.push(self.passed(key, state, clock));
                }
            }
            notes.push(self.passed(key, state, clock));
            let sealed_to = if by_tick { tick.1 } else { watermark.1 };
            notes.push(Note::Sealed(self.named(), key.clone(), sealed_to));
            let sealed_to = watermark.1.max(tick.1);
            state.windows.retain(|_, window| window.end > sealed_to || clock.now.0 && !by_tick);
        }
        self.keys = keys;
    }

    /// Publishes a key's windows that close by the first of `limits`, and its changed ones that end
    /// by the second; whether there were any.
    #[allow(clippy::too_many_arguments, reason = "the parts of one key, borrowed apart")]
    fn stage(
        &self,
        (cause, world): (u64, &World),
        key: &Key,
        state: &mut KeyState,
        limits: (i64, i64),
        met: &mut Met,
        out: &mut Vec<ResultRow>,
        notes: &mut Vec<Note>,
    ) -> bool {
        let mut due: BTreeMap<i64, i64> = BTreeMap::new();
        if limits.0 > state.closed_to {
            due.extend(self.missed(state, limits.0));
            state.closed_to = limits.0;
        }
        for (start, window) in &mut state.windows {
            let closes = !window.closed && window.end <= limits.0;
            let changed = window.closed && window.changed && window.end <= limits.1;
            if closes || changed {
                due.insert(*start, window.end);
                (window.closed, window.changed) = (true, false);
            }
        }
        let any = !due.is_empty();
        for (start, end) in due {
            let row = self.row((cause, world), key, state, (start, end), met);
            notes.push(Note::Published(self.named(), Box::new(row.clone()), state.last_feed));
            out.push(ResultRow::Aggregate(row));
        }
        any
    }

    /// The windows without events that close as the key's clock comes to `to`, and are missed.
    fn missed(&self, state: &KeyState, to: i64) -> Vec<(i64, i64)> {
        let mut missed = Vec::new();
        let Some(earliest) = state.registered.begin() else { return missed };
        let mut start = self.grid.before(to);
        let mut looked = 0;
        while start >= earliest && looked < MISSED_MAX {
            let end = self.grid.end(start);
            if end <= state.closed_to {
                break;
            }
            if end <= to {
                looked += 1;
                let empty = self.is_own(start) && !state.windows.contains_key(&start);
                if empty && state.registered.misses((start, end), &self.intervals) {
                    missed.push((start, end));
                }
            }
            start = self.grid.before(start);
        }
        missed
    }
}
