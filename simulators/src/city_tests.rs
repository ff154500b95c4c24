//! Purity, concatenation, and that the promised things happen in the promised time.

use super::*;
use crate::clock::{HOUR_MS, MINUTE_MS, SECOND_MS};
use crate::episodes::OUTAGE_CYCLE_MS;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const NOW_MS: i64 = 1_772_384_400_000;

fn all(city: &City, from_ms: i64, to_ms: i64) -> Vec<Message> {
    city.messages(from_ms, to_ms).collect()
}

#[test]
fn the_same_seed_gives_the_same_messages_and_another_seed_others() {
    let span = (NOW_MS, NOW_MS + MINUTE_MS);
    let one = all(&City::new(1), span.0, span.1);
    assert_eq!(one, all(&City::new(1), span.0, span.1));
    assert_ne!(one, all(&City::new(2), span.0, span.1));
    assert_eq!(City::new(1).zones_geojson(), City::new(1).zones_geojson());
}

#[test]
fn split_spans_concatenate_to_the_whole_also_across_a_backlog() {
    let city = City::new(1);
    let outage = city.world.episodes.outage(NOW_MS / OUTAGE_CYCLE_MS);
    let (from, to) = (outage.start_ms - MINUTE_MS, outage.end_ms + 2 * MINUTE_MS);
    let whole = all(&city, from, to);
    for step in [MINUTE_MS + 1, 7_777, 13 * SECOND_MS, 30 * SECOND_MS] {
        let mut parts = Vec::new();
        let mut at = from;
        while at < to {
            let next = (at + step).min(to);
            parts.extend(city.messages(at, next));
            at = next;
        }
        assert_eq!(parts, whole, "step {step}");
    }
    assert!(whole.windows(2).all(|pair| pair[0].sent_at_ms <= pair[1].sent_at_ms));
    assert!(whole.iter().all(|message| (from..to).contains(&message.sent_at_ms)));
}

#[test]
fn a_silent_gateway_comes_back_with_its_backlog_in_order_and_complete() {
    let city = City::new(1);
    let outage = (0..)
        .map(|cycle| city.world.episodes.outage(NOW_MS / OUTAGE_CYCLE_MS + cycle))
        .find(|outage| outage.gateway < 5)
        .unwrap();
    let span = all(&city, outage.start_ms, outage.end_ms + MINUTE_MS);
    let own: Vec<&Message> = span.iter().filter(|message| message.gateway == outage.gateway).collect();
    assert!(own.iter().all(|message| message.sent_at_ms >= outage.end_ms), "silence");
    let mut times: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for message in own.iter().filter(|message| message.topic.contains("/aire/")) {
        if let Ok(value) = serde_json::from_slice::<Value>(&message.payload) {
            times.entry(&message.topic).or_default().push(value["t"].as_str().unwrap().to_owned());
        }
    }
    let healthy = times.iter().filter(|(topic, _)| !topic.ends_with("00007") && !topic.ends_with("00051"));
    for (topic, times) in healthy {
        // Without repeated messages, the times rise by the period: nothing is missing or out of order.
        let distinct: BTreeSet<&String> = times.iter().collect();
        let expected = (outage.end_ms + MINUTE_MS - outage.start_ms) / 10_000;
        assert!(distinct.len() as i64 >= expected - 8, "{topic}: {} of {expected}", distinct.len());
    }
    assert!(times.values().filter(|times| times.is_sorted()).count() * 2 > times.len());
}

#[test]
fn two_hours_have_the_expected_numbers_of_messages() {
    let city = City::new(7);
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut malformed = 0;
    for message in city.messages(NOW_MS, NOW_MS + 2 * HOUR_MS) {
        let kind = ["/aire/", "/event/up", "/devices/", "/parqueo/", "/solicitudes", "/ruido/", "/event/"];
        let kind = kind.iter().find(|part| message.topic.contains(*part)).unwrap();
        *counts.entry(kind).or_default() += 1;
        malformed += usize::from(serde_json::from_slice::<Value>(&message.payload).is_err());
        assert!(message.gateway < 8);
    }
    let about = |kind: &str, expected: usize| {
        let count = counts.get(kind).copied().unwrap_or(0);
        assert!(
            count * 20 > expected * 18 && count * 20 < expected * 22,
            "{kind}: {count}, expected about {expected}"
        );
    };
    about("/aire/", 60 * 720);
    about("/event/up", 20 * 120);
    about("/devices/", 12 * 120);
    about("/parqueo/", 25 * 240);
    about("/ruido/", 15 * 720);
    assert!(counts["/event/"] >= 20, "status events, and joins");
    assert!((100..300).contains(&counts["/solicitudes"]), "{counts:?}");
    assert!((10..50).contains(&malformed), "{malformed}");
}

#[test]
fn a_far_end_costs_nothing() {
    let city = City::new(1);
    assert_eq!(city.messages(NOW_MS, i64::MAX).take(500).count(), 500);
    assert_eq!(city.messages(NOW_MS, NOW_MS).count(), 0);
}
