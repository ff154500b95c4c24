//! The energy mean of levels in decibels, L = 10 log10(mean(10^(l/10))), as equivalent levels are
//! averaged (ISO 1996-1), from integers.
//!
//! Each reading's 10^(l/10) (`libm`) is rounded to a whole number of fixed units and added, so
//! that the sum does not depend on any order. The unit is 2^-30 for levels from 0 dB and 2^-90
//! below, where sound gives way to radio: the level of one reading is kept within 2e-9 dB from
//! 0 dB up, and within 2e-7 dB down to [`LEVEL_MIN`]; so is their mean. Levels beyond
//! [`LEVEL_MAX`] count as that (a quantity's `max` keeps them out). 10^9 readings at the limit
//! make 10^9 x 10^20 x 2^30 < 2^127.

use serde::{Deserialize, Serialize};

use super::exact::ratio;
use crate::model::decimal::power_of_ten;

/// Levels below count as this, in decibels.
pub const LEVEL_MIN: f64 = -200.0;
/// Levels above count as this, in decibels.
pub const LEVEL_MAX: f64 = 200.0;
/// Binary places of the sum of levels from 0 dB.
const LOUD_BITS: u32 = 30;
/// Binary places of the sum of levels below 0 dB.
const SOFT_BITS: u32 = 90;

/// The energy of some levels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Energy {
    loud: i128,
    soft: i128,
}

impl Energy {
    /// Adds one level.
    pub fn add(&mut self, mantissa: i64, decimals: u8) {
        let level = (mantissa as f64 / power_of_ten(decimals)).clamp(LEVEL_MIN, LEVEL_MAX);
        let energy = libm::exp10(level / 10.0);
        // The product is exact (a power of two), the cast of a whole float below 2^127 is, too.
        if level < 0.0 {
            self.soft = self.soft.saturating_add(quantised(energy, SOFT_BITS));
        } else {
            self.loud = self.loud.saturating_add(quantised(energy, LOUD_BITS));
        }
    }

    /// Takes in another's levels.
    pub fn merge(&mut self, other: &Self) {
        self.loud = self.loud.saturating_add(other.loud);
        self.soft = self.soft.saturating_add(other.soft);
    }

    /// The mean level of `count` levels in decibels; `None` when there are none.
    #[must_use]
    pub fn mean(&self, count: u64) -> Option<f64> {
        let share = |sum: i128, bits: u32| match i128::from(count).checked_mul(1 << bits) {
            Some(whole) if whole > 0 && whole < i128::MAX / 2 => Some(ratio(sum, whole)),
            _ => None,
        };
        let mean = share(self.loud, LOUD_BITS)? + share(self.soft, SOFT_BITS)?;
        (mean > 0.0).then(|| 10.0 * libm::log10(mean))
    }
}

fn quantised(energy: f64, bits: u32) -> i128 {
    libm::rint(libm::scalbn(energy, bits.cast_signed())) as i128
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mean(levels: &[i64], decimals: u8) -> f64 {
        let mut energy = Energy::default();
        levels.iter().for_each(|level| energy.add(*level, decimals));
        energy.mean(levels.len() as u64).unwrap()
    }

    #[test]
    fn no_levels_and_more_than_can_be_counted_have_no_mean() {
        let mut energy = Energy::default();
        assert_eq!((energy.mean(0), energy.mean(3)), (None, None));
        energy.add(60, 0);
        assert_eq!(energy.mean(0), None);
        assert!(energy.mean((1 << 36) - 1).is_some());
        assert_eq!((energy.mean(1 << 36), energy.mean(u64::MAX)), (None, None));
    }

    #[test]
    fn the_louder_one_rules() {
        // 10 log10((10^6 + 10^8) / 2)
        assert!((mean(&[600, 800], 1) - 77.032_913_781_186_61).abs() < 1e-9);
        assert_eq!(Energy::default().mean(0), None);
    }

    #[test]
    fn a_level_alone_comes_back_within_the_stated_error() {
        for tenth in -2_000..=2_000 {
            let error = (mean(&[tenth], 1) - tenth as f64 / 10.0).abs();
            let bound = if tenth < 0 { 2e-7 } else { 2e-9 };
            assert!(error <= bound, "{tenth}: {error}");
        }
    }

    #[test]
    fn a_billion_readings_at_the_limit_do_not_overflow() {
        let mut one = Energy::default();
        one.add(900, 0);
        let billion = Energy { loud: one.loud.checked_mul(1_000_000_000).unwrap(), soft: 0 };
        assert_eq!(billion.mean(1_000_000_000), Some(200.0));
        let mut low = Energy::default();
        low.add(-1, 6);
        assert!(low.soft.checked_mul(1_000_000_000).is_some());
    }

    proptest! {
        #[test]
        fn order_and_split_change_nothing(levels in prop::collection::vec(-250_000_000_i64..250_000_000, 1..60), at in 0_usize..60) {
            let fold = |levels: &[i64]| {
                let mut energy = Energy::default();
                levels.iter().for_each(|level| energy.add(*level, 6));
                energy
            };
            let (left, right) = levels.split_at(at.min(levels.len()));
            let mut merged = fold(right);
            merged.merge(&fold(left));
            prop_assert_eq!(&merged, &fold(&levels));
            let backwards: Vec<i64> = levels.iter().rev().copied().collect();
            prop_assert_eq!(merged, fold(&backwards));
        }
    }
}
