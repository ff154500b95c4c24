//! A feed from the real mosquitto: nothing is lost when Sereno is killed or the broker restarts.

use crate::harness::level::{self, at, message};
use crate::harness::mqtt::{mosquitto_pub, publish};
use crate::harness::{Mosquitto, Site, eventually, seconds};

#[test]
fn messages_published_while_sereno_was_dead_arrive_once() {
    let Some(mut broker) = Mosquitto::start() else { return };
    let site = Site::new(&broker.settings()).with_pipeline("level", &level::plain());
    let begin = at(0);
    let port = broker.port;
    let publish = |number: i32| {
        let text = message(begin + i64::from(number) * 1_000, f64::from(number));
        mosquitto_pub(port, "city/center/level/g-1", &text, &[]);
    };

    let service = site.start();
    broker.wait_for_subscription();
    (0..3).for_each(&publish);
    service.wait_for_values("g-1", "level", &[0.0, 1.0, 2.0]);
    service.kill();
    (3..8).for_each(&publish);

    let service = site.start();
    service.wait_for_values("g-1", "level", &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
    service.stop();
    let rows = site.query("SELECT level FROM level WHERE sensor = 'g-1' AND zone = 'center'");
    assert_eq!(rows.len(), 8, "each message once: {rows:?}");
}

#[test]
fn killed_in_a_stream_of_messages_sereno_takes_each_once() {
    const MESSAGES: u32 = 40_000;
    let Some(mut broker) = Mosquitto::start() else { return };
    let site = Site::new(&broker.settings()).with_pipeline("level", &level::plain());
    let service = site.start();
    broker.wait_for_subscription();
    let begin = at(0);
    let messages = (0..MESSAGES).map(|number| {
        let topic = format!("city/center/level/g-{}", number % 10);
        (topic, message(begin + i64::from(number), f64::from(number)).into_bytes())
    });
    let (port, messages) = (broker.port, messages.collect());
    let publishing = std::thread::spawn(move || publish(port, "gateway", messages));
    service.wait_for_messages("level", 500);
    assert!(!publishing.is_finished(), "it is killed in the middle");
    service.kill();
    publishing.join().unwrap();

    let service = site.start();
    let stored = || service.api("status", &[])["events"].as_u64();
    eventually("every event", seconds(30), || stored().filter(|events| *events >= u64::from(MESSAGES)));
    service.stop();
    let rows =
        site.query("SELECT count(*) AS n, count(DISTINCT level) AS kinds, sum(level) AS sum FROM level");
    let sum = f64::from(MESSAGES) * f64::from(MESSAGES - 1) / 2.0;
    assert_eq!(rows[0]["n"], MESSAGES.to_string());
    assert_eq!(rows[0]["kinds"], MESSAGES.to_string());
    assert_eq!(rows[0]["sum"].parse(), Ok(sum));
}

#[test]
fn a_restarted_broker_is_found_again() {
    let Some(mut broker) = Mosquitto::start() else { return };
    let site = Site::new(&broker.settings()).with_pipeline("level", &level::plain());
    let service = site.start();
    broker.wait_for_subscription();
    mosquitto_pub(broker.port, "city/center/level/g-1", &message(at(0), 1.5), &[]);
    service.wait_for_values("g-1", "level", &[1.5]);

    broker.stop();
    broker.run();
    mosquitto_pub(broker.port, "city/center/level/g-1", &message(at(1_000), 2.5), &[]);
    service.wait_for_values_within("g-1", "level", &[1.5, 2.5], seconds(30));
    service.stop();
}

#[test]
fn a_feed_says_whether_it_is_connected() {
    let Some(mut broker) = Mosquitto::start() else { return };
    let site = Site::new(&broker.settings()).with_pipeline("level", &level::plain());
    let service = site.start();
    broker.wait_for_subscription();
    let connected = || service.api("feeds", &[])["feeds"][0]["connected"].as_bool().unwrap();
    eventually("the feed is connected", seconds(10), || connected().then_some(()));
    broker.stop();
    eventually("the feed is not connected", seconds(10), || (!connected()).then_some(()));
    service.stop();
}
