//! A broker that speaks TLS and wants a user and a password.

use crate::harness::level::{self, at, message};
use crate::harness::mqtt::mosquitto_pub;
use crate::harness::{Mosquitto, Site, eventually, seconds};

const USER: &str = "sereno";
const PASSWORD: &str = "not a password of anybody";

/// Settings of a feed from `broker` with the password of `password_file`.
fn settings(broker: &Mosquitto, password_file: &str) -> String {
    let (port, ca) = (broker.port, broker.path("ca.pem").display().to_string());
    format!(
        "default_source = \"city\"\n[broker.city]\nurl = \"mqtts://localhost:{port}\"\nusername = \"{USER}\"\n\
         password_file = \"{password_file}\"\nca_file = \"{ca}\"\n"
    )
}

#[test]
fn a_feed_comes_in_over_tls_with_user_and_password() {
    let Some(mut broker) = Mosquitto::start_secured(USER, PASSWORD) else { return };
    let password_file = broker.path("password").display().to_string();
    let site = Site::new(&settings(&broker, &password_file)).with_pipeline("level", &level::plain());
    let service = site.start();
    broker.wait_for_subscription();
    let ca = broker.path("ca.pem").display().to_string();
    let credentials = ["-h", "localhost", "--cafile", &ca, "-u", USER, "-P", PASSWORD];
    mosquitto_pub(broker.port, "city/center/level/g-1", &message(at(0), 4.5), &credentials);
    service.wait_for_values("g-1", "level", &[4.5]);
    service.stop();
}

#[test]
fn a_refused_password_is_told_and_not_shown() {
    let Some(broker) = Mosquitto::start_secured(USER, PASSWORD) else { return };
    let site = Site::new(&settings(&broker, "wrong")).with_pipeline("level", &level::plain());
    site.write("wrong", "a wrong word");
    let service = site.start();
    let told = || service.process.stderr().contains("password_file").then_some(());
    eventually("what to check", seconds(10), told);
    assert!(!service.process.stderr().contains("a wrong word"));
    service.stop();
}
