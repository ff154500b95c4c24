//! A value before its one rounding: an exact quotient, or a float where a function has no other.

use super::exact::{half_even, ratio};
use crate::model::Value;
use crate::model::decimal::power_of_ten;

/// A function's value over a quantity of some decimals.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Answer {
    /// `numerator / denominator` in units of the quantity's last decimal; the denominator is
    /// positive.
    Exact {
        /// Above the line.
        numerator: i128,
        /// Below it.
        denominator: i128,
    },
    /// In units of the quantity; of functions that take roots or logarithms, and of quantiles.
    Real(f64),
}

impl Answer {
    /// A whole number of the quantity's last decimal.
    #[must_use]
    pub fn whole(numerator: i128) -> Self {
        Self::Exact { numerator, denominator: 1 }
    }

    /// A number of things, whatever the quantity's decimals.
    #[must_use]
    pub fn number(of: u64, decimals: u8) -> Self {
        Self::whole(i128::from(of) * unit(decimals))
    }

    /// The nearest float, in units of the quantity.
    #[must_use]
    pub fn to_f64(self, decimals: u8) -> f64 {
        match self {
            Self::Exact { numerator, denominator } => match denominator.checked_mul(unit(decimals)) {
                // `ratio` doubles remainders, which are smaller than the denominator.
                Some(whole) if whole < i128::MAX / 2 => ratio(numerator, whole),
                _ => ratio(numerator, denominator) / power_of_ten(decimals),
            },
            Self::Real(value) => value,
        }
    }

    /// The nearest mantissa at the quantity's decimals, ties to even; `None` beyond what a
    /// mantissa holds.
    #[must_use]
    pub fn to_mantissa(self, decimals: u8) -> Option<i64> {
        let whole = match self {
            Self::Exact { numerator, denominator } => half_even(numerator, denominator),
            Self::Real(value) => {
                let scaled = libm::rint(value * power_of_ten(decimals));
                // The cast saturates; what is not finite is no value.
                if scaled.is_finite() { scaled as i128 } else { return None }
            }
        };
        Value::from_mantissa(whole).ok().map(|value| value.0)
    }
}

/// 10 to the power of `decimals`.
fn unit(decimals: u8) -> i128 {
    10_i128.pow(u32::from(decimals))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quotient_whose_scale_is_beyond_integers_is_scaled_as_a_float() {
        let (numerator, denominator) = (3 * 10_i128.pow(37), 10_i128.pow(38));
        assert_eq!(Answer::Exact { numerator, denominator }.to_f64(2), 0.3 / 100.0);
    }

    #[test]
    fn rounds_half_to_even_either_way() {
        let exact = |numerator| Answer::Exact { numerator, denominator: 2 }.to_mantissa(3);
        assert_eq!([exact(1), exact(3), exact(-1), exact(-3)], [Some(0), Some(2), Some(0), Some(-2)]);
        assert_eq!(Answer::Real(0.0025).to_mantissa(3), Some(2));
        assert_eq!(Answer::Real(f64::NAN).to_mantissa(3), None);
        assert_eq!(Answer::whole(i128::MAX).to_mantissa(0), None);
        assert_eq!(Answer::number(7, 3).to_f64(3), 7.0);
    }
}
