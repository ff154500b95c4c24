//! When keys are due to be looked at again, by time.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::model::Timestamp;

/// When a key is due among some [`Timers`], kept beside its state: in eight bytes, as each key has
/// several.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(from = "Option<Timestamp>", into = "Option<Timestamp>")]
pub struct Timer(Timestamp);

impl Timer {
    /// Of a key that is not due.
    pub const STOPPED: Self = Self(Timestamp::MAX);

    /// Whether the key is due at `at` or earlier.
    #[must_use]
    pub fn is_due_by(self, at: Timestamp) -> bool {
        self.0 <= at
    }
}

impl From<Option<Timestamp>> for Timer {
    fn from(due: Option<Timestamp>) -> Self {
        due.map_or(Self::STOPPED, Self)
    }
}

impl From<Timer> for Option<Timestamp> {
    fn from(Timer(due): Timer) -> Self {
        (due != Timestamp::MAX).then_some(due)
    }
}

/// Keys by the time at which they are due.
#[derive(Debug, Default)]
pub struct Timers(BTreeSet<(Timestamp, u32)>);

impl Timers {
    /// Makes a key due at `due`, unless it is due by then already.
    pub fn set(&mut self, number: u32, timer: &mut Timer, due: Option<Timestamp>) {
        let Some(due) = due.filter(|due| !timer.is_due_by(*due)) else { return };
        if let Some(old) = Option::from(std::mem::replace(timer, Timer(due))) {
            self.0.remove(&(old, number));
        }
        self.0.insert((due, number));
    }

    /// Takes out the key that is due first, if it is at `to`; its timer is to be stopped.
    pub fn take_first(&mut self, to: Timestamp) -> Option<u32> {
        let (_, number) = self.0.first().copied().filter(|(due, _)| *due <= to)?;
        self.0.pop_first();
        Some(number)
    }

    /// Takes out the keys that are due at `to`; their timers are to be stopped. One that is due
    /// again already waits for the next time.
    pub fn take(&mut self, to: Timestamp) -> Vec<u32> {
        let later = self.0.split_off(&(to, u32::MAX));
        std::mem::replace(&mut self.0, later).into_iter().map(|due| due.1).collect()
    }

    /// Takes back a key of a checkpoint.
    pub fn restore(&mut self, number: u32, timer: Timer) {
        self.0.extend(Option::from(timer).map(|due| (due, number)));
    }
}
