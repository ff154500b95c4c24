//! What a recompute would change: windows computed again from the journal, and from the store where the
//! journal is gone, beside what the store holds of them, and alerts beside the ledger. Nothing is
//! written, and a running service is not disturbed.

mod alerts;
mod difference;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use self::alerts::published;
pub use self::alerts::{AlertDifference, Fate};
pub use self::difference::Difference;
use self::difference::Published;
use super::ServiceError;
use super::data_dir::{ledger_in, store_in};
use super::restore::Reach;
use super::restore::stored::Pieces;
use crate::flow::Interpreter;
use crate::flow::moment::Cause;
use crate::flow::past::Past;
use crate::journal::reader::gather;
use crate::journal::sequencer::SharedDictionary;
use crate::journal::snapshot::peek::Known;
use crate::journal::{BatchReader, Disk, FsDisk, mark};
use crate::model::{Aggregate, Batch, Control, Key, Recompute, Record, ResultRow, Span, Timestamp};
use crate::store::{AggregateRow, AggregatesFilter, QueryLimits, Store};

/// Windows of one definition that are compared at most.
const COMPARED_MAX: usize = 5_000_000;

/// What a recompute would do.
#[derive(Clone, Debug, Default)]
pub struct Preview {
    /// Windows computed.
    pub windows: u64,
    /// Those that would differ, by window, key and start.
    pub differences: Vec<Difference>,
    /// Alerts that would be others, by pipeline, window, key and rule.
    pub alerts: Vec<AlertDifference>,
    /// From when on all readings are there, if some are gone.
    pub readings_from: Option<Timestamp>,
}

/// Computes the windows of a range from the journal of a data folder and compares them.
///
/// # Errors
/// [`ServiceError`] when journal or store do not read, or the range holds too many events.
pub async fn preview(root: &Path, range: (Timestamp, Timestamp)) -> Result<Preview, ServiceError> {
    let store = Arc::new(Store::open_read_only(&store_in(root))?);
    let (recompute, rows, alerts) = compute(root, range, &store).await?;
    let Recompute { from, to, whole_from, .. } = recompute;
    let mut plans: BTreeMap<(Arc<str>, Arc<str>), Vec<Aggregate>> = BTreeMap::new();
    let windows = rows.len() as u64;
    for row in rows {
        plans.entry((row.plan.pipeline.clone(), row.plan.window.clone())).or_default().push(row);
    }
    let mut differences = Vec::new();
    for ((pipeline, window), rows) in plans {
        let filter = AggregatesFilter {
            pipeline: pipeline.to_string(),
            window: window.to_string(),
            key: Vec::new(),
            from: Some(from),
            to: Some(to),
            limit: COMPARED_MAX,
        };
        let limits = QueryLimits { rows_max: COMPARED_MAX, ..QueryLimits::default() };
        let (published, more) = store.aggregates(&filter, limits).await?;
        if more {
            return Err(too_long());
        }
        let mut known = BTreeMap::new();
        for held in published {
            let part = |name: &Arc<str>| held.key.iter().find(|(own, _)| own == name).map(|(_, value)| value);
            let by = rows.first().map(|row| row.plan.by.clone()).unwrap_or_default();
            let key: Key = Key(by.iter().map(|name| part(name).map_or("", |value| value).into()).collect());
            let AggregateRow { time, count, capture, sufficient, fields, .. } = held;
            known.insert((key, time), Published { count, capture, sufficient, fields });
        }
        for row in rows {
            let published = known.get(&(row.key.clone(), row.start));
            differences.extend(Difference::of(format!("{pipeline}.{window}"), row, published));
        }
    }
    let readings_from = Some(whole_from).filter(|from| *from > Timestamp::MIN);
    Ok(Preview { windows, differences, alerts, readings_from })
}

type Computed = (Recompute, Vec<Aggregate>, Vec<AlertDifference>);

/// The windows of the range by the definitions that the journal ends with, and what they change of
/// alerts.
async fn compute(
    root: &Path,
    range: (Timestamp, Timestamp),
    store: &Arc<Store>,
) -> Result<Computed, ServiceError> {
    let journal_dir = &root.join("journal");
    let disk: Arc<dyn Disk> = Arc::new(FsDisk);
    let end = synced(&*disk, journal_dir)?;
    let (fold, names, max_skew) = fold(&disk, journal_dir, end)?;
    let reach = Reach::of(disk.clone(), journal_dir, end)?;
    let recompute = reach.recompute(range, reach.whole_from_with(store, max_skew))?;
    let mut asked = [Past::new(u64::MAX, recompute)];
    gather(disk, journal_dir, end, &mut asked)?;
    let [mut past] = asked;
    let mut pieces = Pieces::of(store, &recompute, &names);
    while let Some(events) = pieces.next().await? {
        for event in events {
            past.restore(event.sequence, &event.event, &event.readings);
        }
        if past.is_overfull() {
            return Err(too_long());
        }
    }
    if past.is_overfull() {
        return Err(too_long());
    }
    let range = (recompute.from, recompute.to);
    let pipelines = fold.counts().map(|(name, _)| name);
    let mut published = published(&ledger_in(root), range, pipelines)?;
    let cause = Cause { sequence: past.sequence, arrived_at: recompute.to };
    let aggregate = |row| match row {
        ResultRow::Aggregate(row) => Some(row),
        _ => None,
    };
    let rows = fold.recomputed(&past, cause, &mut published).into_iter().filter_map(aggregate).collect();
    let alerts = published.into_values().flat_map(|pipeline| pipeline.differences).collect();
    Ok((recompute, rows, alerts))
}

/// Names and definitions at a journal's end, and how far event times may be ahead: the fold has no
/// windows of its own that could be amended.
fn fold(
    disk: &Arc<dyn Disk>,
    journal_dir: &Path,
    end: u64,
) -> Result<(Interpreter, SharedDictionary, Span), ServiceError> {
    let known = Known::newest(disk, journal_dir)?;
    let (mut fold, mut feeds) = (Interpreter::new(0, 1), BTreeMap::new());
    let records = known.entries().into_iter().map(Record::Entry).collect();
    fold.apply(&Batch { records, ..Batch::default() });
    let mut names = known.names;
    let mut take = |records: Vec<Record>| {
        for record in &records {
            match record {
                Record::Entry(entry) => names.insert(entry),
                Record::Control(control) => {
                    if let Control::Feed { feed } = &**control {
                        feeds.insert(feed.name.clone(), feed.max_skew);
                    }
                }
                _ => {}
            }
        }
        fold.apply(&Batch { records, ..Batch::default() });
    };
    take(known.definitions.into_iter().map(Record::Control).collect());
    let mut reader = BatchReader::new(disk.clone(), journal_dir, known.epoch);
    while let Some((_, batch)) = reader.next(end)? {
        let said = |record: &Record| matches!(record, Record::Entry(_) | Record::Control(_));
        take(batch.records.into_iter().filter(said).collect());
    }
    let max_skew = feeds.values().max().copied().unwrap_or_default();
    Ok((fold, Arc::new(RwLock::new(names)), max_skew))
}

/// How far the journal is known to be synced: nothing behind it is read.
fn synced(disk: &dyn Disk, journal_dir: &Path) -> Result<u64, ServiceError> {
    let damaged = |path: PathBuf| {
        let path = path.display();
        ServiceError::Setting(format!("{path} does not read; start the service once, which writes it anew"))
    };
    Ok(mark::peek(disk, journal_dir)?.map_err(damaged)?.unwrap_or(0))
}

fn too_long() -> ServiceError {
    ServiceError::Setting("the range holds too much for one recompute; give a shorter one".into())
}
