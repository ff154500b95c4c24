//! The values of a window's fields from plain lists, after `docs/reference/semantics.md`,
//! "Aggregates, precisely".

use super::call::Function;
use super::sketches;

/// Mantissas beyond are none.
const MANTISSA_MAX: i128 = 1 << 53;

/// A value before its one rounding.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// A fraction, in units of the quantity's last decimal.
    Exact(i128, i128),
    /// What roots, logarithms and buckets give, in units of the quantity.
    Float(f64),
}

impl Number {
    /// So many things, whatever the quantity's decimals.
    fn of(things: i128, decimals: u8) -> Self {
        Self::Exact(things * unit(decimals), 1)
    }

    /// The nearest float, in units of the quantity.
    pub fn float(self, decimals: u8) -> f64 {
        match self {
            Self::Exact(top, bottom) => quotient(top, bottom * unit(decimals)),
            Self::Float(value) => value,
        }
    }

    /// In units of the last decimal, ties to even; beyond what a mantissa holds there is none.
    pub fn mantissa(self, decimals: u8) -> Option<i128> {
        let whole = match self {
            Self::Exact(top, bottom) => {
                let (below, rest) = (top.div_euclid(bottom), top.rem_euclid(bottom));
                let up = 2 * rest > bottom || 2 * rest == bottom && below % 2 != 0;
                below + i128::from(up)
            }
            Self::Float(value) => {
                let scaled = (value * unit(decimals) as f64).round_ties_even();
                if !scaled.is_finite() {
                    return None;
                }
                scaled as i128
            }
        };
        (-MANTISSA_MAX..=MANTISSA_MAX).contains(&whole).then_some(whole)
    }
}

fn unit(decimals: u8) -> i128 {
    10_i128.pow(u32::from(decimals))
}

/// The value of a function over mantissas in their order; `None`: no data.
pub fn value(function: &Function, mantissas: &[i128], decimals: u8) -> Option<Number> {
    let n = mantissas.len() as i128;
    let sum: i128 = mantissas.iter().sum();
    let (low, high) = (mantissas.iter().min(), mantissas.iter().max());
    let name = function.name.as_str();
    if name == "count" {
        return Some(Number::of(n, decimals));
    }
    let whole = |mantissa: i128| Number::Exact(mantissa, 1);
    let (first, last) = (mantissas.first()?, mantissas.last()?);
    match name {
        "sum" => Some(whole(sum)),
        "mean" => Some(Number::Exact(sum, n)),
        "min" => low.copied().map(whole),
        "max" => high.copied().map(whole),
        "range" => Some(whole(high? - low?)),
        "first" => Some(whole(*first)),
        "last" => Some(whole(*last)),
        "variance" | "stddev" => {
            // Sum of squared distances from the mean, times n, is whole.
            let squares: i128 = mantissas.iter().map(|m| m * m).sum();
            let (top, pairs) = (n * squares - sum * sum, n * (n - 1));
            let deviation = |top, pairs| quotient(top, pairs).sqrt() / unit(decimals) as f64;
            (n > 1).then(|| match name {
                "variance" => Number::Exact(top, pairs * unit(decimals)),
                _ => Number::Float(deviation(top, pairs)),
            })
        }
        "quantile" => {
            let mantissa = sketches::quantile(function.millionths, mantissas)?;
            Some(Number::Float(mantissa / unit(decimals) as f64))
        }
        "distinct" => Some(Number::of(sketches::distinct(mantissas), decimals)),
        "energy_mean" => sketches::energy_mean(mantissas, unit(decimals)).map(Number::Float),
        "circular_mean" => sketches::circular_mean(mantissas, unit(decimals)).map(Number::Float),
        _ => panic!("the naive evaluator knows no {name}"),
    }
}

/// The float nearest to a fraction: long division by hand, as far as halves between two floats
/// have digits, then the standard library's correctly rounded reading of decimal text.
pub fn quotient(numerator: i128, denominator: i128) -> f64 {
    let negative = (numerator < 0) != (denominator < 0);
    let (top, bottom) = (numerator.unsigned_abs(), denominator.unsigned_abs());
    let mut text = format!("{}.", top / bottom);
    let mut rest = top % bottom;
    for _ in 0..160 {
        rest *= 10;
        text.push(char::from(b'0' + (rest / bottom) as u8));
        rest %= bottom;
    }
    if rest != 0 {
        text.push('1');
    }
    let magnitude: f64 = text.parse().expect("digits and a point");
    if negative && magnitude != 0.0 { -magnitude } else { magnitude }
}

#[test]
fn quotients_are_the_nearest_floats() {
    assert_eq!(quotient(1, 3), 1.0 / 3.0);
    assert_eq!(quotient(-25_652, 1_000), -25.652);
    assert_eq!(quotient(0, -7), 0.0);
    // Exactly half way between two floats: to even.
    assert_eq!(quotient((1 << 53) + 1, 1), 9_007_199_254_740_992.0);
    assert_eq!(quotient(((1 << 53) + 1) * 3, 3), 9_007_199_254_740_992.0);
    assert_eq!(quotient((1 << 53) * 3 + 4, 3), 9_007_199_254_740_994.0);
}

#[test]
fn mantissas_round_half_to_even() {
    let halves: Vec<i128> = (-5..=5).filter_map(|n| Number::Exact(n, 2).mantissa(3)).collect();
    assert_eq!(halves, [-2, -2, -2, -1, 0, 0, 0, 1, 2, 2, 2]);
    assert_eq!(Number::Float(0.0025).mantissa(3), Some(2));
    assert_eq!(Number::Exact(MANTISSA_MAX + 1, 1).mantissa(0), None);
}
