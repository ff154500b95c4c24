//! What a pipeline as it runs knows of a range that is computed again.

use super::PipelineRun;
use crate::alert::Step;
use crate::flow::judged::{Judged, Standing};
use crate::model::Aggregate;

impl Standing for PipelineRun {
    fn may_amend(&self, row: &Aggregate) -> bool {
        self.windows.iter().any(|window| window.may_amend(row))
    }

    /// Where an older definition of the window still holds the alerts of the key, nothing changes.
    fn judge_again(&mut self, judged: &Judged) -> Vec<Step> {
        let (name, key) = (&judged.rule.name, &judged.key);
        if self.windows.iter().any(|window| window.is_ending() && window.holds_course(name, key)) {
            return Vec::new();
        }
        let own = |window: &&mut super::WindowRun| {
            !window.is_ending() && window.plan.description.hash == judged.window
        };
        self.windows.iter_mut().find(own).map(|window| window.judge_again(judged)).unwrap_or_default()
    }
}
