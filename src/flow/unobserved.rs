//! When a feed was not observed, on the arrival clock: what did not come then says nothing of a
//! sensor.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::model::{Span, Timestamp};

/// Stretches that a feed remembers; time before them counts as observed.
pub const STRETCHES_MAX: usize = 256;

/// The latest stretches in which a feed was not observed, earliest first, none touching another.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Unobserved(VecDeque<(Timestamp, Timestamp)>);

impl Unobserved {
    /// Adds the stretch [from, to), none of which lies before the last one's end.
    pub fn add(&mut self, from: Timestamp, to: Timestamp) {
        match self.0.back_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => self.0.push_back((from, to)),
        }
        if self.0.len() > STRETCHES_MAX {
            self.0.pop_front();
        }
    }

    /// How much of [start, end) lies in them.
    #[must_use]
    pub fn within(&self, start: Timestamp, end: Timestamp) -> Span {
        let first = self.0.partition_point(|stretch| stretch.1 <= start);
        let shared = self.0.range(first..).take_while(|stretch| stretch.0 < end);
        let total = shared.map(|(from, to)| (*to).min(end).since((*from).max(start)).0);
        Span(total.fold(0, i64::saturating_add))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: i64) -> Timestamp {
        Timestamp(seconds * 1_000_000_000)
    }

    #[test]
    fn the_unobserved_part_of_a_window_is_the_sum_of_its_stretches() {
        let mut unobserved = Unobserved::default();
        for (from, to) in [(10, 20), (20, 30), (50, 60), (90, 200)] {
            unobserved.add(s(from), s(to));
        }
        assert_eq!(unobserved.0.len(), 3);
        assert_eq!(unobserved.within(s(0), s(10)), Span::ZERO);
        assert_eq!(unobserved.within(s(25), s(55)), Span::seconds(10));
        assert_eq!(unobserved.within(s(0), s(100)), Span::seconds(40));
        assert_eq!(unobserved.within(s(200), s(300)), Span::ZERO);
    }

    #[test]
    fn of_a_feed_that_comes_and_goes_the_latest_stretches_stay() {
        let mut unobserved = Unobserved::default();
        (0..1_000).for_each(|n| unobserved.add(s(10 * n), s(10 * n + 1)));
        assert_eq!(unobserved.0.len(), STRETCHES_MAX);
        assert_eq!(unobserved.within(s(0), s(20_000)), Span::seconds(STRETCHES_MAX as i64));
    }
}
