//! Sizes in bytes; configuration writes them as `64MiB`, `1GiB`, `500kB`.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

const UNITS: [(&str, u64); 8] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

impl ByteSize {
    /// So many times 1,048,576 bytes.
    #[must_use]
    pub const fn mib(mebibytes: u64) -> Self {
        Self(mebibytes << 20)
    }

    /// Parses a whole number with a unit: `64MiB`, `1 GiB`, `500kB`, `65536B`.
    ///
    /// # Errors
    /// Says what is wrong with the text, for a diagnostic.
    pub fn parse(text: &str) -> Result<Self, String> {
        let trimmed = text.trim();
        let digits = trimmed.find(|c: char| !c.is_ascii_digit()).unwrap_or(trimmed.len());
        let (number, unit) = trimmed.split_at(digits);
        let unit = unit.trim_start();
        let scale = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).map(|(_, scale)| *scale);
        let size = scale.zip(number.parse::<u64>().ok()).map(|(scale, number)| number.checked_mul(scale));
        match size {
            Some(Some(bytes)) => Ok(Self(bytes)),
            Some(None) => Err(format!("`{text}` is more than 2^64 bytes")),
            None => {
                Err(format!("`{text}` is no size; write a whole number and KiB, MiB or GiB, as in 64MiB"))
            }
        }
    }

    /// For people, to about two digits: `1.5 GiB`.
    #[must_use]
    pub fn about(self) -> String {
        let (name, scale) =
            UNITS.iter().take(4).find(|(_, scale)| self.0 >= *scale).copied().unwrap_or(("B", 1));
        let number = self.0 as f64 / scale as f64;
        if number < 10.0 && scale > 1 { format!("{number:.1} {name}") } else { format!("{number:.0} {name}") }
    }
}

impl fmt::Display for ByteSize {
    /// The shortest form that [`ByteSize::parse`] reads back.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = |&&(_, scale): &&(&str, u64)| self.0 >= scale && self.0.is_multiple_of(scale);
        match UNITS.iter().find(exact) {
            Some((name, scale)) => write!(f, "{}{name}", self.0 / scale),
            None => write!(f, "{}B", self.0),
        }
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <Cow<'de, str>>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for ByteSize {
    fn schema_name() -> Cow<'static, str> {
        "ByteSize".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[0-9]+ *([KkMmGgTt][Ii]?)?[Bb]$",
            "examples": ["512KiB", "64MiB", "1GiB"]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_back_what_they_print() {
        for text in ["64MiB", "1GiB", "512KiB", "1000B", "0B", "3TiB"] {
            let size = ByteSize::parse(text).unwrap();
            assert_eq!(ByteSize::parse(&size.to_string()).unwrap(), size, "{text}");
        }
        assert_eq!(ByteSize::parse("64 mib").unwrap(), ByteSize::mib(64));
        assert_eq!(ByteSize::mib(1536).about(), "1.5 GiB");
        for text in ["", "64", "MiB", "-1MiB", "1.5GiB", "99999999TiB"] {
            assert!(ByteSize::parse(text).is_err(), "{text}");
        }
    }
}
