//! What a change of rules does to the alerts of a window: courses go on, are handed over to the
//! window that comes after, or end.

use std::sync::Arc;

use super::courses::shares;
use super::judging::guards;
use super::{KeyRun, WindowRun, note};
use crate::flow::bundle::Bundle;
use crate::flow::compile::PipelinePlan;
use crate::flow::course::{Course, Whose};
use crate::flow::moment::Moment;
use crate::flow::slots::{Judge, Slot, Turn};
use crate::model::{Key, Span, Timestamp};

/// A nanosecond: what lies just before the end of a half-open range.
const JUST: Span = Span(1);

/// The course of a rule on a key as a window before this one left it.
pub(super) fn taken(by: &[Arc<str>], rule: &str, key: &Key, moment: &mut Moment<'_>) -> Option<Course> {
    moment.ending.iter_mut().find_map(|run| {
        let alike = run.plan.description.by == by;
        alike.then(|| run.hand_over(rule, key)).flatten()
    })
}

/// Whether a rule has judged a key in a newer window of the same keys: an older one that has not judged
/// it yet leaves it there.
pub(super) fn is_judged_since(by: &[Arc<str>], rule: &str, key: &Key, moment: &Moment<'_>) -> bool {
    moment.newer.iter().any(|run| run.plan.description.by == by && run.has_judged(rule, key))
}

impl WindowRun {
    fn has_judged(&self, rule: &str, key: &Key) -> bool {
        let place = self.rules.iter().position(|slot| &*slot.now.rule.name == rule);
        let run = self.table.find(key).and_then(|number| self.keys.get(number as usize));
        place.and_then(|place| run?.courses.look().get(place)).is_some_and(Course::has_judged)
    }

    fn hand_over(&mut self, rule: &str, key: &Key) -> Option<Course> {
        let at = self.rules.iter().position(|slot| &*slot.now.rule.name == rule)?;
        let number = self.table.find(key)?;
        let sealed_to = self.watermark_of(number).minus(self.plan.allowed_lateness).max(self.tick_sealed_to);
        let reached = self.reached(number);
        let slot = self.rules.get(at)?;
        let run = self.keys.get_mut(number as usize)?;
        let course = run.courses.told(&self.rules, reached).get_mut(at)?;
        // An idle key learns only now how far its windows are sealed.
        course.seal(sealed_to, slot.rule(course));
        course.hand_over()
    }

    /// The watermark of a key.
    fn watermark_of(&self, number: u32) -> Timestamp {
        let own = || self.keys.get(number as usize).map_or(Timestamp::MIN, |run| run.watermark);
        if self.table.by_sensor() { own() } else { self.zone_watermark }
    }

    /// The window goes on under these rules: courses of those of the same name go on, what is open
    /// of those that are gone is resolved.
    pub fn replace_rules(&mut self, rules: Vec<Judge>, amend_every: Span, moment: &mut Moment<'_>) {
        self.amend_every = amend_every;
        let begins_at = self.plan.grid.pane_from(moment.cause.arrived_at);
        let old = std::mem::take(&mut self.rules);
        let mut turns: Vec<Option<(usize, Turn)>> = Vec::with_capacity(rules.len());
        for new in rules {
            let before = old.iter().position(|slot| slot.now.rule.name == new.rule.name);
            match before.and_then(|at| Some((at, old.get(at)?.followed_by(new.clone(), begins_at)))) {
                Some((at, (slot, turn))) => {
                    self.rules.push(slot);
                    turns.push(Some((at, turn)));
                }
                None => {
                    self.rules.push(Slot::new(new));
                    turns.push(None);
                }
            }
        }
        self.guards = guards(&self.rules);
        let ticked = self.tick_closed_to.max(self.tick_sealed_to);
        let (by_sensor, last_end) = (self.table.by_sensor(), self.last_end());
        for (number, run) in (0_u32..).zip(&mut self.keys) {
            let courses = run.courses.told(&old, run.reached(last_end)).take();
            // An idle key has not learnt how far its windows are closed.
            let watermark = if by_sensor { run.watermark } else { self.zone_watermark };
            let rules = (&*old, &*self.rules, &*self.names);
            run.replace_rules(courses, rules, &turns, watermark.max(ticked), moment);
            note(&mut self.waiting, &mut self.alarms, number, run, &self.rules, moment);
        }
    }

    /// The window ends: its rules go on judging until it has. `succeeded` says of a name whether a
    /// rule of it goes on with the same keys (`Some(true)`), with others, or not at all (`None`).
    pub fn ends(&mut self, succeeded: impl Fn(&str) -> Option<bool>, moment: &mut Moment<'_>) {
        let succeeded: Vec<Option<bool>> =
            self.rules.iter().map(|slot| succeeded(&slot.now.rule.name)).collect();
        for (slot, succeeded) in self.rules.iter_mut().zip(&succeeded) {
            slot.succeeded = succeeded.unwrap_or(slot.succeeded);
        }
        let last_end = self.last_end();
        for run in &mut self.keys {
            run.courses.regroup(&self.rules, run.reached(last_end));
        }
        let gone = succeeded.iter().enumerate().filter(|one| one.1.is_none()).map(|one| one.0).collect();
        self.end_each(gone, moment.cause.arrived_at, moment);
    }

    /// What the rules of an ending window say from here on: the words of the last definition.
    pub fn reword(&mut self, plan: &PipelinePlan) {
        for slot in &mut self.rules {
            let next = slot.next.as_mut().map(|next| &mut next.0);
            for judge in std::iter::once(&mut slot.now).chain(next) {
                if let Some(new) = plan.rule(&judge.rule.name) {
                    judge.rule = Arc::new(judge.rule.in_words_of(new));
                }
            }
        }
    }

    /// Resolves what is open of all its rules.
    pub fn end_rules(&mut self, at: Timestamp, moment: &mut Moment<'_>) {
        self.end_each((0..self.rules.len()).collect(), at, moment);
    }

    /// The window is forgotten: what nobody took over is resolved, at the end of its last window
    /// where nobody could, otherwise now.
    pub fn forget_rules(&mut self, moment: &mut Moment<'_>) {
        let (now, last_end) = (moment.cause.arrived_at, self.last_end());
        self.end_each(self.places(|slot| slot.succeeded), now, moment);
        self.end_each(self.places(|slot| !slot.succeeded), last_end, moment);
    }

    fn places(&self, of: impl Fn(&Slot) -> bool) -> Vec<usize> {
        self.rules.iter().enumerate().filter(|one| of(one.1)).map(|one| one.0).collect()
    }

    /// Resolves what is open of the rules in these places.
    fn end_each(&mut self, mut places: Vec<usize>, at: Timestamp, moment: &mut Moment<'_>) {
        places.retain(|place| self.rules.get(*place).is_some_and(|slot| !slot.over));
        if places.is_empty() {
            return;
        }
        for place in &places {
            if let Some(slot) = self.rules.get_mut(*place) {
                slot.over = true;
            }
        }
        let last_end = self.last_end();
        for run in &mut self.keys {
            let bundle = run.courses.told(&self.rules, run.reached(last_end));
            bundle.set_all_apart();
            for place in &places {
                let (Some(slot), Some(course)) = (self.rules.get(*place), bundle.get_mut(*place)) else {
                    continue;
                };
                let rule = slot.rule(course);
                let evidence = run.seen.named(&self.names);
                course.close(Whose { rule, key: &run.key, evidence }, at, moment);
            }
            bundle.gather(shares(&self.rules));
        }
    }

    /// Whether another plan took its place, and it only goes on to its last window.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.bounds.ends_at < Timestamp::MAX
    }

    /// Whether its last window was sealed before ticks came to `to`.
    #[must_use]
    pub fn is_over(&self, to: Timestamp) -> bool {
        let longest = self.plan.grid.longest();
        self.bounds.ends_at.plus(longest).plus(self.plan.open_max).plus(Span(1)) < to
    }

    /// End of the last window of a plan that is ending.
    #[must_use]
    pub fn last_end(&self) -> Timestamp {
        if !self.is_ending() {
            return Timestamp::MAX;
        }
        let last = self.plan.grid.pane(self.bounds.ends_at.minus(JUST));
        last.map_or(self.bounds.ends_at, |start| self.plan.grid.end(start))
    }

    /// Once silent keys too have closed the last window, nobody takes over what has no successor.
    pub(super) fn end_without_successor(&mut self, closed_to: Timestamp, moment: &mut Moment<'_>) {
        if !self.is_ending() || self.rules.iter().all(|slot| slot.over || slot.succeeded) {
            return;
        }
        let last_end = self.last_end();
        if closed_to < last_end {
            return;
        }
        self.end_each(self.places(|slot| !slot.succeeded), last_end, moment);
    }
}

impl KeyRun {
    fn replace_rules(
        &mut self,
        courses: Vec<Course>,
        (old, new, names): (&[Slot], &[Slot], &[Arc<str>]),
        turns: &[Option<(usize, Turn)>],
        closed_to: Timestamp,
        moment: &mut Moment<'_>,
    ) {
        let mut before: Vec<Option<Course>> = courses.into_iter().map(Some).collect();
        let mut courses = Vec::with_capacity(new.len());
        for (turn, new) in turns.iter().zip(new) {
            let kept = turn.and_then(|(at, turn)| Some((old.get(at)?, before.get_mut(at)?.take()?, turn)));
            courses.push(match kept {
                Some((slot, mut course, turn)) => {
                    slot.turn(&mut course, turn);
                    if turn == Turn::Changes {
                        course.seal(closed_to, &new.now.rule);
                    }
                    course
                }
                // A new rule judges what closes after it.
                None => {
                    let mut course = new.course();
                    course.seal(closed_to, &new.now.rule);
                    course
                }
            });
        }
        self.courses.replace(Bundle::new(courses, shares(new)));
        for (slot, course) in old.iter().zip(before) {
            if let Some(mut course) = course {
                let evidence = self.seen.named(names);
                let whose = Whose { rule: slot.rule(&course), key: &self.key, evidence };
                course.close(whose, moment.cause.arrived_at, moment);
            }
        }
    }
}
