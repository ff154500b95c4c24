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
        if let Some(instant) = usual_rfc3339(text.as_bytes()) {
            return Some(instant);
        }
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

/// The form that devices usually send, digits in their places, without a look at anything else:
/// `2026-03-01T12:00:00`, up to nine decimals, `Z` or an offset such as `-05:00`; from the year 1970
/// to 2199, without leap seconds. `None` leaves a text to the whole grammar.
fn usual_rfc3339(text: &[u8]) -> Option<Timestamp> {
    let (date, rest) = text.split_first_chunk::<19>()?;
    let [year_month, day_time, time] =
        [date.first_chunk()?, date.get(8..)?.first_chunk()?, date.last_chunk()?];
    let [century, of_century, month] = numbers(year_month, b"0000-00-", [0, 2, 5])?;
    let [day, hour, minute] = numbers(day_time, b"00T00:00", [0, 3, 6])?;
    let [_, _, second] = numbers(time, b"00:00:00", [0, 3, 6])?;
    let year = century * 100 + of_century;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(leap),
        _ => return None,
    };
    if !(1970..2200).contains(&year) || day < 1 || day > days || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (nanos, zone) = decimals(rest)?;
    let offset = match *zone {
        [b'Z'] => 0,
        [sign @ (b'+' | b'-'), h1, h2, b':', n1, n2] => {
            let (hours, minutes) = (two_digits(h1, h2)?, two_digits(n1, n2)?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let seconds = hours * 3_600 + minutes * 60;
            if sign == b'-' { -seconds } else { seconds }
        }
        _ => return None,
    };
    let of_day = hour * 3_600 + minute * 60 + second;
    let seconds = days_since_1970(year, month, day) * 86_400 + of_day - offset;
    Some(Timestamp(seconds * SECOND + nanos))
}

/// A decimal point with one to nine digits, if there is one, as nanoseconds; and what follows.
fn decimals(text: &[u8]) -> Option<(i64, &[u8])> {
    let Some((b'.', rest)) = text.split_first() else { return Some((0, text)) };
    if let [tenth, hundredth, thousandth, zone @ ..] = rest
        && let [b'Z' | b'+' | b'-', ..] = zone
    {
        let (tenths, thousandths) = (two_digits(b'0', *tenth)?, two_digits(*hundredth, *thousandth)?);
        return Some(((tenths * 100 + thousandths) * 1_000_000, zone));
    }
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = rest.split_at_checked(digits)?;
    if !(1..=9).contains(&digits.len()) {
        return None;
    }
    let number = digits.iter().fold(0, |number, byte| number * 10 + i64::from(byte - b'0'));
    let missing = 9_u32.checked_sub(u32::try_from(digits.len()).ok()?)?;
    Some((number * 10_i64.pow(missing), rest))
}

/// The numbers of two digits at three places of a text of this form, in which 0 stands for any digit.
/// All eight bytes are looked at together: see Warren, "Hacker's Delight", 2nd edition, section 6-1.
fn numbers(text: &[u8; 8], form: &[u8; 8], places: [u32; 3]) -> Option<[i64; 3]> {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    // What makes the highest bit of a byte of everything but a digit, or but the form's own character.
    let beyond = u64::from_le_bytes(form.map(|byte| if byte == b'0' { 0x80 - 10 } else { 0x80 - 1 }));
    let digits = u64::from_le_bytes(*text) ^ u64::from_le_bytes(*form);
    let fits = (digits.wrapping_add(beyond) | digits) & HIGH == 0;
    // At most 99 in each byte: nothing is carried.
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    fits.then(|| places.map(|place| i64::from((pairs >> (8 * place)) as u8)))
}

fn two_digits(tens: u8, ones: u8) -> Option<i64> {
    let are_digits = tens.is_ascii_digit() && ones.is_ascii_digit();
    are_digits.then(|| i64::from(tens - b'0') * 10 + i64::from(ones - b'0'))
}

/// Days from 1970-01-01 to a day of the Gregorian calendar, not before (Howard Hinnant,
/// "chrono-Compatible Low-Level Date Algorithms", `days_from_civil`).
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
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
    use proptest::prelude::*;

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

    fn by_the_grammar(text: &str) -> Option<Timestamp> {
        let instant: jiff::Timestamp = text.parse().ok()?;
        i64::try_from(instant.as_nanosecond()).ok().map(Timestamp)
    }

    #[test]
    fn every_day_is_what_the_grammar_reads() {
        // Up to the end of 2199.
        for day in 0..84_006 {
            let at = jiff::Timestamp::from_second(day * 86_400 + day % 86_400).unwrap();
            let text = format!("{at:.3}");
            assert_eq!(usual_rfc3339(text.as_bytes()), by_the_grammar(&text), "{text}");
        }
        for text in ["2026-02-28T23:59:59Z", "2000-02-29T00:00:00Z", "2026-03-01T12:00:00.25-05:00"] {
            assert!(usual_rfc3339(text.as_bytes()).is_some(), "{text}");
        }
        for day in
            ["2026-02-29", "2100-02-29", "2026-04-31", "2026-12-32", "2026-13-01", "2026-00-10", "2026-01-00"]
        {
            let text = format!("{day}T12:00:00Z");
            assert_eq!((usual_rfc3339(text.as_bytes()), by_the_grammar(&text)), (None, None), "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_usual_form_is_what_the_grammar_reads(
            text in "(19|20|21|22)[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{0,10})?(Z|[-+][0-2][0-9]:[0-6][0-9]|[-+][0-2][0-9]|)",
        ) {
            if let Some(instant) = usual_rfc3339(text.as_bytes()) {
                prop_assert_eq!(Some(instant), by_the_grammar(&text), "{}", text);
            }
        }
    }

    #[test]
    fn a_changed_byte_is_what_the_grammar_reads() {
        for (at, byte) in (0..29).flat_map(|at| (0..=u8::MAX).map(move |byte| (at, byte))) {
            let mut bytes = *b"2026-03-01T12:00:00.250-05:00";
            bytes[at] = byte;
            if let Some(instant) = usual_rfc3339(&bytes) {
                let text = std::str::from_utf8(&bytes).unwrap();
                assert_eq!(Some(instant), by_the_grammar(text), "{text}");
            }
        }
    }
}
