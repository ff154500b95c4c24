//! Alerts of the final past of rules on readings judged again.

use super::{ReadingsRun, shares};
use crate::alert::Step;
use crate::flow::judged::Judged;

impl ReadingsRun {
    /// Puts episodes in the place of the final alerts of a rule on a key; the steps that this takes.
    pub fn judge_again(&mut self, judged: &Judged) -> Vec<Step> {
        let Judged { rule, key, episodes, range, .. } = judged;
        let Some(place) = self.rules.iter().position(|own| own.name == rule.name) else { return Vec::new() };
        let Some(number) = self.table.find(key).map(|number| number as usize) else { return Vec::new() };
        let course = self.keys.get(number).and_then(|run| run.courses.get(place));
        if course.is_none_or(|course| course.is_judged_as(episodes, *range)) {
            return Vec::new();
        }
        let Some(run) = self.keys.get_mut(number) else { return Vec::new() };
        let course = run.courses.get_mut(place);
        let steps = course.map(|course| course.judge_again(rule, key, episodes, *range)).unwrap_or_default();
        run.courses.gather(shares(&self.rules));
        steps
    }
}
