//! A window's run as bytes and back.

use std::sync::Arc;

use super::{KeyRun, Made, WindowRun};
use crate::flow::key_runs::{Kept, Writes};
use crate::flow::keys::Share;
use crate::flow::slots::Slot;
use crate::flow::state::groups::{GroupWriter, whole};
use crate::flow::state::shared::{Origins, SharedRule, SharedWindow};
use crate::flow::state::{Request, RunName, StateError};
use crate::model::{FeedId, Key};
use crate::window::WindowPlan;

impl Kept for KeyRun {
    fn key(&self) -> &Key {
        &self.key
    }
}

impl WindowRun {
    /// Begins to write its keys and says the rest.
    ///
    /// # Errors
    /// [`StateError::Form`].
    pub fn begin_save(
        &mut self,
        pipeline: &str,
        request: &Arc<Request>,
        origins: &mut Origins,
    ) -> Result<SharedWindow, StateError> {
        // Every field is named: one that is added must be thought of here.
        let Self {
            made,
            plan,
            feeds: _,
            bounds,
            rules,
            names: _,
            guards: _,
            amend_every,
            table: _,
            keys,
            closes: _,
            seals: _,
            dirty: _,
            waiting: _,
            alarms: _,
            zone_watermark,
            tick_closed_to,
            tick_sealed_to,
            fresh: _,
            // Only a recompute has it, which ends with the record that asks for it.
            expected: _,
        } = self;
        let name = RunName { pipeline: pipeline.to_owned(), since: made.since, place: made.place };
        keys.begin_checkpoint(GroupWriter::new(request, &name)?, request.period);
        Ok(SharedWindow {
            origin: origins.place(&made.origin),
            hash: plan.description.hash,
            since: made.since,
            place: made.place,
            rules: rules.iter().map(|slot| SharedRule::of(slot, origins)).collect(),
            bounds: *bounds,
            amend_every: *amend_every,
            zone_watermark: *zone_watermark,
            tick_closed_to: *tick_closed_to,
            tick_sealed_to: *tick_sealed_to,
        })
    }

    /// Its keys, to be written.
    pub fn keys_to_write(&mut self) -> &mut dyn Writes {
        &mut self.keys
    }

    /// The run that was saved, without its keys.
    #[must_use]
    pub fn load(
        saved: &SharedWindow,
        made: Made,
        plan: Arc<WindowPlan>,
        feeds: Arc<[FeedId]>,
        rules: Vec<Slot>,
        share: Share,
    ) -> Self {
        let mut run = Self::new(made, plan, feeds, rules, saved.amend_every, saved.bounds, share);
        run.zone_watermark = saved.zone_watermark;
        run.tick_closed_to = saved.tick_closed_to;
        run.tick_sealed_to = saved.tick_sealed_to;
        run
    }

    /// Takes a key back in; one that is there already came from the delta and is newer.
    ///
    /// # Errors
    /// [`StateError::Form`].
    pub fn load_key(&mut self, key: Key, state: &[u8], period: u32) -> Result<(), StateError> {
        if self.table.holds(&key) {
            return Ok(());
        }
        let mut run: KeyRun = whole(state)?;
        if !run.courses.look().is_of(self.rules.len()) {
            let why = "another number of rules than its window has".into();
            return Err(StateError::Form { what: "a key", why });
        }
        run.key = key.clone();
        let number = self.table.restore(key);
        self.closes.restore(number, run.close_timer);
        self.seals.restore(number, run.seal_timer);
        // Sensors registered since the last tick are found again at the next.
        self.fresh = true;
        let dirty = run.dirty;
        self.alarms.restore(number, run.alarm);
        if run.waiting {
            self.waiting.insert(number);
        }
        self.keys.push_marked(run, period);
        if dirty {
            self.wait_to_amend(number);
        }
        Ok(())
    }
}
