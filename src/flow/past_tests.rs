//! What is restored counts as what was journaled: the same rows, bit by bit.

use super::*;
use crate::flow::cuts_testing::{Random, journal};
use crate::flow::interpreter::{Interpreter, order};
use crate::journal::result_codec::encode_row;
use crate::journal::wire::Writer;
use crate::journal::{Sequencer, batch_codec};
use crate::model::time::SECOND;
use crate::model::{ResultRow, StoredEvent, Value};

/// The events of some batches as a store gives them back: values through floats.
fn stored(batches: &[Batch], asked: &Recompute, names: &Dictionary) -> Vec<StoredEvent> {
    let mut events = Vec::new();
    for batch in batches {
        for (sequence, record) in batch.iter() {
            let Record::Event(event) = record else { continue };
            let within = asked.begins_at(BEFORE) <= event.event_at && event.event_at < asked.to;
            if !within || sequence >= asked.since {
                continue;
            }
            let reading = |reading: &Reading| {
                let decimals = names.quantity(reading.quantity).unwrap().decimals;
                let float = reading.value.to_f64(decimals);
                Reading { value: Value::from_f64(float, decimals).unwrap(), ..*reading }
            };
            let readings = batch.readings_of(event).iter().map(reading).collect();
            events.push(StoredEvent { sequence, event: Event { readings: 0..0, ..event.clone() }, readings });
        }
    }
    events
}

/// What follows a journal when a recompute restores these events, read back from its bytes.
fn asked_for(batches: &[Batch], asked: Recompute, mut events: Vec<StoredEvent>) -> Vec<Batch> {
    let mut sequencer = Sequencer::default();
    batches.iter().for_each(|batch| sequencer.recover(batch));
    let now = sequencer.last_arrival();
    let before = sequencer.kept(0);
    while !events.is_empty() {
        let piece = events.drain(..events.len().min(100)).collect();
        sequencer.restore(piece, now);
    }
    sequencer.recompute(asked, now);
    let finished: Vec<Batch> = sequencer.take().into_iter().map(|finished| finished.batch).collect();
    assert!(finished.iter().all(|batch| batch.accounts.is_empty() && batch.devices.is_empty()));
    let after = sequencer.kept(0);
    assert_eq!((before.feeds, before.arrived_at), (after.feeds, after.arrived_at), "nothing arrived");
    finished.iter().map(|batch| batch_codec::decode(&batch_codec::encode(batch)).unwrap()).collect()
}

/// The rows of the last record of a journal, whose recompute reads from epoch `from` on.
fn rows(batches: &[Batch], asked: Recompute, from: usize) -> Vec<Vec<u8>> {
    let last = batches.last().unwrap();
    let mut past = Past::new(last.next() - 1, asked);
    batches[from..].iter().for_each(|batch| past.gather(batch));
    let mut fold = Interpreter::new(0, 1);
    let mut rows = Vec::new();
    for batch in batches {
        rows = fold.apply_with(batch, std::slice::from_ref(&past));
    }
    rows.retain(|row| row.cause() == past.sequence);
    order(&mut rows);
    let bytes = |row: &ResultRow| {
        let mut out = Writer::default();
        encode_row(&mut out, row);
        out.0
    };
    rows.iter().map(bytes).collect()
}

fn names_of(batches: &[Batch]) -> Dictionary {
    let mut names = Dictionary::default();
    for record in batches.iter().flat_map(|batch| &batch.records) {
        if let Record::Entry(entry) = record {
            names.insert(entry);
        }
    }
    names
}

#[test]
fn a_recompute_of_a_collected_journal_gives_what_the_whole_journal_gives() {
    let (mut compared, mut restored, mut other) = (0, 0, 0);
    for seed in 0..40 {
        let batches = journal(seed, 600);
        let mut random = Random::new(seed + 77);
        let names = names_of(&batches);
        let end = batches.last().unwrap().arrived_at;
        // The first half, a third or most of it is gone.
        let from = batches.len() * (1 + random.below(3) as usize) / 4;
        let to = end.minus(Span::seconds(random.below(3_600) as i64));
        let whole = Recompute::of(to.minus(Span::seconds(1_800 + random.below(20_000) as i64)), to);
        let asked = Recompute { since: batches[from].first, ..whole };
        let mut events = stored(&batches, &asked, &names);
        restored += events.len();
        // In no order, and some twice: an earlier recompute's copies may be there still.
        events.extend(events.iter().filter(|event| event.sequence % 3 == 0).cloned().collect::<Vec<_>>());
        events.sort_by_key(|event| event.sequence.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let with = |events| {
            let mut all = batches.clone();
            all.extend(asked_for(&batches, asked, events));
            all
        };
        let all = with(events);
        let want = rows(&all, whole, 0);
        assert_eq!(rows(&all, asked, from), want, "seed {seed}: from the segments that are left");
        assert_eq!(rows(&all, asked, 0), want, "seed {seed}: older segments are still there");
        compared += want.len();
        let none = with(Vec::new());
        other += usize::from(rows(&none, asked, from) != want);
    }
    assert!(compared > 3_000 && restored > 3_000, "{compared} rows compared, {restored} events restored");
    assert!(other > 20, "{other} recomputes were others without what was restored");
}

#[test]
fn what_is_restored_changes_nothing_but_the_recompute_that_reads_it() {
    for seed in 0..10 {
        let batches = journal(seed, 300);
        let end = batches.last().unwrap().arrived_at;
        let nothing = Recompute::of(Timestamp(0), Timestamp(SECOND));
        let asked = Recompute { since: u64::MAX, ..Recompute::of(Timestamp(0), end.plus(Span(1))) };
        let events = stored(&batches, &asked, &names_of(&batches));
        assert!(!events.is_empty());
        // As the live flow meets them, with ticks behind them by which windows close.
        let finish = |more: Vec<Batch>| {
            let mut fold = Interpreter::new(0, 1);
            let mut sequencer = Sequencer::default();
            batches.iter().chain(&more).for_each(|batch| {
                sequencer.recover(batch);
                fold.apply(batch);
            });
            sequencer.pass(end.plus(Span::seconds(7_200)));
            let after = sequencer.take();
            let rows: Vec<ResultRow> =
                after.iter().flat_map(|finished| fold.apply(&finished.batch)).collect();
            rows.into_iter()
                .map(|row| match row {
                    ResultRow::Aggregate(row) => format!("{:?} {} {:?}", row.key, row.start, row.fields),
                    ResultRow::Transition(row) => format!("{} {:?} {:?}", row.id, row.to, row.at),
                    row => format!("{row:?}"),
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(finish(asked_for(&batches, nothing, events)), finish(Vec::new()));
    }
}

#[test]
fn an_event_counts_once_and_only_before_the_recompute_that_restored_it() {
    let event = |at: i64| Event {
        feed: crate::model::FeedId(0),
        device: crate::model::DeviceId(0),
        tags: crate::model::TagSetId(0),
        event_at: Timestamp(at),
        arrived_at: Timestamp(at),
        counter: None,
        readings: 0..0,
    };
    let restored = |sequence, at| Record::Restored { sequence, event: event(at) };
    let records =
        vec![Record::Event(event(5)), restored(3, 1), restored(3, 1), restored(10, 5), restored(4, 2)];
    let batch = Batch { first: 10, records, ..Batch::default() };
    let asked = Recompute { since: 10, ..Recompute::of(Timestamp(0), Timestamp(9)) };
    let mut past = Past::new(14, asked);
    past.gather(&batch);
    let sequences = |past: &Past| {
        past.in_order(&Dictionary::default()).iter().map(|(sequence, _)| *sequence).collect::<Vec<_>>()
    };
    assert_eq!(sequences(&past), [3, 10], "the copy behind the recompute is another's");
    let mut past = Past::new(20, Recompute { whole_from: Timestamp(2), ..asked });
    past.gather(&batch);
    assert_eq!(sequences(&past), [4, 10], "of what was before, something is gone");
}
