//! The mean direction of angles in degrees (Mardia and Jupp, "Directional Statistics", 2000,
//! section 2.2): the direction of the sum of unit vectors, from integers.
//!
//! Each reading's sine and cosine (`libm`) is rounded to a whole number of 2^-30 and added, so
//! that the sum does not depend on any order. The direction is within 4e-8 degrees divided by the
//! mean vector's length. Where that length is below [`LENGTH_MIN`] the readings point nowhere
//! (0 and 180 degrees), and there is no data.

use serde::{Deserialize, Serialize};

/// Mean vectors shorter than a millionth have no direction.
pub const LENGTH_MIN: f64 = 1.0 / (SHORTEST as f64);
const SHORTEST: u128 = 1_000_000;
/// One, in the units of the sums: 2^33 readings fit 63 bits.
const ONE_BITS: i32 = 30;

/// The sum of some directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Circular {
    sine: i64,
    cosine: i64,
}

impl Circular {
    /// Adds one angle in degrees.
    pub fn add(&mut self, mantissa: i64, decimals: u8) {
        // Whole turns are taken off exactly, before anything is rounded.
        let unit = 10_i128.pow(u32::from(decimals));
        let turned = i128::from(mantissa).rem_euclid(360 * unit);
        let radians = (turned as f64 / unit as f64).to_radians();
        let quantised = |part: f64| libm::rint(libm::scalbn(part, ONE_BITS)) as i64;
        self.merge(&Self { sine: quantised(libm::sin(radians)), cosine: quantised(libm::cos(radians)) });
    }

    /// Takes in another's angles.
    pub fn merge(&mut self, other: &Self) {
        self.sine = self.sine.saturating_add(other.sine);
        self.cosine = self.cosine.saturating_add(other.cosine);
    }

    /// The mean direction of `count` angles, in degrees from 0 up to 360; `None` where there is
    /// none.
    #[must_use]
    pub fn mean(&self, count: u64) -> Option<f64> {
        let square = |part: i64| u128::from(part.unsigned_abs()) * u128::from(part.unsigned_abs());
        let shortest = (u128::from(count) << ONE_BITS) / SHORTEST;
        let length = square(self.sine) + square(self.cosine);
        if count == 0 || length <= shortest.checked_mul(shortest)? {
            return None;
        }
        let degrees = libm::atan2(self.sine as f64, self.cosine as f64).to_degrees();
        let turned = if degrees < 0.0 { degrees + 360.0 } else { degrees };
        // What rounds up to a whole turn is none.
        Some(if turned >= 360.0 { 0.0 } else { turned })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fold(degrees: &[i64]) -> Circular {
        let mut circular = Circular::default();
        degrees.iter().for_each(|angle| circular.add(*angle, 0));
        circular
    }

    fn mean(degrees: &[i64]) -> Option<f64> {
        fold(degrees).mean(degrees.len() as u64)
    }

    #[test]
    fn a_mean_vector_of_a_millionth_has_no_direction_and_a_longer_one_has() {
        let shortest = (5_000_000_i64 << ONE_BITS) / 1_000_000;
        for (sine, cosine, direction) in [(0, 1, 0.0), (1, 0, 90.0), (0, -1, 180.0), (-1, 0, 270.0)] {
            let of = |length: i64| Circular { sine: sine * length, cosine: cosine * length }.mean(5_000_000);
            assert_eq!((of(shortest), of(shortest + 1)), (None, Some(direction)));
        }
    }

    #[test]
    fn north_lies_between_north_west_and_north_east() {
        assert_eq!(mean(&[350, 10]), Some(0.0));
        assert!((mean(&[350, 20]).unwrap() - 5.0).abs() < 1e-7);
        assert!((mean(&[359, 0]).unwrap() - 359.5).abs() < 1e-7);
        assert!((mean(&[-90]).unwrap() - 270.0).abs() < 1e-7);
        assert_eq!(mean(&[720]), Some(0.0));
    }

    #[test]
    fn opposite_directions_have_no_mean() {
        for angles in [&[0, 180][..], &[90, 270], &[0, 120, 240], &[45, 225], &[0, 90, 180, 270], &[]] {
            assert_eq!(mean(angles), None, "{angles:?}");
        }
    }

    proptest! {
        #[test]
        fn one_angle_comes_back_within_the_stated_error(tenth in 0_i64..3_600) {
            let mut circular = Circular::default();
            circular.add(tenth, 1);
            let error = (circular.mean(1).unwrap() - tenth as f64 / 10.0).abs();
            prop_assert!(error.min(360.0 - error) <= 6e-8, "{error}");
        }

        #[test]
        fn order_and_split_change_nothing(angles in prop::collection::vec(-100_000_i64..100_000, 0..60), at in 0_usize..60) {
            let (left, right) = angles.split_at(at.min(angles.len()));
            let mut merged = fold(right);
            merged.merge(&fold(left));
            let backwards: Vec<i64> = angles.iter().rev().copied().collect();
            prop_assert_eq!(merged, fold(&angles));
            prop_assert_eq!(merged, fold(&backwards));
        }
    }
}
