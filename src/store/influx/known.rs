//! Which fields InfluxDB holds for which window, as far as memory reaches.
//!
//! A point's fields are merged with what is there: a revision without a value would leave the old
//! one standing. So a point is deleted before a revision that takes a value away. Beyond what is
//! remembered (older windows, windows from before the last start) a missing value is taken for one
//! that was there: a deletion too many does no harm.

use std::collections::{BTreeMap, HashMap};

use crate::model::{Aggregate, Key, Timestamp};

/// Windows remembered.
pub const WINDOWS_MAX: usize = 200_000;

/// One window: start, plan, key.
type WindowId = (Timestamp, u64, Key);

/// What was written.
#[derive(Debug)]
pub struct Known {
    windows: BTreeMap<WindowId, Box<[bool]>>,
    windows_max: usize,
    /// Windows that start here or earlier may have been forgotten.
    forgotten_until: Timestamp,
    /// By measurement: windows that start here or earlier may have been written before this start.
    written_before: HashMap<String, Timestamp>,
    /// By measurement: the latest start written, for the next start of the process.
    latest: HashMap<String, Timestamp>,
}

impl Known {
    /// Knows nothing but the latest start written for each measurement.
    #[must_use]
    pub fn new(latest: HashMap<String, Timestamp>, windows_max: usize) -> Self {
        Self {
            windows: BTreeMap::new(),
            windows_max,
            forgotten_until: Timestamp::MIN,
            written_before: latest.clone(),
            latest,
        }
    }

    /// Takes note of a revision; says whether its point has to be deleted first.
    pub fn takes_away(&mut self, measurement: &str, row: &Aggregate) -> bool {
        let now: Box<[bool]> =
            row.fields.iter().map(Option::is_some).chain([row.capture.is_some()]).collect();
        let unsure = row.start <= self.forgotten_until
            || self.written_before.get(measurement).is_some_and(|before| row.start <= *before);
        let id = (row.start, row.plan.hash, row.key.clone());
        let takes_away = match self.windows.get(&id) {
            Some(before) => before.iter().zip(&now).any(|(before, now)| *before && !now),
            None => unsure && now.contains(&false),
        };
        self.windows.insert(id, now);
        while self.windows.len() > self.windows_max {
            let Some(((start, ..), _)) = self.windows.pop_first() else { break };
            self.forgotten_until = self.forgotten_until.max(start);
        }
        match self.latest.get_mut(measurement) {
            Some(latest) => *latest = (*latest).max(row.start),
            None => _ = self.latest.insert(measurement.to_owned(), row.start),
        }
        takes_away
    }

    /// The latest start written, by measurement.
    #[must_use]
    pub fn latest(&self) -> &HashMap<String, Timestamp> {
        &self.latest
    }
}

#[cfg(test)]
mod tests {
    use super::super::points::tests::aggregate;
    use super::*;

    #[test]
    fn only_a_value_taken_away_deletes() {
        let mut known = Known::new(HashMap::new(), 10);
        assert!(!known.takes_away("m", &aggregate("a", 0, &[None])), "an empty first revision");
        assert!(!known.takes_away("m", &aggregate("a", 0, &[Some(1.0)])));
        assert!(known.takes_away("m", &aggregate("a", 0, &[None])));
        assert!(!known.takes_away("m", &aggregate("b", 0, &[None])), "another key");
    }

    #[test]
    fn what_may_have_been_written_and_forgotten_is_deleted() {
        let mut known = Known::new(HashMap::from([("m".to_owned(), Timestamp(5))]), 1);
        assert!(known.takes_away("m", &aggregate("a", 5, &[None])), "from before this start");
        assert!(!known.takes_away("m", &aggregate("a", 6, &[None])));
        assert!(!known.takes_away("m", &aggregate("a", 7, &[Some(1.0)])), "pushes 6 out");
        assert!(known.takes_away("m", &aggregate("a", 6, &[None])));
        assert_eq!(known.latest().get("m"), Some(&Timestamp(7)));
    }
}
