//! Arithmetic of local times: the pieces of a calendar, and the times a piece later or earlier.
//!
//! Local times are nanoseconds since 1970-01-01T00:00 on the wall clock. No tz database, no
//! clock: the proleptic Gregorian calendar and integers.

use crate::model::time::SECOND;
use crate::model::{CalendarUnit, WindowLength};

/// Nanoseconds of a day on a clock that nobody moves.
pub(super) const DAY: i64 = 86_400 * SECOND;
/// 1970-01-01 was a Thursday: the Monday before.
const MONDAY: i64 = -3 * DAY;

/// A length on the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LocalLength {
    /// Pieces of so many nanoseconds, one of which begins at `phase`.
    Nanos {
        /// Of one piece.
        length: i64,
        /// Beginning of one of them.
        phase: i64,
    },
    /// Pieces of so many months; twelve begin with January.
    Months(i64),
}

impl LocalLength {
    /// The local length of a window's length: months and years by the calendar, weeks from Monday,
    /// everything else from midnight.
    pub(super) fn of(length: WindowLength) -> Self {
        match length {
            WindowLength::Unit(CalendarUnit::Month) => Self::Months(1),
            WindowLength::Unit(CalendarUnit::Year) => Self::Months(12),
            WindowLength::Unit(CalendarUnit::Week) => Self::Nanos { length: 7 * DAY, phase: MONDAY },
            other => Self::Nanos { length: other.nominal().0, phase: 0 },
        }
    }

    /// Beginning of the piece that holds `local`.
    pub(super) fn begin(self, local: i64) -> i64 {
        match self {
            Self::Nanos { length, phase } => {
                local.saturating_sub(local.saturating_sub(phase).rem_euclid(length))
            }
            Self::Months(months) => {
                let (month, _) = month_and_day(local.div_euclid(DAY));
                first_of(month - month.rem_euclid(months)).saturating_mul(DAY)
            }
        }
    }

    /// One piece later. A day that the month then does not have is the first of the next: a month
    /// from 31 January is 1 March, so that later times stay later.
    pub(super) fn after(self, local: i64) -> i64 {
        self.moved(local, 1)
    }

    /// One piece earlier, or a few days less.
    pub(super) fn before(self, local: i64) -> i64 {
        self.moved(local, -1)
    }

    fn moved(self, local: i64, pieces: i64) -> i64 {
        match self {
            Self::Nanos { length, .. } => local.saturating_add(length.saturating_mul(pieces)),
            Self::Months(months) => {
                let (month, day) = month_and_day(local.div_euclid(DAY));
                let month = month + months * pieces;
                let (first, next) = (first_of(month), first_of(month + 1));
                if first + day >= next {
                    next.saturating_mul(DAY)
                } else {
                    (first + day).saturating_mul(DAY).saturating_add(local.rem_euclid(DAY))
                }
            }
        }
    }
}

/// Months since January of the year 0 and days since the first, of a day since 1970-01-01. Years
/// are counted from March in between, so that the leap day is the last of its year
/// (H. Hinnant, "chrono-compatible low-level date algorithms", `civil_from_days`).
fn month_and_day(days: i64) -> (i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5;
    (((era * 400 + year) * 12) + month + 2, day)
}

/// Days from 1970-01-01 to the first of a month, counted from January of the year 0
/// (`days_from_civil` of the same source).
fn first_of(month: i64) -> i64 {
    let from_march = month - 2;
    let (years, month) = (from_march.div_euclid(12), from_march.rem_euclid(12));
    let (era, year) = (years.div_euclid(400), years.rem_euclid(400));
    era * 146_097 + 365 * year + year / 4 - year / 100 + (153 * month + 2) / 5 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::Date;

    #[test]
    fn months_agree_with_another_calendar_over_three_centuries() {
        let epoch = Date::constant(1970, 1, 1);
        let mut date = Date::constant(1850, 1, 1);
        while date.year() < 2150 {
            let days = i64::from(date.since(epoch).unwrap().get_days());
            let month = i64::from(date.year()) * 12 + i64::from(date.month()) - 1;
            assert_eq!(month_and_day(days), (month, i64::from(date.day()) - 1), "{date}");
            assert_eq!(first_of(month), days - i64::from(date.day()) + 1, "{date}");
            date = date.tomorrow().unwrap();
        }
    }

    #[test]
    fn a_month_from_the_last_day_of_january_is_the_first_of_march() {
        let day = |text: &str| crate::model::Timestamp::parse_rfc3339(text).unwrap().0;
        let month = LocalLength::Months(1);
        assert_eq!(month.after(day("2025-01-31T10:00:00Z")), day("2025-03-01T00:00:00Z"));
        assert_eq!(month.after(day("2025-01-28T10:00:00Z")), day("2025-02-28T10:00:00Z"));
        assert_eq!(month.after(day("2024-12-05T10:00:00Z")), day("2025-01-05T10:00:00Z"));
        assert_eq!(LocalLength::Months(12).begin(day("2025-07-14T10:00:00Z")), day("2025-01-01T00:00:00Z"));
    }
}
