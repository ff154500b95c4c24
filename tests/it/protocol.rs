//! Feeds whose messages have no time and no number (`identity = "protocol"`): only the broker's session
//! tells what comes again. The real mosquitto sends again, with DUP, what was not acknowledged when
//! Sereno was killed; each message is stored once.
//!
//! Every message is of a device of its own, so that the number of devices is the number of messages that
//! were not lost, and the events stored are as many unless one was taken twice.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::crash::kill_again_and_again;
use crate::harness::session::Session;
use crate::harness::{Mosquitto, Random, Site, eventually, seconds};

const PIPELINE: &str = r#"
version = 1
name = "doors"
title = { es = "Puertas", en = "Doors" }

[[feed]]
name = "doors"
topic = "city/doors/{sensor}"
decoder = "scalar"
identity = "protocol"
devices_max = 1000000

[feed.quantity.open]
unit = "1"
decimals = 0
"#;

/// Messages a second.
const RATE: u64 = 1_500;
/// Messages under way to the broker.
const UNDER_WAY: usize = 200;

#[test]
fn killed_at_random_what_mosquitto_sends_again_is_stored_once() {
    let Some(mut broker) = Mosquitto::start() else { return };
    let mut random = Random::of_test("protocol: mosquitto");
    let site = Site::new(&broker.settings()).with_pipeline("doors", PIPELINE);
    let service = site.start();
    broker.wait_for_subscription();
    service.kill();
    let ending = Arc::<AtomicBool>::default();
    let publisher = std::thread::spawn({
        let (ending, port) = (ending.clone(), broker.port);
        move || publish(port, &ending)
    });
    kill_again_and_again(&site, &mut random);
    // Few of those kills fall between the sync and the acknowledgement; this one does.
    let mut armed = site.launch(&[("SERENO_CRASH_AT", "feed.acknowledging:2")]);
    eventually("a crash before an acknowledgement", seconds(40), || armed.ended());
    let service = site.start();
    ending.store(true, Ordering::SeqCst);
    let published = publisher.join().unwrap();

    let stored = || service.account("doors", "events", "stored");
    eventually("every message is stored", seconds(60), || (stored() >= published).then_some(()));
    // What still comes is a redelivery.
    std::thread::sleep(seconds(2));
    let (stored, repeated) = (stored(), service.messages("doors", "repeated"));
    let devices = service.api("status", &[])["sensors"].as_u64();
    println!("{published} messages, {repeated} came again");
    assert_eq!((stored, devices), (published, Some(published)), "{repeated} came again");
    assert_eq!(service.messages("doors", "received"), published + repeated);
    assert!(repeated > 0, "nothing came again: the kills hit nothing");
    service.stop();
}

#[test]
fn at_qos_2_a_message_under_a_released_identifier_is_a_new_one() {
    let site = Site::new("").with_pipeline("doors", PIPELINE);
    let service = site.start();
    let connect = || Session::connect(site.mqtt, "puerta-1", false, 60).unwrap();
    let stored = |count: u64| {
        eventually("the messages are counted", seconds(10), || {
            (service.messages("doors", "received") >= count).then_some(())
        });
        (service.account("doors", "events", "stored"), service.messages("doors", "repeated"))
    };
    let mut session = connect();
    session.publish_once("city/doors/d1", 1, b"1", false).unwrap();
    session.release(1).unwrap();
    // The next one says the same and was lost on its way once.
    drop(session);
    let mut session = connect();
    session.publish_once("city/doors/d1", 1, b"1", true).unwrap();
    assert_eq!(stored(2), (2, 0));
    // This one was not released: it is the same again.
    drop(session);
    let mut session = connect();
    session.publish_once("city/doors/d1", 1, b"1", true).unwrap();
    session.release(1).unwrap();
    assert_eq!(stored(3), (2, 1));
    service.stop();
}

/// Publishes numbered messages until `ending`, each until the broker has it; how many.
fn publish(port: u16, ending: &AtomicBool) -> u64 {
    let mut session = Session::connect(port, "doors", true, 60).unwrap();
    let (start, mut sent, mut under_way) = (Instant::now(), 0_u64, HashSet::new());
    while !ending.load(Ordering::SeqCst) || !under_way.is_empty() {
        let due = RATE * u64::try_from(start.elapsed().as_millis()).unwrap() / 1_000;
        while sent < due && under_way.len() < UNDER_WAY && !ending.load(Ordering::SeqCst) {
            let id = u16::try_from(sent % 60_000).unwrap() + 1;
            session.publish(&format!("city/doors/d{sent}"), id, b"1", false).unwrap();
            under_way.insert(id);
            sent += 1;
        }
        for id in session.acknowledged(Duration::from_millis(4)).unwrap() {
            under_way.remove(&id);
        }
    }
    sent
}
