//! The windows, naively: every window keeps the plain list of its events and is computed from all
//! of them each time it is published. It names none of Sereno's machinery, only what the journal
//! holds and what a row looks like.
//!
//! A window with readings **closes** when its key's watermark, or (drained) tick less
//! `close_after`, reaches its end, and is **sealed** when the watermark less `allowed_lateness`, or
//! the tick less `open_max`, does. It is published when it closes; what changed since leaves at a
//! tick, the windows of a key together and at most each `amend_every`, or with its sealing.

use std::collections::BTreeMap;
use std::sync::Arc;

use sereno::model::definition::{PipelineDefinition, WindowDefinition};
use sereno::model::result::{Field, PlanDescription};
use sereno::model::{Aggregate, Control, Key, Quantity, Record, ResultRow};

use super::fields;
use super::world::{Line, Said, World, floor, stamp};
use crate::condition::Condition;

/// What the engine calls the window of a pipeline that was defined by that record.
pub type PlanNames = BTreeMap<(u64, String, String), u64>;

/// How the events of a pipeline came out: counted, late, too late (each a window), excluded.
pub type Counts = BTreeMap<String, [u64; 4]>;

/// All windows of all pipelines.
pub struct Windows {
    conditions: BTreeMap<String, Condition>,
    names: PlanNames,
    /// Names and clocks.
    pub world: World,
    /// By name.
    pub pipelines: BTreeMap<String, Pipeline>,
    definitions: BTreeMap<String, PipelineDefinition>,
    /// What became of events.
    pub counts: Counts,
    out: Vec<ResultRow>,
}

/// One pipeline in force.
pub struct Pipeline {
    /// As defined.
    pub definition: PipelineDefinition,
    feeds: Vec<usize>,
    columns: BTreeMap<String, Arc<Quantity>>,
    zone_watermark: i64,
    drained_tick: i64,
    plans: Vec<Plan>,
}

/// One window's definition from its first window to its last.
struct Plan {
    window: WindowDefinition,
    identity: String,
    description: Arc<PlanDescription>,
    begins_at: i64,
    ends_at: i64,
    lateness: i64,
    close_after: i64,
    open_max: i64,
    amend_every: i64,
    zone: String,
    /// Expected interval of the devices of each feed.
    intervals: Vec<Option<i64>>,
    keys: BTreeMap<Key, KeyState>,
}

struct KeyState {
    feed: usize,
    watermark: i64,
    amended_at: i64,
    windows: BTreeMap<i64, Window>,
}

#[derive(Default)]
struct Window {
    events: Vec<(u64, Said)>,
    closed: bool,
    changed: bool,
}

impl Windows {
    /// Nothing read yet.
    pub fn new(conditions: BTreeMap<String, Condition>, names: PlanNames) -> Self {
        let (world, pipelines) = (World::default(), BTreeMap::new());
        let (definitions, counts) = (BTreeMap::new(), Counts::new());
        Self { conditions, names, world, pipelines, definitions, counts, out: Vec::new() }
    }

    /// Takes in one record; the rows it caused.
    pub fn apply(&mut self, line: &Line) -> Vec<ResultRow> {
        self.world.hear(&line.record);
        match &line.record {
            Record::Event(event) => {
                let said = self.world.said(event, &line.readings);
                self.count(&said, line.sequence);
            }
            Record::Control(control) => self.control(control, line.sequence),
            Record::Step { feed, .. } => {
                let world = &self.world;
                for pipeline in self.pipelines.values_mut().filter(|p| p.feeds.contains(&feed.index())) {
                    let watermark = world.zone_watermark(&pipeline.feeds);
                    pipeline.zone_watermark = pipeline.zone_watermark.max(watermark);
                }
            }
            Record::Tick { .. } => {
                let world = &self.world;
                for pipeline in self.pipelines.values_mut() {
                    let watermark = world.zone_watermark(&pipeline.feeds);
                    pipeline.zone_watermark = pipeline.zone_watermark.max(watermark);
                    if world.drained(&pipeline.feeds) {
                        pipeline.drained_tick = world.tick;
                    }
                }
            }
            Record::Entry(_) | Record::Refusal(_) => {}
        }
        self.settle(line);
        std::mem::take(&mut self.out)
    }

    fn count(&mut self, said: &Said, sequence: u64) {
        for (name, pipeline) in &mut self.pipelines {
            let Some(feed) = pipeline.feeds.iter().position(|id| *id == said.feed) else { continue };
            let mut said = said.clone();
            said.readings.retain(|(quantity, _)| pipeline.columns.get(&*quantity.name) == Some(quantity));
            let number = |column: &str| {
                let reading = said.readings.iter().find(|(quantity, _)| *quantity.name == *column)?;
                Some(fields::quotient(i128::from(reading.1), 10_i128.pow(u32::from(reading.0.decimals))))
            };
            let exclude = pipeline.definition.exclude.as_ref().map(|sql| &self.conditions[sql]);
            let excluded = exclude.is_some_and(|condition| condition.of(&number) == Some(true));
            let counts = self.counts.entry(name.clone()).or_default();
            counts[3] += u64::from(excluded);
            let clock = (pipeline.zone_watermark, pipeline.drained_tick, self.world.tick);
            for plan in &mut pipeline.plans {
                if let Some(outcome) = plan.count(&said, feed, excluded, sequence, clock) {
                    counts[outcome] += 1;
                }
            }
        }
    }

    fn control(&mut self, control: &Control, sequence: u64) {
        match control {
            Control::Feed { feed } => {
                if let Some(known) = self.world.feeds.iter_mut().find(|known| known.name == feed.name) {
                    known.definition = Some((**feed).clone());
                }
                let readers: Vec<PipelineDefinition> =
                    self.definitions.values().filter(|p| reads(p).contains(&feed.name)).cloned().collect();
                readers.into_iter().for_each(|definition| self.define(definition, sequence));
            }
            Control::Pipeline { pipeline } => self.define((**pipeline).clone(), sequence),
            Control::PipelineRemoved { name } => {
                self.definitions.remove(name);
                self.pipelines.remove(name);
                self.counts.remove(name);
            }
            other => panic!("cases hold no {other:?}"),
        }
    }

    fn define(&mut self, definition: PipelineDefinition, sequence: u64) {
        let name = definition.name.clone();
        self.definitions.insert(name.clone(), definition.clone());
        let names = reads(&definition);
        let id = |name: &String| self.world.feeds.iter().position(|feed| feed.name == *name);
        let feeds: Vec<usize> = names.iter().filter_map(id).collect();
        let mut next = Pipeline::new(&definition, feeds, &self.world, sequence, &self.names);
        for plan in &next.plans {
            self.out.push(ResultRow::Plan(sequence, plan.description.clone()));
        }
        if let Some(old) = self.pipelines.remove(&name) {
            next.follow(old, self.world.arrival);
        }
        self.pipelines.insert(name, next);
    }

    /// Publishes whatever this record closed, sealed or made due.
    fn settle(&mut self, line: &Line) {
        let tick = matches!(line.record, Record::Tick { .. }).then_some(self.world.tick);
        for pipeline in self.pipelines.values_mut() {
            let clock = (pipeline.zone_watermark, pipeline.drained_tick, self.world.tick);
            for plan in &mut pipeline.plans {
                plan.settle(line.sequence, clock, tick, &mut self.out);
            }
            if let Some(tick) = tick {
                let over = |plan: &Plan| plan.ends_at.saturating_add(plan.size() + plan.open_max);
                pipeline.plans.retain(|plan| tick <= over(plan).saturating_add(1));
            }
        }
    }
}

impl Pipeline {
    fn new(
        definition: &PipelineDefinition,
        feeds: Vec<usize>,
        world: &World,
        sequence: u64,
        names: &PlanNames,
    ) -> Self {
        let defined: Vec<_> = feeds.iter().filter_map(|id| world.feeds[*id].definition.as_ref()).collect();
        let mut columns = BTreeMap::new();
        for (name, quantity) in defined.iter().flat_map(|feed| &feed.quantities) {
            let unit = quantity.unit.clone().into_boxed_str();
            let own = Quantity { name: name.clone().into_boxed_str(), unit, decimals: quantity.decimals };
            columns.insert(name.clone(), Arc::new(own));
        }
        let longest = defined.iter().map(|feed| feed.out_of_orderness.0).max().unwrap_or(30_000_000_000);
        let close_after = definition.close_after.map_or(longest + 5_000_000_000, |span| span.0);
        let times =
            (definition.allowed_lateness, definition.close_after, definition.open_max, &definition.timezone);
        let clocks: Vec<_> =
            defined.iter().map(|feed| (&feed.name, feed.out_of_orderness, feed.expected_interval)).collect();
        let plan = |window: &WindowDefinition| {
            let (size, slide) = (window.size.nominal(), window.step().nominal());
            let hash = names.get(&(sequence, definition.name.clone(), window.name.clone()));
            let unit = |sql: &String| match call(sql) {
                ("count", _) => "1".into(),
                (_, quantity) => (*columns[quantity].unit).into(),
            };
            Plan {
                identity: format!("{window:?} {:?} {times:?} {columns:?} {clocks:?}", definition.exclude),
                description: Arc::new(PlanDescription {
                    hash: *hash.expect("the engine names every plan where it is defined"),
                    pipeline: definition.name.as_str().into(),
                    window: window.name.as_str().into(),
                    size_ns: size.0,
                    slide_ns: slide.0,
                    unit: window.size.unit(),
                    by: window.by.iter().map(|name| name.as_str().into()).collect(),
                    fields: window
                        .fields
                        .iter()
                        .map(|(name, sql)| Field { name: name.as_str().into(), unit: unit(sql) })
                        .collect(),
                }),
                window: window.clone(),
                begins_at: i64::MIN,
                ends_at: i64::MAX,
                lateness: definition.allowed_lateness.0,
                close_after,
                open_max: definition.open_max.0,
                amend_every: definition.amend_every.0,
                zone: definition.timezone.clone(),
                intervals: defined.iter().map(|f| f.expected_interval.map(|span| span.0)).collect(),
                keys: BTreeMap::new(),
            }
        };
        let plans = definition.windows.iter().map(plan).collect();
        let (zone_watermark, drained_tick) = (i64::MIN, i64::MIN);
        Self { definition: definition.clone(), feeds, plans, columns, zone_watermark, drained_tick }
    }

    /// Goes on from an earlier definition: the same plans go on, others begin with the first
    /// window after `at`, and what they replace ends there.
    fn follow(&mut self, old: Self, at: i64) {
        (self.zone_watermark, self.drained_tick) = (old.zone_watermark, old.drained_tick);
        for plan in &mut self.plans {
            let (size, slide) = (plan.window.size.nominal(), plan.window.step().nominal());
            let start = floor(at, size, slide, &plan.zone);
            plan.begins_at = if start < at { start + slide.0 } else { start };
        }
        for mut plan in old.plans {
            let same = |new: &&mut Plan| plan.ends_at == i64::MAX && new.identity == plan.identity;
            if let Some(new) = self.plans.iter_mut().find(same) {
                *new = Plan { amend_every: new.amend_every, ..plan };
                continue;
            }
            let successor = self.plans.iter().find(|new| new.window.name == plan.window.name);
            plan.ends_at = plan.ends_at.min(successor.map_or(at, |new| new.begins_at));
            // Readings from ahead of their time: windows from there on are the successor's.
            let ends_at = plan.ends_at;
            plan.keys.values_mut().for_each(|key| key.windows.retain(|start, _| *start < ends_at));
            self.plans.push(plan);
        }
    }
}

impl Plan {
    /// Length of a window: units of the calendar here have one length, their zones one offset.
    fn size(&self) -> i64 {
        self.window.size.nominal().0
    }

    fn by_sensor(&self) -> bool {
        self.window.by.iter().any(|name| name == "sensor")
    }

    /// Until when the windows of a key are closed and sealed.
    fn limits(&self, watermark: i64, clock: (i64, i64, i64)) -> (i64, i64) {
        let (zone, drained_tick, tick) = clock;
        let watermark = if self.by_sensor() { watermark } else { zone };
        let closed = watermark.max(drained_tick.saturating_sub(self.close_after));
        let sealed = watermark.saturating_sub(self.lateness).max(tick - self.open_max);
        (closed.max(sealed), sealed)
    }

    /// Counts an event: 0 in time, 1 late, 2 too late; `None` where it is none of the plan's.
    fn count(
        &mut self,
        said: &Said,
        feed: usize,
        excluded: bool,
        sequence: u64,
        clock: (i64, i64, i64),
    ) -> Option<usize> {
        let value = |name: &String| match name.as_str() {
            "sensor" => said.device.clone(),
            name => said.tags.iter().find(|tag| *tag.0 == *name).map_or("".into(), |tag| tag.1.clone()),
        };
        let key = Key(self.window.by.iter().map(value).collect());
        let fresh = || KeyState { feed, watermark: i64::MIN, amended_at: i64::MIN, windows: BTreeMap::new() };
        let watermark = self.keys.entry(key.clone()).or_insert_with(fresh).watermark;
        let (closed_to, sealed_to) = self.limits(watermark, clock);
        let state = self.keys.get_mut(&key)?;
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

    fn settle(&mut self, cause: u64, clock: (i64, i64, i64), tick: Option<i64>, out: &mut Vec<ResultRow>) {
        let size = self.size();
        let mut keys = std::mem::take(&mut self.keys);
        for (key, state) in &mut keys {
            let (closed_to, sealed_to) = self.limits(state.watermark, clock);
            let amend = tick.is_some_and(|tick| state.amended_at.saturating_add(self.amend_every) <= tick);
            let mut amended = false;
            for (start, window) in &mut state.windows {
                let closes = !window.closed && start + size <= closed_to;
                let sealed = start + size <= sealed_to;
                let changed = window.closed && window.changed;
                if closes || changed && (sealed || amend) {
                    out.push(ResultRow::Aggregate(self.row(cause, key, state.feed, *start, window)));
                    amended |= changed && !sealed;
                    (window.closed, window.changed) = (true, false);
                }
            }
            if let Some(tick) = tick.filter(|_| amended) {
                state.amended_at = tick;
            }
            state.windows.retain(|start, _| start + size > sealed_to);
        }
        self.keys = keys;
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

fn reads(pipeline: &PipelineDefinition) -> Vec<String> {
    pipeline.reads.clone().unwrap_or_default()
}

/// `mean(pm25)` as its two words.
fn call(sql: &str) -> (&str, &str) {
    sql.trim_end_matches(')').split_once('(').expect("an aggregate of one quantity")
}
