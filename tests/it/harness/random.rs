//! Chance with a seed, so that a failure can be had again.

use std::ops::Range;

/// A small generator (xorshift64*).
#[derive(Clone)]
pub struct Random(u64);

impl Random {
    /// The generator of a test: `SERENO_SEED`, or a seed of the moment; prints which.
    pub fn of_test(name: &str) -> Self {
        let given = std::env::var("SERENO_SEED").ok();
        let moment = || u64::try_from(super::wait::now_ms()).unwrap();
        let seed = given.map_or_else(moment, |text| text.parse().expect("SERENO_SEED is a number"));
        println!("{name}: SERENO_SEED={seed}");
        Self::new(seed)
    }

    /// A generator of a seed.
    pub fn new(seed: u64) -> Self {
        let mut random = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        (0..8).for_each(|_| _ = random.draw());
        random
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number of a range.
    pub fn within(&mut self, range: Range<u64>) -> u64 {
        range.start + (self.draw() >> 11) % (range.end - range.start)
    }

    /// True once in so many.
    pub fn one_in(&mut self, many: u64) -> bool {
        self.within(0..many) == 0
    }

    /// Puts the items into another order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = usize::try_from(self.within(0..last as u64 + 1)).unwrap();
            items.swap(last, other);
        }
    }
}
