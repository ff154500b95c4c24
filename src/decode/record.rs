//! SenML records as they stand in a JSON pack, RFC 8428, table 4: fields by label, of which each
//! is read when it is asked for.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::number::{Decimal, is_plain};
use super::pack::Measured;
use super::token::{Token, shown};
use crate::model::{DecimalError, Reason, Rejected};

/// The most records of a pack.
pub(super) const RECORDS_MAX: usize = 4_096;

macro_rules! labels {
    ($($variant:ident = $label:literal,)*) => {
        /// A field of a record, by its JSON label.
        #[derive(Clone, Copy, Debug)]
        pub(super) enum Label { $($variant,)* }

        impl Label {
            const COUNT: usize = [$($label),*].len();

            pub(super) fn of(key: &str) -> Option<Self> {
                match key { $($label => Some(Self::$variant),)* _ => None }
            }

            pub(super) fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $label,)* }
            }
        }
    };
}

labels! {
    Bn = "bn", Bt = "bt", Bu = "bu", Bv = "bv", Bs = "bs", Bver = "bver", N = "n", U = "u",
    V = "v", Vs = "vs", Vb = "vb", Vd = "vd", S = "s", T = "t",
}

/// A record as it stands.
#[derive(Default)]
pub(super) struct Record<'a> {
    fields: [Option<&'a RawValue>; Label::COUNT],
    /// A label that must be understood (4.4), and is not.
    pub(super) unknown: Option<Box<str>>,
}

impl<'a> Record<'a> {
    fn get(&self, label: Label) -> Option<&'a str> {
        let raw = self.fields.get(label as usize).copied().flatten()?.get();
        (raw != "null").then_some(raw)
    }

    /// The text of a field, for a refusal.
    pub(super) fn shown(&self, label: Label) -> String {
        shown(self.get(label).unwrap_or_default())
    }

    fn wrong(&self, label: Label, due: &str) -> Rejected {
        let detail = format!("`{}` is {} where {due} is due", label.as_str(), self.shown(label));
        Rejected::message(Reason::WrongType, detail)
    }

    /// A number with too many digits.
    pub(super) fn out_of_range(&self, label: Label) -> Rejected {
        let detail = format!("`{}`: {} has too many digits", label.as_str(), self.shown(label));
        Rejected::message(Reason::OutOfRange, detail)
    }

    /// A field that is text.
    ///
    /// # Errors
    /// The refusal of the whole pack.
    pub(super) fn text(&self, label: Label) -> Result<Option<Cow<'a, str>>, Rejected> {
        match self.get(label).map(Token::of).transpose()? {
            None => Ok(None),
            Some(Token::Text(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong(label, "text")),
        }
    }

    /// A field that is a number, or text that spells one.
    ///
    /// # Errors
    /// The refusal of the whole pack.
    pub(super) fn number(&self, label: Label) -> Result<Option<Decimal>, Rejected> {
        let Some(raw) = self.get(label) else { return Ok(None) };
        let text = Token::of(raw)?.text().unwrap_or_default();
        match Decimal::parse(&text) {
            Ok(number) => Ok(Some(number)),
            Err(DecimalError::NotANumber) => Err(self.wrong(label, "a number")),
            Err(DecimalError::OutOfRange) => Err(self.out_of_range(label)),
        }
    }

    /// The one value of the record, the base value added.
    ///
    /// # Errors
    /// The refusal of the whole pack: two values.
    pub(super) fn value(&self, base: Decimal) -> Result<Option<Measured<'a>>, Rejected> {
        let mut present = [Label::V, Label::Vs, Label::Vb, Label::Vd]
            .into_iter()
            .filter_map(|label| self.get(label).map(|raw| (label, raw)));
        let Some((label, raw)) = present.next() else { return Ok(None) };
        if let Some((other, _)) = present.next() {
            let detail = format!("`{}` and `{}`: a record has one value", label.as_str(), other.as_str());
            return Err(Rejected::message(Reason::WrongType, detail));
        }
        Ok(Some(match (label, Token::of(raw)?) {
            (Label::V, Token::Number(text)) => sum(text, base),
            (Label::V, Token::Text(text)) if is_plain(&text) => sum(&text, base),
            (Label::V | Label::Vs, Token::Text(text)) => Measured::Text(text),
            (Label::Vb, Token::Bool(value)) => Measured::Bool(value),
            (Label::Vd, Token::Text(_)) => Measured::Other("data"),
            (_, Token::Other(what)) => Measured::Other(what),
            (_, Token::Number(_)) => Measured::Other("a number"),
            (_, Token::Bool(_)) => Measured::Other("a boolean"),
            (_, Token::Text(_)) => Measured::Other("text"),
        }))
    }
}

fn sum<'a>(text: &str, base: Decimal) -> Measured<'a> {
    match Decimal::parse(text).ok().and_then(|own| own.plus(base)) {
        Some(value) => Measured::Number(value),
        None => Measured::TooLong,
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Record<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Record<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a SenML record")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Record<'de>, A::Error> {
                let mut record = Record::default();
                while let Some(key) = map.next_key::<Cow<'de, str>>()? {
                    let raw = map.next_value()?;
                    match Label::of(&key).and_then(|label| record.fields.get_mut(label as usize)) {
                        Some(field) => *field = Some(raw),
                        None if key.ends_with('_') => record.unknown = Some((*key).into()),
                        None => {}
                    }
                }
                Ok(record)
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// The records of a pack; `more`: there were too many.
pub(super) struct Pack<'a> {
    pub(super) records: Vec<Record<'a>>,
    pub(super) more: bool,
}

impl<'de: 'a, 'a> Deserialize<'de> for Pack<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Records;
        impl<'de> Visitor<'de> for Records {
            type Value = Pack<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of SenML records")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Pack<'de>, A::Error> {
                let mut records = Vec::new();
                while records.len() < RECORDS_MAX {
                    match list.next_element()? {
                        Some(record) => records.push(record),
                        None => return Ok(Pack { records, more: false }),
                    }
                }
                let mut more = false;
                while list.next_element::<IgnoredAny>()?.is_some() {
                    more = true;
                }
                Ok(Pack { records, more })
            }
        }
        deserializer.deserialize_seq(Records)
    }
}
