//! Instants and spans in whole nanoseconds.
//!
//! Both event time and arrival time are a [`Timestamp`]; which of the two a value is, its name
//! says (`event_at`, `arrived_at`). Text forms follow RFC 3339.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Nanoseconds in a second.
pub const SECOND: i64 = 1_000_000_000;

/// An instant: nanoseconds since 1970-01-01T00:00:00Z, from the year 1677 to 2262.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Earlier than every instant a device can name.
    pub const MIN: Self = Self(i64::MIN);
    /// Later than every instant a device can name.
    pub const MAX: Self = Self(i64::MAX);

    /// From whole milliseconds since 1970; `None` outside the range.
    #[must_use]
    pub fn from_millis(millis: i64) -> Option<Self> {
        millis.checked_mul(1_000_000).map(Self)
    }

    /// Whole milliseconds since 1970, rounded down.
    #[must_use]
    pub fn millis(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Parses RFC 3339, with any offset and up to nine decimals; a time without an offset is
    /// refused (a feed's zone is the decoder's business).
    #[must_use]
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let instant: jiff::Timestamp = text.trim().parse().ok()?;
        i64::try_from(instant.as_nanosecond()).ok().map(Self)
    }

    /// This instant moved by `span`, held at the ends of the range.
    #[must_use]
    pub fn plus(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// This instant moved back by `span`, held at the ends of the range.
    #[must_use]
    pub fn minus(self, span: Span) -> Self {
        Self(self.0.saturating_sub(span.0))
    }

    /// The span from `earlier` to this instant, negative when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with as many decimals as needed: `2026-03-01T17:00:00.25Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_nanosecond(i128::from(self.0)) {
            Ok(instant) => write!(f, "{instant}"),
            Err(_) => write!(f, "{}ns", self.0),
        }
    }
}

/// A length of time in nanoseconds; configuration writes it as `30s`, `2m`, `1h`, `7d`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub i64);

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// Whole seconds.
    #[must_use]
    pub const fn seconds(seconds: i64) -> Self {
        Self(seconds * SECOND)
    }

    /// Parses a number with a unit, or several in a row: `250ms`, `30s`, `2m`, `1h30m`, `7d`.
    ///
    /// # Errors
    /// Says what is wrong with the text, for a diagnostic.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err("an empty duration; write for example \"30s\"".into());
        }
        let mut total: i64 = 0;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let (number, tail) = rest.split_at(digits);
            let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(letters);
            let scale = match unit {
                "ns" => 1,
                "us" => 1_000,
                "ms" => 1_000_000,
                "s" => SECOND,
                "m" | "min" => 60 * SECOND,
                "h" => 3_600 * SECOND,
                "d" => 86_400 * SECOND,
                "w" => 7 * 86_400 * SECOND,
                _ => return Err(format!("`{text}` is no duration; write a number and ms, s, m, h, d or w")),
            };
            let number: i64 = number
                .parse()
                .map_err(|_| format!("`{text}` is no duration; a number comes before `{unit}`"))?;
            total = number
                .checked_mul(scale)
                .and_then(|part| total.checked_add(part))
                .ok_or_else(|| format!("`{text}` is longer than 292 years"))?;
            rest = tail.trim_start();
        }
        Ok(Self(total))
    }
}

impl Span {
    /// This span less another, held at the ends of the range.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl fmt::Display for Span {
    /// The shortest form that [`Span::parse`] reads back: `90s` is `1m30s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        let mut rest = self.0;
        for (scale, unit) in [
            (86_400 * SECOND, "d"),
            (3_600 * SECOND, "h"),
            (60 * SECOND, "m"),
            (SECOND, "s"),
            (1_000_000, "ms"),
            (1_000, "us"),
            (1, "ns"),
        ] {
            if rest / scale != 0 {
                write!(f, "{}{unit}", rest / scale)?;
                rest %= scale;
            }
        }
        Ok(())
    }
}

impl Serialize for Span {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for Span {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^([0-9]+(ns|us|ms|s|m|min|h|d|w))+$",
            "examples": ["30s", "2m", "1h", "7d"]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_back_what_they_print() {
        for text in ["30s", "2m", "1h30m", "7d", "250ms", "1m30s", "0s"] {
            assert_eq!(Span::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "30", "s", "5 parsecs", "-3s", "99999999999d"] {
            assert!(Span::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rfc3339_keeps_nanoseconds_and_wants_an_offset() {
        let at = Timestamp::parse_rfc3339("2026-03-01T12:00:00.250000001-05:00").unwrap();
        assert_eq!(at.to_string(), "2026-03-01T17:00:00.250000001Z");
        assert!(Timestamp::parse_rfc3339("2026-03-01T12:00:00").is_none());
    }
}
