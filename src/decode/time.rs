//! Event times as feeds write them: `rfc3339`, epoch numbers (`s`, `ms`, `us`, `ns`, decimals
//! allowed, exact) and `strptime` patterns, local times in the feed's zone.
//!
//! A local time in an overlap of clock changes is the earlier instant; one in a gap is shifted
//! forward by the gap. A time before 1971 is a clock that was never set.

use jiff::civil::DateTime;
use jiff::fmt::strtime::{self, BrokenDownTime};
use jiff::tz::TimeZone;

use super::number::Decimal;
use super::token::{Token, shown};
use crate::model::definition::{FeedDefinition, TimeDefinition};
use crate::model::time::SECOND;
use crate::model::{Fault, Reason, Rejected, Timestamp};

/// 1971-01-01T00:00:00Z: no device of ours measured before.
const CLOCK_SET_SINCE: Timestamp = Timestamp(365 * 86_400 * SECOND);

/// How a feed writes times.
#[derive(Clone, Debug)]
pub(super) enum TimeFormat {
    /// RFC 3339, the offset included.
    Rfc3339,
    /// A number of units since 1970; `decimals` of the unit make a nanosecond.
    Epoch { decimals: u8 },
    /// A `strptime` pattern; times without offset are local to the zone.
    Pattern { pattern: Box<str>, zone: TimeZone },
}

impl TimeFormat {
    /// Checks `time.format` and the zone it needs.
    ///
    /// # Errors
    /// A fault of the feed's table, its path included.
    pub(super) fn compile(feed: &FeedDefinition, definition: &TimeDefinition) -> Result<Self, Fault> {
        let format = definition.format.as_str();
        Ok(match format {
            "rfc3339" => Self::Rfc3339,
            "s" => Self::Epoch { decimals: 9 },
            "ms" => Self::Epoch { decimals: 6 },
            "us" => Self::Epoch { decimals: 3 },
            "ns" => Self::Epoch { decimals: 0 },
            _ => {
                let zone = zone(&feed.timezone).map_err(|fault| fault.under("timezone"))?;
                check_pattern(format, &zone).map_err(|fault| fault.under("format").under("time"))?;
                Self::Pattern { pattern: format.into(), zone }
            }
        })
    }

    /// Reads a time from a JSON value, whose text is `raw`.
    ///
    /// # Errors
    /// The refusal of the message, with what was found.
    #[inline]
    pub(super) fn read(&self, token: &Token<'_>, raw: &str) -> Result<Timestamp, Rejected> {
        let found = match (self, token) {
            (Self::Rfc3339, Token::Text(text)) => {
                Timestamp::parse_rfc3339(text).ok_or_else(|| no_rfc3339(text))
            }
            (Self::Epoch { decimals }, Token::Text(text)) => epoch(text.trim_ascii(), *decimals),
            (Self::Epoch { decimals }, Token::Number(text)) => epoch(text, *decimals),
            (Self::Pattern { pattern, zone }, Token::Text(text)) => local(pattern, zone, text.trim_ascii()),
            (Self::Pattern { pattern, zone }, Token::Number(text)) => local(pattern, zone, text),
            (Self::Rfc3339, Token::Number(_)) => {
                Err("a number is no RFC 3339 time; set `time.format` to s, ms, us or ns".into())
            }
            (_, Token::Other(what)) => Err(format!("{what} is no time")),
            (_, Token::Bool(_)) => Err("a boolean is no time".into()),
        };
        plausible(found.map_err(|why| Rejected::message(Reason::BadTime, format!("{}: {why}", shown(raw))))?)
    }
}

/// Refuses a time before 1971.
///
/// # Errors
/// [`Reason::UnsetClock`].
pub(super) fn plausible(at: Timestamp) -> Result<Timestamp, Rejected> {
    if at < CLOCK_SET_SINCE {
        let detail = format!("{at} is before 1971: the device's clock was never set");
        return Err(Rejected::message(Reason::UnsetClock, detail));
    }
    Ok(at)
}

/// The zone of a tz database name, from the database inside the binary.
fn zone(name: &str) -> Result<TimeZone, Fault> {
    TimeZone::get(name).map_err(|_| {
        let remedy = "write a name of the tz database such as \"America/Bogota\" or \"UTC\"";
        Fault::new(format!("`{name}` is no time zone"), remedy)
    })
}

/// Writes a sample time with the pattern and reads it back: a pattern that does not name a whole
/// date, or that cannot be read, is found here and not with the first message.
fn check_pattern(pattern: &str, zone: &TimeZone) -> Result<(), Fault> {
    let remedy = "write rfc3339, s, ms, us, ns, or a pattern such as \"%Y-%m-%d %H:%M:%S\"";
    if !pattern.contains('%') {
        return Err(Fault::new(format!("`{pattern}` is no time format"), remedy));
    }
    let sample = jiff::Timestamp::UNIX_EPOCH.to_zoned(zone.clone());
    BrokenDownTime::from(&sample)
        .to_string(pattern)
        .map_err(|error| error.to_string())
        .and_then(|text| local(pattern, zone, &text))
        .map(drop)
        .map_err(|error| Fault::new(format!("`{pattern}` cannot be read back: {error}"), remedy))
}

fn epoch(text: &str, decimals: u8) -> Result<Timestamp, String> {
    let number = Decimal::parse(text).map_err(|error| error.to_string())?;
    instant(number, decimals)
        .ok_or_else(|| "beyond the year 2262; look whether `time.format` is s, ms, us or ns".to_owned())
}

/// A decimal number of units as an instant, rounded half to even to whole nanoseconds.
pub(super) fn instant(number: Decimal, decimals: u8) -> Option<Timestamp> {
    number.scaled(decimals).and_then(|nanos| i64::try_from(nanos).ok()).map(Timestamp)
}

fn local(pattern: &str, zone: &TimeZone, text: &str) -> Result<Timestamp, String> {
    let parsed = strtime::parse(pattern, text).map_err(|error| error.to_string())?;
    let named = || parsed.iana_time_zone().and_then(|name| TimeZone::get(name).ok());
    let instant = if parsed.timestamp().is_some() || parsed.offset().is_some() {
        parsed.to_timestamp()
    } else {
        let zone = named().unwrap_or_else(|| zone.clone());
        // Compatible with RFC 5545: the earlier offset in an overlap, forward in a gap.
        parsed.to_datetime().and_then(|time| zone.to_ambiguous_timestamp(time).compatible())
    };
    let nanos = instant.map_err(|error| error.to_string())?.as_nanosecond();
    i64::try_from(nanos).map(Timestamp).map_err(|_| "outside the years 1677 to 2262".into())
}

fn no_rfc3339(text: &str) -> String {
    let is_local = text.trim_ascii().parse::<DateTime>().is_ok() && !text.trim_ascii().ends_with(['Z', 'z']);
    if is_local {
        "a local time without an offset; set `time.format` to its pattern, such as \"%Y-%m-%dT%H:%M:%S\", \
         and `timezone` to its zone"
            .into()
    } else {
        "no RFC 3339 time such as 2026-03-01T12:00:00-05:00; set `time.format` to its pattern".into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::decode::testing::feed;

    fn format(format: &str, timezone: &str) -> Result<TimeFormat, Fault> {
        let mut feed = feed("name = 'x'\ntopic = 'x/{sensor}'\ndecoder = 'json'");
        feed.timezone = timezone.into();
        TimeFormat::compile(&feed, &TimeDefinition { path: "/t".into(), format: format.into() })
    }

    fn read_in(zone: &str, name: &str, raw: &str) -> Result<Timestamp, Rejected> {
        format(name, zone).unwrap().read(&Token::of(raw)?, raw)
    }

    fn read(name: &str, raw: &str) -> Result<String, Reason> {
        read_in("America/New_York", name, raw).map(|at| at.to_string()).map_err(|r| r.reason)
    }

    #[test]
    fn epoch_numbers_are_exact_in_every_unit() {
        for (unit, raw, want) in [
            ("s", "1772384400", "2026-03-01T17:00:00Z"),
            ("s", "1772384400.123456789", "2026-03-01T17:00:00.123456789Z"),
            ("s", "1.7723844E9", "2026-03-01T17:00:00Z"),
            ("ms", "1772384400250", "2026-03-01T17:00:00.25Z"),
            ("ms", "\"1772384400250.5\"", "2026-03-01T17:00:00.2505Z"),
            ("us", "1772384400000001", "2026-03-01T17:00:00.000001Z"),
            ("ns", "1772384400000000001", "2026-03-01T17:00:00.000000001Z"),
        ] {
            assert_eq!(read(unit, raw), Ok(want.into()), "{unit} {raw}");
        }
        assert_eq!(read("s", "1772384400250"), Err(Reason::BadTime));
        assert_eq!(read("s", "\"yesterday\""), Err(Reason::BadTime));
        assert_eq!(read("s", "1e999999999"), Err(Reason::BadTime));
        assert_eq!(read("s", "[]"), Err(Reason::BadTime));
    }

    #[test]
    fn rfc3339_wants_an_offset_and_says_how_to_do_without() {
        let sent = "\"2026-03-01T12:00:00.250-05:00\"";
        assert_eq!(read("rfc3339", sent), Ok("2026-03-01T17:00:00.25Z".into()));
        for raw in ["\"2010-12-23T10:20:00-0700Z\"", "\"2026-02-30T00:00:00Z\"", "\"\"", "1772384400", "true"]
        {
            assert_eq!(read("rfc3339", raw), Err(Reason::BadTime), "{raw}");
        }
        let rejected = read_in("UTC", "rfc3339", "\"2026-03-01T12:00:00\"").unwrap_err();
        assert!(rejected.detail.contains("`timezone`"), "{}", rejected.detail);
    }

    #[test]
    fn a_clock_that_was_never_set_is_told_apart() {
        assert_eq!(read("s", "0"), Err(Reason::UnsetClock));
        assert_eq!(read("rfc3339", "\"1970-12-31T23:59:59Z\""), Err(Reason::UnsetClock));
        assert_eq!(read("rfc3339", "\"1971-01-01T00:00:00Z\""), Ok("1971-01-01T00:00:00Z".into()));
    }

    #[test]
    fn local_times_use_the_feeds_zone() {
        let pattern = "%Y-%m-%d %H:%M:%S";
        for (raw, want) in [
            ("\"2026-01-01 12:00:00\"", "2026-01-01T17:00:00Z"),
            // The hour from 1 to 2 happens twice: the earlier offset.
            ("\"2026-11-01 01:30:00\"", "2026-11-01T05:30:00Z"),
            // The hour from 2 to 3 does not happen: shifted forward.
            ("\"2026-03-08 02:30:00\"", "2026-03-08T07:30:00Z"),
        ] {
            assert_eq!(read(pattern, raw), Ok(want.into()), "{raw}");
        }
        assert_eq!(read("%d/%m/%YT%H:%M:%S", "\"17/09/2012T12:34:45\""), Ok("2012-09-17T16:34:45Z".into()));
        assert_eq!(
            read("%Y-%m-%d %H:%M:%S%z", "\"2026-01-01 12:00:00+0100\""),
            Ok("2026-01-01T11:00:00Z".into())
        );
        assert_eq!(read("%Y%m%d", "20260101"), Ok("2026-01-01T05:00:00Z".into()));
        assert_eq!(read(pattern, "\"2026-01-01\""), Err(Reason::BadTime));
    }

    #[test]
    fn a_format_that_cannot_work_is_a_fault() {
        assert_eq!(format("seconds", "UTC").unwrap_err().path, ["time".into(), "format".into()]);
        assert_eq!(format("%H:%M", "UTC").unwrap_err().path, ["time".into(), "format".into()]);
        assert_eq!(format("%Y-%m-%d %é", "UTC").unwrap_err().path, ["time".into(), "format".into()]);
        assert_eq!(format("%Y-%m-%d", "Mars/Olympus").unwrap_err().path, ["timezone".into()]);
    }

    proptest! {
        #[test]
        fn every_instant_comes_back_from_its_decimal_text(nanos in CLOCK_SET_SINCE.0..i64::MAX) {
            for (unit, digits) in [("s", 9), ("ms", 6), ("us", 3), ("ns", 0)] {
                let scale = 10_i64.pow(digits);
                let text = format!("{}.{:0width$}", nanos / scale, nanos % scale, width = digits as usize);
                let text = text.trim_end_matches(".0");
                prop_assert_eq!(read_in("UTC", unit, text).unwrap(), Timestamp(nanos));
            }
            let text = format!("\"{}\"", Timestamp(nanos));
            prop_assert_eq!(read_in("UTC", "rfc3339", &text).unwrap(), Timestamp(nanos));
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,30}") {
            let raw = serde_json::to_string(&text).unwrap();
            for name in ["rfc3339", "s", "%Y-%m-%d %H:%M:%S"] {
                let _ = read(name, &raw);
            }
        }
    }
}
