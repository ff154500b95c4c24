//! When keys are due to be looked at again, by time.

use std::collections::BTreeSet;

use crate::model::Timestamp;

/// Keys by the tick at which they are due; each key keeps its own time beside its state.
#[derive(Debug, Default)]
pub struct Alarms(BTreeSet<(Timestamp, u32)>);

impl Alarms {
    /// Makes a key due at `due`, unless it is due earlier already (`held`).
    pub fn set(&mut self, number: u32, held: &mut Option<Timestamp>, due: Option<Timestamp>) {
        let Some(due) = due.filter(|due| held.is_none_or(|held| *due < held)) else { return };
        if let Some(old) = held.replace(due) {
            self.0.remove(&(old, number));
        }
        self.0.insert((due, number));
    }

    /// Takes out the keys that are due at `to`; their own times are to be forgotten. One that is
    /// due again already waits for the next tick.
    pub fn take(&mut self, to: Timestamp) -> Vec<u32> {
        let later = self.0.split_off(&(to, u32::MAX));
        std::mem::replace(&mut self.0, later).into_iter().map(|due| due.1).collect()
    }

    /// Takes back a key of a checkpoint.
    pub fn restore(&mut self, number: u32, held: Option<Timestamp>) {
        self.0.extend(held.map(|due| (due, number)));
    }
}
