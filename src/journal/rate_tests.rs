//! A flood is refused, told with its reason and counted; nobody else is.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use super::tests::{event, message, s, total};
use super::*;
use crate::model::{DecodedEvent, Gate, Reason, Refusal, Rejected, Submission, Throttle as _, UsedUp};

fn limited(setting: &str, per_hour: u32) -> Sequencer {
    let mut sequencer = Sequencer::default();
    let definition = serde_json::json!({"name": "air", "topic": "t", "decoder": "json", (setting): per_hour});
    let feed = Box::new(serde_json::from_value(definition).unwrap());
    sequencer.configure(vec![Control::Feed { feed }], s(1));
    sequencer
}

fn says(sensor: &str, at: i64) -> Submission {
    message(vec![event(sensor, Some(at), &[("pm25", 1), ("pm10", 2)])])
}

fn refusals(finished: &[Finished]) -> Vec<Refusal> {
    let records = finished.iter().flat_map(|f| f.batch.records.clone());
    let refusal = |record| match record {
        Record::Refusal(refusal) => Some(*refusal),
        _ => None,
    };
    records.filter_map(refusal).collect()
}

#[test]
fn a_device_beyond_its_quota_is_refused_and_its_neighbour_is_not() {
    let mut sequencer = limited("device_messages_per_hour_max", 10);
    sequencer.accept(vec![says("flood", 1)], s(100));
    sequencer.accept(vec![says("neighbour", 1)], s(100));
    sequencer.take();
    for n in 0..30 {
        sequencer.accept(vec![says("flood", 1_000 + n)], s(100_000));
    }
    sequencer.accept(vec![says("neighbour", 1_000)], s(100_000));
    let finished = sequencer.take();
    let sum = total(&finished);
    assert!(sum.balanced(), "{sum:?}");
    assert_eq!((sum.messages_received, sum.events_stored, sum.events_refused), (31, 11, 20));
    assert_eq!(sum.readings_refused, 40);
    let told = refusals(&finished);
    assert_eq!(told.len(), 20);
    assert!(told.iter().all(|refusal| refusal.reason == Reason::OverRate));
    assert!(
        told[0].detail.contains("flood")
            && told[0].detail.contains("device_messages_per_hour_max of feed air")
    );
    let devices: Vec<_> = finished.iter().flat_map(|f| &f.batch.devices).collect();
    assert_eq!(devices.iter().map(|device| device.delta.events_refused).sum::<u64>(), 20);
}

#[test]
fn decoders_know_who_is_refused_until_the_quota_is_back() {
    let mut sequencer = limited("device_messages_per_hour_max", 10);
    let throttled = sequencer.throttled();
    // The first names the device, ten are its quota.
    for n in 0..11 {
        sequencer.accept(vec![says("flood", n)], s(100));
        assert_eq!(throttled.refuses("air", Some("flood")), None, "{n}");
    }
    sequencer.accept(vec![says("flood", 11)], s(100));
    assert_eq!(throttled.refuses("air", Some("flood")), Some(UsedUp::Sensor));
    assert_eq!(throttled.refuses("air", Some("neighbour")), None);
    let mut undecoded = message(Vec::new());
    undecoded.decoded.rejected.push(Rejected::message(Reason::OverRate, "flood sends more"));
    sequencer.accept(vec![undecoded], s(459));
    let sum = total(&sequencer.take());
    assert!(sum.balanced(), "{sum:?}");
    assert_eq!((sum.messages_refused, sum.events_found, sum.events_refused), (1, 12, 1));
    sequencer.pass(s(460));
    assert_eq!(throttled.refuses("air", Some("flood")), None);
    sequencer.accept(vec![says("flood", 12)], s(460));
    assert_eq!(total(&sequencer.take()).events_stored, 1);
}

#[test]
fn a_feed_beyond_its_quota_is_refused_unread_and_is_not_observed() {
    let mut sequencer = limited("messages_per_hour_max", 10);
    sequencer.connected(&"air".into(), true, s(10));
    sequencer.pass(s(13));
    let observed = |sequencer: &mut Sequencer, at| {
        sequencer.take();
        sequencer.pass(s(at));
        let finished = sequencer.take();
        let last = finished.iter().flat_map(|f| &f.batch.records).last().cloned();
        matches!(last, Some(Record::Tick { observed, .. }) if !observed.is_empty())
    };
    assert!(observed(&mut sequencer, 14));
    for n in 0..12 {
        sequencer.accept(vec![says(&format!("s{n}"), 14)], s(14));
    }
    let finished = sequencer.take();
    let sum = total(&finished);
    assert!(sum.balanced(), "{sum:?}");
    assert_eq!((sum.messages_refused, sum.events_found, sum.events_stored), (2, 10, 10));
    assert!(refusals(&finished)[0].detail.contains("raise messages_per_hour_max of feed air"));
    assert_eq!(sequencer.throttled().refuses("air", Some("anybody")), Some(UsedUp::Feed));
    assert!(!observed(&mut sequencer, 15), "who was refused says nothing");
    assert!(observed(&mut sequencer, 17));
}

#[test]
fn what_a_broker_held_during_an_outage_passes() {
    let mut first = limited("device_messages_per_hour_max", 10);
    first.connected(&"air".into(), true, s(10));
    first.accept(vec![says("a", 10)], s(10));
    first.connected(&"air".into(), false, s(11));
    // Ten hours at ten an hour.
    first.connected(&"air".into(), true, s(36_010));
    for n in 0..100 {
        first.accept(vec![says("a", 20 + n)], s(36_010));
    }
    let sum = total(&first.take());
    assert_eq!((sum.events_stored, sum.events_refused), (101, 0));
    // An hour after it has drained, an hour's worth may come at once, and no more.
    first.pass(s(36_020));
    first.pass(s(39_620));
    for n in 0..100 {
        first.accept(vec![says("a", 36_020 + n)], s(39_620));
    }
    let sum = total(&first.take());
    assert_eq!((sum.events_stored, sum.events_refused), (10, 90));
}

#[test]
fn a_file_has_no_rate() {
    let mut sequencer = limited("device_messages_per_hour_max", 1);
    for n in 0..50 {
        sequencer.accept(vec![Submission { arrived_at: Some(s(100)), ..says("a", n) }], s(0));
    }
    assert_eq!(total(&sequencer.take()).events_stored, 50);
}

#[test]
fn a_file_has_no_rate_as_a_whole_and_a_redelivery_costs_nothing() {
    let mut sequencer = limited("messages_per_hour_max", 10);
    for n in 0..50 {
        sequencer.accept(vec![Submission { arrived_at: Some(s(100)), ..says("a", n) }], s(0));
        sequencer.accept(vec![Submission { repeated: true, ..says("a", n) }], s(100));
    }
    for n in 0..11 {
        sequencer.accept(vec![says("a", 60 + n)], s(100));
    }
    let sum = total(&sequencer.take());
    assert_eq!((sum.events_stored, sum.messages_repeated, sum.messages_refused), (60, 50, 1));
}

#[test]
fn the_events_of_one_message_beyond_a_quota_are_one_refusal() {
    let mut sequencer = limited("device_messages_per_hour_max", 1);
    sequencer.accept(vec![says("a", 1)], s(100));
    sequencer.accept(vec![says("a", 2)], s(100));
    sequencer.take();
    let events = (3..6).map(|at| event("a", Some(at), &[("pm25", 1)])).collect();
    sequencer.accept(vec![message(events)], s(100));
    let finished = sequencer.take();
    assert_eq!((refusals(&finished).len(), total(&finished).events_refused), (1, 3));
}

#[test]
fn only_a_feed_that_is_refused_as_a_whole_drains_again() {
    let undecoded = || {
        let mut undecoded = message(Vec::new());
        undecoded.decoded.rejected.push(Rejected::message(Reason::OverRate, "too many"));
        undecoded
    };
    let observed = |sequencer: &mut Sequencer, at: i64| {
        sequencer.pass(s(at));
        let finished = sequencer.take();
        let last = finished.iter().flat_map(|f| &f.batch.records).last().cloned();
        matches!(last, Some(Record::Tick { observed, .. }) if !observed.is_empty())
    };
    for (setting, whole) in [("device_messages_per_hour_max", false), ("messages_per_hour_max", true)] {
        let mut sequencer = limited(setting, 1);
        sequencer.connected(&"air".into(), true, s(10));
        for n in 0..3 {
            sequencer.accept(vec![says("flood", n)], s(100));
        }
        assert!(observed(&mut sequencer, 110), "quiet since");
        sequencer.accept(vec![undecoded()], s(111));
        assert_eq!(observed(&mut sequencer, 112), !whole, "{setting}");
    }
}

/// Tickets of journaled messages, and how often it was told that names are used up.
#[derive(Default)]
struct Told(Mutex<Vec<u64>>, AtomicUsize);

impl Gate for Told {
    fn journaled(&self, ticket: u64, _: u64) -> bool {
        self.0.lock().unwrap().push(ticket);
        false
    }

    fn overdrawn(&self) {
        self.1.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn refusals_beyond_the_room_of_the_quarantine_are_counted_and_acknowledged() {
    let mut sequencer = limited("devices_max", 10);
    let gate: Arc<dyn Gate> = Arc::new(Told::default());
    let large = Bytes::from(vec![b'['; 60_000]);
    let bad = |ticket| {
        let mut bad = message(Vec::<DecodedEvent>::new());
        bad.payload = large.clone();
        bad.decoded.rejected.push(Rejected::message(Reason::BadJson, "no".repeat(500)));
        bad.ack = Some(Ack { gate: gate.clone(), ticket });
        bad
    };
    // 64 MiB hold 1,099 of them, with 1,010 bytes of texts each.
    for n in 0..2_000 {
        sequencer.accept(vec![bad(n)], s(100));
    }
    let finished = sequencer.take();
    let sum = total(&finished);
    assert!(sum.balanced(), "{sum:?}");
    assert_eq!((sum.messages_received, sum.messages_quarantined), (2_000, 2_000));
    assert_eq!(refusals(&finished).len(), 1_099);
    assert_eq!(finished.iter().map(|f| f.acks.len()).sum::<usize>(), 2_000);
    for n in 0..10 {
        sequencer.accept(vec![bad(n)], s(1_900));
    }
    assert_eq!(refusals(&sequencer.take()).len(), 10, "half an hour later there is room again");
}

#[test]
fn whoever_invents_names_beyond_the_quota_is_told_and_nobody_else() {
    let mut sequencer = limited("devices_max", 2);
    let told = Arc::new(Told::default());
    for (n, name) in (0..).zip(["a", "b", "c", "a", "d"]) {
        let ack = Ack { gate: told.clone(), ticket: 0 };
        let said = Submission { ack: Some(ack), ..says(name, n) };
        sequencer.accept(vec![said], s(100 + n));
    }
    sequencer.accept(vec![says("e", 9)], s(109));
    assert_eq!(told.1.load(Ordering::SeqCst), 2, "c and d; nobody is told of e");
    let finished = sequencer.take();
    assert_eq!(refusals(&finished).len(), 3);
}
