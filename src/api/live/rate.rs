//! Events per second by arrival, over the last ten whole seconds. Pure.

use crate::model::Timestamp;
use crate::model::time::SECOND;

/// Seconds that the rate is taken over.
const SECONDS: usize = 10;

/// A ring of counts, one a second; the journal's own arrival clock moves it.
#[derive(Debug, Default)]
pub(super) struct Rate {
    counts: [u64; SECONDS],
    /// The second that is being counted, since 1970.
    second: i64,
}

impl Rate {
    /// One event arrived.
    pub(super) fn event(&mut self, arrived_at: Timestamp) {
        self.passed(arrived_at);
        let age = self.second - arrived_at.0.div_euclid(SECOND);
        let slot = arrived_at.0.div_euclid(SECOND).rem_euclid(SECONDS as i64) as usize;
        if let Some(count) = self.counts.get_mut(slot).filter(|_| age < SECONDS as i64) {
            *count += 1;
        }
    }

    /// The arrival clock has reached `at`.
    pub(super) fn passed(&mut self, at: Timestamp) {
        let second = at.0.div_euclid(SECOND);
        let steps = second.saturating_sub(self.second);
        if steps >= SECONDS as i64 {
            self.counts = [0; SECONDS];
        } else {
            for past in 1..=steps.max(0) {
                let slot = (self.second + past).rem_euclid(SECONDS as i64) as usize;
                if let Some(count) = self.counts.get_mut(slot) {
                    *count = 0;
                }
            }
        }
        self.second = self.second.max(second);
    }

    /// The mean over the ring; the second being counted is part of it.
    pub(super) fn per_second(&self) -> f64 {
        self.counts.iter().sum::<u64>() as f64 / SECONDS as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(second: i64) -> Timestamp {
        Timestamp(second * SECOND)
    }

    #[test]
    fn the_last_ten_seconds_count() {
        let mut rate = Rate::default();
        for second in 100..130 {
            (0..20).for_each(|_| rate.event(s(second)));
        }
        assert_eq!(rate.per_second(), 20.0);
        rate.passed(s(134));
        assert_eq!(rate.per_second(), 10.0);
        rate.passed(s(139));
        assert_eq!(rate.per_second(), 0.0);
        rate.event(s(120));
        assert_eq!(rate.per_second(), 0.0, "older than the ring");
    }
}
