//! A pipeline's run as bytes and back.

use std::sync::Arc;

use super::PipelineRun;
use crate::flow::feeds::FeedClocks;
use crate::flow::key_runs::Writes;
use crate::flow::keys::Share;
use crate::flow::mapping::Mapping;
use crate::flow::pipeline::Counts;
use crate::flow::state::shared::{Origins, Plans, SharedPipeline, SharedWindow, unknown};
use crate::flow::state::{READINGS_PLACE, Request, RunName, StateError};
use crate::flow::windows::{Made, WindowRun};
use crate::model::{Key, Timestamp};

impl PipelineRun {
    /// Begins to write its keys and says the rest.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn begin_save(
        &mut self,
        request: &Arc<Request>,
        origins: &mut Origins,
    ) -> Result<SharedPipeline, StateError> {
        // Every field is named: one that is added must be thought of here.
        let Self {
            plan,
            feeds,
            counts: _,
            windows,
            since,
            readings,
            zone_watermark,
            passed,
            mapping: _,
            earlier: _,
        } = self;
        let mut saved = Vec::with_capacity(windows.len());
        for window in windows {
            saved.push(window.begin_save(&plan.name, request, origins)?);
        }
        readings.begin_save(&plan.name, *since, request)?;
        Ok(SharedPipeline {
            name: plan.name.to_string(),
            origin: origins.place(&plan.origin),
            feeds: feeds.clone(),
            since: *since,
            zone_watermark: *zone_watermark,
            passed: passed.to_vec(),
            windows: saved,
        })
    }

    /// The keys of each of its runs, to be written.
    pub fn keys_to_write(&mut self) -> impl Iterator<Item = &mut dyn Writes> {
        let windows = self.windows.iter_mut().map(WindowRun::keys_to_write);
        windows.chain(std::iter::once(self.readings.keys_to_write()))
    }

    /// Whether a window is forgotten once ticks have come to `to`.
    #[must_use]
    pub fn forgets_by(&self, to: Timestamp) -> bool {
        self.windows.iter().any(|window| window.is_over(to))
    }

    /// The run that was saved, without its keys.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn load(
        saved: SharedPipeline,
        counts: Counts,
        plans: &mut Plans,
        feeds: &FeedClocks,
        share: Share,
    ) -> Result<Self, StateError> {
        let plan = plans.compile(saved.origin)?;
        let windows: Result<Vec<WindowRun>, StateError> =
            saved.windows.iter().map(|window| load_window(window, plans, feeds, share)).collect();
        let windows = windows?;
        let mut run = Self::new(plan, saved.feeds, share, saved.since, None);
        run.windows = windows;
        for saved in saved.windows.iter().filter(|window| window.bounds.ends_at < Timestamp::MAX) {
            let plan = plans.get(saved.origin)?;
            let names = plan.origin.feeds.iter().map(|feed| &feed.name);
            let feeds = names.filter_map(|name| feeds.id(name)).collect();
            run.earlier.push((plan.origin.clone(), Mapping::new(plan, feeds)));
        }
        run.forget_mappings();
        let ending = run.windows.iter_mut().filter(|window| window.is_ending());
        ending.for_each(|window| window.reword(&run.plan));
        run.zone_watermark = saved.zone_watermark;
        run.passed = saved.passed.into();
        run.counts = counts;
        Ok(run)
    }

    /// The place of a run's keys; `None` when the run is gone.
    #[must_use]
    pub fn find(&self, name: &RunName) -> Option<usize> {
        if name.place == READINGS_PLACE {
            return (name.since == self.since).then_some(self.windows.len());
        }
        self.windows.iter().position(|run| (run.made.since, run.made.place) == (name.since, name.place))
    }

    /// Takes a key back into the run at a place that [`Self::find`] gave.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn load_key(&mut self, at: usize, key: Key, state: &[u8], period: u32) -> Result<(), StateError> {
        match self.windows.get_mut(at) {
            Some(window) => window.load_key(key, state, period),
            None => self.readings.load_key(key, state, period),
        }
    }
}

fn load_window(
    saved: &SharedWindow,
    plans: &mut Plans,
    feeds: &FeedClocks,
    share: Share,
) -> Result<WindowRun, StateError> {
    let same = |plan: &super::PipelinePlan| {
        plan.windows.iter().find(|(window, _)| window.description.hash == saved.hash).cloned()
    };
    let rules: Result<Vec<_>, _> = saved.rules.iter().map(|rule| rule.slot(saved.hash, plans)).collect();
    let rules = rules?;
    let own = plans.get(saved.origin)?;
    let (plan, _) = same(own).ok_or_else(|| unknown("a window"))?;
    let made = Made { origin: Arc::clone(&own.origin), since: saved.since, place: saved.place };
    let feeds = own.origin.feeds.iter().filter_map(|feed| feeds.id(&feed.name)).collect();
    Ok(WindowRun::load(saved, made, plan, feeds, rules, share))
}
