//! Alerts of a window's final past judged again.

use super::{KeyRun, WindowRun};
use crate::alert::Step;
use crate::flow::judged::{Judged, judges_the_empty};
use crate::flow::rules::RulePlan;
use crate::model::{Key, Span, Timestamp};
use crate::window::{Firsts, WindowPlan};

impl WindowRun {
    /// By key, the first readings of its sensors, where one that is older than `known` before them would
    /// count too. Nothing of it was sealed.
    pub fn firsts(&self, known: Span) -> impl Iterator<Item = (&Key, Firsts)> {
        let keys = self.keys.marked().map(|(run, _)| run).filter(|_| self.plan.sensors.follow());
        keys.map(move |run| (&run.key, run.windows.firsts(&self.plan, known)))
    }

    /// Whether the course of a rule on a key is this window's, judged and not handed over.
    #[must_use]
    pub fn holds_course(&self, rule: &str, key: &Key) -> bool {
        let place = self.rules.iter().position(|slot| &*slot.now.rule.name == rule);
        let run = self.table.find(key).and_then(|number| self.keys.get(number as usize));
        let course = place.and_then(|place| run?.courses.look().get(place));
        course.is_some_and(|course| course.has_begun() && !course.is_over())
    }

    /// Puts episodes in the place of the final alerts of a rule on a key; the steps that this takes.
    pub fn judge_again(&mut self, judged: &Judged) -> Vec<Step> {
        let Judged { rule, key, episodes, range, .. } = judged;
        let Some(place) = self.rules.iter().position(|slot| slot.now.rule.name == rule.name) else {
            return Vec::new();
        };
        let Some(number) = self.table.find(key).map(|number| number as usize) else { return Vec::new() };
        let reached = self.reached(number as u32);
        let run = self.keys.get_mut(number).filter(|run| run.says_all(&self.plan, rule));
        let courses = run.map(|run| run.courses.told(&self.rules, reached));
        let Some(course) = courses.and_then(|courses| courses.get_mut(place)) else { return Vec::new() };
        // What was never judged here may have been by an earlier definition of the window.
        let known = if course.has_begun() { Timestamp::MIN } else { self.bounds.begins_at };
        let range = (range.0.max(known), range.1);
        if course.is_judged_as(episodes, range) {
            return Vec::new();
        }
        course.judge_again(rule, key, episodes, range)
    }
}

impl KeyRun {
    /// Whether all that a rule was told of the key can be computed again. Of a registered sensor it
    /// cannot be told in which windows nothing arrived.
    fn says_all(&self, plan: &WindowPlan, rule: &RulePlan) -> bool {
        self.registration.is_none() || !judges_the_empty(rule, &self.key, plan.fields.len())
    }
}
