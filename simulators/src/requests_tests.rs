//! Numbers rise by one, spans concatenate, and bursts are bursts.

use super::*;
use crate::clock::MINUTE_MS;
use serde_json::Value;
use std::collections::BTreeMap;

const NOON_MS: i64 = 1_772_384_400_000;

fn requests(world: &World, channel: usize, from_ms: i64, to_ms: i64) -> Vec<Value> {
    let mut drafts = Vec::new();
    Channel::new(channel).report(world, from_ms, to_ms, &mut drafts);
    drafts.iter().map(|draft| serde_json::from_slice(&draft.payload).unwrap()).collect()
}

#[test]
fn numbers_rise_by_one_in_every_channel_however_the_span_is_split() {
    let world = World::new(1);
    for channel in 0..CHANNELS.len() {
        let whole = requests(&world, channel, NOON_MS, NOON_MS + DAY_MS);
        let numbers: Vec<i64> = whole.iter().map(|value| value["number"].as_i64().unwrap()).collect();
        assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1));
        let times: Vec<&str> = whole.iter().map(|value| value["t"].as_str().unwrap()).collect();
        assert!(times.windows(2).all(|pair| pair[0] <= pair[1]));
        let split: Vec<Value> = (0..288)
            .flat_map(|part| {
                requests(
                    &world,
                    channel,
                    NOON_MS + part * 5 * MINUTE_MS,
                    NOON_MS + (part + 1) * 5 * MINUTE_MS,
                )
            })
            .collect();
        assert_eq!(split, whole);
    }
}

#[test]
fn a_day_has_its_requests_and_a_burst_at_least_six_of_a_kind_in_an_hour() {
    let world = World::new(1);
    let mut all = Vec::new();
    for channel in 0..CHANNELS.len() {
        all.extend(requests(&world, channel, NOON_MS, NOON_MS + DAY_MS));
    }
    assert!((1_300..1_700).contains(&all.len()), "{}", all.len());
    let burst = world.episodes.burst(NOON_MS / BURST_CYCLE_MS + 2);
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for channel in 0..CHANNELS.len() {
        for value in requests(&world, channel, burst.start_ms, burst.start_ms + BURST_LENGTH_MS) {
            *kinds.entry(format!("{} {}", value["zone"], value["type"])).or_default() += 1;
        }
    }
    let most = kinds.values().max().copied().unwrap();
    assert!(most >= 6, "{kinds:?}");
}
