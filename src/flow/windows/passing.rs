//! Time as it passes for the rules of a window's keys: by watermarks, by ticks as far as they were
//! observed, and in silence.

use std::collections::BTreeSet;

use super::{KeyRun, WindowRun};
use crate::flow::course::{Course, Whose};
use crate::flow::moment::Moment;
use crate::flow::slots::Slot;
use crate::flow::timers::{Timer, Timers};
use crate::model::Timestamp;

impl WindowRun {
    /// Lets time pass for a key's rules, after all that it closes: to the key's watermark, and by
    /// ticks as far as it was observed.
    pub(super) fn pass(&mut self, number: u32, moment: &mut Moment<'_>) {
        if self.rules.is_empty() {
            return;
        }
        let reached = self.reached(number);
        let Some(run) = self.keys.get_mut(number as usize) else { return };
        let watermark = if self.table.by_sensor() { run.watermark } else { self.zone_watermark };
        let mut changed = false;
        for (place, course) in run.courses.told(&self.rules, reached).each_mut() {
            let Some(slot) = self.rules.get(place) else { continue };
            let evidence = run.seen.named(&self.names);
            let whose = Whose { rule: slot.rule(course), key: &run.key, evidence };
            changed |= course.pass(whose, (watermark, reached.until(slot)), moment);
        }
        if changed {
            note(&mut self.waiting, &mut self.alarms, number, run, &self.rules, moment);
        }
    }

    pub(super) fn pass_waiting(&mut self, moment: &mut Moment<'_>) {
        let waiting: Vec<u32> = self.waiting.iter().copied().collect();
        for number in waiting {
            self.pass(number, moment);
        }
    }

    /// Notes the silences that are due at the tick `to`.
    pub(super) fn ring(&mut self, to: Timestamp, drained: bool, moment: &mut Moment<'_>) {
        for number in self.alarms.take(to) {
            let reached = self.reached(number);
            let Some(run) = self.keys.get_mut(number as usize) else { continue };
            run.alarm = Timer::STOPPED;
            let watermark = if self.table.by_sensor() { run.watermark } else { self.zone_watermark };
            for (place, course) in run.courses.told(&self.rules, reached).each_mut() {
                let Some(slot) = self.rules.get(place) else { continue };
                let evidence = run.seen.named(&self.names);
                let whose = Whose { rule: slot.rule(course), key: &run.key, evidence };
                // One that waited for nothing learns how far time has come.
                course.pass(whose, (watermark, reached.until(slot)), moment);
                let again = course.ring(whose, to, drained, moment);
                // From a silence on, what was unobserved before it no longer counts.
                course.pass(whose, (watermark, reached.until(slot)), moment);
                self.alarms.set(number, &mut run.alarm, again);
            }
            note(&mut self.waiting, &mut self.alarms, number, run, &self.rules, moment);
        }
    }
}

/// Notes whether a key's rules wait for time to pass, and when they may be silent.
pub(super) fn note(
    waiting: &mut BTreeSet<u32>,
    alarms: &mut Timers,
    number: u32,
    run: &mut KeyRun,
    rules: &[Slot],
    moment: &Moment<'_>,
) {
    let waits = run.courses.look().each().any(|(_, course)| course.is_waiting());
    match (std::mem::replace(&mut run.waiting, waits), waits) {
        (false, true) => _ = waiting.insert(number),
        (true, false) => _ = waiting.remove(&number),
        _ => {}
    }
    let alarm = |(place, course): (usize, &Course)| course.alarm(rules.get(place)?.rule(course), moment);
    let due = run.courses.look().each().filter_map(alarm).min();
    alarms.set(number, &mut run.alarm, due);
}
