//! The live view as a fold of the journal.

use super::super::sensors::SensorFilter;
use super::super::testing::{at, dictionary, event, journal};
use super::*;
use crate::notify::testing::s;

fn all() -> SensorFilter {
    SensorFilter { limit: 10, ..SensorFilter::default() }
}

#[test]
fn where_batches_are_cut_changes_nothing() {
    let (cut, whole) = (LiveView::new(), LiveView::new());
    journal().iter().for_each(|batch| cut.apply_batch(batch, &dictionary()));
    let mut one = Batch { arrived_at: s(3), ..Batch::default() };
    for batch in journal() {
        let offset = one.readings.len() as u32;
        one.readings.extend(batch.readings);
        one.accounts.extend(batch.accounts);
        one.records.extend(batch.records.into_iter().map(|record| match record {
            Record::Event(mut event) => {
                event.readings = event.readings.start + offset..event.readings.end + offset;
                Record::Event(event)
            }
            other => other,
        }));
    }
    whole.apply_batch(&one, &dictionary());
    assert_eq!(cut.sensors(&all()), whole.sensors(&all()));
    assert_eq!(cut.totals(), whole.totals());
    assert_eq!(cut.accounts(None, None), whole.accounts(None, None));
    assert_eq!(cut.quarantine(None, 9), whole.quarantine(None, 9));
    assert_eq!((cut.feeds(""), cut.pipelines()), (whole.feeds(""), whole.pipelines()));
}

#[test]
fn a_late_reading_does_not_replace_a_newer_one() {
    let live = LiveView::new();
    live.apply_batch(&event(0, 0, 60, 61, &[23.4]), &dictionary());
    live.apply_batch(&event(1, 0, 50, 70, &[99.0, 6.25, -75.56]), &dictionary());
    let (sensors, _) = live.sensors(&all());
    let sensor = &sensors[0];
    assert_eq!((sensor.readings[0].value, &sensor.readings[0].event_at), (23.4, &at(60)));
    assert_eq!((&sensor.last_event_at, &sensor.last_arrived_at), (&at(60), &at(70)));
    assert_eq!(sensor.latitude, Some(6.25), "a quantity it had not yet counts");
    assert_eq!(live.totals().events, 2);
}

#[test]
fn positions_off_the_globe_are_none() {
    let live = LiveView::new();
    live.apply_batch(&event(0, 0, 60, 61, &[23.4, 91.0, -181.0]), &dictionary());
    let (sensors, _) = live.sensors(&all());
    assert_eq!((sensors[0].latitude, sensors[0].longitude), (None, None));
}

#[test]
fn a_removed_pipeline_is_gone() {
    let live = LiveView::new();
    journal().iter().for_each(|batch| live.apply_batch(batch, &dictionary()));
    let removed = Control::PipelineRemoved { name: "air-quality".into() };
    let batch = Batch { records: vec![Record::Control(removed.into())], ..Batch::default() };
    live.apply_batch(&batch, &dictionary());
    assert!(live.pipelines().is_empty());
}

#[tokio::test]
async fn a_sensor_is_sent_once_a_second_and_the_last_value_is_not_lost() {
    let live = LiveView::new();
    live.apply_batch(&event(0, 0, 1, 1, &[1.0]), &dictionary());
    let mut events = live.hub().listen();
    let mut values = || {
        let mut found = Vec::new();
        while let Ok(event) = events.try_recv() {
            let json: serde_json::Value = serde_json::from_str(&event.data).unwrap();
            found.push(json["readings"][0]["value"].as_f64().unwrap());
        }
        found
    };
    live.apply_batch(&event(1, 0, 2, 2, &[2.0]), &dictionary());
    live.apply_batch(&event(2, 0, 2, 2, &[3.0]), &dictionary());
    live.apply_batch(&event(3, 0, 2, 2, &[4.0]), &dictionary());
    assert_eq!(values(), [2.0]);
    live.flush_readings(Timestamp(s(2).0 + 500_000_000));
    assert!(values().is_empty(), "not a second yet");
    live.flush_readings(s(3));
    assert_eq!(values(), [4.0]);
    live.flush_readings(s(9));
    assert!(values().is_empty(), "nothing new");
}

#[tokio::test]
async fn a_flood_of_sensors_stays_within_the_budget_of_a_second() {
    let live = LiveView::new();
    let mut dictionary = dictionary();
    for n in 0..5_000_u32 {
        let name = format!("aire-{n:05}").into();
        dictionary.insert(&crate::model::Entry::Device(crate::model::FeedId(0), name));
    }
    let mut events = live.hub().listen();
    for n in 2..5_000_u32 {
        let mut batch = event(u64::from(n), 0, 10, 10, &[1.0]);
        if let Some(Record::Event(event)) = batch.records.first_mut() {
            event.device = crate::model::DeviceId(n);
        }
        live.apply_batch(&batch, &dictionary);
    }
    let mut sent = 0;
    while events.try_recv().is_ok() {
        sent += 1;
    }
    assert_eq!(sent, 2_000);
}

/// `cargo test --release -- --ignored --nocapture folding_rate`: a figure, no verdict.
#[test]
#[ignore = "a measurement"]
fn folding_rate() {
    let live = LiveView::new();
    let dictionary = dictionary();
    let mut batch = Batch { arrived_at: s(10), ..Batch::default() };
    for n in 0..1_000 {
        let one = event(n, 0, 10, 10, &[1.0, 6.25, -75.5]);
        batch.readings.extend(one.readings);
        batch.records.extend(one.records);
    }
    let begin = std::time::Instant::now();
    (0..200).for_each(|_| live.apply_batch(&batch, &dictionary));
    println!("{:.0} events a second", 200_000.0 / begin.elapsed().as_secs_f64());
}
