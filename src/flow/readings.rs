//! Rules on readings: every event of a sensor is judged at its own event time.

mod again;
mod state;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::bundle::Bundle;
use super::course::{Course, Whose};
use super::key_runs::KeyRuns;
use super::keys::{KeyTable, SENSOR, Share};
use super::moment::{Evidence, Heard, Moment, Seen};
use super::rules::{self, RulePlan};
use super::timers::{Timer, Timers};
use crate::model::{Dictionary, Event, Key, Span, Timestamp};
use crate::rule::{Guards, Row};

/// The rules on readings of one pipeline.
pub struct ReadingsRun {
    /// The rules.
    pub rules: Vec<Arc<RulePlan>>,
    /// By what a row must be like for them to be met.
    guards: Guards,
    /// Names of the numbers of a row.
    names: Vec<Arc<str>>,
    limits: Limits,
    table: KeyTable,
    keys: KeyRuns<KeyRun>,
    /// Keys whose rules wait for time to pass.
    waiting: BTreeSet<u32>,
    /// Keys that may be silent or absent.
    alarms: Timers,
}

/// How long readings may come late.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// By the sensor's own watermark.
    pub allowed_lateness: Span,
    /// By ticks.
    pub open_max: Span,
}

#[derive(Serialize, Deserialize)]
struct KeyRun {
    /// Stands before the rest of the state.
    #[serde(skip)]
    key: Key,
    watermark: Timestamp,
    courses: Bundle,
    /// Names of the quantities that the last verdict saw.
    names: Box<[Arc<str>]>,
    seen: Seen,
    /// When it is due among `alarms`.
    alarm: Timer,
    /// Whether it is among `waiting`.
    waiting: bool,
}

impl ReadingsRun {
    /// Rules that have judged nothing.
    #[must_use]
    pub fn new(rules: Vec<Arc<RulePlan>>, names: Vec<Arc<str>>, limits: Limits, share: Share) -> Self {
        Self {
            guards: Guards::new(rules.iter().map(|rule| rule.guards(true))),
            rules,
            names,
            limits,
            table: KeyTable::new(&[SENSOR.into()], None, share),
            keys: KeyRuns::default(),
            waiting: BTreeSet::new(),
            alarms: Timers::default(),
        }
    }

    /// Goes on with the keys of an earlier definition: rules of the same name keep their alerts,
    /// open alerts of those that are gone are resolved.
    pub fn take_over(&mut self, old: Self, moment: &mut Moment<'_>) {
        self.table = old.table;
        self.waiting = old.waiting;
        self.alarms = old.alarms;
        self.keys = old.keys;
        for (number, run) in (0_u32..).zip(&mut self.keys) {
            let courses = run.courses.take();
            let rules = (&*old.rules, &*self.rules);
            let mut courses = rules::take_over(courses, rules, &run.key, run.seen.named(&run.names), moment);
            let sealed_to = run.sealed_to(self.limits, moment.ticked);
            for (course, rule) in courses.iter_mut().zip(&self.rules).filter(|new| !new.0.is_sealed()) {
                course.seal(sealed_to, rule);
            }
            run.courses = Bundle::new(courses, shares(&self.rules));
            note(&mut self.waiting, &mut self.alarms, number, run, &self.rules, moment);
        }
    }

    /// The pipeline is gone: open alerts are resolved.
    pub fn end(&mut self, moment: &mut Moment<'_>) {
        for run in &mut self.keys {
            let courses = run.courses.take();
            let _ =
                rules::take_over(courses, (&self.rules, &[]), &run.key, run.seen.named(&run.names), moment);
        }
    }

    /// Judges an event; `row` is `None` when the event is excluded and only its time counts. `false`
    /// when it was too late for a rule.
    pub fn event(
        &mut self,
        event: &Event,
        watermark: Timestamp,
        row: Option<&Row<'_>>,
        dictionary: &Dictionary,
        moment: &mut Moment<'_>,
    ) -> bool {
        let Some((number, new)) = self.table.of(event, dictionary) else { return true };
        if let Some(key) = new {
            self.keys.push(KeyRun::new(key, &self.rules));
        }
        let Some(run) = self.keys.get_mut(number as usize) else { return true };
        let mut judged = true;
        if let Some(row) = row {
            let sealed_to = run.sealed_to(self.limits, moment.ticked);
            for (place, course) in run.courses.each_mut() {
                let Some(rule) = self.rules.get(place) else { continue };
                course.seal(sealed_to, rule);
            }
            run.courses.gather(shares(&self.rules));
            judged = judge(run, (&self.rules, &self.guards, &self.names), event, row, moment);
        }
        run.watermark = run.watermark.max(watermark);
        pass(run, &self.rules, moment);
        note(&mut self.waiting, &mut self.alarms, number, run, &self.rules, moment);
        judged
    }

    /// Ticks have come to `to`.
    pub fn tick(&mut self, to: Timestamp, drained: bool, moment: &mut Moment<'_>) {
        let waiting: Vec<u32> = self.waiting.iter().copied().filter(|_| drained).collect();
        for number in waiting {
            let Some(run) = self.keys.get_mut(number as usize) else { continue };
            pass(run, &self.rules, moment);
            note(&mut self.waiting, &mut self.alarms, number, run, &self.rules, moment);
        }
        for number in self.alarms.take(to) {
            let Some(run) = self.keys.get_mut(number as usize) else { continue };
            run.alarm = Timer::STOPPED;
            for (place, course) in run.courses.each_mut() {
                let Some(rule) = self.rules.get(place) else { continue };
                let whose = Whose { rule, key: &run.key, evidence: run.seen.named(&run.names) };
                // One that waited for nothing learns how far time has come.
                course.pass(whose, (run.watermark, Timestamp::MAX), moment);
                let again = course.ring(whose, to, drained, moment);
                // From a silence on, what was unobserved before it no longer counts.
                course.pass(whose, (run.watermark, Timestamp::MAX), moment);
                self.alarms.set(number, &mut run.alarm, again);
            }
            note(&mut self.waiting, &mut self.alarms, number, run, &self.rules, moment);
        }
    }
}

/// Judges an event by every rule; `false` when it was too late for one.
fn judge(
    run: &mut KeyRun,
    (rules, guards, names): (&[Arc<RulePlan>], &Guards, &[Arc<str>]),
    event: &Event,
    row: &Row<'_>,
    moment: &mut Moment<'_>,
) -> bool {
    let at = event.event_at;
    let heard = Heard::now(event.feed, moment.feeds);
    let mut judged = true;
    pass(run, rules, moment);
    let key = &run.key;
    let says = |rule: &Arc<RulePlan>| rule.says(row);
    let most = run.courses.part(guards, row, |place| rules.get(place).and_then(says));
    if let (Some(verdict), Some((place, course))) = (most, run.courses.common_mut())
        && let Some(rule) = rules.get(place)
    {
        // It is met by nothing, and so leads to no steps.
        judged = course.one_of(rule, key, (at, event.counter, verdict), heard).is_some();
    }
    for (place, course) in run.courses.own_mut() {
        let Some(rule) = rules.get(place) else { continue };
        if rule.absent_for.is_some() {
            course.heard(Whose { rule, key, evidence: Evidence::of_nothing((at, at)) }, heard, moment);
            continue;
        }
        let Some(verdict) = rule.says(row) else { continue };
        let Some(steps) = course.one_of(rule, key, (at, event.counter, verdict), heard) else {
            judged = false;
            continue;
        };
        if steps.is_empty() && !course.is_waiting() {
            continue;
        }
        let said = names.iter().zip(row.numbers.iter().copied()).filter(|field| field.1.is_some());
        let (names, values): (Vec<_>, Vec<_>) = said.map(|(name, value)| (name.clone(), value)).unzip();
        run.names = names.into();
        run.seen.now(&values, (at, at));
        Whose { rule, key, evidence: run.seen.named(&run.names) }.tell(steps, moment);
    }
    judged
}

/// Whether the course of a rule in that place may be one with those of others.
fn shares(rules: &[Arc<RulePlan>]) -> impl Fn(usize) -> bool {
    |place| rules.get(place).is_some_and(|rule| rule.is_plain())
}

/// Lets time pass for a key's rules.
fn pass(run: &mut KeyRun, rules: &[Arc<RulePlan>], moment: &mut Moment<'_>) {
    for (place, course) in run.courses.each_mut() {
        let Some(rule) = rules.get(place) else { continue };
        let whose = Whose { rule, key: &run.key, evidence: run.seen.named(&run.names) };
        course.pass(whose, (run.watermark, Timestamp::MAX), moment);
    }
}

fn note(
    waiting: &mut BTreeSet<u32>,
    alarms: &mut Timers,
    number: u32,
    run: &mut KeyRun,
    rules: &[Arc<RulePlan>],
    moment: &Moment<'_>,
) {
    let waits = run.courses.each().any(|(_, course)| course.is_waiting());
    match (std::mem::replace(&mut run.waiting, waits), waits) {
        (false, true) => _ = waiting.insert(number),
        (true, false) => _ = waiting.remove(&number),
        _ => {}
    }
    let alarm = |(place, course): (usize, &Course)| course.alarm(rules.get(place)?, moment);
    let due = run.courses.each().filter_map(alarm).min();
    alarms.set(number, &mut run.alarm, due);
}

impl KeyRun {
    fn new(key: Key, rules: &[Arc<RulePlan>]) -> Self {
        Self {
            key,
            watermark: Timestamp::MIN,
            courses: Bundle::new(vec![Course::default(); rules.len()], shares(rules)),
            names: Box::default(),
            seen: Seen::default(),
            alarm: Timer::STOPPED,
            waiting: false,
        }
    }

    /// Up to where no event can change any more what was said.
    fn sealed_to(&self, limits: Limits, ticked: Timestamp) -> Timestamp {
        self.watermark.minus(limits.allowed_lateness).max(ticked.minus(limits.open_max))
    }
}
