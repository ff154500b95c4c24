//! A device that floods, and one that invents names: limited by quota, counted, and its neighbours
//! are served as before. How much later they are served is printed, not asserted: it is the
//! machine's, too.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::harness::level::{self, at, message};
use crate::harness::mqtt::publish;
use crate::harness::session::Session;
use crate::harness::{Site, seconds};

const DEVICES_MAX: u64 = 50;
const INVENTED: u64 = 3_000;
const ASKED: u16 = 200;
/// Messages an hour of one device, where that is limited.
const ALLOWED: u64 = 2_000;

fn site() -> Site {
    let limited = level::pipeline("", &format!("devices_max = {DEVICES_MAX}"), "");
    Site::new("").with_pipeline("level", &limited)
}

/// How long a neighbour waits for each acknowledgement: the median and the worst of a hundred.
fn waits(site: &Site, begin: i64) -> (Duration, Duration) {
    let mut session = Session::connect(site.mqtt, "neighbour", true, 30).unwrap();
    let wait = |number: u16| {
        let text = message(begin + i64::from(number), 1.0);
        let start = Instant::now();
        session.publish("city/center/level/neighbour", number, text.as_bytes(), false).unwrap();
        while session.acknowledged(seconds(10)).unwrap() != [number] {
            assert!(start.elapsed() < seconds(30), "the neighbour's message {number} is not acknowledged");
        }
        start.elapsed()
    };
    let mut waits: Vec<Duration> = (1..=ASKED).map(wait).collect();
    waits.sort();
    (waits[waits.len() / 2], waits[waits.len() * 99 / 100])
}

/// Sends what `text` makes of a number, as fast as it can, until told to stop; how many.
fn flood(port: u16, stop: &AtomicBool, make: impl Fn(u64) -> (String, String)) -> u64 {
    const UNDER_WAY: usize = 500;
    let mut session = Session::connect(port, "flood", true, 30).unwrap();
    let (mut sent, mut under_way) = (0, 0);
    while !stop.load(Ordering::SeqCst) || under_way > 0 {
        while under_way < UNDER_WAY && !stop.load(Ordering::SeqCst) {
            let (topic, text) = make(sent);
            let id = u16::try_from(sent % 65_535 + 1).unwrap();
            session.publish(&topic, id, text.as_bytes(), false).unwrap();
            sent += 1;
            under_way += 1;
        }
        under_way -= session.acknowledged(Duration::from_millis(100)).unwrap().len();
    }
    sent
}

#[test]
fn a_device_that_invents_names_is_limited_and_counted() {
    let site = site();
    let service = site.start();
    let begin = at(0);
    let known = (0..10)
        .map(|number| (format!("city/center/level/g-{number}"), message(begin + number, 1.0).into_bytes()));
    publish(site.mqtt, "gateway", known.collect());
    let invented = (0..INVENTED)
        .map(|number| (format!("city/center/level/no-{number}"), message(begin, 1.0).into_bytes()));
    publish(site.mqtt, "inventor", invented.collect());
    // The devices that were known before go on.
    let again = (0..10).map(|number| {
        (format!("city/center/level/g-{number}"), message(begin + 1_000 + number, 2.0).into_bytes())
    });
    publish(site.mqtt, "gateway", again.collect());
    service.wait_for_messages("level", INVENTED + 20);
    let new = DEVICES_MAX - 10;
    assert_eq!(
        service.account("level", "events", "stored"),
        20 + new,
        "known devices, and new ones to the limit"
    );
    assert_eq!(service.account("level", "events", "refused"), INVENTED - new, "each refusal is counted");
    assert_eq!(service.values("g-3", "level"), [1.0, 2.0]);
    let refused = service.quarantine();
    let said = |entry: &serde_json::Value| entry["detail"].as_str().unwrap().contains("devices_max");
    assert!(refused.iter().any(said), "the reason names what to raise: {:?}", refused.first());
    service.stop();
}

#[test]
fn a_device_beyond_its_quota_is_refused_and_its_neighbours_are_served() {
    let limited = level::pipeline("", &format!("device_messages_per_hour_max = {ALLOWED}"), "");
    let site = Site::new("").with_pipeline("level", &limited);
    let service = site.start();
    let begin = at(0);
    let (calm, calm_worst) = waits(&site, begin);
    let stop = Arc::new(AtomicBool::new(false));
    let (port, told, started) = (site.mqtt, stop.clone(), Instant::now());
    let flooding = std::thread::spawn(move || {
        let one = |number: u64| {
            let at = begin + i64::try_from(number).unwrap();
            ("city/center/level/flood".to_owned(), message(at, 1.0))
        };
        flood(port, &told, one)
    });
    // Until its quota is used up, and it is read ten times a second.
    let refused = || service.account("level", "messages", "refused") > 0;
    while !refused() {
        assert!(started.elapsed() < seconds(60), "nothing of the flood is refused");
        std::thread::sleep(Duration::from_millis(50));
    }
    let (flooded, flooded_worst) = waits(&site, begin + 1_000_000);
    stop.store(true, Ordering::SeqCst);
    let sent = flooding.join().unwrap();
    println!(
        "a neighbour waits {calm:?} (99 %: {calm_worst:?}), beside {sent} messages of a flood beyond its quota {flooded:?} (99 %: {flooded_worst:?})"
    );
    let asked = 2 * u64::from(ASKED);
    service.wait_for_messages("level", sent + asked);
    let stored = service.account("level", "events", "stored") - asked;
    // The first names it; an hour's worth is there at once, the rest comes back evenly.
    let most = ALLOWED + 2 + started.elapsed().as_secs() * ALLOWED / 3_600;
    assert!((ALLOWED..=most).contains(&stored), "{stored} of {sent} stored, at most {most}");
    let refused =
        service.account("level", "messages", "refused") + service.account("level", "events", "refused");
    assert_eq!(stored + refused, sent, "each is stored or refused, and acknowledged");
    let kept = service.quarantine();
    assert!(
        kept.iter().any(|entry| entry["reason"] == "over_rate"
            && entry["detail"].as_str().unwrap().contains("device_messages_per_hour_max of feed level")),
        "the reason names what to raise: {:?}",
        kept.first()
    );
    service.stop();
}

#[test]
fn neighbours_of_a_flooding_device_are_served() {
    let site = site();
    let service = site.start();
    let begin = at(0);
    let (calm, calm_worst) = waits(&site, begin);
    let stop = Arc::new(AtomicBool::new(false));
    let (port, told) = (site.mqtt, stop.clone());
    let flooding = std::thread::spawn(move || {
        let one = |number: u64| {
            let at = begin + i64::try_from(number).unwrap();
            ("city/center/level/flood".to_owned(), message(at, 1.0))
        };
        flood(port, &told, one)
    });
    std::thread::sleep(Duration::from_millis(500));
    let (flooded, flooded_worst) = waits(&site, begin + 1_000_000);
    stop.store(true, Ordering::SeqCst);
    let sent = flooding.join().unwrap();
    println!(
        "a neighbour waits {calm:?} (99 %: {calm_worst:?}), beside {sent} messages of a flood {flooded:?} (99 %: {flooded_worst:?})"
    );
    let asked = 2 * u64::from(ASKED);
    service.wait_for_messages("level", sent + asked);
    assert_eq!(service.account("level", "events", "stored"), sent + asked, "each event of both");
    service.stop();
}
