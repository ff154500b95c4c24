//! The river and its creeks: the level at a gauge, and the gauges that report it over The Things Stack.
//!
//! Gauges `rio-01` to `rio-09` stand along the river, upstream first: a flood that begins at one of them
//! reaches the next five minutes later and a little lower. `rio-10` and `rio-11` stand at creeks
//! that answer to the rain on the spot. `rio-12` stands below a sluice that opens every ten minutes.

use crate::clock::{self, DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS};
use crate::device::{Device, Draft, Site, THINGS_STACK_GATEWAY, World, tenths};
use crate::episodes::FLOOD_CYCLE_MS;
use crate::noise::{Kind, Stream};
use crate::things_stack::Uplink;
use crate::weather::swell;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

/// Gauges in all: nine at the river, three at creeks.
pub(crate) const GAUGES: usize = 12;

const RIVER_GAUGES: u32 = 9;
const PERIOD_MS: i64 = 60_000;
const FIRST_NUMBER: u32 = 2_001;
/// From the beginning of the storm to that of the wave at the first gauge.
const WAVE_LAG_MS: i64 = 12 * MINUTE_MS;
const WAVE_PER_GAUGE_MS: i64 = 5 * MINUTE_MS;
const WAVE_LEFT_PER_GAUGE: f64 = 0.95;
const SLUICE_CYCLE_MS: i64 = 10 * MINUTE_MS;
const SESSION_MS: i64 = 30 * DAY_MS;

/// The water level at a gauge (0 to 11), in centimetres.
pub(crate) fn level_cm(world: &World, gauge: u32, at_ms: i64) -> f64 {
    let usual = world.noise.within(Stream(Kind::Character, FIRST_NUMBER + gauge), 0, 62.0, 98.0);
    let drift = 12.0 * world.noise.smooth(Stream(Kind::Slow, FIRST_NUMBER + gauge), at_ms, 7 * HOUR_MS);
    let waves = 0.8 * world.noise.bell(Stream(Kind::Fast, FIRST_NUMBER + gauge), at_ms);
    let risen = match gauge {
        0..RIVER_GAUGES => flood_cm(world, gauge, at_ms),
        11 => sluice_cm(world, at_ms),
        creek => creek_cm(world, creek, at_ms),
    };
    usual + drift + waves + risen
}

/// What the floods of this cycle and the two before it add at a gauge of the river.
fn flood_cm(world: &World, gauge: u32, at_ms: i64) -> f64 {
    let cycle = at_ms.div_euclid(FLOOD_CYCLE_MS);
    (cycle - 2..=cycle)
        .map(|cycle| world.episodes.flood(cycle))
        .filter(|flood| flood.gauge <= gauge)
        .map(|flood| {
            let below = gauge - flood.gauge;
            let begins_ms = flood.start_ms + WAVE_LAG_MS + i64::from(below) * WAVE_PER_GAUGE_MS;
            flood.rise_cm * WAVE_LEFT_PER_GAUGE.powi(below as i32) * swell(at_ms - begins_ms, flood.crest_ms)
        })
        .sum()
}

/// A creek follows the rain of the last minutes.
fn creek_cm(world: &World, creek: u32, at_ms: i64) -> f64 {
    let place = world.ground.creek_bank((creek - RIVER_GAUGES) as usize);
    let rain = |minutes: i64| world.weather.rain_mm_h(at_ms - minutes * MINUTE_MS, &place);
    1.3 * (2..14).step_by(3).map(rain).sum::<f64>()
}

/// A sluice lets the fast creek swell: up within a minute, high for four, down within a minute.
fn sluice_cm(world: &World, at_ms: i64) -> f64 {
    let opening =
        world.noise.within(Stream(Kind::Flood, 90), at_ms.div_euclid(SLUICE_CYCLE_MS), 225.0, 285.0);
    let since = at_ms.rem_euclid(SLUICE_CYCLE_MS) as f64 / MINUTE_MS as f64;
    opening * since.min(6.0 - since).clamp(0.0, 1.0)
}

/// A gauge that reports once a minute.
#[derive(Clone, Debug)]
pub(crate) struct Gauge {
    id: String,
    dev_eui: String,
    index: u32,
    site: Site,
}

/// What the payload formatter makes of the frame.
#[derive(Serialize)]
struct Decoded {
    level_cm: f64,
    rain_mm: f64,
    battery_v: f64,
}

impl Gauge {
    /// The gauge of the given index, 0 to 11.
    pub(crate) fn new(world: &World, index: usize) -> Self {
        let gauge = index as u32;
        let number = FIRST_NUMBER + gauge;
        let position = match gauge {
            0..RIVER_GAUGES => world.ground.river_bank(i64::from(gauge)),
            _ => world.ground.creek_bank(index - RIVER_GAUGES as usize),
        };
        let phase_ms = world.noise.whole(Stream(Kind::Phase, number), 0, 0, PERIOD_MS);
        Self {
            id: format!("rio-{:02}", index + 1),
            dev_eui: format!("a84041b2c1{:06x}", 0x5f00 + index),
            index: gauge,
            site: Site { number, zone: 0, position, period_ms: PERIOD_MS, phase_ms },
        }
    }

    fn payload(&self, world: &World, at_ms: i64) -> Vec<u8> {
        let radio = |slot: i64| world.noise.unit(Stream(Kind::Radio, self.site.number), at_ms * 4 + slot);
        let day = at_ms.div_euclid(DAY_MS) + i64::from(self.site.number) * 37;
        let decoded = Decoded {
            level_cm: tenths(level_cm(world, self.index, at_ms)),
            // Fallen in the last minute; a rain gauge tips by tenths of a millimetre.
            rain_mm: tenths(world.weather.rain_mm_h(at_ms - 30 * SECOND_MS, &self.site.position) / 60.0),
            battery_v: (360.0 - day.rem_euclid(700) as f64 * 0.05 + radio(0)).round() / 100.0,
        };
        let words = [decoded.level_cm * 10.0, decoded.rain_mm * 10.0, decoded.battery_v * 1000.0];
        let frame: Vec<u8> = words.iter().flat_map(|word| (word.round() as u16).to_be_bytes()).collect();
        let uplink = Uplink {
            device: &self.id,
            dev_eui: &self.dev_eui,
            at_ms,
            identity: world.noise.bits(Stream(Kind::Identity, self.site.number), at_ms),
            f_cnt: (at_ms - clock::ORIGIN_MS).rem_euclid(SESSION_MS) / PERIOD_MS,
            frm_payload: STANDARD.encode(frame),
            decoded,
            place: self.site.position,
            rssi: -80 - (radio(1) * 35.0) as i64,
            snr: (40.0 * radio(2)).round() / 4.0,
        };
        uplink.payload()
    }
}

impl Device for Gauge {
    fn gateway(&self) -> u16 {
        THINGS_STACK_GATEWAY
    }

    fn report(&self, world: &World, from_ms: i64, to_ms: i64, out: &mut Vec<Draft>) {
        let topic = Uplink::<Decoded>::topic(&self.id);
        for at_ms in self.site.instants(from_ms, to_ms) {
            let is_lost = world.noise.unit(Stream(Kind::Loss, self.site.number), at_ms) < 0.01;
            if !is_lost {
                let ready_ms = self.site.ready_ms(&world.noise, at_ms) + 210;
                out.push(Draft {
                    ready_ms,
                    kept: true,
                    topic: topic.clone(),
                    payload: self.payload(world, at_ms),
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    const NOW_MS: i64 = 1_772_384_400_000;

    fn above(world: &World, gauge: u32, from_ms: i64, minutes: i64, cm: f64) -> Vec<i64> {
        (0..minutes).filter(|m| level_cm(world, gauge, from_ms + m * MINUTE_MS) >= cm).collect()
    }

    #[test]
    fn a_flood_travels_downstream_and_falls_again() {
        let world = World::new(1);
        for cycle in 0..40 {
            let cycle = NOW_MS / FLOOD_CYCLE_MS + cycle;
            let flood = world.episodes.flood(cycle);
            let first = above(&world, flood.gauge, flood.start_ms, 180, 250.0);
            let third = above(&world, flood.gauge + 2, flood.start_ms, 180, 250.0);
            assert!((20..75).contains(&first.len()), "cycle {cycle}: {} minutes", first.len());
            assert!(
                first[0] > 15 && third.first().is_none_or(|minute| *minute > first[0]),
                "rain first, then downstream"
            );
        }
    }

    #[test]
    fn levels_stay_between_low_water_and_four_metres() {
        let world = World::new(2);
        for gauge in 0..12 {
            for step in 0..3_000 {
                let level = level_cm(&world, gauge, NOW_MS + step * 3 * MINUTE_MS);
                assert!((35.0..430.0).contains(&level), "gauge {gauge}: {level}");
            }
        }
    }

    #[test]
    fn the_fast_creek_passes_its_threshold_every_ten_minutes() {
        let world = World::new(1);
        let gauge = Gauge::new(&world, 11);
        for cycle in 0..200 {
            let from = NOW_MS + cycle * SLUICE_CYCLE_MS;
            let levels: Vec<f64> = gauge
                .site
                .instants(from, from + SLUICE_CYCLE_MS)
                .map(|at| level_cm(&world, 11, at))
                .collect();
            let high = levels.iter().filter(|level| **level >= 250.0).count();
            assert!((4..=6).contains(&high), "{levels:?}");
            assert!(levels.iter().filter(|level| **level < 150.0).count() >= 3, "{levels:?}");
        }
    }

    #[test]
    fn the_envelope_is_that_of_the_things_stack() {
        let world = World::new(1);
        let mut drafts = Vec::new();
        Gauge::new(&world, 0).report(&world, NOW_MS, NOW_MS + 2 * MINUTE_MS, &mut drafts);
        let value: Value = serde_json::from_slice(&drafts[0].payload).unwrap();
        assert_eq!(drafts[0].topic, "v3/rios@valdelomar/devices/rio-01/up");
        assert_eq!(value["end_device_ids"]["device_id"], "rio-01");
        let up = &value["uplink_message"];
        for key in ["level_cm", "rain_mm", "battery_v"] {
            assert!(up["decoded_payload"][key].is_number(), "{key}");
        }
        assert!(up["locations"]["user"]["latitude"].is_number());
        assert!(up["received_at"].as_str().unwrap() < value["received_at"].as_str().unwrap());
        assert!(up["f_cnt"].is_number() && up["rx_metadata"][0]["gateway_ids"]["gateway_id"].is_string());
    }
}
