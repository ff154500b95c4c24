//! When a failed delivery is tried again. Pure.

use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Waits between attempts: doubling, spread by a jitter, ended after a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Wait after the first failure.
    pub first: Duration,
    /// The longest wait.
    pub longest: Duration,
    /// A delivery that has failed for this long is given up.
    pub give_up_after: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            longest: Duration::from_secs(600),
            give_up_after: Duration::from_secs(86_400),
        }
    }
}

impl Backoff {
    /// The wait after failure number `attempts` (from 1) of `delivery`: between half and all of
    /// the doubled wait, the share being a hash of both, so that deliveries that failed together
    /// do not come back together.
    #[must_use]
    pub fn wait(&self, delivery: &str, attempts: u32) -> Duration {
        let doublings = attempts.saturating_sub(1).min(31);
        let full = self.first.saturating_mul(1_u32 << doublings).min(self.longest);
        let share = xxh3_64_with_seed(delivery.as_bytes(), u64::from(attempts)) % 1_000;
        full / 2 + full.mul_f64(share as f64 / 2_000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_differ_between_deliveries() {
        let backoff = Backoff::default();
        for (attempts, full) in [(1, 1), (2, 2), (5, 16), (11, 600), (4_000_000_000, 600)] {
            let wait = backoff.wait("a", attempts);
            let full = Duration::from_secs(full);
            assert!(wait >= full / 2 && wait <= full, "{attempts}: {wait:?}");
        }
        assert_ne!(backoff.wait("a", 5), backoff.wait("b", 5));
        assert_eq!(backoff.wait("a", 5), backoff.wait("a", 5));
    }
}
