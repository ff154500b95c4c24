//! When amendments leave: each second of the arrival clock is in sixteen slices, and a key's windows
//! leave in the slice of its group. So what a storm of late readings amends never leaves all at once,
//! and alerts do not wait behind it.

use crate::model::key::KEY_GROUPS;
use crate::model::time::SECOND;
use crate::model::{KeyGroup, Timestamp};

/// Slices of a second.
pub const SLICES: usize = 16;
const SLICE_NS: i64 = SECOND / SLICES as i64;
const GROUPS_A_SLICE: usize = KEY_GROUPS / SLICES;

/// The slice of a key of that group.
#[must_use]
pub fn slice_of(group: KeyGroup) -> usize {
    usize::from(group.0) / GROUPS_A_SLICE
}

/// The slices that begin as the arrival clock moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slices {
    /// The one that had begun before, of all slices since 1970.
    before: i64,
    /// The last that begins.
    last: i64,
}

impl Slices {
    /// Those that begin after `before` and by `now`.
    #[must_use]
    pub fn between(before: Timestamp, now: Timestamp) -> Option<Self> {
        if now <= before {
            return None;
        }
        let number = |at: Timestamp| at.0.div_euclid(SLICE_NS);
        let own = Self { before: number(before), last: number(now) };
        (own.before < own.last).then_some(own)
    }

    /// The last instant among them at which the slice with that place in its second begins.
    #[must_use]
    pub fn begin(self, slice: usize) -> Option<Timestamp> {
        let number = self.last - (self.last - slice as i64).rem_euclid(SLICES as i64);
        (number > self.before).then_some(Timestamp(number * SLICE_NS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: i64) -> Timestamp {
        Timestamp(ms * 1_000_000)
    }

    #[test]
    fn every_slice_begins_once_a_second() {
        let all = Slices::between(ms(4_000), ms(5_000)).unwrap();
        assert_eq!(all.begin(0), Some(ms(5_000)));
        assert_eq!(all.begin(1), Some(Timestamp(4_062_500_000)));
        assert_eq!(all.begin(15), Some(Timestamp(4_937_500_000)));
        let long = Slices::between(Timestamp::MIN, ms(5_500)).unwrap();
        assert_eq!((long.begin(8), long.begin(9)), (Some(ms(5_500)), Some(Timestamp(4_562_500_000))));
    }

    #[test]
    fn a_slice_begins_with_the_record_that_comes_to_it_and_no_later_one() {
        assert_eq!(Slices::between(ms(1), ms(62)), None);
        let first = Slices::between(ms(62), ms(63)).unwrap();
        assert_eq!(first.begin(1), Some(Timestamp(62_500_000)));
        assert_eq!((first.begin(0), first.begin(2)), (None, None));
        assert_eq!(Slices::between(ms(63), ms(63)), None);
        assert_eq!(Slices::between(ms(-1), ms(0)).unwrap().begin(0), Some(ms(0)), "also before 1970");
        assert_eq!(Slices::between(ms(5), ms(4)), None, "the arrival clock does not go back");
    }

    #[test]
    fn groups_have_slices_alike() {
        let mut keys = [0; SLICES];
        (0..=u8::MAX).for_each(|group| keys[slice_of(KeyGroup(group))] += 1);
        assert_eq!(keys, [16; SLICES]);
    }
}
