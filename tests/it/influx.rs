//! Raw events and results in the real VictoriaMetrics, also after it was away.

use crate::harness::level::{self, at, message};
use crate::harness::mqtt::publish;
use crate::harness::victoria::Victoria;
use crate::harness::wait::utc_ms;
use crate::harness::{Site, eventually, seconds};

/// Readings half a minute apart, ever higher: of an amended window VictoriaMetrics keeps the
/// biggest value, which then is the last.
const EVERY_MS: i64 = 30_000;

#[test]
fn everything_catches_up_after_an_outage() {
    let Some(mut database) = Victoria::start() else { return };
    let site = Site::new(&database.settings()).with_pipeline("level", &level::plain());
    let service = site.start();
    let begin = at(0) / 600_000 * 600_000;
    let reading = |number: i32| (begin + i64::from(number) * EVERY_MS, f64::from(number));
    let publish_range = |range: std::ops::Range<i32>| {
        let messages = range.map(|number| {
            let (at, level) = reading(number);
            ("city/center/level/g-1".to_owned(), message(at, level).into_bytes())
        });
        publish(site.mqtt, "gauge", messages.collect());
    };
    let raw = "level_level{sensor=\"g-1\",zone=\"center\"}";

    publish_range(0..30);
    let count = |wanted: usize| Some(database.export(raw)).filter(|samples| samples.len() >= wanted);
    eventually("the first readings", seconds(20), || count(30));
    database.stop();
    publish_range(30..60);
    std::thread::sleep(seconds(3));
    publish_range(60..90);
    service.wait_for_messages("level", 90);
    database.run();
    let count = |wanted: usize| Some(database.export(raw)).filter(|samples| samples.len() >= wanted);
    let samples = eventually("every reading", seconds(60), || count(90));
    let wanted: Vec<(i64, f64)> = (0..90).map(reading).collect();
    assert_eq!(samples, wanted);

    let rows = |service: &crate::harness::Sereno| {
        service.api("aggregates", &[("pipeline", "level"), ("window", "level_10m")])["rows"]
            .as_array()
            .unwrap()
            .clone()
    };
    eventually("four windows", seconds(30), || Some(rows(&service)).filter(|rows| rows.len() >= 4));
    let stored = || -> Vec<(i64, f64)> {
        let row = |row: &serde_json::Value| {
            (utc_ms(row["time"].as_str().unwrap()), row["fields"]["level_mean"].as_f64().unwrap())
        };
        rows(&service).iter().map(row).collect()
    };
    let mut last = (Vec::new(), Vec::new());
    let mean = "level_level_10m_level_mean{sensor=\"g-1\",size=\"10m\"}";
    let same = || {
        last = (database.export(mean), stored());
        (last.0 == last.1).then_some(())
    };
    eventually("the same windows in both stores", seconds(30), same);
    assert!(last.0.len() >= 4, "{last:?}");
    service.stop();
}

#[test]
fn influx_alone_is_a_store() {
    let Some(database) = Victoria::start() else { return };
    let settings = format!("[store]\nembedded = false\n{}", database.settings());
    let site = Site::new(&settings).with_pipeline("level", &level::plain());
    let service = site.start();
    let at = at(0);
    publish(site.mqtt, "gauge", vec![("city/center/level/g-1".into(), message(at, 7.5).into_bytes())]);
    let raw = "level_level{sensor=\"g-1\"}";
    let samples = eventually("the reading", seconds(20), || {
        Some(database.export(raw)).filter(|samples| !samples.is_empty())
    });
    assert_eq!(samples, [(at, 7.5)]);
    service.stop();
}
