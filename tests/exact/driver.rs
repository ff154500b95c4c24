//! Runs a case through the engine and through the naive evaluator and compares every byte.

use std::collections::BTreeMap;

use sereno::flow::compile::compile;
use sereno::journal::result_codec::encode_row;
use sereno::journal::wire::Writer;
use sereno::model::definition::FeedDefinition;
use sereno::model::{Batch, Control, Entry, Record, ResultRow, Timestamp};

use crate::case::Case;
use crate::chance::Chance;
use crate::machine;
use crate::naive::accounts;
use crate::naive::alerts::Alerts;
use crate::naive::met::Met;
use crate::naive::windows::{Counts, PlanNames, Windows};
use crate::naive::world::Line;

/// One case in so many also runs through the real dataflow on its threads.
const DATAFLOW_EACH: u64 = 20;

/// The journal record by record, however it was cut.
pub fn lines(batches: &[Batch]) -> Vec<Line> {
    let mut lines = Vec::new();
    for batch in batches {
        for (sequence, record) in batch.iter() {
            let readings = match record {
                Record::Event(event) => batch.readings_of(event).to_vec(),
                _ => Vec::new(),
            };
            lines.push(Line { sequence, record: record.clone(), readings });
        }
    }
    lines
}

/// The same records in other batches, whose headers say nothing true: cut after each record
/// `percent` times in a hundred.
pub fn cut_again(lines: &[Line], percent: u64, chance: &mut Chance) -> Vec<Batch> {
    let mut batches = Vec::new();
    let mut batch = Batch::default();
    for line in lines {
        if batch.records.is_empty() {
            (batch.first, batch.arrived_at) = (line.sequence, Timestamp(chance.bits() as i64 >> 1));
        }
        let mut record = line.record.clone();
        if let Record::Event(event) = &mut record {
            let start = batch.readings.len() as u32;
            batch.readings.extend_from_slice(&line.readings);
            event.readings = start..batch.readings.len() as u32;
        }
        batch.records.push(record);
        if chance.percent(percent) {
            batches.push(std::mem::take(&mut batch));
        }
    }
    batches.push(batch);
    batches
}

/// What the engine calls each plan.
pub fn plan_names(rows: &[ResultRow]) -> PlanNames {
    let mut names = PlanNames::default();
    for row in rows {
        match row {
            ResultRow::Plan(cause, plan) => {
                let place = (*cause, plan.pipeline.to_string(), plan.window.to_string());
                names.hashes.entry(place).or_default().push((plan.hash, plan.size_ns));
            }
            ResultRow::Aggregate(row) if row.plan.by.last().is_some_and(|name| &**name == "period") => {
                let period = row.key.0.last().map(ToString::to_string);
                names.periods.insert(row.plan.hash, period.unwrap_or_default());
            }
            _ => {}
        }
    }
    names
}

/// What the naive evaluator publishes, counts, and meets.
pub fn naive(case: &Case, lines: &[Line], names: PlanNames) -> (Vec<ResultRow>, Counts, Met) {
    let mut windows = Windows::new(case.conditions.clone(), names);
    let mut alerts = Alerts::new(case.conditions.clone());
    let mut all = Vec::new();
    for line in lines {
        let (mut rows, notes) = windows.apply(line);
        rows.extend(alerts.hear(notes, &windows, line));
        rows.sort_by_key(place);
        all.extend(rows);
    }
    let mut counts = windows.counts;
    counts.retain(|name, _| windows.pipelines.contains_key(name));
    for (name, counts) in &mut counts {
        counts[4] = alerts.unjudged.get(name).copied().unwrap_or_default();
    }
    windows.met.add(&alerts.met);
    (all, counts, windows.met)
}

/// The order of rows of one cause: plans, then windows by (plan, key, start), then transitions by
/// (pipeline, rule, key).
fn place(row: &ResultRow) -> (u8, u64, String, String, Vec<String>, i64) {
    let texts = |key: &sereno::model::Key| key.0.iter().map(ToString::to_string).collect();
    let none = String::new;
    match row {
        ResultRow::Plan(_, plan) => (0, plan.hash, none(), none(), Vec::new(), 0),
        ResultRow::Aggregate(row) => (1, row.plan.hash, none(), none(), texts(&row.key), row.start.0),
        ResultRow::Retraction(row) => (1, row.plan.hash, none(), none(), texts(&row.key), row.start.0),
        ResultRow::Transition(row) => {
            (2, 0, row.pipeline.to_string(), row.rule.to_string(), texts(&row.key), 0)
        }
    }
}

/// Says where two runs part, or nothing.
pub fn difference(name: &str, got: &[ResultRow], want: &[ResultRow]) -> Option<String> {
    let bytes = |row: &ResultRow| {
        let mut out = Writer::default();
        encode_row(&mut out, row);
        out.0
    };
    let at = (0..got.len().max(want.len())).find(|at| got.get(*at).map(bytes) != want.get(*at).map(bytes))?;
    let show = |rows: &[ResultRow]| -> String {
        let from = at.saturating_sub(3);
        rows.iter()
            .enumerate()
            .skip(from)
            .take(7)
            .map(|(n, row)| format!("  row {n} {}\n", brief(row)))
            .collect()
    };
    Some(format!("row {at} differs\n {name}:\n{} naive:\n{}", show(got), show(want)))
}

/// A row on one line.
pub fn brief(row: &ResultRow) -> String {
    match row {
        ResultRow::Plan(cause, plan) => {
            format!("@{cause} plan {} {} {:016x}", plan.pipeline, plan.window, plan.hash)
        }
        ResultRow::Aggregate(row) => format!(
            "@{} {}.{} {:016x} [{}] {} rev {} n {} {:?} {} {:?}",
            row.cause,
            row.plan.pipeline,
            row.plan.window,
            row.plan.hash,
            row.key,
            row.start,
            row.revision,
            row.count,
            row.capture,
            row.sufficient,
            row.fields
        ),
        ResultRow::Retraction(row) => format!("@{} retraction {} {}", row.cause, row.key, row.start),
        ResultRow::Transition(row) => format!(
            "@{} {}.{} [{}] {:08x} {:?}-{:?} [{}, {}, {}) at {} decided {} {} {} {:?} {:?} {:?} {:?} {:?} {:?}",
            row.cause,
            row.pipeline,
            row.rule,
            row.key,
            row.id.0 as u32,
            row.from,
            row.to,
            row.began_at,
            row.raised_at.map_or("-".to_owned(), |at| at.to_string()),
            row.resolved_at.map_or("-".to_owned(), |at| at.to_string()),
            row.at,
            row.decided_at,
            row.reason,
            row.notify,
            row.severity,
            row.title,
            row.message,
            row.labels,
            row.evidence,
            row.window,
        ),
    }
}

/// Compares a case in every way; the rows compared and what was met, or what differs first.
pub fn check(case: &Case) -> Result<(usize, Met), String> {
    let batches = crate::case::journal(case);
    let lines = lines(&batches);
    check_definitions(&lines)?;
    let (rows, counts) = machine::uninterrupted(&batches, 1);
    let (want, naive_counts, met) = naive(case, &lines, plan_names(&rows));
    let want_counts = same_names(&naive_counts, &counts);
    let hold = |name: &str, (rows, counts): (Vec<ResultRow>, Counts)| {
        if let Some(difference) = difference(name, &rows, &want) {
            return Err(difference);
        }
        if counts != want_counts {
            return Err(format!(
                "{name}: counted, late, too late, excluded, unjudged {counts:?}, naive {want_counts:?}"
            ));
        }
        Ok(())
    };
    hold("engine", (rows, counts.clone()))?;
    check_accounts(case, &batches)?;
    let mut chance = Chance::of(case.seed ^ 0x5eed);
    for workers in [1, 2, 3] {
        let batches = cut_again(&lines, chance.one(&[5, 30, 100]), &mut chance);
        hold(&format!("{workers} workers, cut again"), machine::uninterrupted(&batches, workers))?;
    }
    let batches = cut_again(&lines, chance.one(&[5, 30, 100]), &mut chance);
    hold("checkpoints and starts from them", machine::interrupted(&batches, &mut chance)?)?;
    if case.seed.is_multiple_of(DATAFLOW_EACH) {
        let batches = cut_again(&lines, chance.one(&[5, 30, 100]), &mut chance);
        let workers = chance.within(1, 4) as usize;
        // What was told of a removed pipeline stays in the dataflow's tally.
        let (rows, _) = machine::dataflow(batches, workers);
        hold(&format!("dataflow of {workers} workers"), (rows, counts))?;
    }
    Ok((want.len(), met))
}

/// Every pipeline that is drawn makes sense: of one that does not nothing would be compared.
fn check_definitions(lines: &[Line]) -> Result<(), String> {
    let mut feeds: BTreeMap<&str, &FeedDefinition> = BTreeMap::new();
    let controls = lines.iter().filter_map(|line| match &line.record {
        Record::Control(control) => Some(&**control),
        _ => None,
    });
    for control in controls {
        match control {
            Control::Feed { feed } => {
                feeds.insert(&feed.name, feed);
            }
            Control::Pipeline { pipeline } => {
                let reads = pipeline.reads.iter().flatten().filter_map(|name| feeds.get(name.as_str()));
                let reads: Vec<&FeedDefinition> = reads.copied().collect();
                compile(pipeline, &reads).map_err(|fault| format!("{}: {fault}", pipeline.name))?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// What the headers say, what was handed over and what the journal holds agree.
fn check_accounts(case: &Case, batches: &[Batch]) -> Result<(), String> {
    let records = batches.iter().flat_map(|batch| &batch.records);
    let feeds = records.filter_map(|record| match record {
        Record::Entry(Entry::Feed(name)) => Some(name.to_string()),
        _ => None,
    });
    let names: Vec<String> = feeds.collect();
    let (said, held) = accounts::of_journal(batches, &names);
    let want = accounts::of_script(case);
    if said != want {
        let parted = said.iter().filter(|(key, n)| want.get(*key) != Some(n));
        let missing = want.iter().filter(|(key, n)| said.get(*key) != Some(n));
        let (said, want): (Vec<_>, Vec<_>) = (parted.collect(), missing.collect());
        return Err(format!("accounts: headers say {said:?}, naive {want:?}"));
    }
    let stored = |name: &str| ["events_stored", "readings_stored"].contains(&name);
    let stored: accounts::Totals = said.into_iter().filter(|(key, _)| stored(key.2)).collect();
    if stored != held {
        return Err(format!("accounts: headers say {stored:?}, the journal holds {held:?}"));
    }
    Ok(())
}

/// The naive counts of the pipelines that there are; of those without an event they are zero.
fn same_names(naive: &Counts, like: &Counts) -> Counts {
    like.keys().map(|name| (name.clone(), naive.get(name).copied().unwrap_or_default())).collect()
}
