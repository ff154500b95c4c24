//! From accumulators to a function's value.

use super::answer::Answer;
use super::exact::ratio;
use super::function::Function;
use super::slot::Slot;
use crate::model::decimal::power_of_ten;

/// A function's value from the accumulators of its quantity, [`Slot::Sum`] always among them;
/// `None` when there is no data. `decimals` are the quantity's. Increases, rates and time-weighted
/// means are not made of slots alone: see [`super::sensors`].
#[must_use]
pub fn value(function: Function, slots: &[Slot], decimals: u8) -> Option<Answer> {
    let (count, sum) = slots.iter().find_map(|slot| match slot {
        Slot::Sum { count, sum } => Some((*count, *sum)),
        _ => None,
    })?;
    if function == Function::Count {
        return Some(Answer::number(count, decimals));
    }
    if count == 0 {
        return None;
    }
    match function {
        Function::Sum => return Some(Answer::whole(sum)),
        Function::Mean => {
            return Some(Answer::Exact { numerator: sum, denominator: i128::from(count) });
        }
        Function::Delta => return delta(slots),
        _ => {}
    }
    slots.iter().find_map(|slot| match (function, slot) {
        (Function::Min, Slot::Extremes(Some((low, _)))) => Some(whole(*low)),
        (Function::Max, Slot::Extremes(Some((_, high)))) => Some(whole(*high)),
        (Function::Range, Slot::Extremes(Some((low, high)))) => {
            Some(Answer::whole(i128::from(*high) - i128::from(*low)))
        }
        (Function::First, Slot::First(Some(first))) => Some(whole(first.mantissa())),
        (Function::Last, Slot::Last(Some(last))) => Some(whole(last.mantissa())),
        (Function::Variance, Slot::Squares(squares)) => variance(count, sum, *squares, decimals),
        (Function::Stddev, Slot::Squares(squares)) => deviation(count, sum, *squares, decimals),
        (Function::Quantile(millionths), Slot::Sketch(sketch)) => {
            sketch.quantile(millionths).map(|mantissa| Answer::Real(mantissa / power_of_ten(decimals)))
        }
        (Function::Distinct, Slot::Distinct(distinct)) => Some(Answer::number(distinct.count(), decimals)),
        (Function::EnergyMean, Slot::Energy(energy)) => energy.mean(count).map(Answer::Real),
        (Function::CircularMean, Slot::Circular(circular)) => circular.mean(count).map(Answer::Real),
        _ => None,
    })
}

fn whole(mantissa: i64) -> Answer {
    Answer::whole(i128::from(mantissa))
}

/// Last less first of one sensor.
fn delta(slots: &[Slot]) -> Option<Answer> {
    let first = slots.iter().find_map(|slot| match slot {
        Slot::First(first) => first.as_ref(),
        _ => None,
    })?;
    let last = slots.iter().find_map(|slot| match slot {
        Slot::Last(last) => last.as_ref(),
        _ => None,
    })?;
    Some(Answer::whole(i128::from(last.mantissa()) - i128::from(first.mantissa())))
}

/// n (n - 1) times the sample variance in squared mantissas, and n (n - 1), from exact sums.
/// `None` below two readings, and where it does not fit 128 bits (two million readings of 2^53).
fn spread(count: u64, sum: i128, squares: i128) -> Option<(i128, i128)> {
    let n = i128::from(count);
    if n < 2 || squares == i128::MAX {
        return None;
    }
    // With sum = n q + r: n M2 = n (squares - n q^2 - 2 q r) - r^2, and no product overflows
    // (squares <= n 2^106, so n q^2 <= squares).
    let (q, r) = (sum.div_euclid(n), sum.rem_euclid(n));
    let spread = squares - n * q * q - 2 * q * r;
    Some((n.checked_mul(spread)? - r * r, n * (n - 1)))
}

fn variance(count: u64, sum: i128, squares: i128, decimals: u8) -> Option<Answer> {
    let (numerator, pairs) = spread(count, sum, squares)?;
    // Squared mantissas are units of the last decimal squared; the answer is in units of one.
    match pairs.checked_mul(10_i128.pow(u32::from(decimals))) {
        Some(denominator) => Some(Answer::Exact { numerator, denominator }),
        None => {
            let scale = power_of_ten(decimals);
            Some(Answer::Real(ratio(numerator, pairs) / scale / scale))
        }
    }
}

fn deviation(count: u64, sum: i128, squares: i128, decimals: u8) -> Option<Answer> {
    let (numerator, pairs) = spread(count, sum, squares)?;
    Some(Answer::Real(ratio(numerator, pairs).max(0.0).sqrt() / power_of_ten(decimals)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::Timestamp;
    use crate::window::slot::{Sample, SlotKind};
    use proptest::prelude::*;

    /// Every function over readings whose order is that of the list.
    fn of(function: Function, values: &[i64], decimals: u8) -> Option<f64> {
        let device: Arc<str> = "a".into();
        let mut slots: Vec<Slot> = vec![SlotKind::Sum.empty()];
        slots.extend(function.slots().iter().map(|kind| kind.empty()));
        for (n, mantissa) in values.iter().enumerate() {
            let (event_at, sequence) = (Timestamp(n as i64), n as u64);
            let sample = Sample { mantissa: *mantissa, event_at, device: &device, counter: None, sequence };
            slots.iter_mut().for_each(|slot| slot.add(&sample, decimals));
        }
        value(function, &slots, decimals).map(|answer| answer.to_f64(decimals))
    }

    #[test]
    fn a_variance_beyond_exact_numbers_is_the_nearest_float() {
        // Half of them one hundredth above the mean, half below.
        let count = 4_000_000_000_000_000_000;
        let found = variance(count, 0, i128::from(count), 2).map(|answer| answer.to_f64(2));
        assert!(found.is_some_and(|value| (value / 1e-4 - 1.0).abs() < 1e-12), "{found:?}");
    }

    #[test]
    fn deviation_and_variance_are_the_samples() {
        let values = [2, 4, 4, 4, 5, 5, 7, 9];
        assert!((of(Function::Stddev, &values, 0).unwrap() - 2.138_089_935_299_395).abs() < 1e-15);
        assert_eq!(of(Function::Variance, &values, 0), Some(32.0 / 7.0));
        assert_eq!(of(Function::Variance, &values, 1), Some(32.0 / 700.0));
        assert_eq!(of(Function::Variance, &[2], 0), None);
        assert_eq!(of(Function::Stddev, &[2], 0), None);
        assert_eq!(of(Function::Variance, &[1 << 53; 5], 12), Some(0.0));
    }

    #[test]
    fn each_function_over_one_list() {
        let values = [30, -10, 20, 20];
        for (function, want) in [
            (Function::Count, 4.0),
            (Function::Sum, 6.0),
            (Function::Mean, 1.5),
            (Function::Min, -1.0),
            (Function::Max, 3.0),
            (Function::Range, 4.0),
            (Function::First, 3.0),
            (Function::Last, 2.0),
            (Function::Delta, -1.0),
            (Function::Distinct, 3.0),
        ] {
            assert_eq!(of(function, &values, 1), Some(want), "{function:?}");
            let empty = if function == Function::Count { Some(0.0) } else { None };
            assert_eq!(of(function, &[], 1), empty, "{function:?}");
        }
    }

    proptest! {
        /// Against integers of the naive kind: sums over all pairs.
        #[test]
        fn variance_equals_the_mean_square_of_differences(values in prop::collection::vec(-1_000_000_i64..1_000_000, 2..40)) {
            let mut twice = 0_i128;
            for a in &values {
                for b in &values {
                    twice += i128::from(a - b) * i128::from(a - b);
                }
            }
            let n = values.len() as i128;
            // Sum over all pairs of (a - b)^2 is 2 n^2 the population variance.
            prop_assert_eq!(of(Function::Variance, &values, 3), Some(ratio(twice, 2 * n * (n - 1) * 1_000_000)));
        }
    }
}
