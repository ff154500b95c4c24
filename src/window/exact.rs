//! The one rounding at the end: exact integer quotients to the nearest binary float.

/// `numerator / denominator` as the nearest float, ties to even. `denominator` must not be zero.
#[must_use]
pub fn ratio(numerator: i128, denominator: i128) -> f64 {
    if denominator == 0 {
        return f64::NAN;
    }
    if let (Some(numerator), Some(denominator)) = (exact(numerator), exact(denominator)) {
        // Both are floats: their quotient is rounded once, to nearest even (IEEE 754-2019, 5.4.1).
        return numerator / denominator;
    }
    let negative = (numerator < 0) != (denominator < 0);
    let magnitude = unsigned_ratio(numerator.unsigned_abs(), denominator.unsigned_abs());
    if negative { -magnitude } else { magnitude }
}

/// The float that a whole number is, if all those of its size are one.
fn exact(number: i128) -> Option<f64> {
    let small = i64::try_from(number).ok().filter(|small| small.unsigned_abs() <= 1 << 53)?;
    Some(small as f64)
}

fn unsigned_ratio(numerator: u128, denominator: u128) -> f64 {
    if numerator == 0 {
        return 0.0;
    }
    // A quotient of at least 55 bits with a sticky last bit rounds like the exact one.
    let mut quotient = numerator / denominator;
    let mut remainder = numerator % denominator;
    let mut exponent = 0_i32;
    while quotient < (1 << 55) {
        let Some(doubled) = remainder.checked_mul(2) else {
            // The denominator is beyond 2^127: such sums do not occur (see `MANTISSA_MAX`).
            break;
        };
        quotient = quotient * 2 + u128::from(doubled >= denominator);
        remainder = if doubled >= denominator { doubled - denominator } else { doubled };
        exponent -= 1;
    }
    let sticky = u128::from(remainder != 0);
    // `as` rounds u128 to nearest even; the sticky bit breaks false ties.
    let rounded = (quotient << 1 | sticky) as f64;
    rounded * 2_f64.powi(exponent - 1)
}

/// `numerator / denominator` as the nearest whole number, ties to even; `denominator` is positive.
#[must_use]
pub fn half_even(numerator: i128, denominator: i128) -> i128 {
    let (Some(quotient), Some(remainder)) =
        (numerator.checked_div_euclid(denominator), numerator.checked_rem_euclid(denominator))
    else {
        return 0;
    };
    // Compared with what is missing to the denominator, so that nothing is doubled.
    let rest = denominator - remainder;
    let up = remainder > rest || (remainder == rest && quotient % 2 != 0);
    quotient + i128::from(up)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_quotients() {
        assert_eq!(ratio(1, 3), 1.0 / 3.0);
        assert_eq!(ratio(-2_565_200, 100_000), -25.652);
        assert_eq!(ratio(0, 7), 0.0);
        assert_eq!((ratio(1, -4), ratio(-1, -4)), (-0.25, 0.25));
        assert_eq!(ratio(i128::from(i64::MAX), 1), i64::MAX as f64);
        assert_eq!(ratio(10_i128.pow(30) + 1, 10_i128.pow(30)), 1.0);
    }

    #[test]
    fn whole_numbers_round_half_to_even() {
        let halves: Vec<i128> = (-5..=5).map(|n| half_even(n, 2)).collect();
        assert_eq!(halves, [-2, -2, -2, -1, 0, 0, 0, 1, 2, 2, 2]);
        assert_eq!(half_even(i128::MAX, i128::MAX), 1);
        assert_eq!([half_even(5, 3), half_even(4, 3), half_even(-5, 3)], [2, 1, -2]);
    }

    proptest! {
        #[test]
        fn equals_float_division_of_exact_operands(a in -(1_i64 << 53)..(1_i64 << 53), b in 1_i64..(1_i64 << 53)) {
            let (numerator, denominator) = (i128::from(a), i128::from(b));
            prop_assert_eq!(ratio(numerator, denominator), a as f64 / b as f64);
            let long = unsigned_ratio(numerator.unsigned_abs(), denominator.unsigned_abs());
            prop_assert_eq!(long, (a as f64 / b as f64).abs());
        }
    }
}
