//! Levels of noise in decibels: published descriptors (python-acoustics), and a real week of one-minute
//! levels by day and night as Resolución 627 de 2006 divides it.

use std::fmt::Write as _;

use crate::harness::Site;
use crate::harness::peers::corpus;
use crate::harness::site::succeeded;
use crate::harness::table::{self, close};
use crate::harness::wait::utc_ms;

const NOISE: &str = r#"
version = 1
name = "noise"
title = { es = "Ruido", en = "Noise" }
timezone = "America/Bogota"

[[feed]]
name = "noise"
topic = "noise/{sensor}"
decoder = "json"
expected_interval = "1m"
time = { path = "/t", format = "%Y-%m-%d %H:%M:%S" }
timezone = "America/Bogota"

[feed.quantity.level]
path = "/level"
unit = "dB[A]"

[[window]]
name = "period"
size = "day"
periods = { @periods@ }
fields = { leq = "energy_mean(level)", mean = "mean(level)" }
"#;

/// Energy means of the whole periods of the week, by a program that shares no code with Sereno
/// (`10 * log10(fsum(10 ** (level / 10)) / n)`, levels rounded to six decimals).
const WEEK: [(&str, &str, f64); 22] = [
    ("2025-03-21", "day", 52.152844554),
    ("2025-03-21", "night", 45.646122989),
    ("2025-03-22", "day", 50.367574324),
    ("2025-03-22", "night", 48.633876356),
    ("2025-03-23", "day", 46.229483827),
    ("2025-03-23", "night", 48.196312453),
    ("2025-03-24", "day", 52.668424544),
    ("2025-03-24", "night", 49.160865509),
    ("2025-03-25", "day", 52.808539555),
    ("2025-03-25", "night", 47.680429748),
    ("2025-03-26", "day", 50.982889560),
    ("2025-03-26", "night", 48.992081456),
    ("2025-03-27", "day", 50.720847966),
    ("2025-03-27", "night", 50.430032481),
    ("2025-03-28", "day", 49.720595092),
    ("2025-03-28", "night", 47.415882365),
    ("2025-03-29", "day", 49.851446669),
    ("2025-03-29", "night", 46.729029782),
    ("2025-03-30", "day", 51.632789423),
    ("2025-03-30", "night", 53.921651355),
    ("2025-03-31", "day", 54.737455307),
    ("2025-03-31", "night", 48.803865344),
];

/// A site whose windows are of these periods, with these readings (local time, sensor, level) replayed.
fn replayed(periods: &str, readings: &[(String, &str, f64)]) -> Site {
    let site = Site::new("").with_pipeline("noise", &NOISE.replace("@periods@", periods));
    let mut lines = String::new();
    for (at, sensor, level) in readings {
        let arrival = at.replace(' ', "T");
        let _ = writeln!(
            lines,
            r#"{{"at":"{arrival}-05:00","topic":"noise/{sensor}","payload":"{{\"t\":\"{at}\",\"level\":{level}}}"}}"#
        );
    }
    site.write("readings.ndjson", &lines);
    let mut replay = site.command("replay");
    replay.arg(site.path("readings.ndjson"));
    succeeded(replay);
    site
}

/// Energy mean of six levels of python-acoustics' test vectors, and the sound exposure level of as many
/// seconds: published 79.806989166 and 87.58850167 dB.
#[test]
fn energy_mean_and_exposure_are_the_published_ones() {
    let levels = [80.0, 80.3, 80.6, 80.4, 79.7, 76.9];
    let mut readings: Vec<_> =
        levels.iter().enumerate().map(|(n, level)| (format!("2026-03-02 08:00:0{n}"), "m", *level)).collect();
    readings.push(("2026-03-03 08:00:00".to_owned(), "m", 50.0));
    let site = replayed(r#"day = "07:01-21:00""#, &readings);
    let rows = site.query(
        "SELECT leq, leq + 10 * log10(count) AS exposure FROM noise_period WHERE time < '2026-03-03T00:00:00Z'",
    );
    let value = |name: &str| rows[0][name].parse::<f64>().unwrap();
    assert!(close(value("leq"), 79.806_989_166, 1e-10), "{rows:?}");
    assert!(close(value("exposure"), 87.588_501_67, 1e-10), "{rows:?}");
}

/// Day, evening and night as Directive 2002/49/EC, annex I, has them, weighted in SQL: published
/// 77.14095579 and 67.93843392 dB.
#[test]
fn day_evening_and_night_levels_are_the_published_ones() {
    let mut readings = Vec::new();
    for minute in 0..28 * 60 {
        let (day, hour) = (2 + (7 * 60 + minute) / 1_440, (7 + minute / 60) % 24);
        let of = usize::from(!(7..19).contains(&hour)) + usize::from(!(7..23).contains(&hour));
        let at = format!("2026-03-{day:02} {hour:02}:{:02}:30", minute % 60);
        readings.push((at.clone(), "loud", [80.0, 65.0, 45.0][of]));
        readings.push((at, "quiet", [70.0, 55.0, 55.0][of]));
    }
    let site = replayed(r#"day = "07:00-18:59", evening = "19:00-22:59", night = "23:00-06:59""#, &readings);
    let rows = site.query(
        "SELECT sensor, 10 * log10(sum(CASE period WHEN 'day' THEN 12 * power(10, leq / 10) \
         WHEN 'evening' THEN 4 * power(10, (leq + 5) / 10) ELSE 8 * power(10, (leq + 10) / 10) END) / 24) AS lden \
         FROM noise_period WHERE time < '2026-03-03T12:00:00Z' GROUP BY sensor ORDER BY sensor",
    );
    let lden: Vec<f64> = rows.iter().map(|row| row["lden"].parse().unwrap()).collect();
    assert!(close(lden[0], 77.140_955_79, 1e-10) && close(lden[1], 67.938_433_92, 1e-10), "{lden:?}");
}

#[test]
fn a_real_week_by_day_and_night() {
    let Some(file) = corpus("11_data/noise/laeq_1min_week.csv") else { return };
    let readings: Vec<_> = table::read(&file)
        .iter()
        .map(|row| (row["datetime"].clone(), "m", row["LEQ dB -A"].parse::<f64>().unwrap()))
        .collect();
    let site = replayed(r#"day = "07:01-21:00", night = "21:01-07:00""#, &readings);
    let rows = site.query("SELECT time, period, leq, mean, capture FROM noise_period ORDER BY time");
    let whole: Vec<_> = rows.iter().filter(|row| row["capture"] == "1.0").collect();
    assert_eq!(whole.len(), WEEK.len());
    for (row, (date, period, leq)) in whole.iter().zip(WEEK) {
        // In Bogotá a day begins at 12:01 UTC of its date, a night at 2:01 UTC of the next.
        let minutes = if period == "day" { 12 * 60 + 1 } else { 26 * 60 + 1 };
        let began = utc_ms(&format!("{date}T00:00:00Z")) + minutes * 60_000;
        assert_eq!(utc_ms(&row["time"]), began, "{row:?}");
        assert_eq!(row["period"], period);
        let (actual, mean): (f64, f64) = (row["leq"].parse().unwrap(), row["mean"].parse().unwrap());
        assert!(close(actual, leq, 1e-10), "{row:?}, not {leq}");
        assert!(mean < actual - 0.3, "an arithmetic mean of decibels is too low: {row:?}");
    }
}
