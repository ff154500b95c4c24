//! The same rows with any number of workers and any cut of the batches.

use std::sync::mpsc;

use bytes::Bytes;

use super::*;
use crate::flow::key_runs::IN_DELTA;
use crate::flow::state::Saved;
use crate::journal::Sequencer;
use crate::model::arrival::Quantity;
use crate::model::key::KEY_GROUPS;
use crate::model::time::SECOND;
use crate::model::{
    AlertState, Control, Decoded, DecodedEvent, DecodedReading, Record, Submission, Timestamp, Value,
};

const PIPELINE: &str = r#"{
    "version": 1, "name": "air", "title": {"es": "Aire", "en": "Air"}, "reads": ["air"],
    "exclude": "pm25 = -9999", "allowed_lateness": "10m",
    "window": [
        {"name": "pm25_1m", "size": "1m", "fields": {"mean": "mean(pm25)", "n": "count(*)", "p95": "p95(pm25)"}},
        {"name": "zone_5m", "size": "5m", "slide": "1m", "by": ["zone"],
         "fields": {"top": "max(pm25)", "roll": "p95(mean(pm25))", "gain": "increase(pm25)"}}
    ],
    "rule": [
        {"name": "high", "on": "pm25_1m", "when": "mean > 55", "for": "2m", "severity": "warning",
         "title": {"es": "t", "en": "t"}, "message": {"es": "{mean} en {sensor}", "en": "{mean} at {sensor}"}},
        {"name": "spike", "on": "readings", "when": "pm25 > 90", "severity": "critical",
         "title": {"es": "t", "en": "t"}, "message": {"es": "{pm25}", "en": "{pm25}"}}
    ]
}"#;

fn s(seconds: i64) -> Timestamp {
    Timestamp(seconds * SECOND)
}

fn reading(sensor: usize, at: i64, value: i64) -> DecodedEvent {
    let pm25 = Quantity { name: "pm25".into(), unit: "ug/m3".into(), decimals: 0 };
    DecodedEvent {
        sensor: format!("aire-{sensor}").into(),
        tags: vec![("zone".into(), format!("comuna-{}", sensor % 3).into())].into(),
        event_at: Some(s(at)),
        counter: None,
        readings: vec![DecodedReading { quantity: Arc::new(pm25), value: Value(value) }].into(),
    }
}

/// Batches of ten minutes of so many sensors, every hundredth reading late; `cut` inputs a batch.
fn batches(cut: usize, sensors: usize) -> Vec<Batch> {
    let feed = serde_json::json!({
        "name": "air", "topic": "ciudad/{zone}/aire/{sensor}", "decoder": "json",
        "quantity": {"pm25": {"unit": "ug/m3", "decimals": 0}}
    });
    let mut sequencer = Sequencer::default();
    let feed = Box::new(serde_json::from_value(feed).unwrap());
    let pipeline = Box::new(serde_json::from_str(PIPELINE).unwrap());
    sequencer.configure(vec![Control::Feed { feed }, Control::Pipeline { pipeline }], s(1_000_000));
    let mut out = Vec::new();
    for n in 0..6_000_usize {
        let arrived = 1_000_000 + n as i64 / 10;
        let late = if n % 100 == 7 { 200 } else { (n as i64 * 7) % 20 };
        let value =
            if n % 97 == 0 { -9_999 } else { (n * 31 % 50) as i64 + if n % 10 == 3 { 60 } else { 0 } };
        let message = Submission {
            feed: "air".into(),
            topic: "t".into(),
            payload: Bytes::new(),
            arrived_at: Some(s(arrived)),
            decoded: Decoded {
                events: vec![reading(n % sensors, arrived - late, value)].into(),
                rejected: Vec::new(),
                ignored: None,
            },
            repeated: false,
            brought: None,
            ack: None,
        };
        sequencer.accept(vec![message], s(arrived));
        if n % cut == 0 {
            out.extend(sequencer.take().into_iter().map(|finished| finished.batch));
        }
    }
    sequencer.pass(s(1_001_000));
    out.extend(sequencer.take().into_iter().map(|finished| finished.batch));
    out
}

/// What a source was told, in order.
#[derive(Debug)]
enum Told {
    Rows(u64, Vec<ResultRow>),
    Begun(u64),
    Taken(u64, Vec<Part>),
}

/// Batches that are there from the beginning.
struct Fixed {
    batches: std::vec::IntoIter<Batch>,
    epoch: u64,
    /// Where it wants a checkpoint before an epoch, and the last one.
    at: Option<u64>,
    told: mpsc::Sender<Told>,
}

impl Source for Fixed {
    fn next(&mut self) -> Option<(u64, Batch)> {
        let batch = self.batches.next()?;
        self.epoch += 1;
        Some((self.epoch - 1, batch))
    }
    fn wake(&mut self, _: Thread) {}
    fn publish(&mut self, epoch: u64, rows: Vec<ResultRow>) {
        let _ = self.told.send(Told::Rows(epoch, rows));
    }
    fn wants_checkpoint(&mut self, next: u64, last: bool) -> Option<Request> {
        let period = if last { IN_DELTA + 3 } else { IN_DELTA + 2 };
        let wanted = self.at.is_some_and(|at| last || next == at);
        wanted.then(|| Request { next, period, since: vec![None; KEY_GROUPS] })
    }
    fn checkpoint_begins(&mut self, next: u64) {
        let _ = self.told.send(Told::Begun(next));
    }
    fn checkpoint(&mut self, next: u64, parts: Result<Vec<Part>, StateError>) {
        let _ = self.told.send(Told::Taken(next, parts.unwrap()));
    }
}

fn rows(workers: usize, cut: usize) -> Vec<ResultRow> {
    let batches = batches(cut, 10);
    let last = batches.len() as u64 - 1;
    let (told, heard) = mpsc::channel();
    let source = Fixed { batches: batches.into_iter(), epoch: 0, at: None, told };
    let engine = Engine::start(workers, Box::new(source)).unwrap();
    let mut all = Vec::new();
    loop {
        let Told::Rows(epoch, rows) = heard.recv_timeout(Duration::from_secs(60)).unwrap() else { continue };
        all.extend(rows);
        if epoch == last {
            engine.stop();
            return all;
        }
    }
}

#[test]
fn workers_and_batch_cuts_change_nothing() {
    let one = rows(1, 1);
    let aggregates = one.iter().filter(|row| matches!(row, ResultRow::Aggregate(_))).count();
    let raised = |row: &&ResultRow| matches!(row, ResultRow::Transition(t) if t.to == AlertState::Firing);
    assert!(aggregates > 100, "{aggregates}");
    assert!(one.iter().filter(raised).count() > 10);
    assert_eq!(one, rows(2, 1));
    assert_eq!(one, rows(3, 1));
}

#[test]
fn a_plain_sum_over_the_journal_equals_the_last_revisions() {
    let batches = batches(50, 10);
    let mut plain: BTreeMap<(String, i64), (i64, u64)> = BTreeMap::new();
    let mut names = crate::model::Dictionary::default();
    for batch in &batches {
        for record in &batch.records {
            match record {
                Record::Entry(entry) => names.insert(entry),
                Record::Event(event) => {
                    let value = batch.readings_of(event)[0].value.0;
                    if value != -9_999 {
                        let sensor = names.device(event.device).unwrap().1.to_string();
                        let sum =
                            plain.entry((sensor, event.event_at.0.div_euclid(60 * SECOND) * 60)).or_default();
                        *sum = (sum.0 + value, sum.1 + 1);
                    }
                }
                _ => {}
            }
        }
    }
    let mut last: BTreeMap<(String, i64), (u64, f64)> = BTreeMap::new();
    for row in rows(2, 50) {
        if let ResultRow::Aggregate(row) = row
            && &*row.plan.window == "pm25_1m"
        {
            assert_eq!(row.fields[1], Some(row.count as f64));
            last.insert(
                (row.key.0[0].to_string(), row.start.0 / SECOND),
                (row.count, row.fields[0].unwrap()),
            );
        }
    }
    let plain: BTreeMap<_, _> =
        plain.into_iter().map(|(key, (sum, n))| (key, (n, sum as f64 / n as f64))).collect();
    assert_eq!(plain, last);
}

#[test]
fn checkpoints_are_of_the_moment_at_which_they_began() {
    // So many keys that a worker comes to them several times.
    let batches = batches(20, 1_000);
    let mut names = crate::model::Dictionary::default();
    for record in batches.iter().flat_map(|batch| &batch.records) {
        if let Record::Entry(entry) = record {
            names.insert(entry);
        }
    }
    let (at, end) = (200, batches.len() as u64);
    for workers in 1..=3 {
        let (told, all) = mpsc::channel();
        let source = Fixed { batches: batches.clone().into_iter(), epoch: 0, at: Some(at), told };
        let engine = Engine::start(workers, Box::new(source)).unwrap();
        let mut heard: Vec<Told> = Vec::new();
        while !matches!(heard.last(), Some(Told::Rows(epoch, _)) if *epoch == end - 1) {
            heard.push(all.recv_timeout(Duration::from_secs(60)).unwrap());
        }
        engine.stop();
        heard.extend(all.try_iter());
        let place = |is: &dyn Fn(&Told) -> bool| heard.iter().position(is).unwrap();
        let begun = place(&|told| matches!(told, Told::Begun(next) if *next == at));
        assert!(place(&|told| matches!(told, Told::Rows(epoch, _) if *epoch == at - 1)) < begun);
        assert!(begun < place(&|told| matches!(told, Told::Rows(epoch, _) if *epoch == at)));
        assert!(begun < place(&|told| matches!(told, Told::Taken(next, _) if *next == at)));
        assert!(
            matches!(heard.last(), Some(Told::Taken(next, parts)) if *next == end && parts.len() == workers)
        );
        let rows = |at: u64| {
            heard.iter().find_map(|told| match told {
                Told::Rows(epoch, rows) if *epoch == at => Some(rows),
                _ => None,
            })
        };
        let parts = heard.iter().find_map(|told| match told {
            Told::Taken(next, parts) if *next == at => Some(parts),
            _ => None,
        });
        let mut folds = Interpreter::load(&Saved::of(parts.unwrap()), &names, 2).unwrap();
        for (epoch, batch) in (at..end).zip(&batches[at as usize..]) {
            let mut again: Vec<ResultRow> = folds.iter_mut().flat_map(|fold| fold.apply(batch)).collect();
            order(&mut again);
            assert_eq!(Some(&again), rows(epoch), "epoch {epoch} of {workers} workers");
        }
    }
}
