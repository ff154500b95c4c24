//! One pipeline as it runs on one worker.

mod state;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::compile::PipelinePlan;
use super::keys::Share;
use super::moment::Moment;
use super::readings::{Limits, ReadingsRun};
use super::windows::register::Register;
use super::windows::{Arrived, Made, WindowRun};
use crate::model::{Aggregate, Dictionary, Event, FeedId, QuantityId, Reading, Span, Timestamp};
use crate::rule::Row;
use crate::window::{Bounds, Outcome, Sample};

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
    passed: Arc<[Timestamp]>,
    /// Column of each quantity id, as far as resolved.
    places: Vec<Option<u16>>,
    /// Whether conditions look at whole rows.
    rows: bool,
    numbers: Vec<Option<f64>>,
    /// Decimals of each column.
    decimals: Vec<u8>,
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
        let windows = (0_u32..).zip(&plan.windows).map(|(place, (window, rules))| {
            let made = Made { origin: plan.origin.clone(), since, place };
            let begins_at = begins_at.map_or(Timestamp::MIN, |at| window.grid.pane_from(at));
            let bounds = Bounds { begins_at, ..Bounds::ALL };
            WindowRun::new(made, window.clone(), rules.clone(), plan.amend_every, bounds, share)
        });
        let windows = windows.collect();
        let names = plan.columns.keys().cloned().collect();
        let limits = Limits { allowed_lateness: plan.allowed_lateness, open_max: plan.open_max };
        let readings = ReadingsRun::new(plan.readings.clone(), names, limits, share);
        let rows = plan.exclude.is_some() || !plan.readings.is_empty();
        let numbers = vec![None; plan.columns.len()];
        let decimals = plan.columns.values().map(|column| column.decimals).collect();
        Self {
            plan,
            feeds,
            counts: Counts::default(),
            windows,
            since,
            readings,
            zone_watermark: Timestamp::MIN,
            passed: Arc::from([]),
            places: Vec::new(),
            rows,
            numbers,
            decimals,
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
        next.passed = self.passed;
        next.since = self.since;
        next.counts = self.counts;
        let mut ending = Vec::new();
        for mut old in self.windows {
            // A definition that comes back after another begins anew: its earlier run has ended.
            let ended = old.bounds.ends_at < Timestamp::MAX;
            let hash = old.plan.description.hash;
            let same = next.windows.iter_mut().find(|new| !ended && new.plan.description.hash == hash);
            if let Some(new) = same {
                old.replace_rules(new.rules.clone(), new.amend_every, moment);
                *new = old;
            } else {
                let follows = |new: &&WindowRun| {
                    new.plan.description.window == old.plan.description.window
                        && new.plan.grid.period() == old.plan.grid.period()
                };
                let successor = next.windows.iter().find(follows);
                let ends_at = successor.map_or(moment.cause.arrived_at, |new| new.bounds.begins_at);
                old.bounds.ends_at = old.bounds.ends_at.min(ends_at);
                old.replace_rules(Vec::new(), old.amend_every, moment);
                ending.push(old);
            }
        }
        next.windows.extend(ending);
        next.readings.take_over(self.readings, moment);
        next
    }

    /// The registers of its feeds, as written at `at` of the arrival clock.
    pub fn register(&mut self, register: &Register, at: Timestamp) {
        self.windows.iter_mut().for_each(|window| window.register(register, at));
    }

    /// The arrival clock ticks: what was registered since it did last counts from here on.
    pub fn settle(&mut self, tick: Timestamp) {
        self.windows.iter_mut().for_each(|window| window.settle(tick));
    }

    /// The pipeline is gone: its open alerts are resolved.
    pub fn end(mut self, moment: &mut Moment<'_>) {
        for window in &mut self.windows {
            window.replace_rules(Vec::new(), window.amend_every, moment);
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
        let Some((_, device)) = dictionary.device(event.device) else { return };
        let mut samples: Vec<(u16, Sample<'_>)> = Vec::with_capacity(readings.len());
        for reading in readings {
            let Some(place) = self.place(reading.quantity, dictionary) else { continue };
            let sample = Sample {
                mantissa: reading.value.0,
                event_at: event.event_at,
                device,
                counter: event.counter,
                sequence: moment.cause.sequence,
            };
            samples.push((place, sample));
        }
        let texts = if self.rows { self.fill_row(event, &samples, dictionary) } else { Vec::new() };
        let row = Row { numbers: &self.numbers, texts: &texts };
        let excluded = self.plan.exclude.as_ref().is_some_and(|exclude| exclude.eval(&row) == Some(true));
        let feed = self.feeds.iter().position(|id| *id == event.feed).unwrap_or_default();
        for window in &mut self.windows {
            let plan = &window.plan;
            let speaks = plan.columns.is_empty()
                || plan.columns.iter().any(|own| samples.iter().any(|s| s.0 == own.column));
            let samples = (!excluded && speaks).then_some(samples.as_slice());
            match window.event(&Arrived { event, feed, watermark, samples }, dictionary, moment) {
                Some(Outcome::Counted) => self.counts.counted += 1,
                Some(Outcome::Late) => self.counts.late += 1,
                Some(Outcome::TooLate) => self.counts.too_late += 1,
                Some(Outcome::Outside) | None => {}
            }
        }
        self.counts.excluded += u64::from(excluded);
        if !self.plan.readings.is_empty() {
            let row = (!excluded).then_some(&row);
            let judged = self.readings.event(event, watermark, row, dictionary, moment);
            self.counts.unjudged += u64::from(!judged);
        }
    }

    fn fill_row<'d>(
        &mut self,
        event: &Event,
        samples: &[(u16, Sample<'_>)],
        dictionary: &'d Dictionary,
    ) -> Vec<Option<&'d str>> {
        self.numbers.fill(None);
        for (place, sample) in samples {
            let place = usize::from(*place);
            if let (Some(number), Some(decimals)) = (self.numbers.get_mut(place), self.decimals.get(place)) {
                *number = Some(crate::model::Value(sample.mantissa).to_f64(*decimals));
            }
        }
        let tags = dictionary.tags(event.tags);
        let text = |name: &Arc<str>| {
            if &**name == super::keys::SENSOR {
                return dictionary.device(event.device).map(|device| &*device.1);
            }
            tags.and_then(|tags| tags.iter().find(|tag| tag.0 == *name)).map(|tag| &*tag.1)
        };
        self.plan.texts.iter().map(text).collect()
    }

    /// Column of a quantity; one of another unit or other decimals is not the pipeline's.
    fn place(&mut self, id: QuantityId, dictionary: &Dictionary) -> Option<u16> {
        while self.places.len() <= id.index() {
            let quantity = dictionary.quantity(QuantityId(self.places.len() as u16))?;
            let place = self.plan.columns.iter().position(|(name, column)| {
                **name == *quantity.name
                    && column.decimals == quantity.decimals
                    && *column.unit == *quantity.unit
            });
            self.places.push(place.map(|place| place as u16));
        }
        self.places.get(id.index()).copied().flatten()
    }

    /// Whether a window is one that late readings can still amend.
    #[must_use]
    pub fn may_amend(&self, row: &Aggregate) -> bool {
        self.windows.iter().any(|window| window.may_amend(row))
    }

    /// The watermark of its feeds has come to `to`.
    pub fn zone_step(&mut self, to: Timestamp, moment: &mut Moment<'_>) {
        if to <= self.zone_watermark {
            return;
        }
        self.zone_watermark = to;
        for window in &mut self.windows {
            window.zone_step(to, moment);
        }
    }

    /// By feed, how far observed time had come at the last tick with drained feeds.
    #[must_use]
    pub fn passed(&self) -> Arc<[Timestamp]> {
        self.passed.clone()
    }

    /// Ticks come to `to`: its feeds have `drained`, and observed time has `passed`.
    pub fn observe(&mut self, drained: bool, passed: impl FnOnce() -> Arc<[Timestamp]>) {
        if drained {
            self.passed = passed();
        }
    }

    /// Ticks have come to `to`.
    pub fn tick(&mut self, to: Timestamp, drained: bool, moment: &mut Moment<'_>) {
        for window in &mut self.windows {
            window.tick(to, drained, moment);
        }
        self.readings.tick(to, drained, moment);
        // A replaced definition is forgotten once its last window is sealed.
        self.windows.retain(|window| {
            let over = window
                .bounds
                .ends_at
                .plus(window.plan.grid.longest())
                .plus(window.plan.open_max)
                .plus(Span(1));
            to <= over
        });
    }
}
