//! What does not decode lies in quarantine with its reason, and the next good message is taken in.

use crate::harness::level::{self, at, message};
use crate::harness::mqtt::publish;
use crate::harness::{Mosquitto, Site, peers};

const TOPIC: &str = "city/center/level/g-1";

/// Publishes the bad messages and a good one after each, to a broker; the reasons in quarantine,
/// the oldest first, once the last good one is stored.
#[track_caller]
fn reasons(bad: &[(&str, Vec<u8>)]) -> Vec<(String, String)> {
    let Some(mut broker) = Mosquitto::start() else { return Vec::new() };
    let site = Site::new(&broker.settings()).with_pipeline("level", &level::plain());
    let service = site.start();
    broker.wait_for_subscription();
    let begin = at(0);
    let mut messages = Vec::new();
    let mut wanted = Vec::new();
    for (number, (topic, payload)) in (0_i32..).zip(bad) {
        messages.push(((*topic).to_owned(), payload.clone()));
        let good = message(begin + i64::from(number), f64::from(number));
        messages.push((TOPIC.to_owned(), good.into_bytes()));
        wanted.push(f64::from(number));
    }
    let sent = messages.len() as u64;
    publish(broker.port, "gateway", messages);
    service.wait_for_values("g-1", "level", &wanted);
    let mut quarantine = service.quarantine();
    quarantine.reverse();
    assert_eq!(service.messages("level", "received"), sent);
    assert_eq!(service.api("status", &[])["quarantined"], bad.len());
    service.stop();
    let text = |entry: &serde_json::Value, name: &str| entry[name].as_str().unwrap().to_owned();
    quarantine.iter().map(|entry| (text(entry, "reason"), text(entry, "detail"))).collect()
}

#[test]
fn bad_messages_lie_in_quarantine_with_their_reason() {
    let soon = crate::harness::wait::now_ms() + 86_400_000;
    let large = format!("{{\"t\":{},\"level\":1,\"note\":\"{}\"}}", at(0), "x".repeat(1 << 20));
    let at = at(0);
    let cases: Vec<(&str, &str, Vec<u8>)> = vec![
        ("bad_json", TOPIC, format!("{{\"t\":{at},\"level\":").into_bytes()),
        ("bad_json", TOPIC, Vec::new()),
        ("bad_json", TOPIC, format!("{{\"t\":{at},\"level\":NaN}}").into_bytes()),
        ("not_a_number", TOPIC, format!("{{\"t\":{at},\"level\":\"NaN\"}}").into_bytes()),
        ("wrong_type", TOPIC, format!("{{\"t\":{at},\"level\":[1]}}").into_bytes()),
        ("out_of_range", TOPIC, format!("{{\"t\":{at},\"level\":1e300}}").into_bytes()),
        ("missing_field", TOPIC, b"{\"level\":1}".to_vec()),
        ("bad_time", TOPIC, b"{\"t\":\"yesterday\",\"level\":1}".to_vec()),
        ("unset_clock", TOPIC, b"{\"t\":12,\"level\":1}".to_vec()),
        ("future_time", TOPIC, message(soon, 1.0).into_bytes()),
        ("no_reading", TOPIC, format!("{{\"t\":{at}}}").into_bytes()),
        ("bad_text", TOPIC, b"{\"t\":1,\"level\":\"\xff\xfe\"}".to_vec()),
        ("too_large", TOPIC, large.into_bytes()),
        ("bad_name", "city/center/level/", message(at, 1.0).into_bytes()),
    ];
    let bad: Vec<_> = cases.iter().map(|(_, topic, payload)| (*topic, payload.clone())).collect();
    let found = reasons(&bad);
    if found.is_empty() {
        return;
    }
    let wanted: Vec<&str> = cases.iter().map(|(reason, ..)| *reason).collect();
    let actual: Vec<&str> = found.iter().map(|(reason, _)| reason.as_str()).collect();
    assert_eq!(actual, wanted, "{found:#?}");
    assert!(found.iter().all(|(_, detail)| !detail.is_empty()), "{found:#?}");
}

#[test]
fn topics_with_odd_characters_are_names_like_others() {
    let Some(mut broker) = Mosquitto::start() else { return };
    let site = Site::new(&broker.settings()).with_pipeline("level", &level::plain());
    let service = site.start();
    broker.wait_for_subscription();
    let names = ["Quebrada Doña María", "a\"b", "río-🌊", "x,y=z", ".."];
    for (number, name) in (0_i32..).zip(names) {
        let text = message(at(i64::from(number)), f64::from(number));
        publish(broker.port, "gateway", vec![(format!("city/center/level/{name}"), text.into_bytes())]);
    }
    for (number, name) in (0_i32..).zip(names) {
        service.wait_for_values(name, "level", &[f64::from(number)]);
    }
    service.stop();
    let rows = site.query("SELECT sensor FROM level ORDER BY level");
    let stored: Vec<&str> = rows.iter().map(|row| row["sensor"].as_str()).collect();
    assert_eq!(stored, names);
}

/// JSONTestSuite: `n_` files must be refused; what `y_` files hold is JSON, if no reading.
#[test]
fn malformed_json_is_refused_as_the_test_suite_says() {
    let Some(folder) = peers::corpus("12_json_bad") else { return };
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|end| end == "json"));
    files.sort();
    let bad: Vec<_> = files.iter().map(|file| (TOPIC, std::fs::read(file).unwrap())).collect();
    let found = reasons(&bad);
    if found.is_empty() {
        return;
    }
    for (file, (reason, detail)) in files.iter().zip(&found) {
        let name = file.file_name().unwrap().to_str().unwrap();
        let is_refused = matches!(reason.as_str(), "bad_json" | "bad_text" | "too_complex");
        let wanted = match name.as_bytes() {
            [b'y', ..] => Some(false),
            [b'n', ..] => Some(true),
            _ => None,
        };
        assert!(wanted.is_none_or(|wanted| wanted == is_refused), "{name}: {reason}: {detail}");
    }
}
