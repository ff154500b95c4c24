//! What a pipeline as it runs knows of a range that is computed again.

use hashbrown::HashMap;

use super::PipelineRun;
use crate::alert::Step;
use crate::flow::judged::{Judged, Standing};
use crate::model::{Aggregate, Key, Span};
use crate::window::Firsts;

impl PipelineRun {
    /// By plan and key, the first readings of sensors, where one that is older than `known` before them
    /// would count too. Nothing of it was sealed.
    #[must_use]
    pub fn firsts(&self, known: Span) -> HashMap<(u64, Key), Firsts> {
        let own = |window: &'_ super::WindowRun| {
            let hash = window.plan.description.hash;
            let firsts = window.firsts(known).map(move |(key, firsts)| ((hash, key.clone()), firsts));
            firsts.collect::<Vec<_>>()
        };
        self.windows.iter().flat_map(own).collect()
    }
}

impl Standing for PipelineRun {
    fn may_amend(&self, row: &Aggregate) -> bool {
        self.windows.iter().any(|window| window.may_amend(row))
    }

    /// Where an older definition of the window still holds the alerts of the key, nothing changes.
    fn judge_again(&mut self, judged: &Judged) -> Vec<Step> {
        let Some(hash) = judged.window else { return self.readings.judge_again(judged) };
        let (name, key) = (&judged.rule.name, &judged.key);
        if self.windows.iter().any(|window| window.is_ending() && window.holds_course(name, key)) {
            return Vec::new();
        }
        let own =
            |window: &&mut super::WindowRun| !window.is_ending() && window.plan.description.hash == hash;
        self.windows.iter_mut().find(own).map(|window| window.judge_again(judged)).unwrap_or_default()
    }
}
