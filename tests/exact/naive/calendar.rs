//! The wall clock of a zone and the calendar on it, naively: the tz database says what a clock
//! shows, `jiff` which day it is.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use sereno::model::time::SECOND;
use sereno::model::{CalendarUnit, WindowLength};

/// Nanoseconds of a day on a clock that nobody moves.
pub const DAY: i64 = 86_400 * SECOND;
/// 2100-01-01T00:00Z, from where on a clock is not moved any more.
const LAST: i64 = 4_102_444_800;

/// A zone's wall clock: from when on it has which offset from UTC, since 1970.
pub struct Clock(Vec<(i64, i64)>);

thread_local! {
    static CLOCKS: RefCell<BTreeMap<String, Rc<Clock>>> = RefCell::default();
}

impl Clock {
    /// The clock of a zone, by its tz database name.
    pub fn of(zone: &str) -> Rc<Self> {
        CLOCKS.with_borrow_mut(|clocks| {
            clocks.entry(zone.to_owned()).or_insert_with(|| Rc::new(Self::read(zone))).clone()
        })
    }

    fn read(zone: &str) -> Self {
        let zone = TimeZone::get(zone).expect("a zone of the tz database");
        let epoch = jiff::Timestamp::UNIX_EPOCH;
        let mut offsets = vec![(i64::MIN, i64::from(zone.to_offset(epoch).seconds()) * SECOND)];
        for change in zone.following(epoch).take_while(|change| change.timestamp().as_second() < LAST) {
            let offset = i64::from(change.offset().seconds()) * SECOND;
            offsets.push((change.timestamp().as_second() * SECOND, offset));
        }
        Self(offsets)
    }

    /// The latest time it has shown by `at`. Of several changes within days the last three matter.
    pub fn shows(&self, at: i64) -> i64 {
        let now = self.0.partition_point(|change| change.0 <= at);
        let until = |n: usize| if n + 1 < now { self.0[n + 1].0 - 1 } else { at };
        (now.saturating_sub(3)..now).map(|n| until(n) + self.0[n].1).max().expect("a first offset")
    }

    /// The first moment at which it shows `local` or later.
    pub fn first(&self, local: i64) -> i64 {
        let (mut before, mut from) = (local - 2 * DAY, local + 2 * DAY);
        while before + 1 < from {
            let middle = before + (from - before) / 2;
            if self.shows(middle) < local { before = middle } else { from = middle }
        }
        from
    }

    /// By how much it is moved, each time.
    pub fn moves(&self) -> impl Iterator<Item = i64> + '_ {
        self.0.iter().zip(self.0.iter().skip(1)).map(|(before, after)| after.1 - before.1)
    }

    /// Its offset in 1970.
    pub fn offset(&self) -> i64 {
        self.0[0].1
    }

    /// When it is moved.
    pub fn moments(&self) -> impl Iterator<Item = i64> + '_ {
        self.0.iter().skip(1).map(|change| change.0)
    }
}

fn date(local: i64) -> Date {
    let days = local.div_euclid(DAY);
    Date::constant(1970, 1, 1).checked_add(days.days()).expect("a date")
}

/// Midnight of a date on the wall clock.
fn midnight(of: Date) -> i64 {
    i64::from((of - Date::constant(1970, 1, 1)).get_days()) * DAY
}

/// Beginning and end, on the wall clock, of the piece of the calendar that holds `local`.
pub fn piece(length: WindowLength, local: i64) -> (i64, i64) {
    let today = date(local);
    let (first, next) = match length.unit() {
        Some(CalendarUnit::Week) => {
            let monday = today - i64::from(today.weekday().to_monday_zero_offset()).days();
            (monday, monday + 7.days())
        }
        Some(CalendarUnit::Month) => (today.first_of_month(), today.first_of_month() + 1.month()),
        Some(CalendarUnit::Year) => (today.first_of_year(), today.first_of_year() + 1.year()),
        // Pieces of a day, from midnight.
        _ => {
            let length = length.nominal().0;
            let begin = local - local.rem_euclid(length);
            return (begin, begin + length);
        }
    };
    (midnight(first), midnight(next))
}

/// One length later on the wall clock. A month from a day that the next one does not have ends
/// with that month.
pub fn later(length: WindowLength, local: i64) -> i64 {
    let months = match length.unit() {
        Some(CalendarUnit::Month) => 1,
        Some(CalendarUnit::Year) => 12,
        _ => return local + length.nominal().0,
    };
    let day = date(local);
    let then = day + months.months();
    if then.day() == day.day() {
        midnight(then) + local.rem_euclid(DAY)
    } else {
        midnight(then.first_of_month() + 1.month())
    }
}

#[test]
fn clocks_stand_still_when_put_back_and_months_end_with_themselves() {
    let at = |text: &str| text.parse::<jiff::Timestamp>().expect("a time").as_second() * SECOND;
    let madrid = Clock::of("Europe/Madrid");
    // 03:00 summer time becomes 02:00 winter time.
    assert_eq!(madrid.shows(at("2025-10-26T01:30:00Z")), at("2025-10-26T03:00:00Z") - 1);
    assert_eq!(madrid.first(at("2025-10-26T02:30:00Z")), at("2025-10-26T00:30:00Z"));
    assert_eq!(madrid.first(at("2025-10-26T03:00:00Z")), at("2025-10-26T02:00:00Z"));
    // 02:00 winter time becomes 03:00 summer time.
    assert_eq!(madrid.first(at("2025-03-30T02:30:00Z")), at("2025-03-30T01:00:00Z"));
    let month = WindowLength::parse("month").expect("a unit");
    assert_eq!(later(month, at("2025-01-31T10:00:00Z")), at("2025-03-01T00:00:00Z"));
    assert_eq!(later(month, at("2025-01-28T10:00:00Z")), at("2025-02-28T10:00:00Z"));
    let week = WindowLength::parse("week").expect("a unit");
    let thursday = at("2026-01-01T10:00:00Z");
    assert_eq!(piece(week, thursday), (at("2025-12-29T00:00:00Z"), at("2026-01-05T00:00:00Z")));
}
