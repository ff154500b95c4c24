//! Published rows as the content of a results-log frame.
//!
//! # Format, version 1
//!
//! Integers as in [`super::wire`]. Rows name their plan by its hash; a plan stands as a row of its
//! own before the first row that names it, and again at the beginning of each segment.
//!
//! ```text
//! frame      = rows:uint { row }
//! row        = 1 plan | 2 aggregate | 3 retraction | 4 transition
//! plan       = cause:uint json:bytes
//! aggregate  = cause:uint plan:8 key start:time size:int revision:uint count:uint capture:float?
//!              sufficient:byte fields:uint { float? }
//! retraction = cause:uint plan:8 key start:time revision:uint
//! transition = cause:uint id:16 pipeline:text rule:text severity:byte by:texts key from:byte to:byte
//!              began_at:time raised_at:time? resolved_at:time? at:time decided_at:time notify:byte reason:text title:2 texts
//!              message:2 texts labels:uint { name:text value:text }
//!              evidence:uint { name:text float? } window:time time
//! key        = values:uint { text }
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;

use super::wire::{BadContent, Reader, Writer};
use crate::model::definition::{LocalText, Severity};
use crate::model::result::PlanDescription;
use crate::model::{Aggregate, AlertId, AlertState, Key, ResultRow, Retraction, Timestamp, Transition};

/// Writes one row.
pub fn encode_row(out: &mut Writer, row: &ResultRow) {
    match row {
        ResultRow::Plan(cause, plan) => {
            out.byte(1);
            out.uint(*cause);
            // Plain names and numbers: writing them as JSON cannot fail.
            out.bytes(&serde_json::to_vec(&**plan).unwrap_or_default());
        }
        ResultRow::Aggregate(row) => {
            out.byte(2);
            out.uint(row.cause);
            out.0.extend_from_slice(&row.plan.hash.to_le_bytes());
            encode_key(out, &row.key);
            out.int(row.start.0);
            out.int(row.end.since(row.start).0);
            out.uint(row.revision);
            out.uint(row.count);
            out.optional_float(row.capture);
            out.byte(u8::from(row.sufficient));
            out.uint(row.fields.len() as u64);
            row.fields.iter().for_each(|field| out.optional_float(*field));
        }
        ResultRow::Retraction(row) => {
            out.byte(3);
            out.uint(row.cause);
            out.0.extend_from_slice(&row.plan.hash.to_le_bytes());
            encode_key(out, &row.key);
            out.int(row.start.0);
            out.uint(row.revision);
        }
        ResultRow::Transition(row) => {
            out.byte(4);
            encode_transition(out, row);
        }
    }
}

fn encode_key(out: &mut Writer, key: &Key) {
    out.uint(key.0.len() as u64);
    key.0.iter().for_each(|value| out.text(value));
}

fn encode_transition(out: &mut Writer, row: &Transition) {
    out.uint(row.cause);
    out.0.extend_from_slice(&row.id.0.to_le_bytes());
    out.text(&row.pipeline);
    out.text(&row.rule);
    out.byte(row.severity as u8);
    out.uint(row.by.len() as u64);
    row.by.iter().for_each(|name| out.text(name));
    encode_key(out, &row.key);
    out.byte(row.from as u8);
    out.byte(row.to as u8);
    out.int(row.began_at.0);
    out.optional_time(row.raised_at);
    out.optional_time(row.resolved_at);
    out.int(row.at.0);
    out.int(row.decided_at.0);
    out.byte(u8::from(row.notify));
    out.text(&row.reason);
    for text in [&row.title, &row.message] {
        out.text(&text.es);
        out.text(&text.en);
    }
    out.uint(row.labels.len() as u64);
    for (name, value) in &row.labels {
        out.text(name);
        out.text(value);
    }
    out.uint(row.evidence.len() as u64);
    for (name, value) in &row.evidence {
        out.text(name);
        out.optional_float(*value);
    }
    out.int(row.window.0.0);
    out.int(row.window.1.0);
}

/// Reads frames, knowing the plans of those before.
#[derive(Debug, Default)]
pub struct ResultDecoder {
    plans: HashMap<u64, Arc<PlanDescription>>,
}

impl ResultDecoder {
    /// Reads one frame.
    ///
    /// # Errors
    /// [`BadContent`] when the bytes do not follow the format or name an unknown plan.
    pub fn decode(&mut self, content: &[u8]) -> Result<Vec<ResultRow>, BadContent> {
        let mut input = Reader(content);
        let count = input.count()?;
        let mut rows = Vec::with_capacity(count);
        for _ in 0..count {
            rows.push(self.row(&mut input)?);
        }
        input.end()?;
        Ok(rows)
    }

    fn row(&mut self, input: &mut Reader<'_>) -> Result<ResultRow, BadContent> {
        Ok(match input.byte()? {
            1 => {
                let cause = input.uint()?;
                let plan: PlanDescription = serde_json::from_slice(input.bytes()?).map_err(|_| BadContent)?;
                let plan = Arc::new(plan);
                self.plans.insert(plan.hash, plan.clone());
                ResultRow::Plan(cause, plan)
            }
            2 => {
                let (cause, plan, key) = (input.uint()?, self.plan(input)?, key(input)?);
                let start = Timestamp(input.int()?);
                let end = Timestamp(start.0.wrapping_add(input.int()?));
                let (revision, count, capture) = (input.uint()?, input.uint()?, input.optional_float()?);
                let sufficient = flag(input)?;
                let length = input.count()?;
                let fields: Result<Vec<_>, BadContent> =
                    (0..length).map(|_| input.optional_float()).collect();
                let fields = fields?;
                ResultRow::Aggregate(Aggregate {
                    cause,
                    plan,
                    key,
                    start,
                    end,
                    revision,
                    count,
                    capture,
                    sufficient,
                    fields,
                })
            }
            3 => {
                let (cause, plan, key) = (input.uint()?, self.plan(input)?, key(input)?);
                let start = Timestamp(input.int()?);
                ResultRow::Retraction(Retraction { cause, plan, key, start, revision: input.uint()? })
            }
            4 => ResultRow::Transition(Box::new(transition(input)?)),
            _ => return Err(BadContent),
        })
    }

    fn plan(&self, input: &mut Reader<'_>) -> Result<Arc<PlanDescription>, BadContent> {
        let (hash, rest) = input.0.split_first_chunk::<8>().ok_or(BadContent)?;
        input.0 = rest;
        self.plans.get(&u64::from_le_bytes(*hash)).cloned().ok_or(BadContent)
    }
}

fn key(input: &mut Reader<'_>) -> Result<Key, BadContent> {
    texts(input).map(|values| Key(values.into()))
}

fn texts(input: &mut Reader<'_>) -> Result<Vec<Arc<str>>, BadContent> {
    let count = input.count()?;
    (0..count).map(|_| input.shared()).collect()
}

fn flag(input: &mut Reader<'_>) -> Result<bool, BadContent> {
    match input.byte()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(BadContent),
    }
}

fn state(input: &mut Reader<'_>) -> Result<AlertState, BadContent> {
    match input.byte()? {
        0 => Ok(AlertState::Inactive),
        1 => Ok(AlertState::Pending),
        2 => Ok(AlertState::Firing),
        3 => Ok(AlertState::Resolved),
        _ => Err(BadContent),
    }
}

fn local_text(input: &mut Reader<'_>) -> Result<LocalText, BadContent> {
    Ok(LocalText { es: input.text()?.to_owned(), en: input.text()?.to_owned() })
}

fn transition(input: &mut Reader<'_>) -> Result<Transition, BadContent> {
    let cause = input.uint()?;
    let (id, rest) = input.0.split_first_chunk::<16>().ok_or(BadContent)?;
    input.0 = rest;
    Ok(Transition {
        cause,
        id: AlertId(u128::from_le_bytes(*id)),
        pipeline: input.shared()?,
        rule: input.shared()?,
        severity: match input.byte()? {
            0 => Severity::Info,
            1 => Severity::Warning,
            2 => Severity::Critical,
            _ => return Err(BadContent),
        },
        by: texts(input)?,
        key: key(input)?,
        from: state(input)?,
        to: state(input)?,
        began_at: Timestamp(input.int()?),
        raised_at: input.optional_time()?,
        resolved_at: input.optional_time()?,
        at: Timestamp(input.int()?),
        decided_at: Timestamp(input.int()?),
        notify: flag(input)?,
        reason: input.shared()?,
        title: local_text(input)?,
        message: local_text(input)?,
        labels: labels(input)?,
        evidence: evidence(input)?,
        window: (Timestamp(input.int()?), Timestamp(input.int()?)),
    })
}

fn labels(input: &mut Reader<'_>) -> Result<BTreeMap<String, String>, BadContent> {
    let count = input.count()?;
    (0..count).map(|_| Ok((input.text()?.to_owned(), input.text()?.to_owned()))).collect()
}

/// Fields by name.
type Named = Vec<(Arc<str>, Option<f64>)>;

fn evidence(input: &mut Reader<'_>) -> Result<Named, BadContent> {
    let count = input.count()?;
    (0..count).map(|_| Ok((input.shared()?, input.optional_float()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::result::Field;

    #[test]
    fn rows_read_back() {
        let plan = Arc::new(PlanDescription {
            hash: u64::MAX,
            pipeline: "air-quality".into(),
            window: "pm25_1h".into(),
            size_ns: 3_600_000_000_000,
            slide_ns: 3_600_000_000_000,
            unit: None,
            by: vec!["sensor".into()],
            fields: vec![Field { name: "pm25_mean".into(), unit: "ug/m3".into() }],
        });
        let key = Key(vec!["aire-1".into()].into());
        let rows = vec![
            ResultRow::Plan(1, plan.clone()),
            ResultRow::Aggregate(Aggregate {
                cause: 9,
                plan: plan.clone(),
                key: key.clone(),
                start: Timestamp(0),
                end: Timestamp(3_600_000_000_000),
                revision: 8,
                count: 3,
                capture: Some(0.75),
                sufficient: true,
                fields: vec![Some(23.4)],
            }),
            ResultRow::Retraction(Retraction {
                cause: 10,
                plan,
                key: key.clone(),
                start: Timestamp(0),
                revision: 10,
            }),
            ResultRow::Transition(Box::new(Transition {
                cause: 11,
                id: AlertId(u128::MAX - 5),
                pipeline: "air-quality".into(),
                rule: "pm25-high".into(),
                severity: Severity::Critical,
                by: vec!["sensor".into()],
                key,
                from: AlertState::Pending,
                to: AlertState::Firing,
                began_at: Timestamp(1),
                raised_at: Some(Timestamp(2)),
                resolved_at: None,
                at: Timestamp(2),
                decided_at: Timestamp(3),
                notify: true,
                reason: "condition met".into(),
                title: LocalText { es: "Título".into(), en: "Title".into() },
                message: LocalText::default(),
                labels: [("area".to_owned(), "aire".to_owned())].into(),
                evidence: vec![("pm25_mean".into(), None)],
                window: (Timestamp(0), Timestamp(1)),
            })),
        ];
        let mut out = Writer::default();
        out.uint(rows.len() as u64);
        rows.iter().for_each(|row| encode_row(&mut out, row));
        assert_eq!(ResultDecoder::default().decode(&out.0), Ok(rows));
    }
}
