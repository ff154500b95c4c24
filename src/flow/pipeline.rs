//! One pipeline as it runs on one worker.

mod again;
mod state;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::compile::{Origin, PipelinePlan};
use super::keys::Share;
use super::mapping::{Mapped, Mapping};
use super::moment::Moment;
use super::readings::{Limits, ReadingsRun};
use super::rules::RulePlan;
use super::slices::Slices;
use super::slots::{Judge, Slot};
use super::windows::register::Register;
use super::windows::{Arrived, Made, WindowRun};
use crate::model::{Dictionary, Event, FeedId, Reading, Span, Timestamp};
use crate::window::{Bounds, Outcome};

/// What became of events in the windows of a pipeline; an event counts once for each window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// In time.
    pub counted: u64,
    /// Amended a closed window.
    pub late: u64,
    /// Came after the window was sealed.
    pub too_late: u64,
    /// Met the pipeline's `exclude` (once an event, whatever the number of windows).
    pub excluded: u64,
    /// Came too late for a rule on readings, and was not judged by it.
    pub unjudged: u64,
}

impl Counts {
    /// Each with its name in metrics.
    #[must_use]
    pub fn named(self) -> [(&'static str, u64); 5] {
        [
            ("counted", self.counted),
            ("late", self.late),
            ("too_late", self.too_late),
            ("excluded", self.excluded),
            ("unjudged", self.unjudged),
        ]
    }

    /// Adds another's to these.
    pub fn add(&mut self, other: Self) {
        self.counted += other.counted;
        self.late += other.late;
        self.too_late += other.too_late;
        self.excluded += other.excluded;
        self.unjudged += other.unjudged;
    }
}

/// One pipeline.
pub struct PipelineRun {
    /// Its plan.
    pub plan: PipelinePlan,
    /// Feeds it reads that have an id.
    pub feeds: Vec<FeedId>,
    /// What became of events since it began.
    pub counts: Counts,
    windows: Vec<WindowRun>,
    /// Journal sequence of the definition it began with.
    since: u64,
    readings: ReadingsRun,
    zone_watermark: Timestamp,
    /// By feed, how far observed time had come at the last tick with drained feeds.
    passed: Arc<[(Timestamp, Span)]>,
    mapping: Mapping,
    /// Mappings of the definitions whose windows are ending.
    earlier: Vec<(Arc<Origin>, Mapping)>,
}

impl PipelineRun {
    /// A pipeline that has seen nothing, defined by the journal's record `since`; its windows begin
    /// with `begins_at`.
    #[must_use]
    pub fn new(
        plan: PipelinePlan,
        feeds: Vec<FeedId>,
        share: Share,
        since: u64,
        begins_at: Option<Timestamp>,
    ) -> Self {
        let ids: Arc<[FeedId]> = feeds.as_slice().into();
        let windows = (0_u32..).zip(&plan.windows).map(|(place, (window, rules))| {
            let made = Made { origin: plan.origin.clone(), since, place };
            let begins_at = begins_at.map_or(Timestamp::MIN, |at| window.grid.pane_from(at));
            let bounds = Bounds { begins_at, ..Bounds::ALL };
            let judge = |rule: &Arc<RulePlan>| Judge { rule: rule.clone(), origin: plan.origin.clone() };
            let slots = rules.iter().map(judge).map(Slot::new).collect();
            WindowRun::new(made, window.clone(), ids.clone(), slots, plan.amend_every, bounds, share)
        });
        let windows = windows.collect();
        let names = plan.columns.keys().cloned().collect();
        let limits = Limits { allowed_lateness: plan.allowed_lateness, open_max: plan.open_max };
        let readings = ReadingsRun::new(plan.readings.clone(), names, limits, share);
        let mapping = Mapping::new(&plan, feeds.clone());
        Self {
            plan,
            feeds,
            counts: Counts::default(),
            windows,
            since,
            readings,
            zone_watermark: Timestamp::MIN,
            passed: Arc::from([]),
            mapping,
            earlier: Vec::new(),
        }
    }

    /// The pipeline was defined anew: windows whose definition is the same go on, others begin
    /// with the first window after the change and the old ones end there. Rules that go on keep
    /// their alerts; open alerts of rules that do not are resolved.
    #[must_use]
    pub fn replaced_by(
        self,
        plan: PipelinePlan,
        feeds: Vec<FeedId>,
        share: Share,
        moment: &mut Moment<'_>,
    ) -> Self {
        let mut next = Self::new(plan, feeds, share, moment.cause.sequence, Some(moment.cause.arrived_at));
        next.zone_watermark = self.zone_watermark;
        next.passed = self.passed.clone();
        let moment = &mut moment.within(&self.passed);
        next.since = self.since;
        next.counts = self.counts;
        next.earlier = self.earlier;
        let mut ending: Vec<WindowRun> = Vec::new();
        for mut old in self.windows {
            // A definition that comes back after another begins anew: its earlier run has ended.
            let ended = old.bounds.ends_at < Timestamp::MAX;
            let hash = old.plan.description.hash;
            let same = next.windows.iter_mut().find(|new| !ended && new.plan.description.hash == hash);
            if let Some(new) = same {
                let rules = new.rules.iter().map(|slot| slot.now.clone()).collect();
                old.replace_rules(rules, new.amend_every, moment);
                // The same but for the places of its quantities in the rows of the new definition.
                (old.plan, old.made.origin) = (new.plan.clone(), new.made.origin.clone());
                *new = old;
            } else {
                let follows = |new: &&WindowRun| {
                    new.plan.description.window == old.plan.description.window
                        && new.plan.grid.period() == old.plan.grid.period()
                };
                let successor = next.windows.iter().find(follows);
                let ends_at = successor.map_or(moment.cause.arrived_at, |new| new.bounds.begins_at);
                old.bounds.ends_at = old.bounds.ends_at.min(ends_at);
                if !ended {
                    next.earlier.push((old.made.origin.clone(), self.mapping.clone()));
                }
                let by = old.plan.description.by.clone();
                old.ends(|name| next.plan.succeeds(name, &by), moment);
                old.reword(&next.plan);
                ending.push(old);
            }
        }
        next.windows.extend(ending);
        next.forget_mappings();
        next.readings.take_over(self.readings, moment);
        next
    }

    /// Keeps one mapping for each definition whose windows are ending.
    fn forget_mappings(&mut self) {
        let ending: Vec<&Arc<Origin>> = self
            .windows
            .iter()
            .filter(|window| window.is_ending())
            .map(|window| &window.made.origin)
            .collect();
        let mut kept: Vec<(Arc<Origin>, Mapping)> = Vec::new();
        for (origin, mapping) in self.earlier.drain(..) {
            let known = kept.iter().any(|(known, _)| Arc::ptr_eq(known, &origin));
            if !known && ending.iter().any(|ending| Arc::ptr_eq(ending, &origin)) {
                kept.push((origin, mapping));
            }
        }
        self.earlier = kept;
    }

    /// The registers of its feeds, as written at `at` of the arrival clock.
    pub fn register(&mut self, register: &Register, at: Timestamp) {
        self.windows.iter_mut().for_each(|window| window.register(register, &self.feeds, at));
    }

    /// Sensors are expected at the intervals of this register, at all times; none is missed.
    pub fn expect(&mut self, register: &Arc<Register>) {
        self.windows.iter_mut().for_each(|window| window.expect(register));
    }

    /// The arrival clock ticks: what was registered since it did last counts from here on.
    pub fn settle(&mut self, tick: Timestamp) {
        self.windows.iter_mut().for_each(|window| window.settle(tick));
    }

    /// The pipeline is gone: its open alerts are resolved.
    pub fn end(mut self, moment: &mut Moment<'_>) {
        let moment = &mut moment.within(&self.passed);
        for window in &mut self.windows {
            window.end_rules(moment.cause.arrived_at, moment);
        }
        self.readings.end(moment);
    }

    /// Takes in an event of one of its feeds.
    pub fn event(
        &mut self,
        event: &Event,
        readings: &[Reading],
        watermark: Timestamp,
        dictionary: &Dictionary,
        moment: &mut Moment<'_>,
    ) {
        let moment = &mut moment.within(&self.passed);
        let sequence = moment.cause.sequence;
        let Some(now) = self.mapping.read(event, readings, dictionary, sequence) else { return };
        let earlier: Vec<(&Arc<Origin>, Option<Mapped<'_>>)> = self
            .earlier
            .iter_mut()
            .map(|(origin, mapping)| (&*origin, mapping.read(event, readings, dictionary, sequence)))
            .collect();
        for place in 0..self.windows.len() {
            let (newer, rest) = self.windows.split_at_mut(place);
            let Some((window, ending)) = rest.split_first_mut() else { break };
            let mut own = earlier.iter().filter(|_| window.is_ending());
            let before = own.find(|(origin, _)| Arc::ptr_eq(origin, &window.made.origin));
            let mapped = before.and_then(|(_, mapped)| mapped.as_ref()).unwrap_or(&now);
            let plan = &window.plan;
            let speaks = plan.columns.is_empty()
                || plan.columns.iter().any(|own| mapped.samples.iter().any(|s| s.0 == own.column));
            let samples = (!mapped.excluded && speaks).then_some(mapped.samples.as_slice());
            let arrived = Arrived { event, feed: mapped.feed, watermark, samples };
            match window.event(&arrived, dictionary, &mut moment.between(newer, ending)) {
                Some(Outcome::Counted) => self.counts.counted += 1,
                Some(Outcome::Late) => self.counts.late += 1,
                Some(Outcome::TooLate) => self.counts.too_late += 1,
                Some(Outcome::Outside) | None => {}
            }
        }
        self.counts.excluded += u64::from(now.excluded);
        if !self.plan.readings.is_empty() {
            let row = self.mapping.row(&now.texts);
            let row = (!now.excluded).then_some(&row);
            let judged = self.readings.event(event, watermark, row, dictionary, moment);
            self.counts.unjudged += u64::from(!judged);
        }
    }

    /// The watermark of its feeds has come to `to`.
    pub fn zone_step(&mut self, to: Timestamp, moment: &mut Moment<'_>) {
        if to <= self.zone_watermark {
            return;
        }
        self.zone_watermark = to;
        let moment = &mut moment.within(&self.passed);
        for place in 0..self.windows.len() {
            let (newer, rest) = self.windows.split_at_mut(place);
            let Some((window, ending)) = rest.split_first_mut() else { break };
            window.zone_step(to, &mut moment.between(newer, ending));
        }
    }

    /// Ticks come to `to`: its feeds have `drained`, and observed time has `passed`.
    pub fn observe(&mut self, drained: bool, passed: impl FnOnce() -> Arc<[(Timestamp, Span)]>) {
        if drained {
            self.passed = passed();
        }
    }

    /// The arrival clock has come to these slices.
    pub fn amend(&mut self, slices: Slices, moment: &mut Moment<'_>) {
        let moment = &mut moment.within(&self.passed);
        for place in 0..self.windows.len() {
            let (newer, rest) = self.windows.split_at_mut(place);
            let Some((window, ending)) = rest.split_first_mut() else { break };
            window.amend(slices, &mut moment.between(newer, ending));
        }
    }

    /// Ticks have come to `to`.
    pub fn tick(&mut self, to: Timestamp, drained: bool, moment: &mut Moment<'_>) {
        let moment = &mut moment.within(&self.passed);
        for place in 0..self.windows.len() {
            let (newer, rest) = self.windows.split_at_mut(place);
            let Some((window, ending)) = rest.split_first_mut() else { break };
            window.tick(to, drained, &mut moment.between(newer, ending));
        }
        self.readings.tick(to, drained, moment);
    }

    /// Ticks have come to `to`, and everything that this changes is published: a replaced definition is
    /// forgotten once its last window is sealed.
    pub fn forget(&mut self, to: Timestamp, moment: &mut Moment<'_>) {
        let moment = &mut moment.within(&self.passed);
        self.windows.retain_mut(|window| {
            let over = window.is_over(to);
            if over {
                window.forget_rules(moment);
            }
            !over
        });
        if !self.earlier.is_empty() {
            self.forget_mappings();
        }
    }
}
