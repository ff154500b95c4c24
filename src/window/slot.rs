//! Accumulators: what a pane remembers of its readings.
//!
//! Each is a commutative monoid over integers, or keeps the reading that is first or last in the
//! order of the semantics: (event time, device name, counter, journal sequence).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::exact::ratio;
use super::plan::Function;
use super::sketch::Sketch;
use crate::model::Timestamp;
use crate::model::decimal::power_of_ten;

/// One reading as accumulators see it.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// Mantissa at the quantity's decimals.
    pub mantissa: i64,
    /// When the device measured.
    pub event_at: Timestamp,
    /// The device's name.
    pub device: &'a Arc<str>,
    /// Frame counter or own sequence.
    pub counter: Option<u64>,
    /// Journal sequence.
    pub sequence: u64,
}

/// A reading with its place in the order of the semantics.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Ordered {
    event_at: Timestamp,
    device: Arc<str>,
    counter: Option<u64>,
    sequence: u64,
    mantissa: i64,
}

impl From<&Sample<'_>> for Ordered {
    fn from(sample: &Sample<'_>) -> Self {
        Self {
            event_at: sample.event_at,
            device: sample.device.clone(),
            counter: sample.counter,
            sequence: sample.sequence,
            mantissa: sample.mantissa,
        }
    }
}

/// One accumulator over one quantity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Slot {
    /// Number and sum of the mantissas.
    Sum {
        /// Readings.
        count: u64,
        /// Sum of mantissas.
        sum: i128,
    },
    /// Smallest and largest mantissa.
    Extremes(Option<(i64, i64)>),
    /// Sum of squared mantissas.
    Squares(i128),
    /// Quantiles.
    Sketch(Sketch),
    /// The reading first in order.
    First(Option<Ordered>),
    /// The reading last in order.
    Last(Option<Ordered>),
}

/// Which accumulator a function needs, besides [`Slot::Sum`], which every quantity has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SlotKind {
    /// [`Slot::Sum`].
    Sum,
    /// [`Slot::Extremes`].
    Extremes,
    /// [`Slot::Squares`].
    Squares,
    /// [`Slot::Sketch`].
    Sketch,
    /// [`Slot::First`].
    First,
    /// [`Slot::Last`].
    Last,
}

impl SlotKind {
    /// An empty accumulator of this kind.
    #[must_use]
    pub fn empty(self) -> Slot {
        match self {
            Self::Sum => Slot::Sum { count: 0, sum: 0 },
            Self::Extremes => Slot::Extremes(None),
            Self::Squares => Slot::Squares(0),
            Self::Sketch => Slot::Sketch(Sketch::default()),
            Self::First => Slot::First(None),
            Self::Last => Slot::Last(None),
        }
    }
}

impl Slot {
    /// Takes in one reading.
    pub fn add(&mut self, sample: &Sample<'_>) {
        let mantissa = sample.mantissa;
        match self {
            Self::Sum { count, sum } => {
                *count += 1;
                *sum += i128::from(mantissa);
            }
            Self::Extremes(extremes) => {
                let (low, high) = extremes.unwrap_or((mantissa, mantissa));
                *extremes = Some((low.min(mantissa), high.max(mantissa)));
            }
            Self::Squares(squares) => *squares += i128::from(mantissa) * i128::from(mantissa),
            Self::Sketch(sketch) => sketch.add(mantissa),
            Self::First(first) => {
                let earlier = first.as_ref().is_none_or(|held| sample.event_at <= held.event_at);
                if earlier {
                    let candidate = Ordered::from(sample);
                    if first.as_ref().is_none_or(|held| candidate < *held) {
                        *first = Some(candidate);
                    }
                }
            }
            Self::Last(last) => {
                let later = last.as_ref().is_none_or(|held| sample.event_at >= held.event_at);
                if later {
                    let candidate = Ordered::from(sample);
                    if last.as_ref().is_none_or(|held| candidate > *held) {
                        *last = Some(candidate);
                    }
                }
            }
        }
    }

    /// Takes in another pane's accumulator of the same kind.
    pub fn merge(&mut self, other: &Self) {
        match (self, other) {
            (Self::Sum { count, sum }, Self::Sum { count: n, sum: s }) => {
                *count += n;
                *sum += s;
            }
            (Self::Extremes(mine), Self::Extremes(Some((low, high)))) => {
                let (l, h) = mine.unwrap_or((*low, *high));
                *mine = Some((l.min(*low), h.max(*high)));
            }
            (Self::Squares(mine), Self::Squares(squares)) => *mine += squares,
            (Self::Sketch(mine), Self::Sketch(sketch)) => mine.merge(sketch),
            (Self::First(mine), Self::First(Some(first)))
                if mine.as_ref().is_none_or(|held| first < held) =>
            {
                *mine = Some(first.clone());
            }
            (Self::Last(mine), Self::Last(Some(last))) if mine.as_ref().is_none_or(|held| last > held) => {
                *mine = Some(last.clone());
            }
            _ => {}
        }
    }
}

/// A function's value from the accumulators of its quantity, `sum` always among them; `None` when
/// there is no data. `decimals` are the quantity's.
#[must_use]
pub fn value(function: Function, slots: &[Slot], decimals: u8) -> Option<f64> {
    let scale = power_of_ten(decimals);
    let exact_scale = 10_i128.pow(u32::from(decimals));
    let (count, sum) = slots.iter().find_map(|slot| match slot {
        Slot::Sum { count, sum } => Some((*count, *sum)),
        _ => None,
    })?;
    if function == Function::Count {
        return Some(count as f64);
    }
    if count == 0 {
        return None;
    }
    slots.iter().find_map(|slot| match (function, slot) {
        (Function::Sum, Slot::Sum { .. }) => Some(ratio(sum, exact_scale)),
        (Function::Mean, Slot::Sum { .. }) => Some(ratio(sum, i128::from(count) * exact_scale)),
        (Function::Min, Slot::Extremes(Some((low, _)))) => Some(*low as f64 / scale),
        (Function::Max, Slot::Extremes(Some((_, high)))) => Some(*high as f64 / scale),
        (Function::First, Slot::First(Some(first))) => Some(first.mantissa as f64 / scale),
        (Function::Last, Slot::Last(Some(last))) => Some(last.mantissa as f64 / scale),
        (Function::Stddev, Slot::Squares(squares)) => deviation(count, sum, *squares).map(|d| d / scale),
        (Function::Quantile(percent), Slot::Sketch(sketch)) => {
            sketch.quantile(f64::from(percent) / 100.0).map(|mantissa| mantissa / scale)
        }
        _ => None,
    })
}

/// Sample standard deviation in mantissa units from exact sums; `None` below two readings.
fn deviation(count: u64, sum: i128, squares: i128) -> Option<f64> {
    let n = i128::from(count);
    if n < 2 {
        return None;
    }
    // With sum = n q + r: n M2 = n (squares - n q^2 - 2 q r) - r^2, and no product overflows
    // (squares <= n 2^106, so n q^2 <= squares).
    let (q, r) = (sum.div_euclid(n), sum.rem_euclid(n));
    let spread = squares - n * q * q - 2 * q * r;
    let variance = match n.checked_mul(spread) {
        Some(product) => ratio(product - r * r, n * (n - 1)),
        None => spread as f64 / (n - 1) as f64,
    };
    Some(variance.max(0.0).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fold(kind: SlotKind, values: &[i64]) -> Slot {
        let device: Arc<str> = "a".into();
        let mut slot = kind.empty();
        for (n, mantissa) in values.iter().enumerate() {
            let event_at = Timestamp(n as i64);
            slot.add(&Sample {
                mantissa: *mantissa,
                event_at,
                device: &device,
                counter: None,
                sequence: n as u64,
            });
        }
        slot
    }

    #[test]
    fn deviation_is_the_sample_deviation() {
        let slots = [
            fold(SlotKind::Sum, &[2, 4, 4, 4, 5, 5, 7, 9]),
            fold(SlotKind::Squares, &[2, 4, 4, 4, 5, 5, 7, 9]),
        ];
        let got = value(Function::Stddev, &slots, 0).unwrap();
        assert!((got - 2.138_089_935_299_395).abs() < 1e-15);
        assert_eq!(
            value(Function::Stddev, &[fold(SlotKind::Sum, &[2]), fold(SlotKind::Squares, &[2])], 0),
            None
        );
    }

    #[test]
    fn last_is_last_in_event_time_whatever_the_arrival() {
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        let sample = |mantissa, event_at, device, sequence| Sample {
            mantissa,
            event_at: Timestamp(event_at),
            device,
            counter: None,
            sequence,
        };
        let mut slot = SlotKind::Last.empty();
        slot.add(&sample(1, 20, &a, 1));
        slot.add(&sample(2, 10, &a, 2));
        slot.add(&sample(3, 20, &b, 3));
        slot.add(&sample(4, 20, &a, 4));
        assert_eq!(value(Function::Last, &[fold(SlotKind::Sum, &[1]), slot], 0), Some(3.0));
    }

    proptest! {
        #[test]
        fn merging_equals_adding(values in prop::collection::vec(-1_000_000_i64..1_000_000, 0..60), at in 0_usize..60) {
            let at = at.min(values.len());
            for kind in [SlotKind::Sum, SlotKind::Extremes, SlotKind::Squares, SlotKind::Sketch] {
                let (left, right) = values.split_at(at);
                let mut merged = fold(kind, right);
                merged.merge(&fold(kind, left));
                prop_assert_eq!(merged, fold(kind, &values));
            }
        }
    }
}
