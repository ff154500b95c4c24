//! Exact decimal numbers of any scale, for sums and scales that must round once at the end:
//! SenML base values and times, epoch seconds with decimals.

use std::ops::RangeInclusive;

use crate::model::decimal::{DECIMALS_MAX, MANTISSA_MAX};
use crate::model::{DecimalError, Value};

/// The most significant digits a decimal holds; more are refused, not rounded.
const DIGITS_MAX: u32 = 34;
/// Exponents that a decimal can carry; values beyond are refused.
const EXPONENTS: RangeInclusive<i64> = -1_000_000..=1_000_000;

/// An exact decimal number, `mantissa * 10^exponent`, in its shortest form, so that equal numbers
/// are equal values: `1.30` is `0.13e1`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decimal {
    mantissa: i128,
    exponent: i32,
}

impl Decimal {
    /// Reads a plain decimal: sign, digits with at most one point, exponent; `.5` and `5.` too.
    ///
    /// # Errors
    /// [`DecimalError`]: no number, or more than 34 significant digits or an exponent beyond a
    /// million.
    pub fn parse(text: &str) -> Result<Self, DecimalError> {
        let parts = Parts::split(text).ok_or(DecimalError::NotANumber)?;
        let mut mantissa: i128 = 0;
        let mut digits = 0;
        let mut exponent: i64 = 0;
        let fraction = parts.fraction.bytes().map(|digit| (digit, -1));
        for (digit, step) in parts.integer.bytes().map(|digit| (digit, 0)).chain(fraction) {
            if digits < DIGITS_MAX {
                mantissa = mantissa * 10 + i128::from(digit - b'0');
                digits += u32::from(mantissa != 0);
                exponent += step;
            } else if digit == b'0' {
                exponent += step + 1;
            } else {
                return Err(DecimalError::OutOfRange);
            }
        }
        exponent = exponent.saturating_add(parts.exponent());
        Self::shortest(if parts.negative { -mantissa } else { mantissa }, exponent)
            .ok_or(DecimalError::OutOfRange)
    }

    /// A whole number.
    #[must_use]
    pub fn whole(number: i64) -> Self {
        Self::shortest(i128::from(number), 0).unwrap_or_default()
    }

    /// The exact sum; `None` when it has more digits than 128 bits hold.
    #[must_use]
    pub fn plus(self, other: Self) -> Option<Self> {
        if self.mantissa == 0 || other.mantissa == 0 {
            return Some(if self.mantissa == 0 { other } else { self });
        }
        let exponent = self.exponent.min(other.exponent);
        let aligned = |number: Self| {
            let power = u32::try_from(number.exponent - exponent).ok()?;
            number.mantissa.checked_mul(10_i128.checked_pow(power)?)
        };
        Self::shortest(aligned(self)?.checked_add(aligned(other)?)?, i64::from(exponent))
    }

    /// Whether there is nothing behind the point.
    #[must_use]
    pub fn is_whole(self) -> bool {
        self.exponent >= 0
    }

    /// The number in units of `10^-decimals`, rounded once, half to even; `None` beyond 128 bits.
    #[must_use]
    pub fn scaled(self, decimals: u8) -> Option<i128> {
        let shift = self.exponent + i32::from(decimals);
        if self.mantissa == 0 {
            return Some(0);
        }
        let power = 10_i128.checked_pow(shift.unsigned_abs());
        if shift >= 0 {
            return self.mantissa.checked_mul(power?);
        }
        // A divisor beyond 128 bits is more than twice any mantissa: the quotient rounds to zero.
        let Some(divisor) = power else { return Some(0) };
        let (quotient, remainder) = (self.mantissa / divisor, (self.mantissa % divisor).abs());
        let rest = divisor - remainder;
        let up = remainder > rest || (remainder == rest && quotient % 2 != 0);
        Some(quotient + if up { self.mantissa.signum() } else { 0 })
    }

    /// The number as a value with `decimals` places.
    ///
    /// # Errors
    /// [`DecimalError::OutOfRange`] where no value can hold it.
    pub fn value(self, decimals: u8) -> Result<Value, DecimalError> {
        Value::from_mantissa(self.scaled(decimals).ok_or(DecimalError::OutOfRange)?)
    }

    fn shortest(mut mantissa: i128, mut exponent: i64) -> Option<Self> {
        if mantissa == 0 {
            return Some(Self::default());
        }
        while mantissa % 10 == 0 {
            mantissa /= 10;
            exponent += 1;
        }
        let exponent = i32::try_from(exponent).ok().filter(|e| EXPONENTS.contains(&i64::from(*e)))?;
        Some(Self { mantissa, exponent })
    }
}

/// The longest text that [`short`] reads: its digits fit 64 bits.
const SHORT_BYTES_MAX: usize = 16;
/// What a short number is multiplied by for the decimals that it does not write.
const POWERS: [i64; DECIMALS_MAX as usize + 1] = [
    1,
    10,
    100,
    1_000,
    10_000,
    100_000,
    1_000_000,
    10_000_000,
    100_000_000,
    1_000_000_000,
    10_000_000_000,
    100_000_000_000,
    1_000_000_000_000,
];

/// The value of a JSON number, as [`Value::parse`] reads it; the usual short ones in 64 bits.
///
/// # Errors
/// Those of [`Value::parse`].
pub(super) fn value(text: &str, decimals: u8) -> Result<Value, DecimalError> {
    match short(text, decimals) {
        Some(value) => value,
        None => Value::parse(text.as_bytes(), decimals),
    }
}

/// The value of a short number without exponent that needs no rounding; `None`: the text is
/// something else, a number or not.
///
/// # Errors
/// Those of [`Value::parse`].
#[inline]
pub(super) fn short(text: &str, decimals: u8) -> Option<Result<Value, DecimalError>> {
    let text = text.as_bytes();
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    if digits.len() > SHORT_BYTES_MAX || !digits.first()?.is_ascii_digit() {
        return None;
    }
    // Sixteen digits fit: nothing wraps.
    let mut mantissa: i64 = 0;
    let mut behind = None;
    for (place, &byte) in digits.iter().enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit <= 9 {
            mantissa = mantissa.wrapping_mul(10).wrapping_add(i64::from(digit));
        } else if byte == b'.' && behind.is_none() {
            behind = Some(digits.len() - place - 1);
        } else {
            return None;
        }
    }
    let power = POWERS.get(usize::from(decimals).checked_sub(behind.unwrap_or(0))?)?;
    let magnitude = mantissa.checked_mul(*power)?;
    let mantissa = if digits.len() < text.len() { -magnitude } else { magnitude };
    let holds = (-MANTISSA_MAX..=MANTISSA_MAX).contains(&mantissa);
    Some(if holds { Ok(Value(mantissa)) } else { Err(DecimalError::OutOfRange) })
}

/// Whether a text spells a plain decimal, as [`Decimal::parse`] reads it.
pub(super) fn is_plain(text: &str) -> bool {
    Parts::split(text).is_some()
}

/// A decimal's text taken apart; all but the sign are digits.
struct Parts<'a> {
    negative: bool,
    integer: &'a str,
    fraction: &'a str,
    power_negative: bool,
    power: &'a str,
}

impl<'a> Parts<'a> {
    fn split(text: &'a str) -> Option<Self> {
        let (negative, unsigned) = sign(text);
        let (number, power) = match unsigned.find(['e', 'E']) {
            Some(at) => (unsigned.get(..at)?, Some(unsigned.get(at + 1..)?)),
            None => (unsigned, None),
        };
        let (integer, fraction) = number.split_once('.').unwrap_or((number, ""));
        let (power_negative, power_digits) = sign(power.unwrap_or_default());
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let has_digits = !integer.is_empty() || !fraction.is_empty();
        let power_complete = power.is_none() || !power_digits.is_empty();
        (has_digits && power_complete && digits(integer) && digits(fraction) && digits(power_digits))
            .then_some(Self { negative, integer, fraction, power_negative, power: power_digits })
    }

    /// The written exponent, beyond every limit where it has too many digits.
    fn exponent(&self) -> i64 {
        let power = match self.power {
            "" => 0,
            digits => {
                digits.parse::<i64>().map_or(i64::from(i32::MAX), |power| power.min(i64::from(i32::MAX)))
            }
        };
        if self.power_negative { -power } else { power }
    }
}

fn sign(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn equal_numbers_are_equal_however_they_are_written() {
        for (one, other) in
            [("1.30", "0.13e1"), ("1.276020076001e+09", "1276020076.001"), ("-0", "0"), ("5.", "+5")]
        {
            assert_eq!(decimal(one), decimal(other), "{one} {other}");
        }
        assert_eq!(decimal("1".repeat(34).as_str()).scaled(0), Some("1".repeat(34).parse().unwrap()));
        assert_eq!(decimal(&format!("1.{}", "0".repeat(500))), Decimal::whole(1));
        assert_eq!(decimal(&format!("1{}e-500", "0".repeat(500))), Decimal::whole(1));
    }

    #[test]
    fn refuses_what_is_no_number_or_has_too_many_digits() {
        for text in
            ["", "-", "NaN", "inf", "1.2.3", "1e", "1e-", "1e+-5", "0x10", "1,5", "e5", ".", "١", "1 ", "--1"]
        {
            assert_eq!(Decimal::parse(text), Err(DecimalError::NotANumber), "{text}");
            assert!(!is_plain(text), "{text}");
        }
        let digits = "1".repeat(35);
        for text in [digits.as_str(), "1e9999999", "1e99999999999999999999", "1e-99999999999999999999"] {
            assert_eq!(Decimal::parse(text), Err(DecimalError::OutOfRange), "{text}");
        }
    }

    #[test]
    fn a_sum_rounds_once() {
        // Rounded one by one to two decimals these would be 0.02; their sum is 0.01.
        let sum = decimal("0.0051").plus(decimal("0.0051")).unwrap();
        assert_eq!(sum.value(2), Ok(Value(1)));
        assert_eq!(decimal("0.1").plus(decimal("0.2")), Some(decimal("0.3")));
        assert_eq!(decimal("1e30").plus(decimal("1e-30")), None);
        assert_eq!(decimal("1e300").plus(Decimal::default()), Some(decimal("1e300")));
        assert_eq!(decimal("1e300").scaled(0), None);
        assert_eq!(decimal("1e-300").scaled(12), Some(0));
        assert_eq!([decimal("2.5").scaled(0), decimal("-3.5").scaled(0)], [Some(2), Some(-4)]);
    }

    proptest! {
        #[test]
        fn agrees_with_the_model_value(text in "-?(0|[1-9][0-9]{0,9})(\\.[0-9]{1,12})?([eE][+-]?[0-3])?", decimals in 0_u8..=3) {
            prop_assert_eq!(decimal(&text).value(decimals), Value::parse(text.as_bytes(), decimals));
        }

        #[test]
        fn short_numbers_are_what_the_model_reads(text in "-?(0|[1-9][0-9]{0,16})(\\.[0-9]{0,8})?", decimals in 0_u8..=12) {
            prop_assert_eq!(value(&text, decimals), Value::parse(text.as_bytes(), decimals));
        }

        #[test]
        fn any_text_is_what_the_model_reads(text in "[-+0-9.e]{0,20}", decimals in 0_u8..=12) {
            prop_assert_eq!(value(&text, decimals), Value::parse(text.as_bytes(), decimals));
        }

        #[test]
        fn sums_are_integer_sums(a in -1_000_000_000_i64..1_000_000_000, b in -1_000_000_000_i64..1_000_000_000, at in 0_i64..9) {
            let one = Decimal::shortest(i128::from(a), -at).unwrap();
            let other = Decimal::shortest(i128::from(b), -at).unwrap();
            prop_assert_eq!(one.plus(other), Decimal::shortest(i128::from(a + b), -at));
        }
    }
}
