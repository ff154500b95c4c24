//! What comes out of the store again is what went in, from memory and from files.

use std::sync::Arc;

use super::*;
use crate::model::time::SECOND;
use crate::model::{Dictionary, Value};
use crate::store::testing::{DAY, Journal};
use crate::store::{Store, StoreOptions};

fn at(second: i64) -> Timestamp {
    Timestamp((DAY + second) * SECOND)
}

async fn events(store: &Arc<Store>, wanted: EventsFilter) -> Vec<EventRow> {
    let (pieces, mut taken) = tokio::sync::mpsc::channel(1);
    let (reader, mut rows) = (store.clone(), Vec::new());
    let reading =
        tokio::spawn(async move { reader.events(wanted, pieces, QueryLimits::default()).await.unwrap() });
    while let Some(piece) = taken.recv().await {
        assert!(piece.len() <= PIECE);
        rows.extend(piece);
    }
    assert_eq!(reading.await.unwrap(), rows.len() as u64);
    rows.sort_by_key(|row: &EventRow| row.sequence);
    rows
}

/// The events of a journal as rows, by the dictionary.
fn said(journal: &Journal) -> Vec<EventRow> {
    let names: &Dictionary = &journal.dictionary;
    let mut rows = Vec::new();
    for batch in &journal.batches {
        for (sequence, record) in batch.iter() {
            let crate::model::Record::Event(event) = record else { continue };
            let reading = |reading: &crate::model::Reading| {
                let quantity = names.quantity(reading.quantity).unwrap();
                let value = reading.value.to_f64(quantity.decimals);
                assert_eq!(Value::from_f64(value, quantity.decimals), Ok(reading.value));
                (Arc::from(&*quantity.name), Arc::from(&*quantity.unit), value)
            };
            rows.push(EventRow {
                feed: names.feed(event.feed).unwrap().clone(),
                sensor: names.device(event.device).unwrap().1.to_string(),
                event_at: event.event_at,
                arrived_at: event.arrived_at,
                sequence,
                counter: event.counter,
                tags: names.tags(event.tags).unwrap().to_vec(),
                readings: batch.readings_of(event).iter().map(reading).collect(),
            });
        }
    }
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn events_come_back_as_they_were_taken_in() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(folder.path(), StoreOptions::default()).unwrap());
    let mut journal = Journal::default();
    let zone: &[(&str, &str)] = &[("place", "río"), ("zone", "comuna-01")];
    journal.batch(
        "air",
        &[("a", 0, zone, &[("pm25", "ug/m3", 1, 234), ("temp", "Cel", 2, -5)]), ("b", 1, &[], &[])],
    );
    journal.batch("río", &[("r", 2, &[("zone", "")], &[("level", "cm", 6, 1_234_567_890_123)])]);
    journal.replay(&store);
    store.flush().unwrap();
    // Later columns, and rows that are still in memory.
    journal.batch("air", &[("a", 3, &[("mast", "2")], &[("no2", "ug/m3", 0, 7)])]);
    journal.replay(&store);
    let all = EventsFilter { from: at(0), to: at(10), before: u64::MAX };
    assert_eq!(events(&store, all).await, said(&journal));
    let count = store.count_events((at(0), at(10)), QueryLimits::default()).await.unwrap();
    assert_eq!(count, 4);
    // From inclusive, to exclusive, before exclusive.
    let some = EventsFilter { from: at(1), to: at(3), before: 2 };
    let rows = events(&store, some).await;
    assert_eq!(rows.iter().map(|row| row.sequence).collect::<Vec<_>>(), [1]);
    assert_eq!(store.count_events((at(1), at(3)), QueryLimits::default()).await.unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_events_come_in_pieces() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(folder.path(), StoreOptions::default()).unwrap());
    let mut journal = Journal::default();
    journal.fill(&store, 0, 5_500);
    let all = EventsFilter { from: at(0), to: at(10_000), before: u64::MAX };
    assert_eq!(events(&store, all).await, said(&journal));
}

#[test]
fn a_store_knows_from_where_on_it_has_everything() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = Journal::default();
    for second in 0..4 {
        journal.batch("air", &[("a", second, &[], &[("pm25", "ug/m3", 1, 1)])]);
        journal.batches[second as usize].arrived_at = at(second);
    }
    let store = Store::open(folder.path(), StoreOptions::default()).unwrap();
    let feed = |epoch: usize| {
        store.apply_batch(epoch as u64, &journal.batches[epoch], &journal.dictionary).unwrap();
        (store.whole().sequence, store.whole().arrived_at)
    };
    assert_eq!(feed(0), (0, Timestamp::MIN));
    assert_eq!(feed(1), (0, Timestamp::MIN));
    assert_eq!(feed(3), (3, at(3)), "the third was removed before it was read");
    store.flush().unwrap();
    drop(store);
    let store = Store::open(folder.path(), StoreOptions::default()).unwrap();
    assert_eq!(store.whole().sequence, 3, "after a restart too");
}
