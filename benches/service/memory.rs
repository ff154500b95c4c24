//! Memory of `sereno run`: with the pipelines that come with it, idle and after a load; and what a minute
//! of CITY-1 adds to that of an idle service, with the store and without it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::runtime::Runtime;

use super::city1::{self, City1, NO_STORE};
use super::figures::{Must, Report};
use super::mqtt::Publisher;
use super::process::Service;
use super::site::Site;

const RUNS: usize = 3;
/// From the start, and from the last acknowledgement.
const SETTLE: Duration = Duration::from_secs(10);
const SENSORS: u64 = 10_000;
const READINGS_EACH: u64 = 10;
/// Between two readings of a sensor, as the pipeline expects them.
const INTERVAL_MS: u64 = 10_000;
const ZONES: u64 = 16;
/// Each of both takes longer than a minute.
const CITY1_RUNS: usize = 1;
/// Seconds of CITY-1: six readings of each sensor.
const CITY1_S: u64 = 60;
/// What it may add, with the store and without it.
const WITH_STORE_MIB: f64 = 200.0;
const WITHOUT_STORE_MIB: f64 = 100.0;

/// Measures.
pub fn measure(runtime: &Runtime, report: &mut Report) {
    report.begin("memory");
    let (mut idle, mut loaded, mut most) = (Vec::new(), Vec::new(), Vec::new());
    for number in 1..=RUNS {
        let site = Site::new("").with_shipped_pipelines();
        let data = site.data();
        let service = Service::start(runtime, &site, data.path());
        std::thread::sleep(SETTLE);
        let before = service.memory_mib("VmRSS:");
        runtime.block_on(load(site.mqtt));
        std::thread::sleep(SETTLE);
        let (after, peak) = (service.memory_mib("VmRSS:"), service.memory_mib("VmHWM:"));
        service.stop();
        println!("  run {number}: idle {before:.1} MiB, loaded {after:.1} MiB, peak {peak:.1} MiB");
        idle.push(before);
        loaded.push(after);
        most.push(peak);
    }
    report.add("RSS, idle, shipped pipelines", "MiB", idle, None);
    report.add("RSS, after 10,000 sensors of 10 readings", "MiB", loaded, None);
    report.add("RSS, the most of that run", "MiB", most, None);
    let names = ["CITY-1 over idle, with store", "  the most of it, over idle"];
    over_idle(runtime, report, names, "", WITH_STORE_MIB);
    let names = ["CITY-1 over idle, without store", "  the most of it, over idle"];
    over_idle(runtime, report, names, NO_STORE, WITHOUT_STORE_MIB);
}

/// What a while of CITY-1 adds to an idle service: a while later, and at most.
fn over_idle(
    runtime: &Runtime,
    report: &mut Report,
    [name, name_of_most]: [&'static str; 2],
    tables: &str,
    must: f64,
) {
    let (mut more, mut most) = (Vec::new(), Vec::new());
    for number in 1..=CITY1_RUNS {
        let site = City1::site(tables);
        let data = site.data();
        let service = Service::start(runtime, &site, data.path());
        std::thread::sleep(SETTLE);
        let idle = service.memory_mib("VmRSS:");
        runtime.block_on(city1::publish(site.mqtt, CITY1_S));
        std::thread::sleep(SETTLE);
        let (after, peak) = (service.memory_mib("VmRSS:"), service.memory_mib("VmHWM:"));
        service.stop();
        println!(
            "  run {number}: idle {idle:.1} MiB, {CITY1_S} s of CITY-1 {after:.1} MiB, peak {peak:.1} MiB"
        );
        more.push(after - idle);
        most.push(peak - idle);
    }
    report.add(name, "MiB", more, Some(Must::Below(must)));
    report.add(name_of_most, "MiB", most, None);
}

/// The last readings of every sensor up to now, at QoS 1 until all are acknowledged.
async fn load(port: u16) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    let now_ms = u64::try_from(now.as_millis()).expect("the clock is before the year 584 million");
    let mut publisher = Publisher::connect(port);
    for round in 0..READINGS_EACH {
        let at_ms = now_ms - (READINGS_EACH - 1 - round) * INTERVAL_MS;
        let time = rfc3339(at_ms);
        for sensor in 0..SENSORS {
            let topic = format!("ciudad/comuna-{:02}/aire/carga-{sensor:05}", sensor % ZONES + 1);
            let pm25 = 5 + (sensor * 7 + round * 3) % 30;
            let payload = format!(
                "{{\"t\":\"{time}\",\"pm25\":{pm25}.4,\"pm10\":{}.8,\"temp\":21.5,\"hum\":64}}",
                pm25 + 12
            );
            publisher.push(topic, payload).await;
        }
    }
    publisher.wait_for(SENSORS * READINGS_EACH).await;
    publisher.end().await;
}

/// The time in UTC (days to civil date: Howard Hinnant, "chrono-compatible low-level date algorithms").
fn rfc3339(ms: u64) -> String {
    let (days, rest) = (ms / 86_400_000, ms % 86_400_000);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (seconds, millis) = (rest / 1_000, rest % 1_000);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}
