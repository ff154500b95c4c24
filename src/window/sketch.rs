//! Quantiles that merge exactly: DDSketch (Masson, Rim, Lee, "DDSketch", VLDB 2019).
//!
//! Values fall into buckets whose bounds grow by the factor gamma; a quantile is its bucket's
//! middle, at most [`RELATIVE_ERROR`] away from a true value of that rank. Buckets are counted in
//! integers, so merging in any order gives the same sketch. There are at most 7,400 of them
//! (mantissas of up to 2^53 on both sides of zero).

use serde::{Deserialize, Serialize};

use super::function::Function;

/// A quantile is within this share of the exact one (of the same rank).
pub const RELATIVE_ERROR: f64 = 0.005;
const GAMMA: f64 = (1.0 + RELATIVE_ERROR) / (1.0 - RELATIVE_ERROR);
/// The natural logarithm of gamma, as `libm` gives it: asked for once a reading.
const GAMMA_LN: f64 = 0.010000083334583179;

/// Bucket counts of one quantity. Mantissas, not floats, go in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sketch {
    /// (bucket, count), sorted; negative values in buckets below zero, see [`bucket`].
    buckets: Vec<(i32, u64)>,
}

impl Sketch {
    /// Counts one mantissa.
    pub fn add(&mut self, mantissa: i64) {
        self.add_many(bucket(mantissa), 1);
    }

    /// Takes in another sketch.
    pub fn merge(&mut self, other: &Self) {
        for &(bucket, count) in &other.buckets {
            self.add_many(bucket, count);
        }
    }

    fn add_many(&mut self, bucket: i32, count: u64) {
        match self.buckets.binary_search_by_key(&bucket, |entry| entry.0) {
            Ok(at) => {
                if let Some(entry) = self.buckets.get_mut(at) {
                    entry.1 += count;
                }
            }
            Err(at) => self.buckets.insert(at, (bucket, count)),
        }
    }

    /// Number of values.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|entry| entry.1).sum()
    }

    /// The value of rank `floor(quantile * (count - 1))` in mantissa units, the quantile given in
    /// millionths; `None` when empty.
    #[must_use]
    pub fn quantile(&self, millionths: u32) -> Option<f64> {
        let rank = rank(self.count(), millionths)?;
        let mut seen = 0;
        for &(bucket, n) in &self.buckets {
            seen += n;
            if seen > rank {
                return Some(middle(bucket));
            }
        }
        None
    }
}

/// Rank of a quantile among so many values, from 0; exactly, whatever the quantile.
fn rank(count: u64, millionths: u32) -> Option<u64> {
    let last = u128::from(count.checked_sub(1)?);
    u64::try_from(last * u128::from(millionths) / u128::from(Function::QUANTILE_PARTS)).ok()
}

/// Bucket 0 holds zero; bucket `n > 0` holds `gamma^(n-2) < v <= gamma^(n-1)`, and `-n` the
/// negative mirror. Buckets order as their values do.
fn bucket(mantissa: i64) -> i32 {
    if mantissa == 0 {
        return 0;
    }
    let index = libm::ceil(libm::log(mantissa.unsigned_abs() as f64) / GAMMA_LN) as i32 + 1;
    if mantissa < 0 { -index } else { index }
}

fn middle(bucket: i32) -> f64 {
    if bucket == 0 {
        return 0.0;
    }
    let magnitude = 2.0 * libm::pow(GAMMA, f64::from(bucket.abs() - 1)) / (GAMMA + 1.0);
    if bucket < 0 { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_constant_is_the_logarithm() {
        assert_eq!(GAMMA_LN, libm::log(GAMMA));
    }

    #[test]
    fn ranks_are_exact() {
        // 0.29 * 100 is 28.999999999999996 in floats.
        assert_eq!(rank(101, 290_000), Some(29));
        assert_eq!(rank(1_001, 999_000), Some(999));
        assert_eq!(rank(0, 500_000), None);
    }

    #[test]
    fn a_sketch_of_everything_stays_bounded() {
        let mut sketch = Sketch::default();
        let mut value = 1.0_f64;
        while value < i64::MAX as f64 {
            sketch.add(value as i64);
            sketch.add(-(value as i64));
            value *= 1.003;
        }
        sketch.add(0);
        let buckets = sketch.buckets.len();
        assert!(buckets <= 8_800, "{buckets}");
        for n in [i64::MIN, i64::MAX, -1, 0, 1] {
            let mut one = Sketch::default();
            one.add(n);
            assert!(
                (one.quantile(500_000).unwrap() - n as f64).abs()
                    <= RELATIVE_ERROR * (n as f64).abs() * TOLERANCE
            );
        }
    }

    /// Logarithm and power are themselves rounded.
    const TOLERANCE: f64 = 1.000_000_1;

    proptest! {
        #[test]
        fn quantiles_stay_within_the_stated_error(
            mut values in prop::collection::vec(prop_oneof![
                8 => -1_000_000_000_i64..1_000_000_000,
                2 => -3_i64..=3,
                1 => -(1_i64 << 53)..=(1_i64 << 53),
                1 => Just(i64::MAX),
                1 => Just(i64::MIN),
            ], 1..400),
            millionths in 0_u32..=1_000_000,
        ) {
            let mut sketch = Sketch::default();
            values.iter().for_each(|v| sketch.add(*v));
            values.sort_unstable();
            let exact = values[(values.len() - 1) * millionths as usize / 1_000_000] as f64;
            let got = sketch.quantile(millionths).unwrap();
            prop_assert!((got - exact).abs() <= RELATIVE_ERROR * exact.abs() * TOLERANCE, "{got} {exact}");
        }

        #[test]
        fn merging_in_any_split_gives_the_same(values in prop::collection::vec(any::<i32>(), 0..200), at in 0_usize..200) {
            let mut whole = Sketch::default();
            values.iter().for_each(|v| whole.add(i64::from(*v)));
            let (left, right) = values.split_at(at.min(values.len()));
            let (mut a, mut b) = (Sketch::default(), Sketch::default());
            left.iter().for_each(|v| a.add(i64::from(*v)));
            right.iter().for_each(|v| b.add(i64::from(*v)));
            b.merge(&a);
            prop_assert_eq!(whole, b);
        }
    }
}
