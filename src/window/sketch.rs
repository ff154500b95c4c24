//! Quantiles that merge exactly: DDSketch (Masson, Rim, Lee, "DDSketch", VLDB 2019).
//!
//! Values fall into buckets whose bounds grow by the factor gamma; a quantile is its bucket's
//! middle, at most [`RELATIVE_ERROR`] away from a true value of that rank. Buckets are counted in
//! integers, so merging in any order gives the same sketch.

use serde::{Deserialize, Serialize};

/// A quantile is within this share of the exact one (of the same rank).
pub const RELATIVE_ERROR: f64 = 0.005;
const GAMMA: f64 = (1.0 + RELATIVE_ERROR) / (1.0 - RELATIVE_ERROR);

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

    /// The value of rank `floor(quantile * (count - 1))` in mantissa units; `None` when empty.
    #[must_use]
    pub fn quantile(&self, quantile: f64) -> Option<f64> {
        let count = self.count();
        let rank = (quantile * count.checked_sub(1)? as f64) as u64;
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

/// Bucket 0 holds zero; bucket `n > 0` holds `gamma^(n-2) < v <= gamma^(n-1)`, and `-n` the
/// negative mirror. Buckets order as their values do.
fn bucket(mantissa: i64) -> i32 {
    if mantissa == 0 {
        return 0;
    }
    let index = libm::ceil(libm::log(mantissa.unsigned_abs() as f64) / libm::log(GAMMA)) as i32 + 1;
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

    proptest! {
        #[test]
        fn quantiles_stay_within_the_stated_error(mut values in prop::collection::vec(-1_000_000_000_i64..1_000_000_000, 1..400), q in 0.0_f64..=1.0) {
            let mut sketch = Sketch::default();
            values.iter().for_each(|v| sketch.add(*v));
            values.sort_unstable();
            let exact = values[(q * (values.len() - 1) as f64) as usize] as f64;
            let got = sketch.quantile(q).unwrap();
            prop_assert!((got - exact).abs() <= RELATIVE_ERROR * exact.abs() * 1.000_001, "{got} {exact}");
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
