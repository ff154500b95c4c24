//! Reading event times of recorded data, in the formats that recorders use.

use super::rows::Row;
use super::{PlayError, PlayOptions};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::TimeZone;

/// Reads the time of a row as milliseconds since 1970 UTC.
pub(super) struct TimeReader {
    column: String,
    format: Format,
    zone: TimeZone,
}

enum Format {
    /// RFC 3339, or an ISO date and time in the zone.
    Iso,
    /// A count of units since 1970 UTC, of which so many are a second.
    Unix { per_second: i64 },
    /// A strptime pattern.
    Pattern(String),
}

impl TimeReader {
    pub(super) fn new(column: String, options: &PlayOptions) -> Result<Self, PlayError> {
        let zone = match &options.timezone {
            None => TimeZone::UTC,
            Some(name) => TimeZone::get(name).map_err(|_| {
                PlayError::Option(format!("--timezone {name}: no such zone; give one like America/Bogota"))
            })?,
        };
        let format = match options.time_format.as_deref() {
            None | Some("rfc3339" | "iso") => Format::Iso,
            Some("unix_s") => Format::Unix { per_second: 1 },
            Some("unix_ms") => Format::Unix { per_second: 1_000 },
            Some("unix_us") => Format::Unix { per_second: 1_000_000 },
            Some("unix_ns") => Format::Unix { per_second: 1_000_000_000 },
            Some(pattern) if pattern.contains('%') => Format::Pattern(pattern.to_owned()),
            Some(other) => {
                let known = "unix_s, unix_ms, unix_us, unix_ns, rfc3339 or a pattern like %d/%m/%Y %H:%M";
                return Err(PlayError::Option(format!("--time-format {other}: give {known}")));
            }
        };
        Ok(Self { column, format, zone })
    }

    /// The row's time; none if it has none or it cannot be read.
    pub(super) fn read(&self, row: &Row) -> Option<i64> {
        self.parse(&row.get(&self.column)?)
    }

    fn parse(&self, text: &str) -> Option<i64> {
        match &self.format {
            Format::Iso => match text.parse::<Timestamp>() {
                Ok(at) => Some(at.as_millisecond()),
                Err(_) => self.local(text.parse().ok()?),
            },
            Format::Unix { per_second } => match text.parse::<i64>() {
                Ok(count) => count.checked_mul(1_000).map(|count| count.div_euclid(*per_second)),
                Err(_) => Some((text.parse::<f64>().ok()? * 1_000.0 / *per_second as f64) as i64),
            }
            .or_else(|| Some(text.parse::<i64>().ok()?.div_euclid(per_second / 1_000))),
            Format::Pattern(pattern) => {
                let broken = BrokenDownTime::parse(pattern, text).ok()?;
                match broken.to_timestamp() {
                    Ok(at) => Some(at.as_millisecond()),
                    Err(_) => self.local(broken.to_datetime().ok()?),
                }
            }
        }
    }

    /// A civil time in the zone; of an hour that comes twice, the first.
    fn local(&self, civil: DateTime) -> Option<i64> {
        let at = self.zone.to_ambiguous_timestamp(civil).compatible().ok()?;
        Some(at.as_millisecond())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(format: Option<&str>, zone: Option<&str>, text: &str) -> Option<i64> {
        let options = PlayOptions {
            time_format: format.map(str::to_owned),
            timezone: zone.map(str::to_owned),
            ..PlayOptions::new(Vec::new())
        };
        TimeReader::new("t".into(), &options).unwrap().parse(text)
    }

    #[test]
    fn times_of_many_recorders_are_read() {
        let noon = Some(1_772_384_400_000);
        assert_eq!(read(None, None, "2026-03-01T12:00:00-05:00"), noon);
        assert_eq!(read(None, Some("America/Bogota"), "2026-03-01 12:00:00"), noon);
        assert_eq!(read(None, None, "2026-03-01T17:00:00"), noon);
        assert_eq!(read(Some("unix_s"), None, "1772384400"), noon);
        assert_eq!(read(Some("unix_s"), None, "1772384400.25"), Some(1_772_384_400_250));
        assert_eq!(read(Some("unix_ms"), None, "1772384400000"), noon);
        assert_eq!(read(Some("unix_ns"), None, "1772384400000000000"), noon);
        assert_eq!(read(Some("%d/%m/%YT%H:%M:%S"), Some("America/Bogota"), "01/03/2026T12:00:00"), noon);
        assert_eq!(read(Some("%Y-%m-%d %H:%M:%S %z"), None, "2026-03-01 12:00:00 -0500"), noon);
        assert_eq!(read(None, None, "NA"), None);
        assert_eq!(read(Some("unix_s"), None, "yesterday"), None);
    }

    #[test]
    fn unknown_formats_and_zones_are_refused_with_a_remedy() {
        let options = PlayOptions { time_format: Some("epoch".into()), ..PlayOptions::new(Vec::new()) };
        assert!(
            TimeReader::new("t".into(), &options).is_err_and(|error| error.to_string().contains("unix_ms"))
        );
        let options = PlayOptions { timezone: Some("Bogota".into()), ..PlayOptions::new(Vec::new()) };
        assert!(
            TimeReader::new("t".into(), &options)
                .is_err_and(|error| error.to_string().contains("America/Bogota"))
        );
    }
}
