//! The first readings that are known of a key's sensors, where what followed one of them may have
//! followed an earlier one: a recompute knows a sensor from some instant on, and a counter that is read
//! once a day, or once a month, was read before.

use crate::model::Timestamp;

/// Of one key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Firsts {
    /// First readings of which a gain would count in their own window, by time.
    gains: Vec<Timestamp>,
    /// The last of the first readings before which an earlier value may have been held.
    held: Option<Timestamp>,
}

impl Firsts {
    /// Of sensors whose first readings gain, and those before which something may be held.
    #[must_use]
    pub fn new(mut gains: Vec<Timestamp>, held: impl Iterator<Item = Timestamp>) -> Self {
        gains.sort_unstable();
        Self { gains, held: held.max() }
    }

    /// Whether an earlier reading would change the window `[start, end)`.
    #[must_use]
    pub fn leave_open(&self, start: Timestamp, end: Timestamp) -> bool {
        let before = |to: Timestamp| self.gains.partition_point(|at| *at < to);
        self.held.is_some_and(|at| start <= at) || before(start) < before(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gain_counts_in_the_window_of_its_reading_and_what_is_held_in_all_before() {
        let open = |firsts: &Firsts, start| firsts.leave_open(Timestamp(start), Timestamp(start + 10));
        let gains = Firsts::new(vec![Timestamp(35), Timestamp(10)], std::iter::empty());
        assert_eq!([0, 10, 20, 30, 40].map(|start| open(&gains, start)), [false, true, false, true, false]);
        let held = Firsts::new(Vec::new(), [Timestamp(25), Timestamp(3)].into_iter());
        assert_eq!([0, 10, 20, 30].map(|start| open(&held, start)), [true, true, true, false]);
        assert!(!open(&Firsts::default(), 0));
    }
}
