//! Lengths that the calendar gives: a window of an hour, a day, an ISO week, a month or a year, and
//! the named periods of a day. What a person writes; `window` knows where each begins and ends.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::time::{SECOND, Span};

/// Minutes of a day.
const DAY_MINUTES: u16 = 24 * 60;

/// A unit of the calendar, in the time zone of a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CalendarUnit {
    /// From one full hour to the next.
    Hour,
    /// From midnight to midnight: 23 or 25 hours where clocks are moved.
    Day,
    /// ISO 8601: begins on Monday.
    Week,
    /// From the first to the first.
    Month,
    /// From 1 January to 1 January.
    Year,
}

impl CalendarUnit {
    /// All of them, shortest first.
    pub const ALL: [Self; 5] = [Self::Hour, Self::Day, Self::Week, Self::Month, Self::Year];

    /// The word in configuration, results and API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }

    /// Its length where no clock is moved; the longest for a month (31 days) and a year (366).
    #[must_use]
    pub const fn nominal(self) -> Span {
        const HOUR: i64 = 3_600;
        Span::seconds(match self {
            Self::Hour => HOUR,
            Self::Day => 24 * HOUR,
            Self::Week => 7 * 24 * HOUR,
            Self::Month => 31 * 24 * HOUR,
            Self::Year => 366 * 24 * HOUR,
        })
    }
}

/// Length of a window, or of its step: a span of time, or a unit of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowLength {
    /// So much time.
    Span(Span),
    /// From one boundary of the calendar to the next.
    Unit(CalendarUnit),
}

impl WindowLength {
    /// Reads `month` or `15m`.
    ///
    /// # Errors
    /// Says what is wrong with the text, for a diagnostic.
    pub fn parse(text: &str) -> Result<Self, String> {
        match CalendarUnit::ALL.into_iter().find(|unit| unit.as_str() == text.trim()) {
            Some(unit) => Ok(Self::Unit(unit)),
            None => Span::parse(text)
                .map(Self::Span)
                .map_err(|fault| format!("{fault}, or one of hour, day, week, month, year")),
        }
    }

    /// Its length where no clock is moved; the longest for a month and a year.
    #[must_use]
    pub const fn nominal(self) -> Span {
        match self {
            Self::Span(span) => span,
            Self::Unit(unit) => unit.nominal(),
        }
    }

    /// Its unit of the calendar, if it is one.
    #[must_use]
    pub const fn unit(self) -> Option<CalendarUnit> {
        match self {
            Self::Span(_) => None,
            Self::Unit(unit) => Some(unit),
        }
    }
}

impl fmt::Display for WindowLength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Span(span) => span.fmt(f),
            Self::Unit(unit) => f.write_str(unit.as_str()),
        }
    }
}

/// A named part of each day, as norms write it: `07:01-21:00` is [07:01:00, 21:01:00), its last
/// minute included. One that ends before it begins crosses midnight and belongs to the date on
/// which it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DailyPeriod {
    /// First minute of the day.
    from: u16,
    /// Last minute of the day, included.
    last: u16,
}

impl DailyPeriod {
    /// Reads `21:01-07:00`.
    ///
    /// # Errors
    /// Says what is wrong with the text, for a diagnostic.
    pub fn parse(text: &str) -> Result<Self, String> {
        let fault = || format!("`{text}` is no period of the day; write for example \"07:01-21:00\"");
        let (from, last) = text.trim().split_once('-').ok_or_else(fault)?;
        let minute = |part: &str| {
            let (hours, minutes) = part.trim().split_once(':')?;
            let two_digits = |digits: &str| digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit());
            let (hours, minutes) = (two_digits(hours) && two_digits(minutes)).then_some((hours, minutes))?;
            let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
            (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
        };
        Ok(Self { from: minute(from).ok_or_else(fault)?, last: minute(last).ok_or_else(fault)? })
    }

    /// Where it begins, after the midnight of its date.
    #[must_use]
    pub fn begin(self) -> Span {
        Span(i64::from(self.from) * 60 * SECOND)
    }

    /// Where it ends (no longer part of it), after the midnight of its date: beyond a day for one
    /// that crosses midnight.
    #[must_use]
    pub fn end(self) -> Span {
        let end = self.last + 1;
        let end = if end > self.from { end } else { end + DAY_MINUTES };
        Span(i64::from(end) * 60 * SECOND)
    }

    /// The first minute of the day that both hold, as `hh:mm`.
    #[must_use]
    pub fn shared(self, other: Self) -> Option<String> {
        let hold = |period: Self, minute: u16| {
            if period.from <= period.last {
                (period.from..=period.last).contains(&minute)
            } else {
                minute >= period.from || minute <= period.last
            }
        };
        let minute = (0..DAY_MINUTES).find(|minute| hold(self, *minute) && hold(other, *minute))?;
        Some(clock(minute))
    }
}

fn clock(minute: u16) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

impl fmt::Display for DailyPeriod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", clock(self.from), clock(self.last))
    }
}

macro_rules! as_text {
    ($type:ident, $name:literal, $pattern:literal, $examples:tt) => {
        impl Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }

        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "pattern": $pattern, "examples": $examples })
            }
        }
    };
}

as_text!(
    WindowLength,
    "WindowLength",
    "^(([0-9]+(ns|us|ms|s|m|min|h|d|w))+|hour|day|week|month|year)$",
    ["5m", "1h", "day", "month"]
);
as_text!(
    DailyPeriod,
    "DailyPeriod",
    "^[0-2][0-9]:[0-5][0-9]-[0-2][0-9]:[0-5][0-9]$",
    ["07:01-21:00", "21:01-07:00"]
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_read_back_what_they_print() {
        for text in ["15m", "1h30m", "hour", "day", "week", "month", "year"] {
            assert_eq!(WindowLength::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(
            WindowLength::parse("fortnight"),
            Err("`fortnight` is no duration; write a number and ms, s, m, h, d or w, or one of hour, day, week, month, year".into())
        );
    }

    #[test]
    fn a_period_includes_its_last_minute_and_may_cross_midnight() {
        let minutes = |span: Span| span.0 / (60 * SECOND);
        let day = DailyPeriod::parse("07:01-21:00").unwrap();
        assert_eq!((minutes(day.begin()), minutes(day.end())), (421, 1_261));
        let night = DailyPeriod::parse("21:01-07:00").unwrap();
        assert_eq!((minutes(night.begin()), minutes(night.end())), (1_261, 1_440 + 421));
        let all = DailyPeriod::parse("00:00-23:59").unwrap();
        assert_eq!((minutes(all.begin()), minutes(all.end())), (0, 1_440));
        let shifted = DailyPeriod::parse("07:00-06:59").unwrap();
        assert_eq!(minutes(shifted.end()) - minutes(shifted.begin()), 1_440);
        assert_eq!(night.to_string(), "21:01-07:00");
        for text in ["", "7:01-21:00", "07:01", "24:00-25:00", "07:60-08:00", "07:01-+1:00"] {
            assert!(DailyPeriod::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn periods_share_the_minute_that_both_write() {
        let period = |text| DailyPeriod::parse(text).unwrap();
        assert_eq!(period("07:00-21:00").shared(period("21:00-07:00")), Some("07:00".into()));
        assert_eq!(period("07:01-21:00").shared(period("21:01-07:00")), None);
    }
}
