//! Alerts by webhook: signed, tried again, told once, and not lost in a restart.

use crate::harness::level::{self, message};
use crate::harness::mqtt::publish;
use crate::harness::receiver::{Delivery, Receiver};
use crate::harness::wait::now_ms;
use crate::harness::{Site, eventually, seconds};

const SECRET: &str = "not a secret of anybody";

/// An installation whose alerts go to `receiver`.
fn site(receiver: &Receiver, settings: &str) -> Site {
    let text = format!(
        "[[receiver]]\nname = \"desk\"\n{settings}\n\
         webhook = {{ url = \"http://127.0.0.1:{}/alerts\", secret_file = \"secret\" }}\n",
        receiver.port
    );
    let site = Site::new(&text).with_pipeline("level", &level::with_alert());
    site.write("secret", &format!("{SECRET}\n"));
    site
}

fn publish_level(site: &Site, at: i64, level: f64) {
    let text = message(at, level).into_bytes();
    publish(site.mqtt, "gauge", vec![("city/center/level/g-1".to_owned(), text)]);
}

#[track_caller]
fn wait_for(receiver: &Receiver, count: usize) -> Vec<Delivery> {
    eventually(&format!("{count} deliveries"), seconds(20), || {
        Some(receiver.deliveries()).filter(|deliveries| deliveries.len() >= count)
    })
}

#[test]
fn a_single_reading_raises_a_signed_alert() {
    let receiver = Receiver::start();
    let site = site(&receiver, "");
    let service = site.start();
    let now = now_ms();
    publish_level(&site, now, 20.0);
    publish_level(&site, now + 1, 130.0);
    let raised = wait_for(&receiver, 1).remove(0);
    assert!(raised.is_signed_with(SECRET), "{raised:?}");
    let alert = raised.json();
    assert_eq!(alert["delivery_id"], raised.id());
    assert_eq!(alert["rule"], "level-high");
    assert_eq!(alert["state"], "firing");
    assert_eq!(alert["key"]["sensor"], "g-1");
    assert_eq!(alert["message"]["es"], "g-1 marca 130,0 cm");

    publish_level(&site, now + 2, 30.0);
    let resolved = wait_for(&receiver, 2).remove(1);
    assert!(resolved.is_signed_with(SECRET), "{resolved:?}");
    assert_eq!(resolved.json()["state"], "resolved");
    assert_eq!(resolved.json()["id"], alert["id"]);
    assert_ne!(resolved.id(), raised.id());
    service.stop();
}

#[test]
fn a_busy_receiver_is_tried_again_under_the_same_id() {
    let receiver = Receiver::start();
    let site = site(&receiver, "");
    let service = site.start();
    receiver.refuse(true);
    publish_level(&site, now_ms(), 130.0);
    wait_for(&receiver, 1);
    receiver.refuse(false);
    let deliveries = wait_for(&receiver, 2);
    let taken = deliveries.iter().find(|delivery| delivery.status == 204).expect("tried again");
    assert_eq!(taken.id(), deliveries[0].id());
    assert_eq!(taken.body, deliveries[0].body);
    std::thread::sleep(seconds(2));
    assert_eq!(receiver.deliveries().len(), deliveries.len(), "told once");
    service.stop();
}

#[test]
fn an_owed_alert_survives_kill_and_restart() {
    let receiver = Receiver::start();
    let site = site(&receiver, "");
    let service = site.start();
    receiver.refuse(true);
    publish_level(&site, now_ms(), 130.0);
    let first = wait_for(&receiver, 1).remove(0);
    service.kill();
    receiver.refuse(false);
    let before = receiver.deliveries().len();

    let service = site.start();
    let again = wait_for(&receiver, before + 1).remove(before);
    assert_eq!(again.status, 204);
    assert_eq!(again.id(), first.id());
    std::thread::sleep(seconds(2));
    assert_eq!(receiver.deliveries().len(), before + 1, "told once");
    service.stop();
}

#[test]
fn a_receiver_hears_only_what_is_grave_enough() {
    let (all, grave) = (Receiver::start(), Receiver::start());
    let text = format!(
        "[[receiver]]\nname = \"all\"\nwebhook = {{ url = \"http://127.0.0.1:{}/\" }}\n\
         [[receiver]]\nname = \"grave\"\nseverity_min = \"critical\"\n\
         webhook = {{ url = \"http://127.0.0.1:{}/\" }}\n",
        all.port, grave.port
    );
    let red = level::with_alert().replace("level-high", "level-red").replace(">= 100", ">= 200");
    let red = red.split_once("[[rule]]").unwrap().1.replace("\"warning\"", "\"critical\"");
    let pipeline = format!("{}\n[[rule]]{red}", level::with_alert());
    let site = Site::new(&text).with_pipeline("level", &pipeline);
    let service = site.start();
    publish_level(&site, now_ms(), 150.0);
    wait_for(&all, 1);
    publish_level(&site, now_ms() + 1, 250.0);
    wait_for(&all, 2);
    let heard = wait_for(&grave, 1);
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert_eq!(heard[0].json()["rule"], "level-red");
    service.stop();
}
