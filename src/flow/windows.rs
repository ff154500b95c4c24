//! One window of one pipeline as it runs on one worker: its keys, their timers and their rules.

mod again;
mod courses;
mod handover;
mod judging;
mod passing;
mod quiet;
pub mod register;
mod state;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use self::courses::{Courses, shares};
use self::judging::Rules;
use self::passing::note;
use self::quiet::Due;
use self::register::Register;
use super::compile::Origin;
use super::key_runs::KeyRuns;
use super::keys::{KeyTable, Share};
use super::moment::{Moment, Seen, names_of_window};
use super::slices::{SLICES, Slices, slice_of};
use super::slots::Slot;
use super::timers::{Timer, Timers};
use crate::model::{Aggregate, Dictionary, Event, FeedId, Key, ResultRow, Span, Timestamp};
use crate::rule::Guards;
use crate::window::vacant::Registration;
use crate::window::{Bounds, KeyWindows, Outcome, Publication, Sample, WindowPlan};

/// What tells a window's run from every other of its pipeline, for good.
#[derive(Clone)]
pub struct Made {
    /// What its plan was compiled from.
    pub origin: Arc<Origin>,
    /// Journal sequence of the definition it began with.
    pub since: u64,
    /// Its place among the windows of that definition.
    pub place: u32,
}

/// One window.
pub struct WindowRun {
    /// How it came to be.
    pub made: Made,
    /// Its plan.
    pub plan: Arc<WindowPlan>,
    /// The feeds that it reads, by their positions in the plan.
    feeds: Arc<[FeedId]>,
    /// Which windows it publishes.
    pub bounds: Bounds,
    /// Its rules.
    pub rules: Vec<Slot>,
    /// Names of what they see.
    names: Arc<[Arc<str>]>,
    /// By what a row must be like for them to be met.
    guards: Guards,
    /// A window is amended at most this often.
    pub amend_every: Span,
    table: KeyTable,
    keys: KeyRuns<KeyRun>,
    /// Keys by the end of their earliest open window.
    closes: Timers,
    /// Keys by the end of the next window whose sealing publishes or forgets something.
    seals: Timers,
    /// Keys with amendments to publish, by their slice.
    dirty: [Vec<u32>; SLICES],
    /// Keys whose rules wait for time to pass.
    waiting: BTreeSet<u32>,
    /// Keys that may be silent.
    alarms: Timers,
    /// Watermark of the keys that are not a single sensor.
    zone_watermark: Timestamp,
    /// By tick, windows that end at or before are closed.
    tick_closed_to: Timestamp,
    /// By tick, windows that end at or before are sealed.
    tick_sealed_to: Timestamp,
    /// Whether sensors were registered since the last tick.
    fresh: bool,
    /// Of a recompute: what its keys are registered as, once they are heard.
    expected: Option<Arc<Register>>,
}

#[derive(Serialize, Deserialize)]
struct KeyRun {
    /// Stands before the rest of the state.
    #[serde(skip)]
    key: Key,
    /// The feed by which its last event came.
    heard_by: FeedId,
    watermark: Timestamp,
    windows: KeyWindows,
    courses: Courses,
    /// What the last verdict saw.
    seen: Seen,
    /// When it is due among `alarms`.
    alarm: Timer,
    amended_at: Timestamp,
    /// When it is due among `closes`.
    close_timer: Timer,
    /// When it is due among `seals`.
    seal_timer: Timer,
    /// Whether it is among `dirty`.
    dirty: bool,
    /// No window of it closes before, and none is sealed that has something to publish or forget.
    #[serde(skip)]
    due: Due,
    /// Its place in the register.
    registration: Option<Box<Registration>>,
    /// Whether it is among `waiting`.
    waiting: bool,
}

/// What an event is to a window: its own watermark and its samples by column.
pub struct Arrived<'a> {
    /// The event.
    pub event: &'a Event,
    /// Position of its feed among those of the pipeline.
    pub feed: usize,
    /// Watermark that the event gives its sensor.
    pub watermark: Timestamp,
    /// Its readings by column; `None` when it is excluded or has none of the window's quantities.
    pub samples: Option<&'a [(u16, Sample<'a>)]>,
}

impl WindowRun {
    /// A window that has seen nothing.
    #[must_use]
    pub fn new(
        made: Made,
        plan: Arc<WindowPlan>,
        feeds: Arc<[FeedId]>,
        rules: Vec<Slot>,
        amend_every: Span,
        bounds: Bounds,
        share: Share,
    ) -> Self {
        let table = KeyTable::new(&plan.description.by, plan.grid.period(), share);
        Self {
            made,
            names: names_of_window(&plan.description),
            guards: judging::guards(&rules),
            plan,
            feeds,
            bounds,
            rules,
            amend_every,
            table,
            keys: KeyRuns::default(),
            closes: Timers::default(),
            seals: Timers::default(),
            dirty: Default::default(),
            waiting: BTreeSet::new(),
            alarms: Timers::default(),
            zone_watermark: Timestamp::MIN,
            tick_closed_to: Timestamp::MIN,
            tick_sealed_to: Timestamp::MIN,
            fresh: false,
            expected: None,
        }
    }

    /// Takes in an event; the outcome counts for the accounts, `None` when another worker's.
    pub fn event(
        &mut self,
        arrived: &Arrived<'_>,
        dictionary: &Dictionary,
        moment: &mut Moment<'_>,
    ) -> Option<Outcome> {
        let (number, new) = self.table.of(arrived.event, dictionary)?;
        if let Some(key) = new {
            let registration = self.expected_as(&key);
            self.keys.push(KeyRun { registration, ..KeyRun::new(key, &self.rules) });
        }
        let run = self.keys.get_mut(number as usize)?;
        if run.heard_by != arrived.event.feed {
            run.heard_by = arrived.event.feed;
            run.courses.stir();
        }
        let mut outcome = None;
        if let Some(samples) = arrived.samples {
            self.catch_up(number, moment);
            let run = self.keys.get_mut(number as usize)?;
            let (event_at, sequence) = (arrived.event.event_at, moment.cause.sequence);
            let added = run.windows.add(&self.plan, self.bounds, arrived.feed, event_at, sequence, samples);
            match added {
                Outcome::Counted | Outcome::Late => self.arm(number, event_at),
                // Ahead of the first window, or between periods: the next may count from it.
                Outcome::Outside if run.windows.is_dirty() => {
                    run.due = Due::default();
                    self.arm_seal(number);
                }
                Outcome::Outside | Outcome::TooLate => {}
            }
            self.note_dirty(number);
            outcome = Some(added);
        }
        if self.table.by_sensor() {
            let last_end = self.last_end();
            let run = self.keys.get_mut(number as usize)?;
            if arrived.watermark > run.watermark {
                let sealed_to = arrived.watermark.minus(self.plan.allowed_lateness);
                let quiet = run.lets_pass(arrived.watermark, sealed_to, moment);
                if !quiet {
                    // Before the watermark moves: what closes now is judged at the time before it.
                    run.courses.told(&self.rules, run.reached(last_end));
                }
                run.watermark = arrived.watermark;
                if !quiet {
                    self.close(number, arrived.watermark, moment);
                    self.pass(number, moment);
                    self.seal(number, sealed_to, moment);
                    self.rest(number);
                }
            }
        }
        outcome
    }

    fn arm(&mut self, number: u32, event_at: Timestamp) {
        let Some(run) = self.keys.get_mut(number as usize) else { return };
        let Some(pane) = self.plan.grid.pane(event_at) else { return };
        let pane_end = self.plan.grid.pane_end(pane);
        // The first of its windows to close ends with the pane.
        run.due = Due { close: run.due.close.min(pane_end), seal: run.due.seal.min(pane_end) };
        let (closes, seals) = (run.close_timer.is_due_by(pane_end), run.seal_timer.is_due_by(pane_end));
        if !seals {
            self.arm_seal(number);
        }
        if !closes {
            self.arm_close(number);
        }
    }

    /// A key that has amendments to publish is told of once.
    fn note_dirty(&mut self, number: u32) {
        let Some(run) = self.keys.get_mut(number as usize) else { return };
        if run.windows.is_dirty() && !run.dirty {
            run.dirty = true;
            self.wait_to_amend(number);
        }
    }

    fn wait_to_amend(&mut self, number: u32) {
        let slice = self.keys.group(number as usize).map(slice_of);
        if let Some(waiting) = slice.and_then(|slice| self.dirty.get_mut(slice)) {
            waiting.push(number);
        }
    }

    /// Whether a window of this plan is this run's and not sealed.
    #[must_use]
    pub fn may_amend(&self, row: &Aggregate) -> bool {
        let own = self.plan.description.hash == row.plan.hash
            && self.bounds.begins_at <= row.start
            && row.start < self.bounds.ends_at;
        let run = self.table.find(&row.key).and_then(|number| self.keys.get(number as usize));
        own && run.is_some_and(|run| !run.windows.is_sealed(row.end))
    }

    /// The watermark of keys that are not a single sensor has come to `to`.
    pub fn zone_step(&mut self, to: Timestamp, moment: &mut Moment<'_>) {
        if self.table.by_sensor() || to <= self.zone_watermark {
            return;
        }
        self.zone_watermark = to;
        self.close_due(to, moment);
        self.pass_waiting(moment);
        self.seal_due(to.minus(self.plan.allowed_lateness), moment);
    }

    /// Ticks have come to `to`; `drained` says whether silent keys may be closed.
    pub fn tick(&mut self, to: Timestamp, drained: bool, moment: &mut Moment<'_>) {
        let sealed_to = to.minus(self.plan.open_max);
        if drained {
            let limit = to.minus(self.plan.close_after);
            self.tick_closed_to = limit;
            self.close_due(limit.max(sealed_to), moment);
            self.pass_waiting(moment);
            self.end_without_successor(limit, moment);
        } else {
            // What is sealed is closed, too: before silences are noted.
            self.close_due(sealed_to, moment);
        }
        self.ring(to, drained, moment);
        self.tick_sealed_to = sealed_to;
        self.seal_due(self.tick_sealed_to, moment);
    }

    /// Publishes the amendments of these slices.
    pub fn amend(&mut self, slices: Slices, moment: &mut Moment<'_>) {
        for slice in 0..SLICES {
            let Some((begin, waiting)) = slices.begin(slice).zip(self.dirty.get_mut(slice)) else { continue };
            for number in std::mem::take(waiting) {
                self.amend_key(number, begin, moment);
            }
        }
    }

    /// Publishes a key's amendments in the slice that began at `at`, or lets them wait on.
    fn amend_key(&mut self, number: u32, at: Timestamp, moment: &mut Moment<'_>) {
        let Some(run) = self.keys.get(number as usize) else { return };
        if run.amended_at.plus(self.amend_every) > at {
            self.wait_to_amend(number);
            return;
        }
        let Some(run) = self.keys.get_mut(number as usize) else { return };
        run.dirty = false;
        let published = run.windows.amend(&self.plan);
        if published.is_empty() {
            // Its changes left when they were sealed: the next may leave in its next slice.
            return;
        }
        run.amended_at = at;
        self.pass(number, moment);
        self.publish(number, published, moment);
    }

    fn close_due(&mut self, limit: Timestamp, moment: &mut Moment<'_>) {
        while let Some(number) = self.closes.take_first(limit) {
            if let Some(run) = self.keys.get_mut(number as usize) {
                run.close_timer = Timer::STOPPED;
            }
            self.close(number, limit, moment);
            self.pass(number, moment);
            let Some(run) = self.keys.get_mut(number as usize) else { continue };
            let next = run.next_close(&self.plan);
            self.closes.set(number, &mut run.close_timer, next);
        }
    }

    /// Closes a key's windows; time is to pass for its rules afterwards.
    fn close(&mut self, number: u32, to: Timestamp, moment: &mut Moment<'_>) {
        let Some(run) = self.keys.get_mut(number as usize) else { return };
        let from = run.windows.closed_to();
        if to <= from {
            return;
        }
        let mut published = run.windows.close(&self.plan, self.bounds, to);
        if let Some(registration) = run.registration.as_deref() {
            let step = (from, to);
            registration.fill(&self.plan, self.bounds, step, moment.cause.sequence, &mut published);
        }
        self.publish(number, published, moment);
    }

    fn seal_due(&mut self, limit: Timestamp, moment: &mut Moment<'_>) {
        while let Some(number) = self.seals.take_first(limit) {
            if let Some(run) = self.keys.get_mut(number as usize) {
                run.seal_timer = Timer::STOPPED;
            }
            // What nothing closed in time (a feed that never drained) is published before it is sealed.
            self.close(number, limit, moment);
            self.pass(number, moment);
            self.seal(number, limit, moment);
            let Some(run) = self.keys.get_mut(number as usize) else { continue };
            let next = run.next_seal(&self.plan);
            self.seals.set(number, &mut run.seal_timer, next);
        }
    }

    /// Seals a key's windows; those that end by `to` are closed, and time has passed for its rules.
    fn seal(&mut self, number: u32, to: Timestamp, moment: &mut Moment<'_>) {
        let Some(run) = self.keys.get_mut(number as usize) else { return };
        let published = run.windows.seal(&self.plan, to);
        self.publish(number, published, moment);
        let reached = self.reached(number);
        let Some(run) = self.keys.get_mut(number as usize) else { return };
        let courses = run.courses.told(&self.rules, reached);
        for (place, course) in courses.each_mut() {
            let Some(slot) = self.rules.get(place) else { continue };
            course.seal(to, slot.rule(course));
        }
        courses.gather(shares(&self.rules));
    }

    /// Publishes revisions and lets the rules judge them; then their time passes.
    fn publish(&mut self, number: u32, published: Vec<Publication>, moment: &mut Moment<'_>) {
        if published.is_empty() {
            return;
        }
        let reached = self.reached(number);
        let Some(run) = self.keys.get_mut(number as usize) else { return };
        for mut publication in published {
            let expected = run.expected_events(&self.plan, &publication);
            let capture = WindowPlan::capture(publication.count, expected);
            self.plan.fill_capture(&mut publication.fields, capture);
            // What did not come while nobody listened says nothing.
            let listened = publication.count > 0
                || run.falls_silent(&self.plan, &publication, |feed, start, end| {
                    let id = self.feeds.get(feed).copied().unwrap_or_default();
                    moment.feeds.observed_within(id, start, end)
                });
            let sufficient = listened && capture.is_none_or(|capture| capture >= self.plan.capture_min);
            if !self.rules.is_empty() && self.plan.grid.is_longest(publication.start) {
                let rules = Rules {
                    slots: &self.rules,
                    guards: &self.guards,
                    names: &self.names,
                    by: &self.plan.description.by,
                    begins_at: self.bounds.begins_at,
                };
                let row = judging::Row { publication: &publication, capture, sufficient };
                run.judge(rules, reached, row, moment);
            }
            moment.out.push(ResultRow::Aggregate(Aggregate {
                cause: moment.cause.sequence,
                plan: self.plan.description.clone(),
                key: run.key.clone(),
                start: publication.start,
                end: publication.end,
                revision: publication.revision,
                count: publication.count,
                capture,
                sufficient,
                fields: publication.fields,
            }));
        }
        self.pass(number, moment);
        let Some(run) = self.keys.get_mut(number as usize) else { return };
        note(&mut self.waiting, &mut self.alarms, number, run, &self.rules, moment);
    }
}

impl KeyRun {
    fn new(key: Key, rules: &[Slot]) -> Self {
        Self {
            key,
            heard_by: FeedId::default(),
            watermark: Timestamp::MIN,
            windows: KeyWindows::default(),
            courses: Courses::new(rules),
            seen: Seen::default(),
            alarm: Timer::STOPPED,
            amended_at: Timestamp::MIN,
            close_timer: Timer::STOPPED,
            seal_timer: Timer::STOPPED,
            dirty: false,
            due: Due::default(),
            registration: None,
            waiting: false,
        }
    }
}
