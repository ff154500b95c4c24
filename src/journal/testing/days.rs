//! Two logs of ten days, whose collection is tested.

use std::path::PathBuf;
use std::sync::Arc;

use crate::journal::log::{LogKind, LogWriter};
use crate::journal::memory_disk::MemoryDisk;
use crate::journal::{ResultsLog, Retention, batch_codec};
use crate::model::result::PlanDescription;
use crate::model::time::SECOND;
use crate::model::{Aggregate, Batch, Key, Record, ResultRow, Span, Timestamp};

/// Nanoseconds of a day.
const DAY: i64 = 86_400 * SECOND;

/// The instant at which a day begins.
#[must_use]
pub fn at_day(day: i64) -> Timestamp {
    Timestamp(day * DAY)
}

/// Ten days, a segment a day in each log, one record and one row a day. Three days are kept, six for
/// a sink that is behind.
#[must_use]
pub fn ten_days() -> Retention {
    let disk: Arc<MemoryDisk> = Arc::default();
    let (journal_dir, results_dir) = (PathBuf::from("journal"), PathBuf::from("results"));
    let mut journal = LogWriter::open(disk.clone(), &journal_dir, LogKind::Journal, 1).unwrap();
    let mut results = ResultsLog::open(disk.clone(), &results_dir, 1).unwrap();
    let plan = Arc::new(PlanDescription {
        hash: 7,
        pipeline: "air".into(),
        window: "day".into(),
        size_ns: DAY,
        slide_ns: DAY,
        unit: None,
        by: Vec::new(),
        fields: Vec::new(),
    });
    for day in 0..10 {
        let (from, to) = (at_day(day), at_day(day));
        let records = vec![Record::Tick { from, to, observed: Vec::new().into() }];
        let first = day as u64;
        let batch = Batch { first, arrived_at: at_day(day), records, ..Batch::default() };
        journal.append(&batch_codec::encode(&batch)).unwrap();
        let mut rows = vec![ResultRow::Aggregate(Aggregate {
            cause: first,
            plan: plan.clone(),
            key: Key(Vec::new().into()),
            start: at_day(day),
            end: at_day(day + 1),
            revision: first,
            count: 0,
            capture: None,
            sufficient: true,
            fields: Vec::new(),
        })];
        if day == 0 {
            rows.insert(0, ResultRow::Plan(0, plan.clone()));
        }
        results.publish(&rows).unwrap();
    }
    let (keep, behind_max) = (Span(3 * DAY), Span(6 * DAY));
    Retention { disk, journal_dir, results_dir, keep, behind_max, holders: Arc::default() }
}
