//! SenML packs, RFC 8428, in their JSON form: records with the base fields applied.
//!
//! Base fields hold from the record they stand in until the next record that has them (4.1).
//! Times below 2^28 are relative to the arrival (4.5.3). Sums of base and own values are exact.
//! A base value without a value, and a base sum without a sum, give nothing. Numbers written as
//! strings are read as numbers. A record without value and sum only sets base fields.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::labels::LABEL_BYTES_MAX;
use super::number::Decimal;
use super::record::{Label, Pack, RECORDS_MAX, Record};
use super::time::instant;
use super::token::shown;
use crate::model::time::SECOND;
use crate::model::{Reason, Rejected, Timestamp};

/// The newest version that is read.
const VERSION: i128 = 10;
/// Seconds below which a time is relative.
const RELATIVE_BELOW: i128 = 1 << 28;

/// One record with the pack's base fields applied.
#[derive(Clone, Debug, PartialEq)]
pub struct ResolvedRecord<'a> {
    /// Base name and name together.
    pub name: String,
    /// Bytes of `name` that are the base name.
    pub base_bytes: usize,
    /// Own or base unit.
    pub unit: Option<Cow<'a, str>>,
    /// When, absolute.
    pub at: Timestamp,
    /// Whether the pack says when; otherwise `at` is the arrival time.
    pub timed: bool,
    /// What was measured; `None` beside a sum only.
    pub value: Option<Measured<'a>>,
    /// The integrated value.
    pub sum: Option<Decimal>,
}

/// The value of a record.
#[derive(Clone, Debug, PartialEq)]
pub enum Measured<'a> {
    /// `v`, base value added.
    Number(Decimal),
    /// `v` with more digits than are read.
    TooLong,
    /// `vb`.
    Bool(bool),
    /// `vs`, or a `v` that is text.
    Text(Cow<'a, str>),
    /// `vd`, or a field of another type than it should have.
    Other(&'static str),
}

impl ResolvedRecord<'_> {
    /// The device and what it measures. With a base name and a name of one part, these two; else
    /// the name is cut at its last `:` or `/`. A record without a name of its own, or whose name
    /// is a whole `urn:dev:<type>:<id>` (RFC 9039), names a device and no quantity.
    #[must_use]
    pub fn parts(&self) -> (&str, &str) {
        let separators = [':', '/', '_'];
        let (base, own) = self.name.split_at_checked(self.base_bytes).unwrap_or((&self.name, ""));
        let bare_urn = base.is_empty() && own.starts_with("urn:dev:") && own.matches([':', '/']).count() == 3;
        if own.is_empty() || bare_urn {
            return (self.name.trim_end_matches(separators), "");
        }
        let (device, quantity) = match own.rfind([':', '/']) {
            None => (base, own),
            Some(at) => self.name.split_at_checked(base.len() + at).unwrap_or((base, own)),
        };
        (device.trim_end_matches(separators), quantity.trim_start_matches([':', '/']))
    }
}

/// Reads and resolves a pack.
///
/// # Errors
/// The refusal of the whole pack.
pub(super) fn resolve(text: &str, arrived_at: Timestamp) -> Result<Vec<ResolvedRecord<'_>>, Rejected> {
    let pack: Pack<'_> = serde_json::from_str(text).map_err(|error| refused(text, &error))?;
    if pack.more {
        let detail = format!("the pack has more than {RECORDS_MAX} records");
        return Err(Rejected::message(Reason::TooComplex, detail));
    }
    let mut base = Base::default();
    let mut resolved = Vec::with_capacity(pack.records.len());
    for (index, record) in pack.records.iter().enumerate() {
        let found = base.take(record).and_then(|()| base.resolve(record, arrived_at));
        resolved.extend(found.map_err(|refusal| Rejected {
            detail: format!("record {index}: {}", refusal.detail).into(),
            ..refusal
        })?);
    }
    Ok(resolved)
}

/// Base fields in force.
#[derive(Default)]
struct Base<'a> {
    name: Cow<'a, str>,
    time: Decimal,
    unit: Option<Cow<'a, str>>,
    value: Decimal,
    sum: Decimal,
}

impl<'a> Base<'a> {
    fn take(&mut self, record: &Record<'a>) -> Result<(), Rejected> {
        if let Some(label) = &record.unknown {
            let detail = format!("{} must be understood (RFC 8428, 4.4), and is not", shown(label));
            return Err(Rejected::message(Reason::UnknownVersion, detail));
        }
        if let Some(version) = record.number(Label::Bver)?
            && version.scaled(0).is_none_or(|version| version > VERSION)
        {
            let detail = format!("version {} is newer than {VERSION}", record.shown(Label::Bver));
            return Err(Rejected::message(Reason::UnknownVersion, detail));
        }
        if let Some(name) = record.text(Label::Bn)? {
            self.name = name;
        }
        if let Some(unit) = record.text(Label::Bu)? {
            self.unit = Some(unit);
        }
        self.time = record.number(Label::Bt)?.unwrap_or(self.time);
        self.value = record.number(Label::Bv)?.unwrap_or(self.value);
        self.sum = record.number(Label::Bs)?.unwrap_or(self.sum);
        Ok(())
    }

    fn resolve(
        &self,
        record: &Record<'a>,
        arrived_at: Timestamp,
    ) -> Result<Option<ResolvedRecord<'a>>, Rejected> {
        let value = record.value(self.value)?;
        let sum = match record.number(Label::S)? {
            Some(sum) => Some(sum.plus(self.sum).ok_or_else(|| record.out_of_range(Label::S))?),
            None => None,
        };
        if value.is_none() && sum.is_none() {
            return Ok(None);
        }
        let own = record.text(Label::N)?.unwrap_or_default();
        if self.name.len() + own.len() > LABEL_BYTES_MAX {
            let detail = format!("base name and name have more than {LABEL_BYTES_MAX} bytes");
            return Err(Rejected::message(Reason::BadName, detail));
        }
        let time = record.number(Label::T)?.unwrap_or_default();
        let time = time.plus(self.time).ok_or_else(|| record.out_of_range(Label::T))?;
        Ok(Some(ResolvedRecord {
            name: format!("{}{own}", self.name),
            base_bytes: self.name.len(),
            unit: record.text(Label::U)?.or_else(|| self.unit.clone()),
            at: absolute(time, arrived_at)?,
            timed: time != Decimal::default(),
            value,
            sum,
        }))
    }
}

fn absolute(time: Decimal, arrived_at: Timestamp) -> Result<Timestamp, Rejected> {
    let relative = time.scaled(9).is_some_and(|nanos| nanos < RELATIVE_BELOW * i128::from(SECOND));
    let found = match instant(time, 9) {
        Some(offset) if relative => arrived_at.0.checked_add(offset.0).map(Timestamp),
        found => found,
    };
    found.ok_or_else(|| {
        let detail = "the time is beyond the year 2262; SenML times are seconds, not milliseconds";
        Rejected::message(Reason::BadTime, detail)
    })
}

/// Why a text is no pack.
fn refused(text: &str, error: &serde_json::Error) -> Rejected {
    if !error.is_data() {
        return Rejected::message(Reason::BadJson, error.to_string());
    }
    let is_draft = serde_json::from_str::<Draft>(text).is_ok();
    let detail = if is_draft {
        "a pack of the drafts before RFC 8428 ({\"e\": [..]}), whose times and values have no fixed \
         meaning; let the device send RFC 8428, or map it with `decoder = \"json\"`"
            .into()
    } else {
        format!("a SenML pack is a list of objects: {error}")
    };
    Rejected::message(Reason::WrongType, detail)
}

/// The form before RFC 8428, only to be recognised.
#[derive(Deserialize)]
struct Draft {
    #[serde(rename = "e")]
    _records: IgnoredAny,
}
