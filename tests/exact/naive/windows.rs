//! The windows, naively: every window keeps the plain list of its events and is computed from all
//! of them each time it is published. It names none of Sereno's machinery, only what the journal
//! holds and what a row looks like.
//!
//! A window with readings **closes** when its key's watermark, or (drained) tick less
//! `close_after`, reaches its end, and is **sealed** when the watermark less `allowed_lateness`, or
//! the tick less `open_max`, does. It is published when it closes; what changed since leaves once a
//! second of the arrival clock, the windows of a key together, each key at its own sixteenth of the
//! second and at most each `amend_every`, or with its sealing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sereno::model::definition::{PipelineDefinition, WindowDefinition};
use sereno::model::{Control, Key, Quantity, Record, ResultRow};

use super::alerts::Note;
use super::defined::Defined;
use super::fields;
use super::met::Met;
use super::plan::{Clock, Plan};
use super::register;
use super::world::{Line, Said, World};
use crate::condition::Condition;

/// What the engine calls plans: by the record that defined them, pipeline and window; and of
/// which period of the day each is, as far as rows say so.
#[derive(Clone, Debug, Default)]
pub struct PlanNames {
    /// Hashes, each with the plan's size.
    pub hashes: BTreeMap<(u64, String, String), Vec<(u64, i64)>>,
    /// By hash.
    pub periods: BTreeMap<u64, String>,
}

impl PlanNames {
    /// The hash of a plan. Of periods of which nothing was published those of one length are told
    /// apart by nothing: they are named in their order.
    pub fn hash(
        &self,
        place: &(u64, String, String),
        window: &WindowDefinition,
        period: Option<&str>,
    ) -> u64 {
        let none = Vec::new();
        let all = self.hashes.get(place).unwrap_or(&none);
        let known = |name: Option<&str>| {
            let mut own = all.iter().filter(|(hash, _)| self.periods.get(hash).map(String::as_str) == name);
            name.and_then(|_| own.next()).map(|own| own.0)
        };
        let length = |name: &str| window.periods[name].end().0 - window.periods[name].begin().0;
        let size = period.map_or(window.size.nominal().0, length);
        let alike = |name: &&String| length(name) == size && known(Some(name)).is_none();
        let before = window.periods.keys().take_while(|name| Some(name.as_str()) != period);
        let place_among = before.filter(alike).count();
        let mut unknown = all.iter().filter(|(hash, own)| *own == size && !self.periods.contains_key(hash));
        let hash = known(period).or_else(|| unknown.nth(place_among).map(|own| own.0));
        hash.unwrap_or_else(|| panic!("the engine defines no {place:?}, {period:?} of {window:?}"))
    }
}

/// How the events of a pipeline came out: counted, late, too late (each a window), excluded.
pub type Counts = BTreeMap<String, [u64; 5]>;

/// All windows of all pipelines.
pub struct Windows {
    conditions: BTreeMap<String, Condition>,
    names: PlanNames,
    /// Names and clocks.
    pub world: World,
    /// By name.
    pub pipelines: BTreeMap<String, Pipeline>,
    definitions: BTreeMap<String, PipelineDefinition>,
    /// Pipelines that were removed at some time.
    removed: BTreeSet<String>,
    /// What became of events.
    pub counts: Counts,
    /// Kinds of windows and aggregates that were published.
    pub met: Met,
    out: Vec<ResultRow>,
    notes: Vec<Note>,
}

/// One pipeline in force.
pub struct Pipeline {
    /// As defined.
    pub definition: PipelineDefinition,
    feeds: Vec<usize>,
    columns: BTreeMap<String, Arc<Quantity>>,
    zone_watermark: i64,
    drained_tick: i64,
    close_after: i64,
    pub plans: Vec<Plan>,
    /// Watermark of each sensor.
    sensors: BTreeMap<Key, i64>,
}

impl Windows {
    /// Nothing read yet.
    pub fn new(conditions: BTreeMap<String, Condition>, names: PlanNames) -> Self {
        let (world, pipelines) = (World::default(), BTreeMap::new());
        let (definitions, counts) = (BTreeMap::new(), Counts::new());
        let (removed, out, notes) = (BTreeSet::new(), Vec::new(), Vec::new());
        let met = Met::default();
        Self { conditions, names, world, pipelines, definitions, removed, counts, met, out, notes }
    }

    /// Takes in one record; the rows it caused, and what rules are to be told.
    pub fn apply(&mut self, line: &Line) -> (Vec<ResultRow>, Vec<Note>) {
        let before = self.world.arrival;
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
            Record::Tick { from, .. } => {
                let world = &self.world;
                for pipeline in self.pipelines.values_mut() {
                    let keys = pipeline.plans.iter_mut().flat_map(|plan| plan.keys.values_mut());
                    keys.for_each(|key| key.registered.tick(from.0));
                    let watermark = world.zone_watermark(&pipeline.feeds);
                    pipeline.zone_watermark = pipeline.zone_watermark.max(watermark);
                    if world.drained(&pipeline.feeds) {
                        pipeline.drained_tick = world.tick;
                    }
                }
            }
            Record::Entry(_) | Record::Refusal(_) | Record::Restored { .. } => {}
        }
        self.settle(line);
        self.amend(line, before);
        (std::mem::take(&mut self.out), std::mem::take(&mut self.notes))
    }

    fn count(&mut self, said: &Said, sequence: u64) {
        for (name, pipeline) in &mut self.pipelines {
            if !pipeline.feeds.contains(&said.feed) {
                continue;
            }
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
            let clock = pipeline.clock(&self.world, false);
            for plan in &mut pipeline.plans {
                if let Some(outcome) = plan.count(&said, excluded, sequence, clock) {
                    counts[outcome] += 1;
                }
            }
            let sensor = Key([said.device.clone()].into());
            let known = pipeline.sensors.entry(sensor).or_insert(i64::MIN);
            let (lateness, open_max) = (pipeline.definition.allowed_lateness, pipeline.definition.open_max);
            let sealed_to = known.saturating_sub(lateness.0).max(clock.tick - open_max.0);
            // Sensors are followed while there are rules on readings.
            if pipeline.definition.rules.iter().any(|rule| rule.on == "readings") {
                *known = (*known).max(said.watermark);
            }
            if !excluded {
                self.notes.push(Note::Said(name.clone(), Box::new(said), sealed_to));
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
                self.removed.insert(name.clone());
                self.notes.push(Note::Removed(name.clone()));
            }
            other => panic!("cases hold no {other:?}"),
        }
    }

    fn define(&mut self, definition: PipelineDefinition, sequence: u64) {
        let name = definition.name.clone();
        self.definitions.insert(name.clone(), definition.clone());
        self.notes.push(Note::Defined(Box::new(definition.clone())));
        let names = reads(&definition);
        let id = |name: &String| self.world.feeds.iter().position(|feed| feed.name == *name);
        let feeds: Vec<usize> = names.iter().filter_map(id).collect();
        let mut next = Pipeline::new(&definition, feeds, &self.world, sequence, &self.names);
        for plan in &next.plans {
            self.out.push(ResultRow::Plan(sequence, plan.description.clone()));
        }
        if let Some(old) = self.pipelines.remove(&name) {
            next.follow(old, self.world.arrival);
        } else if self.removed.contains(&name) {
            next.begin_after(self.world.arrival);
        }
        let defined = next.feeds.iter().filter_map(|id| self.world.feeds[*id].definition.as_ref());
        let register = register::read(&defined.collect::<Vec<_>>());
        for plan in &mut next.plans {
            plan.register(&register, self.world.arrival);
        }
        self.pipelines.insert(name, next);
    }

    /// Publishes the amendments whose time comes as the arrival clock moves from `before`.
    fn amend(&mut self, line: &Line, before: i64) {
        for pipeline in self.pipelines.values_mut() {
            let clock = pipeline.clock(&self.world, false);
            let record = (line.sequence, &self.world);
            for plan in &mut pipeline.plans {
                plan.amend(record, (clock, before), &mut self.met, &mut self.out, &mut self.notes);
            }
        }
    }

    /// Publishes whatever this record closed or sealed.
    fn settle(&mut self, line: &Line) {
        let tick = matches!(line.record, Record::Tick { .. });
        for (name, pipeline) in &mut self.pipelines {
            let clock = pipeline.clock(&self.world, tick);
            let record = (line.sequence, &self.world);
            for plan in &mut pipeline.plans {
                plan.settle(record, (clock, false), &mut self.met, &mut self.out, &mut self.notes);
            }
            if clock.now.1 {
                self.notes.push(Note::Drained(name.clone()));
            }
            for plan in pipeline.plans.iter_mut().filter(|_| tick) {
                plan.settle(record, (clock, true), &mut self.met, &mut self.out, &mut self.notes);
            }
            let readings = || (name.clone(), None);
            for (sensor, watermark) in &pipeline.sensors {
                let wait = pipeline.close_after;
                let passed = || Note::Passed(readings(), sensor.clone(), *watermark, wait);
                self.notes.push(passed());
                if clock.now.1 {
                    self.notes.push(Note::Ticked(readings(), sensor.clone(), clock.tick - wait));
                    self.notes.push(passed());
                }
            }
            if tick {
                let over = |plan: &Plan| plan.ends_at.saturating_add(plan.grid.longest() + plan.open_max);
                let stays = |plan: &Plan| clock.tick <= over(plan).saturating_add(1);
                let gone = pipeline.plans.iter().filter(|plan| !stays(plan));
                self.notes.extend(gone.map(|plan| Note::Forgotten(plan.named(), plan.last_end())));
                pipeline.plans.retain(stays);
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
        let defined = Defined::new((definition, sequence), &feeds, world, names);
        let plans = definition.windows.iter().flat_map(|window| {
            let whole = window.periods.is_empty().then_some((window, None));
            let periods = window.periods.iter().map(move |(name, period)| (window, Some((name, *period))));
            whole.into_iter().chain(periods)
        });
        let plans = plans.enumerate().map(|(place, written)| defined.plan(place, written)).collect();
        let (columns, close_after) = (defined.columns, defined.close_after);
        let (zone_watermark, drained_tick) = (i64::MIN, i64::MIN);
        let (definition, sensors) = (definition.clone(), BTreeMap::new());
        Self { definition, feeds, plans, columns, zone_watermark, drained_tick, close_after, sensors }
    }

    /// Where its clocks stand; whether this is a tick.
    pub fn clock(&self, world: &World, tick: bool) -> Clock {
        let drained = tick && world.drained(&self.feeds);
        let (zone, drained_tick) = (self.zone_watermark, self.drained_tick);
        Clock { zone, drained_tick, tick: world.tick, now: (tick, drained) }
    }

    /// Its windows begin with the first that begins at or after `at`: so it is, too, with a
    /// pipeline that was removed and is back.
    fn begin_after(&mut self, at: i64) {
        self.plans.iter_mut().for_each(|plan| plan.begins_at = plan.grid.from(at));
    }

    /// Goes on from an earlier definition: the same plans go on, others begin with the first
    /// window after `at`, and what they replace ends there.
    fn follow(&mut self, old: Self, at: i64) {
        (self.zone_watermark, self.drained_tick) = (old.zone_watermark, old.drained_tick);
        self.sensors = old.sensors;
        self.begin_after(at);
        for mut plan in old.plans {
            let same = |new: &&mut Plan| plan.ends_at == i64::MAX && new.identity == plan.identity;
            if let Some(new) = self.plans.iter_mut().find(same) {
                *new = Plan { amend_every: new.amend_every, ..plan };
                continue;
            }
            let follows = |new: &&Plan| new.window.name == plan.window.name && new.period == plan.period;
            let successor = self.plans.iter().filter(|new| new.ends_at == i64::MAX).find(follows);
            plan.ends_at = plan.ends_at.min(successor.map_or(at, |new| new.begins_at));
            // Readings from ahead of their time: windows from there on are the successor's.
            let ends_at = plan.ends_at;
            plan.keys.values_mut().for_each(|key| key.windows.retain(|start, _| *start < ends_at));
            self.plans.push(plan);
        }
    }
}

fn reads(pipeline: &PipelineDefinition) -> Vec<String> {
    pipeline.reads.clone().unwrap_or_default()
}
