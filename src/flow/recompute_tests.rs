//! What a recompute publishes: what came too late counts, what may still be amended is left alone.

use std::sync::Arc;

use bytes::Bytes;

use super::super::interpreter::{Interpreter, order};
use super::*;
use crate::journal::Sequencer;
use crate::model::arrival::Quantity;
use crate::model::time::SECOND;
use crate::model::{Batch, Control, Decoded, DecodedEvent, DecodedReading, Recompute, Submission, Value};

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
        tags: vec![("zone".into(), "centro".into())].into(),
        event_at: Some(s(at)),
        counter: None,
        readings: vec![DecodedReading { quantity: Arc::new(pm25), value: Value(value) }].into(),
    };
    Submission {
        feed: "air".into(),
        topic: "t".into(),
        payload: Bytes::new(),
        arrived_at: None,
        decoded: Decoded { events: vec![event].into(), rejected: Vec::new(), ignored: None },
        repeated: false,
        brought: None,
        ack: None,
    }
}

/// Two sensors for ten minutes, a reading that is too late for its minute, then a recompute.
fn journal(before_recompute: impl FnOnce(&mut Sequencer)) -> Vec<Batch> {
    let mut sequencer = Sequencer::default();
    sequencer.configure(define(r#"{"mean": "mean(pm25)"}"#), s(0));
    for n in 0..60 {
        for sensor in ["a", "b"] {
            sequencer.accept(vec![message(sensor, n * 10, 10)], s(n * 10));
        }
    }
    sequencer.accept(vec![message("a", 65, 70)], s(600));
    before_recompute(&mut sequencer);
    sequencer.recompute(Recompute::of(s(0), s(600)), s(601));
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
    sequencer.accept(vec![message("a", 66, 99)], s(602));
    let after: Vec<Batch> = sequencer.take().into_iter().map(|finished| finished.batch).collect();
    let last = batches.last().unwrap().next() - 1;
    batches.extend(after);
    let mut past = Past::new(last, Recompute::of(s(0), s(600)));
    batches.iter().for_each(|batch| past.gather(batch));
    let mut fold = Interpreter::new(0, 1);
    let again: Vec<ResultRow> = batches
        .iter()
        .flat_map(|batch| fold.apply_with(batch, std::slice::from_ref(&past)))
        .filter(|row| row.cause() == last)
        .collect();
    assert_eq!(seen(&again, "minute"), seen(&rows, "minute"));
}

/// Rows of a window by start: key, seconds, capture, sufficient.
fn captures(rows: &[ResultRow]) -> Vec<(String, i64, Option<f64>, bool)> {
    let row = |row: &ResultRow| match row {
        ResultRow::Aggregate(row) if &*row.plan.window == "minute" => {
            let key = row.key.0.iter().map(ToString::to_string).collect();
            Some((key, row.start.0 / SECOND - BEGIN, row.capture, row.sufficient))
        }
        _ => None,
    };
    let mut rows: Vec<_> = rows.iter().filter_map(row).collect();
    rows.sort_by(|left, right| (&left.0, left.1).cmp(&(&right.0, right.1)));
    rows
}

#[test]
fn a_sensor_is_expected_at_the_interval_that_its_register_gives_it() {
    let mut controls = define(r#"{"mean": "mean(pm25)"}"#);
    let feed = r#"{"name": "air", "topic": "ciudad/{zone}/aire/{sensor}", "decoder": "json",
        "out_of_orderness": "10s", "expected_interval": "10s", "quantity": {"pm25": {"unit": "ug/m3", "decimals": 0}},
        "registered": [{"name": "a", "expected_interval": "5s"}, {"name": "silent", "expected_interval": "10s"}]}"#;
    controls[0] = Control::Feed { feed: serde_json::from_str(feed).unwrap() };
    let mut sequencer = Sequencer::default();
    sequencer.configure(controls, s(0));
    for n in 1..60 {
        for sensor in ["a", "b"] {
            sequencer.accept(vec![message(sensor, n * 10, 10)], s(n * 10));
        }
    }
    sequencer.pass(s(1_200));
    sequencer.recompute(Recompute::of(s(60), s(480)), s(1_200));
    let batches: Vec<Batch> = sequencer.take().into_iter().map(|finished| finished.batch).collect();
    let mut fold = Interpreter::new(0, 1);
    let live: Vec<ResultRow> = batches.iter().flat_map(|batch| fold.apply(batch)).collect();
    let mut live = captures(&live);
    live.retain(|row| row.0 != "silent" && (60..480).contains(&row.1));
    let again = captures(&recomputed(&batches, 1));
    assert_eq!(again.len(), 14, "of the one that says nothing, nothing is published");
    assert_eq!(again, live);
    assert_eq!((again[0].2, again[13].2), (Some(0.5), Some(1.0)));
}

#[test]
fn windows_of_which_something_is_gone_are_left_alone() {
    let day = 86_400;
    let asked = |from, whole_from| Recompute {
        since: 1,
        whole_from: s(whole_from),
        ..Recompute::of(s(from), s(2 * day))
    };
    let mut sequencer = Sequencer::default();
    sequencer.configure(define(r#"{"mean": "mean(pm25)"}"#), s(0));
    let windows = r#"{"version": 1, "name": "gain", "title": {"es": "G", "en": "G"}, "reads": ["air"],
        "allowed_lateness": "1m", "window": [{"name": "gain", "size": "1m", "fields": {"gain": "increase(pm25)"}}]}"#;
    let windows = Control::Pipeline { pipeline: serde_json::from_str(windows).unwrap() };
    sequencer.configure(define(r#"{"mean": "mean(pm25)"}"#).into_iter().chain([windows]).collect(), s(0));
    for n in 0..300 {
        sequencer.accept(vec![message("a", n * 600, n)], s(n * 600));
    }
    let mut batches: Vec<Batch> = sequencer.take().into_iter().map(|finished| finished.batch).collect();
    let mut first = |asked| {
        sequencer.recompute(asked, s(3 * day));
        batches.extend(sequencer.take().into_iter().map(|finished| finished.batch));
        let rows = recomputed(&batches, 1);
        ["minute", "gain"].map(|window| seen(&rows, window).first().map(|row| row.1))
    };
    assert_eq!(first(Recompute::of(s(600), s(2 * day))), [Some(600), Some(600)]);
    assert_eq!(first(asked(600, 1_150)), [Some(1_200), Some(day + 1_200)]);
    assert_eq!(first(asked(6_000, 1_150)), [Some(6_000), Some(day + 1_200)]);
    assert_eq!(first(asked(day + 6_000, 1_150)), [Some(day + 6_000), Some(day + 6_000)]);
}

#[test]
fn what_a_first_known_reading_counts_from_is_left_to_what_was_published() {
    let day = 86_400;
    let mut sequencer = Sequencer::default();
    let windows = r#"{"version": 1, "name": "water", "title": {"es": "A", "en": "W"}, "reads": ["air"],
        "allowed_lateness": "1m", "window": [
            {"name": "own", "size": "1h", "fields": {"gain": "increase(pm25)"}},
            {"name": "district", "size": "1h", "by": ["zone"], "fields": {"gain": "increase(pm25)"}},
            {"name": "held", "size": "1h", "hold_max": "25h", "by": ["zone"], "fields": {"level": "time_mean(pm25)"}},
            {"name": "brief", "size": "1h", "hold_max": "1h", "by": ["zone"], "fields": {"level": "time_mean(pm25)"}}]}"#;
    let windows = Control::Pipeline { pipeline: serde_json::from_str(windows).unwrap() };
    sequencer.configure(define(r#"{"mean": "mean(pm25)"}"#).into_iter().chain([windows]).collect(), s(0));
    // A meter that is read a little less than once a day, and its neighbour each hour.
    for hour in 0..120 {
        sequencer.accept(vec![message("hourly", hour * 3_600 + 60, hour)], s(hour * 3_600 + 60));
        if hour % 25 == 0 {
            sequencer.accept(vec![message("daily", hour * 3_600 + 90, hour * 10)], s(hour * 3_600 + 90));
        }
    }
    // The meter's reading of 25 h lies before what is gathered: the first that is known is that of 50 h.
    let from = 49 * 3_600 + 100;
    sequencer.recompute(Recompute::of(s(from), s(4 * day)), s(6 * day));
    let batches: Vec<Batch> = sequencer.take().into_iter().map(|finished| finished.batch).collect();
    let rows = recomputed(&batches, 1);
    let of = |window: &str, key: &str| -> Vec<(i64, Option<f64>)> {
        let rows = seen(&rows, window).into_iter().filter(|row| row.0 == key);
        rows.map(|row| (row.1, row.3)).collect()
    };
    // Hours begin 780 s after those of the journal: the meter's reading lies in that of 177,180.
    assert_eq!(of("own", "daily"), [(267_180, Some(250.0))]);
    assert_eq!(of("own", "hourly").first(), Some(&(177_180, Some(1.0))));
    assert_eq!(
        of("district", "centro").first(),
        Some(&(180_780, Some(1.0))),
        "the meter's gain is missing before"
    );
    assert_eq!(of("held", "centro").first(), Some(&(180_780, Some(275.1))), "so is what it held");
    assert_eq!(of("brief", "centro").first().map(|row| row.0), Some(177_180), "nothing holds for so long");
}
