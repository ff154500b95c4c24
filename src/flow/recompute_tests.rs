//! What a recompute publishes: what came too late counts, what may still be amended is left alone.

use std::sync::Arc;

use bytes::Bytes;

use super::super::interpreter::{Interpreter, order};
use super::*;
use crate::journal::Sequencer;
use crate::model::arrival::Quantity;
use crate::model::time::SECOND;
use crate::model::{Batch, Control, Decoded, DecodedEvent, DecodedReading, Submission, Value};

const BEGIN: i64 = 1_000_020;

fn s(seconds: i64) -> Timestamp {
    Timestamp((BEGIN + seconds) * SECOND)
}

fn define(fields: &str) -> Vec<Control> {
    let feed = r#"{"name": "air", "topic": "ciudad/{zone}/aire/{sensor}", "decoder": "json",
        "out_of_orderness": "10s", "quantity": {"pm25": {"unit": "ug/m3", "decimals": 0}}}"#;
    let pipeline = format!(
        r#"{{"version": 1, "name": "air", "title": {{"es": "Aire", "en": "Air"}}, "reads": ["air"],
            "allowed_lateness": "1m", "window": [
                {{"name": "minute", "size": "1m", "fields": {fields}}},
                {{"name": "zone", "size": "1m", "by": ["zone"], "fields": {{"total": "sum(pm25)"}}}}]}}"#
    );
    vec![
        Control::Feed { feed: serde_json::from_str(feed).unwrap() },
        Control::Pipeline { pipeline: serde_json::from_str(&pipeline).unwrap() },
    ]
}

fn message(sensor: &str, at: i64, value: i64) -> Submission {
    let pm25 = Quantity { name: "pm25".into(), unit: "ug/m3".into(), decimals: 0 };
    let event = DecodedEvent {
        sensor: sensor.into(),
        tags: vec![("zone".into(), "centro".into())],
        event_at: Some(s(at)),
        counter: None,
        readings: vec![DecodedReading { quantity: Arc::new(pm25), value: Value(value) }],
    };
    Submission {
        feed: "air".into(),
        topic: "t".into(),
        payload: Bytes::new(),
        arrived_at: None,
        decoded: Decoded { events: vec![event], rejected: Vec::new(), ignored: None },
        repeated: false,
        ack: None,
    }
}

/// Two sensors for ten minutes, a reading that is too late for its minute, then a recompute.
fn journal(before_recompute: impl FnOnce(&mut Sequencer)) -> Vec<Batch> {
    let mut sequencer = Sequencer::default();
    sequencer.configure(define(r#"{"mean": "mean(pm25)"}"#), s(0));
    for n in 0..60 {
        for sensor in ["a", "b"] {
            sequencer.accept(message(sensor, n * 10, 10), s(n * 10));
        }
    }
    sequencer.accept(message("a", 65, 70), s(600));
    before_recompute(&mut sequencer);
    sequencer.recompute(s(0), s(600), s(601));
    sequencer.take().into_iter().map(|finished| finished.batch).collect()
}

/// What every worker publishes for the last record, in order.
fn recomputed(batches: &[Batch], workers: usize) -> Vec<ResultRow> {
    let last = batches.last().unwrap().next() - 1;
    let mut rows = Vec::new();
    for index in 0..workers {
        let mut fold = Interpreter::new(index, workers);
        for batch in batches {
            let mut asked = Past::asked_by(batch);
            asked.iter_mut().for_each(|past| batches.iter().for_each(|batch| past.gather(batch)));
            rows.extend(fold.apply_with(batch, &asked));
        }
    }
    rows.retain(|row| row.cause() == last);
    order(&mut rows);
    rows
}

fn seen(rows: &[ResultRow], window: &str) -> Vec<(String, i64, u64, Option<f64>)> {
    let row = |row: &ResultRow| match row {
        ResultRow::Aggregate(row) if &*row.plan.window == window => {
            let start = row.start.0 / SECOND - BEGIN;
            Some((row.key.0.iter().map(ToString::to_string).collect(), start, row.count, row.fields[0]))
        }
        _ => None,
    };
    rows.iter().filter_map(row).collect()
}

#[test]
fn what_came_too_late_counts_and_what_may_be_amended_is_left_alone() {
    let batches = journal(|_| {});
    let last = batches.last().unwrap().next() - 1;
    let rows = recomputed(&batches, 1);
    let minutes = seen(&rows, "minute");
    // Sealed is what ends a minute and 10 s before the sensor's last reading, at 590 s.
    let of_a: Vec<_> = minutes.iter().filter(|row| row.0 == "a").cloned().collect();
    assert_eq!(of_a.len(), 8);
    assert_eq!(of_a[1], ("a".into(), 60, 7, Some(130.0 / 7.0)));
    assert_eq!(of_a[2], ("a".into(), 120, 6, Some(10.0)));
    assert_eq!(minutes.len(), 16);
    let zones = seen(&rows, "zone");
    assert_eq!(zones[1], ("centro".into(), 60, 13, Some(190.0)));
    for row in &rows {
        let ResultRow::Aggregate(row) = row else { panic!("{row:?}") };
        assert_eq!((row.cause, row.revision), (last, last));
    }
    for workers in [2, 3] {
        assert_eq!(recomputed(&batches, workers), rows);
    }
}

#[test]
fn a_new_definition_reaches_back_over_the_whole_range() {
    let batches = journal(|sequencer| {
        sequencer.configure(define(r#"{"top": "max(pm25)"}"#), s(600));
    });
    let minutes = seen(&recomputed(&batches, 1), "minute");
    let of_a: Vec<_> = minutes.iter().filter(|row| row.0 == "a").collect();
    assert_eq!(of_a.len(), 10, "no window of the new definition has begun");
    assert_eq!(*of_a[1], ("a".into(), 60, 7, Some(70.0)));
}

#[test]
fn what_came_after_the_record_does_not_count() {
    let mut batches = journal(|_| {});
    let rows = recomputed(&batches, 1);
    let mut sequencer = Sequencer::default();
    batches.iter().for_each(|batch| sequencer.recover(batch));
    sequencer.accept(message("a", 66, 99), s(602));
    let after: Vec<Batch> = sequencer.take().into_iter().map(|finished| finished.batch).collect();
    let last = batches.last().unwrap().next() - 1;
    batches.extend(after);
    let mut past = Past::new(last, s(0), s(600));
    batches.iter().for_each(|batch| past.gather(batch));
    let mut fold = Interpreter::new(0, 1);
    let again: Vec<ResultRow> = batches
        .iter()
        .flat_map(|batch| fold.apply_with(batch, std::slice::from_ref(&past)))
        .filter(|row| row.cause() == last)
        .collect();
    assert_eq!(seen(&again, "minute"), seen(&rows, "minute"));
}
