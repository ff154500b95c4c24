//! What a message becomes, and that a restart knows it again.

use bytes::Bytes;

use super::*;
use crate::model::arrival::Quantity;
use crate::model::{
    Brought, Decoded, DecodedEvent, DecodedReading, Packet, Reason, Rejected, Submission, Value,
};

pub(super) fn s(seconds: i64) -> Timestamp {
    Timestamp(seconds * SECOND)
}

pub(super) fn event(sensor: &str, at: Option<i64>, values: &[(&str, i64)]) -> DecodedEvent {
    let reading = |(name, value): &(&str, i64)| DecodedReading {
        quantity: Arc::new(Quantity { name: (*name).into(), unit: "".into(), decimals: 0 }),
        value: Value(*value),
    };
    DecodedEvent {
        sensor: sensor.into(),
        tags: vec![("zone".into(), "comuna-01".into())].into(),
        event_at: at.map(s),
        counter: None,
        readings: values.iter().map(reading).collect(),
    }
}

pub(super) fn message(events: Vec<DecodedEvent>) -> Submission {
    Submission {
        feed: "air".into(),
        topic: "ciudad/x".into(),
        payload: Bytes::from_static(b"{}"),
        arrived_at: None,
        decoded: Decoded { events: events.into(), rejected: Vec::new(), ignored: None },
        repeated: false,
        brought: None,
        ack: None,
    }
}

pub(super) fn total(finished: &[Finished]) -> crate::model::Accounts {
    let mut sum = crate::model::Accounts::default();
    finished.iter().flat_map(|f| &f.batch.accounts).for_each(|accounts| sum.add(&accounts.delta));
    sum
}

pub(super) fn events(finished: &[Finished]) -> usize {
    finished.iter().flat_map(|f| &f.batch.records).filter(|record| matches!(record, Record::Event(_))).count()
}

#[test]
fn other_tags_of_a_device_are_other_tags() {
    let mut sequencer = Sequencer::default();
    let mut tags_at = |at: i64, zone: &str| {
        let tags = vec![("zone".into(), zone.into())].into();
        sequencer
            .accept(vec![message(vec![DecodedEvent { tags, ..event("a", Some(at), &[("v", 1)]) }])], s(100));
        let finished = sequencer.take();
        let mut records = finished.iter().flat_map(|one| &one.batch.records);
        records.find_map(|record| if let Record::Event(event) = record { Some(event.tags.0) } else { None })
    };
    let zones = (1..).zip(["north", "north", "south", "north", "south"]);
    let found: Vec<u32> = zones.map(|(at, zone)| tags_at(at, zone).unwrap()).collect();
    assert_eq!(found, [0, 0, 1, 0, 1]);
}

/// A message of a feed with no times of its own, under an identifier.
fn brought(id: u16, print: u64, again: bool) -> Submission {
    let packet = Packet { session: 1, in_flight_max: 10, id, print };
    let brought = Some(Brought { packet, again });
    Submission { feed: "noise".into(), brought, ..message(vec![event("n", None, &[("db", print as i64)])]) }
}

#[test]
fn what_a_session_brings_again_is_known_by_the_protocol_also_after_a_crash() {
    let noise = r#"{"name": "noise", "topic": "noise/{sensor}", "decoder": "json", "identity": "protocol"}"#;
    let noise = Control::Feed { feed: serde_json::from_str(noise).unwrap() };
    let mut sequencer = Sequencer::default();
    sequencer.configure(vec![noise], s(100));
    let mut journal = Vec::new();
    let mut tell = |sequencer: &mut Sequencer, id, print, again| {
        sequencer.accept(vec![brought(id, print, again)], s(101));
        let finished = sequencer.take();
        let sum = total(&finished);
        assert!(sum.balanced());
        journal.extend(finished.into_iter().map(|one| one.batch));
        (sum.events_stored, sum.messages_repeated)
    };
    let (stored, repeated) = ((1, 0), (0, 1));
    assert_eq!(tell(&mut sequencer, 7, 5, false), stored);
    assert_eq!(tell(&mut sequencer, 7, 5, true), repeated);
    assert_eq!(tell(&mut sequencer, 7, 5, false), stored, "without DUP it is new");
    assert_eq!(tell(&mut sequencer, 8, 5, true), stored, "it was lost before it came here");
    assert_eq!(tell(&mut sequencer, 8, 6, false), stored, "the identifier is another message's");
    assert_eq!(tell(&mut sequencer, 8, 5, true), stored);
    assert_eq!(tell(&mut sequencer, 9, 5, false), stored);
    // A message of a feed that does not ask comes under an identifier that one of this feed had.
    assert_eq!(tell(&mut sequencer, 9, 0, false), stored);
    assert_eq!(tell(&mut sequencer, 9, 5, true), stored);
    let mut after = Sequencer::default();
    journal.iter().for_each(|batch| after.recover(batch));
    for (id, print, want) in [(7, 5, repeated), (8, 5, repeated), (9, 5, repeated), (8, 6, stored)] {
        after.accept(vec![brought(id, print, true)], s(102));
        let sum = total(&after.take());
        assert_eq!((sum.events_stored, sum.messages_repeated), want, "{id} {print}");
    }
}

#[test]
fn every_message_event_and_reading_is_accounted_for() {
    let mut sequencer = Sequencer::default();
    sequencer.accept(vec![message(vec![event("a", Some(100), &[("pm25", 1), ("pm10", 2)])])], s(101));
    sequencer.accept(vec![message(vec![event("a", Some(100), &[("pm25", 1), ("pm10", 2)])])], s(102));
    sequencer.accept(vec![message(vec![event("a", Some(100), &[("pm25", 9), ("pm10", 2)])])], s(103));
    sequencer.accept(vec![message(vec![event("b", Some(9_000), &[("pm25", 1)])])], s(104));
    sequencer.accept(vec![message(vec![event("a", Some(100), &[("hum", 3)])])], s(105));
    let mut bad = message(Vec::new());
    bad.decoded.rejected.push(Rejected::message(Reason::BadJson, "no"));
    sequencer.accept(vec![bad], s(106));
    let mut repeated = message(vec![event("a", Some(100), &[("hum", 3)])]);
    repeated.repeated = true;
    sequencer.accept(vec![repeated], s(107));
    let finished = sequencer.take();
    let sum = total(&finished);
    assert!(sum.balanced(), "{sum:?}");
    assert_eq!(events(&finished), 2);
    assert_eq!(
        (sum.events_stored, sum.events_duplicate, sum.events_conflicting, sum.events_quarantined),
        (2, 1, 1, 1)
    );
    assert_eq!((sum.messages_received, sum.messages_quarantined, sum.messages_repeated), (7, 1, 1));
}

#[test]
fn a_restart_knows_names_identities_and_watermarks() {
    let mut first = Sequencer::default();
    first.accept(vec![message(vec![event("a", Some(100), &[("pm25", 1)])])], s(101));
    let batches = first.take();
    let mut second = Sequencer::default();
    batches.iter().for_each(|finished| second.recover(&finished.batch));
    assert_eq!(second.next(), first.next());
    second.accept(vec![message(vec![event("a", Some(100), &[("pm25", 1)])])], s(102));
    second.accept(vec![message(vec![event("a", Some(90), &[("pm25", 1)])])], s(102));
    let again = second.take();
    assert_eq!(total(&again).events_duplicate, 1);
    let entries = again
        .iter()
        .flat_map(|f| &f.batch.records)
        .filter(|r| matches!(r, Record::Entry(_) | Record::Step { .. }));
    assert_eq!(entries.count(), 0, "no name is given twice and no watermark goes back");
}

#[test]
fn a_quota_of_devices_limits_one_feed_only() {
    let mut sequencer = Sequencer::default();
    let definition = serde_json::json!({"name": "air", "topic": "t", "decoder": "json", "devices_max": 2});
    let feed = Box::new(serde_json::from_value(definition).unwrap());
    sequencer.configure(vec![Control::Feed { feed }], s(1));
    for n in 0..5 {
        sequencer.accept(vec![message(vec![event(&format!("s{n}"), Some(10), &[("pm25", 1)])])], s(11));
    }
    let finished = sequencer.take();
    let sum = total(&finished);
    assert_eq!((sum.events_stored, sum.events_refused), (2, 3));
    assert!(sum.balanced());
}

#[test]
fn ticks_pass_each_second_once_and_name_observed_feeds() {
    let mut sequencer = Sequencer::default();
    sequencer.pass(s(10));
    sequencer.connected(&"air".into(), true, s(10));
    sequencer.pass(Timestamp(10 * SECOND + 5));
    sequencer.pass(s(11));
    sequencer.pass(s(14));
    let ticks: Vec<(i64, i64, usize)> = sequencer
        .take()
        .iter()
        .flat_map(|f| f.batch.records.clone())
        .filter_map(|record| match record {
            Record::Tick { from, to, observed } => Some((from.0 / SECOND, to.0 / SECOND, observed.len())),
            _ => None,
        })
        .collect();
    assert_eq!(ticks, [(10, 10, 0), (11, 11, 0), (12, 14, 1)]);
}

#[test]
fn batches_are_cut_at_the_hour() {
    let mut sequencer = Sequencer::default();
    sequencer.accept(vec![message(vec![event("a", Some(3_599), &[("pm25", 1)])])], s(3_599));
    sequencer.accept(vec![message(vec![event("a", Some(3_601), &[("pm25", 1)])])], s(3_601));
    let finished = sequencer.take();
    let hours: Vec<i64> = finished.iter().map(|f| f.batch.arrived_at.0 / HOUR).collect();
    assert_eq!(hours, [0, 1]);
}

#[test]
fn what_is_not_stored_of_a_device_is_told_with_the_device() {
    let mut sequencer = Sequencer::default();
    sequencer.accept(vec![message(vec![event("a", Some(100), &[("pm25", 1), ("pm10", 2)])])], s(101));
    sequencer.accept(vec![message(vec![event("a", Some(100), &[("pm25", 1), ("pm10", 2)])])], s(102));
    sequencer.accept(vec![message(vec![event("a", Some(100), &[("pm25", 9), ("pm10", 2)])])], s(103));
    sequencer.accept(vec![message(vec![event("a", Some(9_000), &[("pm25", 1)])])], s(104));
    sequencer.accept(vec![message(vec![event("unknown", Some(9_000), &[("pm25", 1)])])], s(104));
    let finished = sequencer.take();
    let told: Vec<_> = finished.iter().flat_map(|f| &f.batch.devices).collect();
    let want = Accounts {
        events_found: 3,
        events_duplicate: 1,
        events_conflicting: 1,
        events_quarantined: 1,
        readings_found: 5,
        readings_duplicate: 2,
        readings_conflicting: 2,
        readings_quarantined: 1,
        ..Accounts::default()
    };
    assert_eq!(told, [&DeviceAccounts { device: DeviceId(0), delta: want }]);
    assert!(sequencer.take().is_empty());
}

fn ticks(finished: &[Finished]) -> Vec<(i64, i64, usize)> {
    let records = finished.iter().flat_map(|f| &f.batch.records);
    let tick = |record: &Record| match record {
        Record::Tick { from, to, observed } => Some((from.0 / SECOND, to.0 / SECOND, observed.len())),
        _ => None,
    };
    records.filter_map(tick).collect()
}

#[test]
fn after_a_pause_of_sereno_itself_a_feed_drains_again() {
    let mut sequencer = Sequencer::default();
    sequencer.pass(s(10));
    sequencer.connected(&"air".into(), true, s(10));
    let mut at = |seconds: i64| {
        sequencer.resume(s(seconds));
        sequencer.pass(s(seconds));
        ticks(&sequencer.take()).pop().unwrap()
    };
    at(11);
    assert_eq!(at(12), (12, 12, 1));
    assert_eq!(at(17), (13, 17, 1), "five seconds are no pause");
    assert_eq!(at(200), (18, 200, 0), "nobody was heard during the pause");
    assert_eq!(at(201), (201, 201, 0));
    assert_eq!(at(202), (202, 202, 1), "quiet for two seconds: nothing had waited");
}

#[test]
fn a_jump_of_the_hosts_clock_is_journaled_once_and_its_end_too() {
    let mut sequencer = Sequencer::default();
    let said = |sequencer: &mut Sequencer| -> Vec<i64> {
        let finished = sequencer.take();
        let controls = finished.iter().flat_map(|f| &f.batch.records);
        let ahead = |record: &Record| match record {
            Record::Control(control) => match &**control {
                Control::HostClock { ahead_seconds } => Some(*ahead_seconds),
                _ => None,
            },
            _ => None,
        };
        controls.filter_map(ahead).collect()
    };
    sequencer.host_clock(0, s(1));
    assert!(said(&mut sequencer).is_empty(), "a right clock is no news");
    for seconds in 2..5 {
        sequencer.host_clock(3_600, s(seconds));
    }
    let mut again = Sequencer::default();
    let finished = sequencer.take();
    finished.iter().for_each(|finished| again.recover(&finished.batch));
    sequencer.host_clock(0, s(5));
    sequencer.host_clock(0, s(6));
    assert_eq!(said(&mut sequencer), [0]);
    // A start takes the clock as it is.
    again.host_clock(0, s(5));
    assert_eq!(said(&mut again), [0], "also where the process ended meanwhile");
    let first: Vec<&Record> = finished.iter().flat_map(|f| &f.batch.records).collect();
    let jump = Record::Control(Arc::new(Control::HostClock { ahead_seconds: 3_600 }));
    assert_eq!(first.iter().filter(|record| ***record == jump).count(), 1);
}

#[test]
fn what_is_only_counted_belongs_to_the_hour_in_which_it_arrived() {
    let mut sequencer = Sequencer::default();
    let said = || message(vec![event("a", Some(3_590), &[("pm25", 1)])]);
    sequencer.accept(vec![said()], s(3_598));
    sequencer.take();
    // Repeats make no record: in one second of the old hour, in one of the new.
    sequencer.pass(Timestamp(3_599 * SECOND));
    sequencer.take();
    sequencer.accept(vec![said()], Timestamp(3_599 * SECOND + 1));
    sequencer.accept(vec![said()], s(3_600));
    let hours: Vec<(i64, u64)> = sequencer
        .take()
        .iter()
        .flat_map(|f| {
            f.batch.accounts.iter().map(|part| (f.batch.arrived_at.0 / HOUR, part.delta.events_duplicate))
        })
        .collect();
    assert_eq!(hours, [(0, 1), (1, 1)]);
}

#[test]
fn parts_of_an_event_are_repeats_conflicts_or_new_each_for_itself() {
    let mut sequencer = Sequencer::default();
    sequencer
        .accept(vec![message(vec![event("a", Some(100), &[("pm25", 1), ("pm10", 2), ("o3", 3)])])], s(101));
    sequencer.take();
    sequencer
        .accept(vec![message(vec![event("a", Some(100), &[("pm25", 1), ("pm10", 9), ("no2", 4)])])], s(102));
    sequencer.accept(vec![message(vec![event("a", Some(100), &[("no2", 4), ("o3", 3)])])], s(103));
    sequencer.accept(vec![message(vec![event("a", Some(100), &[("no2", 4), ("o3", 8)])])], s(104));
    let finished = sequencer.take();
    let sum = total(&finished);
    assert!(sum.balanced(), "{sum:?}");
    assert_eq!((sum.events_stored, sum.events_duplicate, sum.events_conflicting), (1, 1, 1));
    let readings = (sum.readings_stored, sum.readings_duplicate, sum.readings_conflicting);
    assert_eq!(readings, (1, 1 + 2, 1 + 2), "pm25 again, pm10 in conflict, no2 new; then whole events");
    let conflicts = finished.iter().flat_map(|f| &f.batch.records).filter(|record| match record {
        Record::Refusal(refusal) => refusal.reason == Reason::Conflict,
        _ => false,
    });
    assert_eq!(conflicts.count(), 2, "each lies in quarantine");
    let devices: Vec<_> = finished.iter().flat_map(|f| &f.batch.devices).collect();
    assert_eq!(devices.iter().map(|device| device.delta.readings_conflicting).sum::<u64>(), 3);
}

#[test]
fn a_feed_of_more_quantities_than_bits_loses_none_of_them() {
    let mut sequencer = Sequencer::default();
    let names: Vec<String> = (0..70).map(|n| format!("q{n}")).collect();
    for _ in 0..2 {
        for (name, value) in names.iter().zip(1..) {
            sequencer.accept(vec![message(vec![event("a", Some(100), &[(name, value)])])], s(101));
        }
    }
    let sum = total(&sequencer.take());
    assert_eq!((sum.events_stored, sum.events_duplicate, sum.events_conflicting), (70, 70, 0));
}

fn feed(settings: serde_json::Value) -> Control {
    let mut definition = serde_json::json!({"name": "air", "topic": "t", "decoder": "json"});
    definition.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    Control::Feed { feed: Box::new(serde_json::from_value(definition).unwrap()) }
}

fn controls(finished: &[Finished]) -> Vec<Control> {
    let records = finished.iter().flat_map(|f| &f.batch.records);
    let control = |record: &Record| match record {
        Record::Control(control) => Some((**control).clone()),
        _ => None,
    };
    records.filter_map(control).collect()
}

#[test]
fn only_what_changed_in_a_configuration_is_journaled_and_what_it_no_longer_names_is_removed() {
    let pipeline = |name: &str, title: &str| {
        let title = serde_json::json!({"es": title, "en": title});
        let definition = serde_json::json!({"version": 1, "name": name, "title": title});
        Control::Pipeline { pipeline: Box::new(serde_json::from_value(definition).unwrap()) }
    };
    let (air, water) = (feed(serde_json::json!({})), feed(serde_json::json!({"name": "water"})));
    let mut sequencer = Sequencer::default();
    let first = vec![air.clone(), water.clone(), pipeline("noise", "a"), pipeline("rivers", "a")];
    sequencer.configure(first.clone(), s(1));
    assert_eq!(controls(&sequencer.take()), first);
    sequencer.configure(first, s(2));
    assert_eq!(controls(&sequencer.take()), []);
    sequencer.configure(vec![air, water, pipeline("noise", "b")], s(3));
    let removed = Control::PipelineRemoved { name: "rivers".into() };
    assert_eq!(controls(&sequencer.take()), [removed, pipeline("noise", "b")]);
}

#[test]
fn no_tick_lies_ahead_of_the_clock() {
    let mut sequencer = Sequencer::default();
    sequencer.pass(Timestamp(10 * SECOND + 900_000_000));
    sequencer.pass(Timestamp(11 * SECOND + 900_000_000));
    assert_eq!(ticks(&sequencer.take()), [(10, 11, 0)]);
    assert_eq!(sequencer.last_arrival(), Timestamp(11 * SECOND + 900_000_000));
}

#[test]
fn a_message_without_an_event_is_ignored_or_lies_in_quarantine() {
    let mut sequencer = Sequencer::default();
    let mut join = message(Vec::new());
    join.decoded.ignored = Some("join");
    sequencer.accept(vec![join], s(1));
    sequencer.accept(vec![message(Vec::new())], s(2));
    sequencer.accept(vec![message(Vec::new())], s(2));
    let sum = total(&sequencer.take());
    assert!(sum.balanced(), "{sum:?}");
    assert_eq!((sum.messages_ignored, sum.messages_quarantined), (1, 2));
}

#[test]
fn a_clock_may_be_ahead_by_max_skew_and_no_more() {
    let mut sequencer = Sequencer::default();
    sequencer.accept(vec![message(vec![event("a", Some(400), &[("pm25", 1)])])], s(100));
    assert_eq!(total(&sequencer.take()).events_stored, 1);
    sequencer.accept(vec![message(vec![event("a", Some(402), &[("pm25", 2)])])], Timestamp(s(102).0 - 500));
    let finished = sequencer.take();
    assert_eq!(total(&finished).events_quarantined, 1);
    let refused = finished.iter().flat_map(|f| &f.batch.records).find_map(|record| match record {
        Record::Refusal(refusal) => Some(refusal.detail.clone()),
        _ => None,
    });
    assert!(refused.unwrap().contains("clock is 5m ahead"), "in whole seconds");
}

#[test]
fn a_device_that_counts_is_known_by_its_number_alone() {
    let mut sequencer = Sequencer::default();
    sequencer.configure(vec![feed(serde_json::json!({"identity": "sequence"}))], s(1));
    let numbered = |at: i64, number: u64| {
        message(vec![DecodedEvent { counter: Some(number), ..event("a", Some(at), &[("pm25", 1)]) }])
    };
    sequencer.accept(vec![numbered(100, 7)], s(101));
    sequencer.accept(vec![numbered(130, 7)], s(131));
    sequencer.accept(vec![numbered(130, 8)], s(132));
    let sum = total(&sequencer.take());
    assert_eq!((sum.events_stored, sum.events_duplicate), (2, 1));
}

#[test]
fn a_part_that_is_new_is_no_conflict_and_the_rest_is_told_with_the_device() {
    let mut sequencer = Sequencer::default();
    sequencer.accept(vec![message(vec![event("a", Some(100), &[("pm25", 1), ("pm10", 2)])])], s(101));
    sequencer.take();
    let more = [("pm25", 1), ("pm10", 2), ("no2", 4)];
    sequencer.accept(vec![message(vec![event("a", Some(100), &more)])], s(102));
    let finished = sequencer.take();
    assert!(!finished.iter().flat_map(|f| &f.batch.records).any(|r| matches!(r, Record::Refusal(_))));
    let told: Vec<Accounts> =
        finished.iter().flat_map(|f| &f.batch.devices).map(|device| device.delta).collect();
    assert_eq!(told, [Accounts { readings_found: 2, readings_duplicate: 2, ..Accounts::default() }]);
}

#[test]
fn beyond_ten_thousand_quantities_only_known_ones_are_taken_in() {
    let mut sequencer = Sequencer::default();
    let names: Vec<String> = (0..QUANTITIES_MAX + 1).map(|n| format!("q{n}")).collect();
    let mut tell = |sensor: &str, of: &[String]| {
        let values: Vec<(&str, i64)> = of.iter().map(|name| (&**name, 1)).collect();
        sequencer.accept(vec![message(vec![event(sensor, Some(100), &values)])], s(101));
        let sum = total(&sequencer.take());
        (sum.readings_stored, sum.readings_refused)
    };
    for (n, of) in names[..QUANTITIES_MAX].chunks(100).enumerate() {
        assert_eq!(tell(&format!("s{n}"), of), (100, 0), "{n}");
    }
    assert_eq!(tell("more", &names[QUANTITIES_MAX - 1..]), (0, 2), "not even the known one of two");
    assert_eq!(tell("more", &names[QUANTITIES_MAX - 1..QUANTITIES_MAX]), (1, 0));
}
