//! The readings of one sensor, quantity and pane in their order: what counters and time-weighted
//! means are made of.
//!
//! A counter's increase and a time-weighted mean depend on which reading follows which, so that a
//! late reading changes what its neighbours mean. Readings are therefore kept, at most
//! [`READINGS_MAX`] in a pane; of more, the first and the last stay, and windows with such a pane
//! have no data for these functions. Whether that is so depends on the number of readings alone.

use serde::{Deserialize, Serialize};

use super::slot::Sample;
use crate::model::{Span, Timestamp};

/// Readings of one sensor and quantity that a pane keeps: one a second for more than a day.
pub const READINGS_MAX: usize = 100_000;

/// A reading in the order of one sensor's readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reading {
    /// When the sensor measured.
    pub event_at: Timestamp,
    /// Frame counter or own sequence.
    pub counter: Option<u64>,
    /// Journal sequence.
    pub sequence: u64,
    /// Mantissa at the quantity's decimals.
    pub mantissa: i64,
}

impl From<&Sample<'_>> for Reading {
    fn from(sample: &Sample<'_>) -> Self {
        Self {
            event_at: sample.event_at,
            counter: sample.counter,
            sequence: sample.sequence,
            mantissa: sample.mantissa,
        }
    }
}

/// Readings of one pane.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// In order; only the first and the last where there were too many.
    readings: Vec<Reading>,
    /// Readings that are not kept.
    beyond: u64,
}

impl Held {
    /// Takes in one reading.
    pub fn add(&mut self, reading: Reading) {
        let at = match self.readings.last() {
            Some(last) if reading > *last => self.readings.len(),
            None => 0,
            Some(_) => self.readings.partition_point(|held| *held < reading),
        };
        self.readings.insert(at, reading);
        if self.beyond > 0 || self.readings.len() > READINGS_MAX {
            self.thin();
        }
    }

    /// Takes in another's readings.
    pub fn merge(&mut self, other: &Self) {
        self.readings.extend(&other.readings);
        self.readings.sort_unstable();
        self.beyond += other.beyond;
        if self.beyond > 0 || self.readings.len() > READINGS_MAX {
            self.thin();
        }
    }

    /// Keeps a reading alone if it is behind the one kept so; whether it is.
    pub fn keep_last(&mut self, reading: Reading) -> bool {
        let last = self.readings.last().is_none_or(|held| *held < reading);
        if last {
            self.readings = vec![reading];
        }
        last
    }

    fn thin(&mut self) {
        if let (Some(first), Some(last), true) =
            (self.readings.first().copied(), self.readings.last().copied(), self.readings.len() > 2)
        {
            self.beyond += self.readings.len() as u64 - 2;
            self.readings = vec![first, last];
        }
    }

    /// The readings in order.
    #[must_use]
    pub fn readings(&self) -> &[Reading] {
        &self.readings
    }

    /// Whether there were more than are kept.
    #[must_use]
    pub fn is_thinned(&self) -> bool {
        self.beyond > 0
    }
}

/// What a counter advanced by from one reading to the next. A smaller value is a reset: the
/// counter began again at 0, or ran on through `wrap`, the count at which it starts over.
#[must_use]
pub fn gain(before: i64, after: i64, wrap: Option<i64>) -> i128 {
    let (before, after) = (i128::from(before), i128::from(after));
    if after >= before {
        return after - before;
    }
    let rest = wrap.map_or(0, |wrap| i128::from(wrap) - before);
    rest.max(0) + after.max(0)
}

/// What one sensor's readings of one quantity amount to in one window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Sum of gains, and how many there are: one less than the readings, or as many if one came
    /// before the window.
    pub gain: i128,
    /// Pairs of readings that gave a gain.
    pub gains: u64,
    /// Sum of mantissa times nanoseconds held.
    pub weighted: i128,
    /// Nanoseconds held.
    pub held_ns: i128,
    /// Journal sequence of the reading before the window, if the gains or the held time use it.
    pub before: u64,
}

/// What a tally follows.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Count at which the counter starts over, as a mantissa.
    pub wrap: Option<i64>,
    /// A reading holds until the next, and no longer than this.
    pub hold_max: Span,
    /// Whether gains are asked for.
    pub gains: bool,
    /// Whether held time is asked for.
    pub holds: bool,
}

impl Rules {
    /// Whether anything is asked for that follows the readings.
    #[must_use]
    pub fn follow(&self) -> bool {
        self.gains || self.holds
    }
}

impl Tally {
    /// Of a window `[start, end)` whose readings are `readings` in order, `before` the last one
    /// ahead of them. `None` when the weights do not fit (2^53 over a year does).
    #[must_use]
    pub fn of<'a>(
        rules: Rules,
        (start, end): (Timestamp, Timestamp),
        before: Option<Reading>,
        readings: impl Iterator<Item = &'a Reading>,
    ) -> Option<Self> {
        let mut tally = Self::default();
        let mut last = before;
        for reading in readings {
            if let Some(last) = last {
                let used = tally.pass(rules, start, &last, reading.event_at)?;
                if rules.gains {
                    tally.gain += gain(last.mantissa, reading.mantissa, rules.wrap);
                    tally.gains += 1;
                }
                tally.note(&last, start, used || rules.gains);
            }
            last = Some(*reading);
        }
        if let Some(last) = last {
            let used = tally.pass(rules, start, &last, end)?;
            tally.note(&last, start, used);
        }
        Some(tally)
    }

    /// Lets `reading` hold until `next`; whether it held for any time in the window.
    fn pass(&mut self, rules: Rules, start: Timestamp, reading: &Reading, next: Timestamp) -> Option<bool> {
        let until = next.min(reading.event_at.plus(rules.hold_max));
        let span = i128::from(until.0) - i128::from(reading.event_at.max(start).0);
        if !rules.holds || span <= 0 {
            return Some(false);
        }
        self.held_ns += span;
        self.weighted = self.weighted.checked_add(i128::from(reading.mantissa).checked_mul(span)?)?;
        Some(true)
    }

    fn note(&mut self, reading: &Reading, start: Timestamp, used: bool) {
        if used && reading.event_at < start {
            self.before = reading.sequence;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reading(at: i64, mantissa: i64) -> Reading {
        Reading { event_at: Timestamp(at), counter: None, sequence: at.unsigned_abs(), mantissa }
    }

    const RULES: Rules = Rules { wrap: None, hold_max: Span(100), gains: true, holds: true };

    fn tally(before: Option<Reading>, readings: &[Reading]) -> Tally {
        Tally::of(RULES, (Timestamp(100), Timestamp(200)), before, readings.iter()).unwrap()
    }

    #[test]
    fn a_smaller_value_is_a_reset_or_a_wrap() {
        assert_eq!(gain(10, 15, None), 5);
        assert_eq!(gain(10, 4, None), 4);
        assert_eq!(gain(65_530, 5, Some(65_536)), 11);
        // A counter beyond its wrap was read with another one; what is left of it is nothing.
        assert_eq!(gain(70_000, 5, Some(65_536)), 5);
        assert_eq!(gain(3, -2, None), 0);
    }

    #[test]
    fn the_reading_before_gives_the_first_gain_and_holds_into_the_window() {
        let alone = tally(None, &[reading(150, 7)]);
        assert_eq!((alone.gain, alone.gains, alone.held_ns, alone.weighted), (0, 0, 50, 350));
        let with = tally(Some(reading(90, 2)), &[reading(150, 7)]);
        assert_eq!((with.gain, with.gains, with.held_ns, with.weighted), (5, 1, 100, 100 + 350));
        assert_eq!(with.before, 90);
        // Too old to hold, not too old to count from.
        let old = tally(Some(reading(0, 2)), &[reading(150, 7)]);
        assert_eq!((old.gain, old.held_ns), (5, 50));
        // A silent sensor holds for its time, and gains nothing.
        let silent = tally(Some(reading(60, 2)), &[]);
        assert_eq!((silent.gains, silent.held_ns, silent.weighted, silent.before), (0, 60, 120, 60));
        assert_eq!(tally(Some(reading(0, 2)), &[]), Tally::default());
    }

    #[test]
    fn of_too_many_readings_the_first_and_the_last_stay() {
        let mut held = Held::default();
        (0..=READINGS_MAX as i64).for_each(|at| held.add(reading(at, at)));
        assert!(held.is_thinned());
        held.add(reading(50, 0));
        held.add(reading(-1, 0));
        assert_eq!(held.readings(), [reading(-1, 0), reading(READINGS_MAX as i64, READINGS_MAX as i64)]);
        assert_eq!(held.beyond, READINGS_MAX as u64 + 1);
    }

    #[test]
    fn a_pane_keeps_exactly_so_many_readings_also_of_panes_put_together() {
        let fold = |from: i64, to: i64| {
            let mut held = Held::default();
            (from..to).for_each(|at| held.add(reading(at, at)));
            held
        };
        let max = READINGS_MAX as i64;
        assert!(!fold(0, max).is_thinned());
        let mut all = fold(0, max - 1);
        all.merge(&fold(max - 1, max));
        assert_eq!(all.readings().len(), READINGS_MAX);
        all.merge(&fold(max, max + 1));
        assert_eq!((all.readings().len(), all.beyond), (2, READINGS_MAX as u64 - 1));
        // Of few and of many, whichever comes to the other, the first and the last stay.
        let (few, mut more) = (fold(-2, 0), fold(-2, 0));
        more.merge(&all);
        all.merge(&few);
        assert_eq!(more, all);
        assert_eq!((all.readings(), all.beyond), (&[reading(-2, -2), reading(max, max)][..], max as u64 + 1));
        all.merge(&more);
        assert_eq!(all.beyond, 2 * (max as u64 + 1) + 2);
    }

    proptest! {
        #[test]
        fn order_and_split_change_nothing(times in prop::collection::vec(0_i64..50, 0..60), at in 0_usize..60) {
            let readings: Vec<Reading> = times.iter().enumerate()
                .map(|(n, at)| Reading { sequence: n as u64, ..reading(*at, *at) }).collect();
            let fold = |readings: &mut dyn Iterator<Item = &Reading>| {
                let mut held = Held::default();
                readings.for_each(|reading| held.add(*reading));
                held
            };
            let (left, right) = readings.split_at(at.min(readings.len()));
            let mut merged = fold(&mut right.iter());
            merged.merge(&fold(&mut left.iter()));
            let mut sorted = readings.clone();
            sorted.sort_unstable();
            prop_assert_eq!(merged.readings(), &sorted[..]);
            prop_assert_eq!(&merged, &fold(&mut readings.iter()));
            prop_assert_eq!(&merged, &fold(&mut readings.iter().rev()));
        }
    }
}
