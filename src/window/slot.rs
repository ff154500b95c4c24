//! Accumulators: what a pane remembers of its readings.
//!
//! Each is a commutative monoid over integers, or follows the order of the semantics: (event time,
//! device name, counter, journal sequence). What a slot holds depends on the set of its readings
//! alone, never on the order or the parts in which they came.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::circular::Circular;
use super::distinct::Distinct;
use super::energy::Energy;
use super::held::{Held, Reading};
use super::sketch::Sketch;
use crate::model::Timestamp;

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

impl Ordered {
    /// Mantissa at the quantity's decimals.
    #[must_use]
    pub fn mantissa(&self) -> i64 {
        self.mantissa
    }
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

/// One accumulator over one quantity; the rarer and larger ones lie behind a box, so that the
/// common ones stay small.
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
    /// Sum of squared mantissas; `i128::MAX` once it does not fit.
    Squares(i128),
    /// Quantiles.
    Sketch(Sketch),
    /// The reading first in order.
    First(Option<Box<Ordered>>),
    /// The reading last in order.
    Last(Option<Box<Ordered>>),
    /// Different values.
    Distinct(Distinct),
    /// Sum of energies of levels.
    Energy(Box<Energy>),
    /// Sum of directions.
    Circular(Circular),
    /// One sensor's readings in their order.
    Held(Box<Held>),
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
    /// [`Slot::Distinct`].
    Distinct,
    /// [`Slot::Energy`].
    Energy,
    /// [`Slot::Circular`].
    Circular,
    /// [`Slot::Held`].
    Held,
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
            Self::Distinct => Slot::Distinct(Distinct::default()),
            Self::Energy => Slot::Energy(Box::default()),
            Self::Circular => Slot::Circular(Circular::default()),
            Self::Held => Slot::Held(Box::default()),
        }
    }
}

impl Slot {
    /// Takes in one reading of a quantity of `decimals`.
    pub fn add(&mut self, sample: &Sample<'_>, decimals: u8) {
        match self {
            Self::First(first) => {
                if first.as_ref().is_none_or(|held| sample.event_at <= held.event_at) {
                    replace(first, Ordered::from(sample), |candidate, held| candidate < held);
                }
            }
            Self::Last(last) => {
                if last.as_ref().is_none_or(|held| sample.event_at >= held.event_at) {
                    replace(last, Ordered::from(sample), |candidate, held| candidate > held);
                }
            }
            Self::Held(held) => held.add(Reading::from(sample)),
            _ => self.add_value(sample.mantissa, decimals),
        }
    }

    /// Takes in one value that has no place in any order; slots that need one stay as they are.
    pub fn add_value(&mut self, mantissa: i64, decimals: u8) {
        match self {
            Self::Sum { count, sum } => {
                *count += 1;
                *sum += i128::from(mantissa);
            }
            Self::Extremes(extremes) => {
                let (low, high) = extremes.unwrap_or((mantissa, mantissa));
                *extremes = Some((low.min(mantissa), high.max(mantissa)));
            }
            Self::Squares(squares) => {
                *squares = squares.saturating_add(i128::from(mantissa) * i128::from(mantissa));
            }
            Self::Sketch(sketch) => sketch.add(mantissa),
            Self::Distinct(distinct) => distinct.add(mantissa),
            Self::Energy(energy) => energy.add(mantissa, decimals),
            Self::Circular(circular) => circular.add(mantissa, decimals),
            Self::First(_) | Self::Last(_) | Self::Held(_) => {}
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
            (Self::Squares(mine), Self::Squares(squares)) => *mine = mine.saturating_add(*squares),
            (Self::Sketch(mine), Self::Sketch(sketch)) => mine.merge(sketch),
            (Self::First(mine), Self::First(Some(first)))
                if mine.as_ref().is_none_or(|held| first < held) =>
            {
                *mine = Some(first.clone());
            }
            (Self::Last(mine), Self::Last(Some(last))) if mine.as_ref().is_none_or(|held| last > held) => {
                *mine = Some(last.clone());
            }
            (Self::Distinct(mine), Self::Distinct(distinct)) => mine.merge(distinct),
            (Self::Energy(mine), Self::Energy(energy)) => mine.merge(energy),
            (Self::Circular(mine), Self::Circular(circular)) => mine.merge(circular),
            (Self::Held(mine), Self::Held(held)) => mine.merge(held),
            _ => {}
        }
    }

    /// Readings in it, if it counts them.
    #[must_use]
    pub fn count(&self) -> Option<u64> {
        if let Self::Sum { count, .. } = self { Some(*count) } else { None }
    }
}

fn replace(held: &mut Option<Box<Ordered>>, candidate: Ordered, better: impl Fn(&Ordered, &Ordered) -> bool) {
    match held {
        Some(held) if better(&candidate, held) => **held = candidate,
        Some(_) => {}
        None => *held = Some(Box::new(candidate)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KINDS: [SlotKind; 10] = [
        SlotKind::Sum,
        SlotKind::Extremes,
        SlotKind::Squares,
        SlotKind::Sketch,
        SlotKind::First,
        SlotKind::Last,
        SlotKind::Distinct,
        SlotKind::Energy,
        SlotKind::Circular,
        SlotKind::Held,
    ];

    /// (event time, device, mantissa), the sequence being the place in the list.
    type Told = (u64, (i64, usize, i64));

    fn fold<'a>(kind: SlotKind, told: impl IntoIterator<Item = &'a Told>) -> Slot {
        let devices: [Arc<str>; 3] = ["a".into(), "b".into(), "ab".into()];
        let mut slot = kind.empty();
        for (sequence, (event_at, device, mantissa)) in told {
            let (event_at, device) = (Timestamp(*event_at), &devices[*device]);
            let sample = Sample { mantissa: *mantissa, event_at, device, counter: None, sequence: *sequence };
            slot.add(&sample, 2);
        }
        slot
    }

    #[test]
    fn a_slot_is_no_larger_than_a_sum() {
        assert_eq!(size_of::<Slot>(), 32);
    }

    #[test]
    fn last_is_last_in_event_time_whatever_the_arrival() {
        let told = [(1, (20, 0, 1)), (2, (10, 0, 2)), (3, (20, 1, 3)), (4, (20, 0, 4)), (5, (20, 2, 5))];
        let Slot::Last(Some(last)) = fold(SlotKind::Last, &told) else { panic!("no last") };
        assert_eq!(last.mantissa(), 3);
        let Slot::First(Some(first)) = fold(SlotKind::First, &told) else { panic!("no first") };
        assert_eq!(first.mantissa(), 2);
    }

    #[test]
    fn squares_beyond_what_fits_stay_at_the_limit() {
        let mut slot = Slot::Squares(i128::MAX - 3);
        slot.add_value(2, 0);
        slot.add_value(1 << 53, 0);
        assert_eq!(slot, Slot::Squares(i128::MAX));
    }

    proptest! {
        #[test]
        fn order_and_split_change_nothing(
            told in prop::collection::vec((0_i64..20, 0_usize..3, -1_000_000_i64..1_000_000), 0..60),
            at in 0_usize..60,
        ) {
            let told: Vec<Told> = told.into_iter().enumerate().map(|(n, told)| (n as u64, told)).collect();
            let (left, right) = told.split_at(at.min(told.len()));
            for kind in KINDS {
                let mut merged = fold(kind, right);
                merged.merge(&fold(kind, left));
                let whole = fold(kind, &told);
                prop_assert_eq!(&merged, &whole);
                prop_assert_eq!(&whole, &fold(kind, told.iter().rev()));
            }
        }
    }
}
