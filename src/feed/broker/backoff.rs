//! Waits between attempts to connect: doubling, with jitter, so that a city's clients do not all
//! come back in the same instant after its broker restarts.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::Duration;

/// Waits that double from a shortest to a longest, each shortened by up to half at random.
#[derive(Debug)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    current: Duration,
    random: u64,
}

impl Backoff {
    /// Waits between `min` and `max`, with jitter of this process's own.
    #[must_use]
    pub fn new(min: Duration, max: Duration) -> Self {
        // A fresh hasher of std is seeded by the operating system: enough for jitter.
        Self::seeded(min, max, RandomState::new().hash_one(0_u8))
    }

    /// The same with a given seed, for tests and simulation.
    #[must_use]
    pub fn seeded(min: Duration, max: Duration, seed: u64) -> Self {
        Self { min, max, current: min, random: seed }
    }

    /// How long to wait before the next attempt: between half of and the whole current wait.
    pub fn next_wait(&mut self) -> Duration {
        let whole = self.current.min(self.max);
        self.current = (self.current * 2).min(self.max);
        // splitmix64: Steele, Lea, Flood 2014.
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let share = ((mixed ^ (mixed >> 31)) % 1_001) as u32;
        whole / 2 + whole / 2 * share / 1_000
    }

    /// The next wait is the shortest again.
    pub fn reset(&mut self) {
        self.current = self.min;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_start_over() {
        let (min, max) = (Duration::from_millis(500), Duration::from_secs(60));
        let mut backoff = Backoff::seeded(min, max, 7);
        let mut whole = min;
        for _ in 0..12 {
            let wait = backoff.next_wait();
            assert!(wait >= whole / 2 && wait <= whole, "{wait:?} of {whole:?}");
            whole = (whole * 2).min(max);
        }
        assert_eq!(whole, max);
        backoff.reset();
        assert!(backoff.next_wait() <= min);
    }
}
