//! The wall clock of a zone as a table: what it shows at an instant, and when it first shows a time.
//!
//! Made once from the tz database, so that nothing asks it for each event. A clock that is put back
//! shows some times twice; here it stands still meanwhile, so that local time never goes back:
//! a day, or any other piece of the local calendar, begins when the clock first shows its beginning.

use std::sync::Arc;

use jiff::tz::TimeZone;
use xxhash_rust::xxh3::xxh3_64;

use crate::model::Timestamp;
use crate::model::time::SECOND;

/// Offsets are known up to 2100-01-01T00:00Z; the last one holds from there on.
const LAST_SECOND: i64 = 4_102_444_800;

/// A sum of everything the tz database says of a zone from 1970 on; `None` where it has no such zone.
/// Windows of the calendar are the same under two databases if the sums of their zones are.
#[must_use]
pub fn zone_rules(zone: &str) -> Option<u64> {
    let clock = LocalClock::new(&TimeZone::get(zone).ok()?);
    let offsets = clock.stretches.iter().flat_map(|stretch| [stretch.from, stretch.offset]);
    Some(xxh3_64(&offsets.flat_map(i64::to_le_bytes).collect::<Vec<u8>>()))
}

/// Instants from `from` on have this offset from UTC. All in nanoseconds.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    from: i64,
    offset: i64,
    /// Latest local time shown before `from`.
    shown: i64,
    /// Local times before this one were shown by the end of this stretch.
    until: i64,
}

/// A zone's wall clock. Local times are nanoseconds since 1970-01-01T00:00 on that clock.
#[derive(Clone, Debug)]
pub(super) struct LocalClock {
    /// Shared by all grids made of it.
    stretches: Arc<[Stretch]>,
}

impl LocalClock {
    /// The clock of `zone`, its first offset from 1970 on holding for all time before.
    pub(super) fn new(zone: &TimeZone) -> Self {
        let nanos = |seconds: i32| i64::from(seconds) * SECOND;
        let mut offsets = vec![(i64::MIN, nanos(zone.to_offset(jiff::Timestamp::UNIX_EPOCH).seconds()))];
        let last = jiff::Timestamp::from_second(LAST_SECOND).unwrap_or(jiff::Timestamp::MAX);
        for change in zone.following(jiff::Timestamp::UNIX_EPOCH).take_while(|t| t.timestamp() < last) {
            let from = i64::try_from(change.timestamp().as_nanosecond()).unwrap_or(i64::MAX);
            let offset = nanos(change.offset().seconds());
            if offsets.last().is_none_or(|before| before.1 != offset) {
                offsets.push((from, offset));
            }
        }
        let mut stretches = Vec::with_capacity(offsets.len());
        let mut shown = i64::MIN;
        let ends = offsets.iter().skip(1).map(|next| next.0).chain([i64::MAX]);
        for ((from, offset), end) in offsets.iter().copied().zip(ends) {
            let until = if end == i64::MAX { end } else { (shown.saturating_add(1)).max(end + offset) };
            stretches.push(Stretch { from, offset, shown, until });
            shown = until.saturating_sub(1);
        }
        Self { stretches: stretches.into() }
    }

    /// What the clock shows at `at`, or has shown before if that is later.
    pub(super) fn reading(&self, at: Timestamp) -> i64 {
        let after = self.stretches.partition_point(|stretch| stretch.from <= at.0);
        let stretch = self.stretches.get(after.saturating_sub(1));
        stretch.map_or(at.0, |stretch| at.0.saturating_add(stretch.offset).max(stretch.shown))
    }

    /// The first instant at which the clock shows `local` or later.
    pub(super) fn instant(&self, local: i64) -> Timestamp {
        let passed = self.stretches.partition_point(|stretch| stretch.until <= local);
        let stretch = self.stretches.get(passed).or(self.stretches.last());
        Timestamp(stretch.map_or(local, |stretch| local.saturating_sub(stretch.offset).max(stretch.from)))
    }

    /// The offset modulo `step`, if it is the same at all times: then boundaries of the local clock
    /// that lie `step` apart are evenly spaced whatever is done to it.
    pub(super) fn even_phase(&self, step: i64) -> Option<i64> {
        let phase = self.stretches.first()?.offset.rem_euclid(step);
        self.stretches.iter().all(|stretch| stretch.offset.rem_euclid(step) == phase).then_some(phase)
    }

    /// The most by which it is ever put back at once.
    pub(super) fn put_back_max(&self) -> i64 {
        let pairs = self.stretches.iter().zip(self.stretches.iter().skip(1));
        pairs.map(|(before, after)| before.offset - after.offset).max().unwrap_or_default().max(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).unwrap()
    }

    fn clock(zone: &str) -> LocalClock {
        LocalClock::new(&TimeZone::get(zone).unwrap())
    }

    #[test]
    fn a_clock_put_back_stands_still_and_one_put_forward_jumps() {
        let madrid = clock("Europe/Madrid");
        let local = |text: &str| at(text).0;
        // 03:00 summer time becomes 02:00 winter time.
        assert_eq!(madrid.reading(at("2025-10-26T00:59:59Z")), local("2025-10-26T02:59:59Z"));
        assert_eq!(madrid.reading(at("2025-10-26T01:30:00Z")), local("2025-10-26T03:00:00Z") - 1);
        assert_eq!(madrid.reading(at("2025-10-26T02:00:00Z")), local("2025-10-26T03:00:00Z"));
        assert_eq!(madrid.instant(local("2025-10-26T02:30:00Z")), at("2025-10-26T00:30:00Z"));
        assert_eq!(madrid.instant(local("2025-10-26T03:00:00Z")), at("2025-10-26T02:00:00Z"));
        // 02:00 winter time becomes 03:00 summer time.
        assert_eq!(madrid.instant(local("2025-03-30T02:30:00Z")), at("2025-03-30T01:00:00Z"));
        assert_eq!(madrid.instant(local("2025-03-30T03:00:00Z")), at("2025-03-30T01:00:00Z"));
        assert_eq!(madrid.put_back_max(), 3_600 * SECOND);
    }

    #[test]
    fn the_rules_of_a_zone_have_a_sum_of_their_own() {
        let sums = ["Europe/Madrid", "America/Bogota", "UTC"].map(|zone| zone_rules(zone).unwrap());
        assert!(sums[0] != sums[1] && sums[1] != sums[2]);
        assert_eq!(zone_rules("Europe/Madrid"), Some(sums[0]));
        assert_eq!(zone_rules("Europe/Atlantis"), None);
    }

    #[test]
    fn hours_are_even_where_whole_hours_are_moved() {
        let hour = 3_600 * SECOND;
        assert_eq!(clock("Europe/Madrid").even_phase(hour), Some(0));
        assert_eq!(clock("America/St_Johns").even_phase(hour), Some(hour / 2));
        assert_eq!(clock("Australia/Lord_Howe").even_phase(hour), None);
        assert_eq!(clock("Europe/Madrid").even_phase(2 * hour), None);
    }
}
