//! Changes while running, and configurations that are refused at start.

use crate::harness::level::{self, message};
use crate::harness::mqtt::publish;
use crate::harness::site::output;
use crate::harness::wait::now_ms;
use crate::harness::{Site, eventually, seconds};

fn publish_level(site: &Site, level: f64) {
    let text = message(now_ms(), level).into_bytes();
    publish(site.mqtt, "gauge", vec![("city/center/level/g-1".to_owned(), text)]);
}

#[test]
fn a_broken_change_keeps_the_old_pipeline() {
    let site = Site::new("").with_pipeline("level", &level::with_alert());
    let service = site.start();
    site.write_pipeline("level", &level::with_alert().replace("level >= 100", "levle >= 50"));
    let told = || service.process.stderr().contains("levle").then_some(());
    eventually("a diagnostic", seconds(10), told);
    let text = service.process.stderr();
    assert!(text.contains("pipeline.toml:"), "file and line: {text}");
    publish_level(&site, 60.0);
    service.wait_for_values("g-1", "level", &[60.0]);
    assert!(service.alerts("all").is_empty());
    publish_level(&site, 120.0);
    eventually("the old rule's alert", seconds(10), || service.alerts("firing").pop());
    service.stop();
}

#[test]
fn a_good_change_takes_effect() {
    let site = Site::new("").with_pipeline("level", &level::with_alert());
    let service = site.start();
    publish_level(&site, 60.0);
    service.wait_for_values("g-1", "level", &[60.0]);
    assert!(service.alerts("all").is_empty());
    site.write_pipeline("level", &level::with_alert().replace("level >= 100", "level >= 50"));
    let condition = || service.api("pipelines", &[])["pipelines"][0]["rules"][0]["when"].clone();
    eventually("the new condition", seconds(10), || (condition() == "level >= 50").then_some(()));
    publish_level(&site, 61.0);
    eventually("the new rule's alert", seconds(10), || service.alerts("firing").pop());
    service.stop();
}

#[test]
fn a_broken_configuration_is_refused_at_start() {
    let broken = level::with_alert().replace("level >= 100", "levle >= 100");
    let line = 1 + broken.lines().position(|line| line.contains("levle")).unwrap();
    let site = Site::new("").with_pipeline("level", &broken);
    for command in ["run", "check"] {
        let output = output(site.command(command));
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{command}: {told}");
        assert!(told.contains(&format!("pipeline.toml:{line}")), "{command}: {told}");
        assert!(told.contains("levle") && told.contains("level"), "{command}: excerpt and remedy: {told}");
    }
}

#[test]
fn check_prints_the_state_that_windows_will_need() {
    let site = Site::new("").with_pipeline("level", &level::with_alert());
    let output = output(site.command("check"));
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("level_10m"), "{told}");
}
