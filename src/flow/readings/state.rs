//! The rules on readings as bytes and back.

use super::{KeyRun, ReadingsRun};
use crate::flow::state::groups::{GroupWriter, whole};
use crate::flow::state::{READINGS_PLACE, Request, RunName, StateError};
use crate::model::Key;

impl ReadingsRun {
    /// Writes its keys; there is nothing else that its plan does not say.
    ///
    /// # Errors
    /// [`StateError::Form`].
    pub fn save(
        &mut self,
        number: usize,
        pipeline: &str,
        since: u64,
        request: &Request,
        groups: &mut GroupWriter<'_>,
    ) -> Result<(), StateError> {
        // Every field is named: one that is added must be thought of here.
        let Self { rules: _, names: _, limits: _, table: _, keys, waiting, alarms: _ } = self;
        let name = RunName { pipeline: pipeline.to_owned(), since, place: READINGS_PLACE };
        groups.run(number, &name, keys, |run| &run.key, |at, run| (run, waiting.contains(&(at as u32))))?;
        keys.begin_period(request.period);
        Ok(())
    }

    /// Takes a key back in; one that is there already came from the delta and is newer.
    ///
    /// # Errors
    /// [`StateError::Form`].
    pub fn load_key(&mut self, key: Key, state: &[u8], period: u32) -> Result<(), StateError> {
        if self.table.holds(&key) {
            return Ok(());
        }
        let (mut run, waiting): (KeyRun, bool) = whole(state)?;
        if run.courses.len() != self.rules.len() {
            let why = "another number of rules than its pipeline has".into();
            return Err(StateError::Form { what: "a key", why });
        }
        run.key = key.clone();
        let number = self.table.restore(key);
        self.alarms.restore(number, run.alarm);
        if waiting {
            self.waiting.insert(number);
        }
        self.keys.push_marked(run, period);
        Ok(())
    }
}
