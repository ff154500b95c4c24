//! Exact values: an `i64` mantissa with a number of decimals per quantity.
//!
//! A value is read from the sender's own decimal text, never through a binary float, and rounded
//! once, half to even, where it carries more decimals than its quantity keeps.

use thiserror::Error;

/// Decimals a quantity keeps unless its definition says otherwise.
pub const DECIMALS: u8 = 6;
/// The most decimals a quantity can keep.
pub const DECIMALS_MAX: u8 = 12;
/// The largest mantissa, 2^53: every value is also an exact binary float's neighbour, and sums of
/// squares of two million readings fit 128 bits.
pub const MANTISSA_MAX: i64 = 1 << 53;

/// A value as the mantissa `value * 10^decimals`, the decimals being the quantity's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Value(pub i64);

/// Why a text is no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DecimalError {
    /// Not a decimal number: NaN, infinity, letters, empty.
    #[error("not a decimal number")]
    NotANumber,
    /// Beyond what a mantissa holds.
    #[error("out of range: larger than 2^53 in units of its last decimal")]
    OutOfRange,
}

impl Value {
    /// Reads `-12.5e3` and the like with `decimals` places, rounding half to even.
    ///
    /// # Errors
    /// [`DecimalError`]: quarantine this reading, its siblings live.
    pub fn parse(text: &[u8], decimals: u8) -> Result<Self, DecimalError> {
        let (negative, digits) = match text.split_first() {
            Some((b'-', rest)) => (true, rest),
            Some((b'+', rest)) => (false, rest),
            _ => (false, text),
        };
        let (number, exponent) = split_exponent(digits)?;
        let mut mantissa: i128 = 0;
        let mut seen = 0_usize;
        let mut scale: i64 = 0;
        let mut fraction = false;
        let mut sticky = false;
        for &byte in number {
            match byte {
                b'0'..=b'9' => {
                    seen += 1;
                    if mantissa < 10_i128.pow(34) {
                        mantissa = mantissa * 10 + i128::from(byte - b'0');
                        scale -= i64::from(fraction);
                    } else {
                        sticky |= byte != b'0';
                        scale += i64::from(!fraction);
                    }
                }
                b'.' if !fraction => fraction = true,
                _ => return Err(DecimalError::NotANumber),
            }
        }
        if seen == 0 {
            return Err(DecimalError::NotANumber);
        }
        let shift = scale + exponent + i64::from(decimals);
        let magnitude = shifted(mantissa, shift, sticky).ok_or(DecimalError::OutOfRange)?;
        Self::from_mantissa(if negative { -magnitude } else { magnitude })
    }

    /// From a mantissa already at the quantity's decimals.
    ///
    /// # Errors
    /// [`DecimalError::OutOfRange`] beyond [`MANTISSA_MAX`].
    pub fn from_mantissa(mantissa: i128) -> Result<Self, DecimalError> {
        i64::try_from(mantissa)
            .ok()
            .filter(|m| (-MANTISSA_MAX..=MANTISSA_MAX).contains(m))
            .map(Self)
            .ok_or(DecimalError::OutOfRange)
    }

    /// The value that `to_f64` made this float of. Exact for all mantissas up to 2^52, and for most of
    /// those beyond, of which two may share a float.
    ///
    /// # Errors
    /// [`DecimalError`]: no value is this float, or more than one.
    pub fn from_f64(float: f64, decimals: u8) -> Result<Self, DecimalError> {
        if !float.is_finite() {
            return Err(DecimalError::NotANumber);
        }
        let scaled = (float * power_of_ten(decimals)).round_ties_even();
        if scaled.abs() > MANTISSA_MAX as f64 {
            return Err(DecimalError::OutOfRange);
        }
        // The product is rounded too, so that the mantissa may be a neighbour.
        let near = scaled as i64;
        let is_it =
            |mantissa: &i64| mantissa.abs() <= MANTISSA_MAX && Self(*mantissa).to_f64(decimals) == float;
        let mut found = (near - 2..=near + 2).filter(is_it);
        match (found.next(), found.next()) {
            (Some(mantissa), None) => Ok(Self(mantissa)),
            (None, _) => Err(DecimalError::NotANumber),
            (Some(_), Some(_)) => Err(DecimalError::OutOfRange),
        }
    }

    /// The nearest binary float, for expressions and output.
    #[must_use]
    pub fn to_f64(self, decimals: u8) -> f64 {
        // Both operands are exact (2^53 and 10^12 at most), so this rounds once.
        self.0 as f64 / power_of_ten(decimals)
    }
}

/// 10 to the power of `decimals`, exact up to 22.
#[must_use]
pub fn power_of_ten(decimals: u8) -> f64 {
    const POWERS: [f64; 13] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12];
    POWERS.get(usize::from(decimals)).copied().unwrap_or(1e12)
}

fn split_exponent(digits: &[u8]) -> Result<(&[u8], i64), DecimalError> {
    let Some(at) = digits.iter().position(|b| matches!(b, b'e' | b'E')) else {
        return Ok((digits, 0));
    };
    let (number, tail) = digits.split_at(at);
    let text =
        std::str::from_utf8(tail.get(1..).unwrap_or_default()).map_err(|_| DecimalError::NotANumber)?;
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(DecimalError::NotANumber);
    }
    // An exponent beyond a million is out of range or zero either way.
    let exponent = text.parse::<i64>().unwrap_or(if text.starts_with('-') { -1_000_000 } else { 1_000_000 });
    Ok((number, exponent.clamp(-1_000_000, 1_000_000)))
}

/// `mantissa * 10^shift`, rounded half to even; `None` when too large.
fn shifted(mantissa: i128, shift: i64, sticky: bool) -> Option<i128> {
    if mantissa == 0 {
        return Some(0);
    }
    if shift >= 0 {
        let power = u32::try_from(shift).ok().filter(|s| *s < 38)?;
        return mantissa.checked_mul(10_i128.checked_pow(power)?);
    }
    let Some(power) = u32::try_from(-shift).ok().filter(|s| *s < 38) else {
        return Some(0);
    };
    let divisor = 10_i128.pow(power);
    let (quotient, remainder) = (mantissa / divisor, mantissa % divisor);
    let twice = remainder * 2;
    let up = twice > divisor || (twice == divisor && (sticky || quotient % 2 == 1));
    Some(quotient + i128::from(up))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Result<i64, DecimalError> {
        Value::parse(text.as_bytes(), 2).map(|v| v.0)
    }

    #[test]
    fn reads_decimals_exactly_and_rounds_half_to_even() {
        for (text, want) in [
            ("23.4", 2340),
            ("-9999.0", -999_900),
            ("0.125", 12),
            ("0.135", 14),
            ("0.1350000000000000000000000000000000000000001", 14),
            ("0.125000000000000000000000000000000000000001", 13),
            ("1e3", 100_000),
            ("12.5e-1", 125),
            ("-0", 0),
            ("1e-400", 0),
            (".5", 50),
            ("5.", 500),
        ] {
            assert_eq!(value(text), Ok(want), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_number_or_too_large() {
        for text in ["", "-", "NaN", "inf", "1.2.3", "1e", "1e-", "1e+-5", "0x10", "1,5", "e5", "."] {
            assert_eq!(value(text), Err(DecimalError::NotANumber), "{text}");
        }
        for text in ["1e300", "99999999999999999999", "1e99999999999999999999"] {
            assert_eq!(value(text), Err(DecimalError::OutOfRange), "{text}");
        }
    }

    #[test]
    fn a_float_is_the_value_that_it_was_made_of() {
        let mut state = 7_u64;
        for n in 0..200_000_u64 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let decimals = (n % 13) as u8;
            let mantissa = (state >> 11) as i64 >> (n % 53) >> 1;
            for value in [Value(mantissa), Value(-mantissa)] {
                assert_eq!(Value::from_f64(value.to_f64(decimals), decimals), Ok(value), "{decimals}");
            }
        }
        assert_eq!(Value::from_f64(1e16, 0), Err(DecimalError::OutOfRange));
        assert_eq!(Value::from_f64(f64::NAN, 2), Err(DecimalError::NotANumber));
        assert_eq!(Value::from_f64(0.125, 2), Err(DecimalError::NotANumber), "never a value of two decimals");
        // Near 2^53 with six decimals floats lie further apart than a millionth.
        let float = |n: i64| Value(MANTISSA_MAX - n).to_f64(6);
        let shared = (1..10).find(|n| float(*n) == float(n + 1)).map(float).unwrap();
        assert_eq!(Value::from_f64(shared, 6), Err(DecimalError::OutOfRange));
    }

    #[test]
    fn floats_are_the_nearest_to_the_text() {
        for text in ["23.4", "0.1", "6.251234", "-75.561234"] {
            let value = Value::parse(text.as_bytes(), DECIMALS).unwrap();
            assert_eq!(value.to_f64(DECIMALS), text.parse::<f64>().unwrap());
        }
    }
}
