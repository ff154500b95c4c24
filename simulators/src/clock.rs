//! Calendar arithmetic of the city: milliseconds since 1970 UTC to local hours and to RFC 3339 text.
//!
//! The city keeps the offset -05:00 all year. The civil date is computed with Howard Hinnant's
//! `civil_from_days`, because a text is written for each of thousands of messages a second.

use std::fmt;

/// One second in milliseconds.
pub(crate) const SECOND_MS: i64 = 1_000;
/// One minute in milliseconds.
pub(crate) const MINUTE_MS: i64 = 60 * SECOND_MS;
/// One hour in milliseconds.
pub(crate) const HOUR_MS: i64 = 60 * MINUTE_MS;
/// One day in milliseconds.
pub(crate) const DAY_MS: i64 = 24 * HOUR_MS;
/// Where counters (frames, requests) count from: 2025-01-01T00:00:00-05:00.
pub(crate) const ORIGIN_MS: i64 = 1_735_707_600_000;

const OFFSET_MS: i64 = -5 * HOUR_MS;

/// Hours since local midnight, in [0, 24).
pub(crate) fn local_hour(at_ms: i64) -> f64 {
    at_ms.saturating_add(OFFSET_MS).rem_euclid(DAY_MS) as f64 / HOUR_MS as f64
}

/// Whether it is Saturday or Sunday in the city.
pub(crate) fn is_weekend(at_ms: i64) -> bool {
    // 1970-01-01 was a Thursday: day 2 is a Saturday.
    matches!(at_ms.saturating_add(OFFSET_MS).div_euclid(DAY_MS).rem_euclid(7), 2 | 3)
}

/// How near an hour of the day is to another: 1 at it, falling off like a bell of `width` hours.
pub(crate) fn bell(hour: f64, peak: f64, width: f64) -> f64 {
    let distance = (hour - peak).rem_euclid(24.0);
    let distance = distance.min(24.0 - distance);
    (-(distance / width).powi(2) / 2.0).exp()
}

/// Local time to the millisecond: `2026-03-01T12:00:00.250-05:00`.
pub(crate) fn local(at_ms: i64) -> impl fmt::Display {
    Text { at_ms: at_ms.saturating_add(OFFSET_MS), fraction: Fraction::Milliseconds, offset: "-05:00" }
}

/// Local time to the second: `2026-03-01T12:00:00-05:00`.
pub(crate) fn local_seconds(at_ms: i64) -> impl fmt::Display {
    Text { at_ms: at_ms.saturating_add(OFFSET_MS), fraction: Fraction::None, offset: "-05:00" }
}

/// UTC to the millisecond: `2026-03-01T17:00:00.250Z`.
pub(crate) fn utc(at_ms: i64) -> impl fmt::Display {
    Text { at_ms, fraction: Fraction::Milliseconds, offset: "Z" }
}

/// UTC to the nanosecond; `nanos` (below one million) stands behind the milliseconds.
pub(crate) fn utc_nanos(at_ms: i64, nanos: u32, offset: &'static str) -> impl fmt::Display {
    Text { at_ms, fraction: Fraction::Nanoseconds(nanos), offset }
}

enum Fraction {
    None,
    Milliseconds,
    Nanoseconds(u32),
}

struct Text {
    at_ms: i64,
    fraction: Fraction,
    offset: &'static str,
}

impl fmt::Display for Text {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil_from_days(self.at_ms.div_euclid(DAY_MS));
        let in_day_ms = self.at_ms.rem_euclid(DAY_MS);
        let (seconds, ms) = (in_day_ms / SECOND_MS, in_day_ms % SECOND_MS);
        let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
        write!(out, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        match self.fraction {
            Fraction::None => {}
            Fraction::Milliseconds => write!(out, ".{ms:03}")?,
            Fraction::Nanoseconds(nanos) => write!(out, ".{ms:03}{:06}", nanos % 1_000_000)?,
        }
        out.write_str(self.offset)
    }
}

/// Year, month and day of a count of days since 1970-01-01.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_agree_with_the_calendar_library() {
        for at_ms in [0, 1_772_384_400_250, 951_782_399_999, 4_102_444_800_000, -86_400_001] {
            let expected: i64 = utc(at_ms).to_string().parse::<jiff::Timestamp>().unwrap().as_millisecond();
            assert_eq!(expected, at_ms);
            let expected: i64 = local(at_ms).to_string().parse::<jiff::Timestamp>().unwrap().as_millisecond();
            assert_eq!(expected, at_ms);
        }
        assert_eq!(local(1_772_384_400_250).to_string(), "2026-03-01T12:00:00.250-05:00");
        assert_eq!(local_seconds(1_772_384_400_250).to_string(), "2026-03-01T12:00:00-05:00");
        assert_eq!(utc_nanos(1_772_384_400_250, 23_242, "Z").to_string(), "2026-03-01T17:00:00.250023242Z");
    }

    #[test]
    fn hours_and_weekends_are_local() {
        assert!((local_hour(1_772_384_400_000) - 12.0).abs() < 1e-9);
        assert!(is_weekend(1_772_384_400_000), "2026-03-01 is a Sunday");
        assert!(!is_weekend(1_772_384_400_000 + DAY_MS));
        assert!(bell(23.5, 0.5, 1.0) > 0.6, "the day is a circle");
    }
}
