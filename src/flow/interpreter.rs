//! The fold: journal records in sequence, result rows out. One per worker; each acts on its own
//! keys and sees every record.

mod state;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tracing::error;

use self::state::Saving;
use super::compile::{self, PipelinePlan};
use super::feeds::FeedClocks;
use super::judged::Standing;
use super::keys::Share;
use super::moment::{Cause, Moment};
use super::past::Past;
use super::pipeline::{Counts, PipelineRun};
use super::recompute::{Whole, recompute};
use super::rules::RulePlan;
use super::slices::Slices;
use super::state::names::Names;
use super::state::shared::Texts;
use super::windows::register::{Register, register_of};
use crate::model::definition::{FeedDefinition, PipelineDefinition, RuleDefinition};
use crate::model::{
    Batch, Control, Dictionary, Entry, Event, Fault, FeedId, Key, Record, ResultRow, Timestamp,
};

/// See the module.
pub struct Interpreter {
    share: Share,
    dictionary: Dictionary,
    /// The same names, counted and summed.
    names: Names,
    feeds: FeedClocks,
    definitions: BTreeMap<String, PipelineDefinition>,
    pipelines: BTreeMap<String, PipelineRun>,
    /// Names of pipelines that were removed: one that comes back begins with the first window after
    /// that, so that no alert is raised twice. And `pipeline/rule` of rules that were, whose alerts
    /// nobody remembers.
    removed: BTreeSet<String>,
    /// Names of the pipelines that read a feed, by feed id.
    readers: Vec<Vec<String>>,
    ticked: Timestamp,
    /// The arrival clock: arrival time of the latest record that has one. Controls and steps have
    /// none of their own, and that of their batch depends on where it was cut.
    arrived_at: Timestamp,
    /// Definitions as text, for checkpoints.
    texts: Texts,
    /// A checkpoint that is not handed over.
    saving: Option<Saving>,
    out: Vec<ResultRow>,
}

impl Interpreter {
    /// A fold that has seen nothing, for worker `index` of `workers`.
    #[must_use]
    pub fn new(index: usize, workers: usize) -> Self {
        Self {
            share: Share { index, workers },
            dictionary: Dictionary::default(),
            names: Names::default(),
            feeds: FeedClocks::default(),
            definitions: BTreeMap::new(),
            pipelines: BTreeMap::new(),
            removed: BTreeSet::new(),
            readers: Vec::new(),
            ticked: Timestamp::MIN,
            arrived_at: Timestamp::MIN,
            texts: Texts::default(),
            saving: None,
            out: Vec::new(),
        }
    }

    /// Takes in a batch; the rows it caused, in no order yet (see [`order`]).
    pub fn apply(&mut self, batch: &Batch) -> Vec<ResultRow> {
        self.apply_with(batch, &[])
    }

    /// Takes in a batch, with what the recomputes that it asks for are about.
    pub fn apply_with(&mut self, batch: &Batch, past: &[Past]) -> Vec<ResultRow> {
        for (sequence, record) in batch.iter() {
            let before = self.arrived_at;
            self.arrived_at = before.max(record.arrived_at().unwrap_or(Timestamp::MIN));
            let cause = Cause { sequence, arrived_at: self.arrived_at };
            match record {
                Record::Event(event) => self.event(batch, event, cause),
                Record::Control(control) => {
                    // Windows and rules may go, with their keys.
                    self.complete();
                    self.control(control, cause);
                    if let Some(past) = past.iter().find(|past| past.sequence == sequence) {
                        self.recompute(past, cause);
                    }
                }
                Record::Step { feed, watermark } => {
                    if let Some(clock) = self.feeds.get_mut(*feed) {
                        clock.watermark = Some(*watermark);
                    }
                    let readers = self.readers.get(feed.index()).cloned().unwrap_or_default();
                    self.zone_steps(&readers, cause);
                }
                Record::Tick { from, to, observed } => {
                    self.feeds.tick(observed, *from, *to);
                    self.ticked = *to;
                    if self.pipelines.values().any(|pipeline| pipeline.forgets_by(*to)) {
                        self.complete();
                    }
                    self.pipelines.values_mut().for_each(|pipeline| pipeline.settle(*from));
                    self.tick(*to, cause);
                }
                Record::Entry(entry) => self.learn(entry),
                Record::Refusal(refusal) => {
                    if let Some(clock) = self.feeds.get_mut(refusal.feed) {
                        clock.record();
                    }
                }
                // Counted long ago; it comes with the batch's recompute.
                Record::Restored { .. } => {}
            }
            if let Some(slices) = Slices::between(before, self.arrived_at) {
                self.amend(slices, cause);
            }
            if let Record::Tick { to, .. } = record {
                self.forget(*to, cause);
            }
        }
        std::mem::take(&mut self.out)
    }

    /// What became of events in this worker's windows, by pipeline.
    pub fn counts(&self) -> impl Iterator<Item = (&str, Counts)> {
        self.pipelines.iter().map(|(name, pipeline)| (name.as_str(), pipeline.counts))
    }

    fn learn(&mut self, entry: &Entry) {
        self.dictionary.insert(entry);
        self.names.add(entry);
        if let Entry::Feed(name) = entry {
            self.feeds.learn(name);
            self.readers.push(Vec::new());
        }
    }

    fn event(&mut self, batch: &Batch, event: &Event, cause: Cause) {
        let Some(clock) = self.feeds.get_mut(event.feed) else { return };
        clock.record();
        let watermark = event.event_at.min(event.arrived_at).minus(clock.out_of_orderness());
        for name in self.readers.get(event.feed.index()).map(Vec::as_slice).unwrap_or_default() {
            if let Some(pipeline) = self.pipelines.get_mut(name) {
                let mut moment = Moment::new(cause, self.ticked, &self.feeds, &mut self.out);
                let readings = batch.readings_of(event);
                pipeline.event(event, readings, watermark, &self.dictionary, &mut moment);
            }
        }
    }

    fn zone_steps(&mut self, names: &[String], cause: Cause) {
        for name in names {
            if let Some(pipeline) = self.pipelines.get_mut(name) {
                let to = self.feeds.zone_watermark(&pipeline.feeds, self.ticked);
                pipeline.zone_step(to, &mut Moment::new(cause, self.ticked, &self.feeds, &mut self.out));
            }
        }
    }

    fn tick(&mut self, to: Timestamp, cause: Cause) {
        for pipeline in self.pipelines.values_mut() {
            let watermark = self.feeds.zone_watermark(&pipeline.feeds, to);
            let drained = self.feeds.drained(&pipeline.feeds);
            let mut moment = Moment::new(cause, self.ticked, &self.feeds, &mut self.out);
            pipeline.zone_step(watermark, &mut moment);
            pipeline.observe(drained, || self.feeds.passed(to).into());
            pipeline.tick(to, drained, &mut moment);
        }
    }

    /// Lets amendments leave whose slices have begun.
    fn amend(&mut self, slices: Slices, cause: Cause) {
        for pipeline in self.pipelines.values_mut() {
            pipeline.amend(slices, &mut Moment::new(cause, self.ticked, &self.feeds, &mut self.out));
        }
    }

    /// Forgets definitions that are over by the tick `to`: whose place was taken by what was amended just
    /// now leaves nothing open.
    fn forget(&mut self, to: Timestamp, cause: Cause) {
        for pipeline in self.pipelines.values_mut() {
            pipeline.forget(to, &mut Moment::new(cause, self.ticked, &self.feeds, &mut self.out));
        }
    }

    fn control(&mut self, control: &Arc<Control>, cause: Cause) {
        match &**control {
            Control::Feed { feed } => {
                if let Some(clock) = self.feeds.id(&feed.name).and_then(|id| self.feeds.get_mut(id)) {
                    clock.definition = Some(feed.clone());
                }
                // Pipelines that read it are compiled again when they change themselves, or now.
                let affected: Vec<PipelineDefinition> =
                    self.definitions.values().filter(|p| reads(p).contains(&feed.name)).cloned().collect();
                for pipeline in affected {
                    self.define(&pipeline, cause);
                }
            }
            Control::Pipeline { pipeline } => {
                let before = self.definitions.insert(pipeline.name.clone(), (**pipeline).clone());
                self.removed.extend(before.iter().flat_map(|before| rules_gone(before, pipeline)));
                self.define(pipeline, cause);
            }
            Control::PipelineRemoved { name } => {
                self.definitions.remove(name);
                self.removed.insert(name.clone());
                if let Some(pipeline) = self.pipelines.remove(name) {
                    pipeline.end(&mut Moment::new(cause, self.ticked, &self.feeds, &mut self.out));
                }
            }
            // Its readings come with the batch: see `apply_with`.
            Control::Recompute(_) | Control::HostClock { .. } => return,
        }
        self.index_readers();
    }

    /// Computes the windows of a range again, and judges them.
    fn recompute(&mut self, past: &Past, cause: Cause) {
        let mut pipelines = std::mem::take(&mut self.pipelines);
        let rows = self.recomputed(past, cause, &mut pipelines);
        self.pipelines = pipelines;
        self.out.extend(rows);
    }

    /// The windows of a range by the definitions in force, of this worker's keys, and what becomes
    /// of their alerts; `standing` is what was published, by pipeline.
    #[must_use]
    pub fn recomputed<S: Standing>(
        &self,
        past: &Past,
        cause: Cause,
        standing: &mut BTreeMap<String, S>,
    ) -> Vec<ResultRow> {
        if past.is_overfull() {
            error!(from = %past.asked.from, to = %past.asked.to, "a recompute of too many events; ask for a shorter range");
            return Vec::new();
        }
        let events = past.in_order(&self.dictionary);
        let mut rows = Vec::new();
        for definition in self.definitions.values() {
            let Ok((mut plan, feeds, register)) = self.compiled(definition) else { continue };
            let known = |rule: &RulePlan| {
                let name = &definition.name;
                !self.removed.contains(name) && !self.removed.contains(&format!("{name}/{}", rule.name))
            };
            plan.windows.iter_mut().for_each(|(_, rules)| rules.retain(|rule| known(rule)));
            plan.readings.retain(|rule| known(rule));
            let Some(standing) = standing.get_mut(&definition.name) else { continue };
            let whole = Whole { plan, feeds, register, share: self.share };
            rows.extend(recompute(whole, (past, &events), &self.dictionary, cause, standing));
        }
        rows
    }

    /// A definition over its feeds as they are now, with these and the register of their sensors.
    fn compiled(
        &self,
        definition: &PipelineDefinition,
    ) -> Result<(PipelinePlan, Vec<FeedId>, Register), Fault> {
        let ids: Vec<FeedId> = reads(definition).iter().filter_map(|name| self.feeds.id(name)).collect();
        let feeds: Vec<&FeedDefinition> =
            ids.iter().filter_map(|id| self.feeds.get(*id)?.definition.as_deref()).collect();
        Ok((compile::compile(definition, &feeds)?, ids, register_of(&feeds)))
    }

    /// Finds again which pipelines read a feed.
    fn index_readers(&mut self) {
        self.readers.iter_mut().for_each(Vec::clear);
        for (name, pipeline) in &self.pipelines {
            for feed in &pipeline.feeds {
                if let Some(readers) = self.readers.get_mut(feed.index()) {
                    readers.push(name.clone());
                }
            }
        }
    }

    fn define(&mut self, definition: &PipelineDefinition, cause: Cause) {
        let (plan, ids, register) = match self.compiled(definition) {
            Ok(compiled) => compiled,
            Err(fault) => {
                // `config` refuses what does not compile; a journal of another version may hold it.
                error!(pipeline = %definition.name, %fault, "a pipeline in the journal does not compile; it stays as it was");
                return;
            }
        };
        if self.share.index == 0 {
            let plans = plan.windows.iter().map(|(window, _)| window.description.clone());
            self.out.extend(plans.map(|plan| ResultRow::Plan(cause.sequence, plan)));
        }
        let mut next = match self.pipelines.remove(&definition.name) {
            Some(old) => {
                let mut moment = Moment::new(cause, self.ticked, &self.feeds, &mut self.out);
                old.replaced_by(plan, ids, self.share, &mut moment)
            }
            None => {
                let begins_at = self.removed.contains(&definition.name).then_some(cause.arrived_at);
                PipelineRun::new(plan, ids, self.share, cause.sequence, begins_at)
            }
        };
        next.register(&register, cause.arrived_at);
        self.pipelines.insert(definition.name.clone(), next);
    }
}

fn reads(pipeline: &PipelineDefinition) -> Vec<String> {
    pipeline.reads.clone().unwrap_or_else(|| pipeline.feeds.iter().map(|feed| feed.name.clone()).collect())
}

/// Rules that another definition of their pipeline has no more, has on other keys, or makes of a condition
/// an absence or the other way round: none of them keeps its alerts.
fn rules_gone(before: &PipelineDefinition, now: &PipelineDefinition) -> Vec<String> {
    let keys = |pipeline: &PipelineDefinition, rule: &RuleDefinition| {
        pipeline.windows.iter().find(|window| window.name == rule.on).map(|window| window.by.clone())
    };
    let stays = |rule: &RuleDefinition| {
        let same = now.rules.iter().find(|own| own.name == rule.name);
        same.is_some_and(|own| {
            let alike = own.on == rule.on && own.absent_for.is_some() == rule.absent_for.is_some();
            alike && keys(now, own) == keys(before, rule)
        })
    };
    let gone = before.rules.iter().filter(|rule| !stays(rule));
    gone.map(|rule| format!("{}/{}", before.name, rule.name)).collect()
}

/// Puts the rows of all workers in the one order of the results log: by (cause, plan, key,
/// window), transitions after the aggregates of the same cause.
pub fn order(rows: &mut [ResultRow]) {
    rows.sort_by_cached_key(|row| {
        let (kind, plan, key, at): (u8, u128, Key, Timestamp) = match row {
            ResultRow::Plan(_, plan) => (0, u128::from(plan.hash), Key::default(), Timestamp::MIN),
            ResultRow::Aggregate(row) => (1, u128::from(row.plan.hash), row.key.clone(), row.start),
            ResultRow::Retraction(row) => (1, u128::from(row.plan.hash), row.key.clone(), row.start),
            // Transitions of one alert keep the order in which they were made: the sort is stable.
            ResultRow::Transition(row) => (2, 0, row.key.clone(), Timestamp::MIN),
        };
        let rule = match row {
            ResultRow::Transition(row) => Some((row.pipeline.clone(), row.rule.clone())),
            _ => None,
        };
        (row.cause(), kind, plan, rule, key, at)
    });
}
