//! The own MQTT listener, spoken to by mosquitto's clients in both protocol versions.

use crate::harness::level::{self, at, message};
use crate::harness::mqtt::{mosquitto_pub, mosquitto_sub};
use crate::harness::peers::program;
use crate::harness::{Site, eventually, seconds};

const ALERTS: &str = "[[receiver]]\nname = \"mqtt\"\nmqtt = { broker = \"listener\" }\n";

#[test]
fn both_protocol_versions_are_taken_in() {
    if program("mosquitto_pub").is_none() {
        return;
    }
    let site = Site::new("").with_pipeline("level", &level::plain());
    let service = site.start();
    for (number, version) in [(1_i32, "mqttv311"), (2, "mqttv5")] {
        let text = message(at(i64::from(number)), f64::from(number));
        mosquitto_pub(site.mqtt, "city/center/level/g-1", &text, &["-V", version]);
    }
    service.wait_for_values("g-1", "level", &[1.0, 2.0]);
    let sensors = service.api("sensors", &[("feed", "level")]);
    assert_eq!(sensors["sensors"][0]["tags"]["zone"], "center");
    service.stop();
}

#[test]
fn a_standing_alert_is_retained_and_its_end_clears_it() {
    if program("mosquitto_pub").is_none() {
        return;
    }
    let site = Site::new(ALERTS).with_pipeline("level", &level::with_alert());
    let service = site.start();
    let now = crate::harness::wait::now_ms();
    mosquitto_pub(site.mqtt, "city/center/level/g-1", &message(now, 120.0), &[]);
    eventually("an alert", seconds(10), || service.alerts("firing").pop());

    let heard = |name: &str| std::fs::read_to_string(site.path(name)).unwrap_or_default();
    let late = mosquitto_sub("late", site.folder(), site.mqtt, "sereno/alerts/#");
    let line = eventually("the retained alert", seconds(10), || {
        heard("late.out").lines().find(|line| line.contains("firing")).map(str::to_owned)
    });
    let (topic, payload) = line.strip_prefix("1 ").expect("retained").split_once(' ').unwrap();
    assert_eq!(topic, "sereno/alerts/level/level-high/g-1");
    let alert: serde_json::Value = serde_json::from_str(payload).unwrap();
    assert_eq!(alert["message"]["en"], "g-1 reads 120.0 cm", "{alert}");

    mosquitto_pub(site.mqtt, "city/center/level/g-1", &message(now + 1, 20.0), &[]);
    eventually("the end of the alert", seconds(10), || heard("late.out").contains("resolved").then_some(()));
    let cleared = || heard("late.out").lines().any(|line| line.trim_end().ends_with("level-high/g-1"));
    eventually("the empty message that clears the topic", seconds(10), || cleared().then_some(()));
    let _later = mosquitto_sub("later", site.folder(), site.mqtt, "sereno/alerts/#");
    std::thread::sleep(seconds(1));
    assert_eq!(heard("later.out").trim(), "", "nothing is retained of what is over");
    drop(late);
    service.stop();
}

#[test]
fn nobody_publishes_to_topics_of_sereno() {
    if program("mosquitto_pub").is_none() {
        return;
    }
    let site = Site::new(ALERTS).with_pipeline("level", &level::with_alert());
    let service = site.start();
    let _subscriber = mosquitto_sub("heard", site.folder(), site.mqtt, "sereno/#");
    std::thread::sleep(seconds(1));
    let mut publisher = std::process::Command::new(program("mosquitto_pub").unwrap());
    publisher.args(["-h", "127.0.0.1", "-p", &site.mqtt.to_string(), "-V", "mqttv5", "-q", "1"]);
    publisher.args(["-t", "sereno/alerts/level/level-high/g-1", "-m", "false alarm"]);
    let output = publisher.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // Version 5 has a reason to tell; in 3.1.1 only the connection's end says it.
    assert!(!output.status.success() || said.to_lowercase().contains("not authorized"), "{output:?}");
    std::thread::sleep(seconds(1));
    let heard = std::fs::read_to_string(site.path("heard.out")).unwrap();
    assert!(!heard.contains("false alarm"), "{heard}");
    service.stop();
}
