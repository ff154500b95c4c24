//! The envelope has the fields of the server's own, and its counters count.

use super::*;
use serde_json::Value;

const NOW_MS: i64 = 1_772_384_400_000;

fn events(index: usize, hours: i64) -> Vec<(String, Value)> {
    let world = World::new(1);
    let mut drafts = Vec::new();
    LoraStation::new(&world, index).report(&world, NOW_MS, NOW_MS + hours * HOUR_MS, &mut drafts);
    drafts.into_iter().map(|draft| (draft.topic, serde_json::from_slice(&draft.payload).unwrap())).collect()
}

#[test]
fn uplinks_look_like_the_servers_own() {
    let (topic, up) = events(3, 1).remove(0);
    let eui = up["deviceInfo"]["devEui"].as_str().unwrap();
    assert_eq!(topic, format!("application/{APPLICATION}/device/{eui}/event/up"));
    assert!(up["time"].as_str().unwrap().ends_with("+00:00"));
    assert_eq!(up["deviceInfo"]["tags"]["zone"], "comuna-04");
    let bytes = STANDARD.decode(up["data"].as_str().unwrap()).unwrap();
    let pm25 = f64::from(u16::from_be_bytes([bytes[0], bytes[1]])) / 10.0;
    assert_eq!(up["object"]["pm25"].as_f64().unwrap(), pm25);
    for key in ["pm25", "pm10", "temp", "hum", "lat", "lon"] {
        assert!(up["object"][key].is_number(), "{key}");
    }
    assert!(up["rxInfo"][0]["rssi"].as_i64().unwrap() < 0);
    assert!(up["txInfo"]["modulation"]["lora"]["spreadingFactor"].is_number());
    assert_eq!(up["deduplicationId"].as_str().unwrap().len(), 36);
}

#[test]
fn frame_counters_rise_by_one_but_for_lost_uplinks_and_start_anew_at_a_join() {
    let events = events(0, 48);
    let ups: Vec<i64> = events.iter().filter_map(|(_, value)| value["fCnt"].as_i64()).collect();
    let steps: Vec<i64> = ups.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(steps.iter().filter(|step| **step == 1).count() > 2_600);
    assert!(steps.iter().filter(|step| **step > 1).count() > 10, "lost uplinks");
    let rejoined = steps.iter().filter(|step| **step < 0).count();
    let joins = events.iter().filter(|(topic, _)| topic.ends_with("/join")).count();
    assert_eq!((rejoined, joins), (2, 2));
    assert_eq!(events.iter().filter(|(topic, _)| topic.ends_with("/status")).count(), 24);
}
