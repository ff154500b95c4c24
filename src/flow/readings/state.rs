//! The rules on readings as bytes and back.

use std::sync::Arc;

use super::{KeyRun, ReadingsRun};
use crate::flow::key_runs::{Kept, Writes};
use crate::flow::state::groups::{GroupWriter, whole};
use crate::flow::state::{READINGS_PLACE, Request, RunName, StateError};
use crate::model::Key;

impl Kept for KeyRun {
    fn key(&self) -> &Key {
        &self.key
    }
}

impl ReadingsRun {
    /// Begins to write its keys; there is nothing else that its plan does not say.
    ///
    /// # Errors
    /// [`StateError::Form`].
    pub fn begin_save(
        &mut self,
        pipeline: &str,
        since: u64,
        request: &Arc<Request>,
    ) -> Result<(), StateError> {
        // Every field is named: one that is added must be thought of here.
        let Self { rules: _, guards: _, names: _, limits: _, table: _, keys, waiting: _, alarms: _ } = self;
        let name = RunName { pipeline: pipeline.to_owned(), since, place: READINGS_PLACE };
        keys.begin_checkpoint(GroupWriter::new(request, &name)?, request.period);
        Ok(())
    }

    /// Its keys, to be written.
    pub fn keys_to_write(&mut self) -> &mut dyn Writes {
        &mut self.keys
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
        if !run.courses.is_of(self.rules.len()) {
            let why = "another number of rules than its pipeline has".into();
            return Err(StateError::Form { what: "a key", why });
        }
        run.key = key.clone();
        let number = self.table.restore(key);
        self.alarms.restore(number, run.alarm);
        if run.waiting {
            self.waiting.insert(number);
        }
        self.keys.push_marked(run, period);
        Ok(())
    }
}
