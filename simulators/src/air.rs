//! The air: particles and weather at a place, and the stations that report them as plain JSON.
//!
//! Five of the sixty stations have known faults: one sticks, one sends the sentinel -9999, one sends
//! broken JSON now and then, two have wrong clocks.

use crate::clock::{self, DAY_MS, HOUR_MS, MINUTE_MS};
use crate::device::{Device, Draft, Site, World, street_gateway, tenths};
use crate::episodes::{POLLUTION_CYCLE_MS, Pollution};
use crate::noise::{Kind, Stream};

/// Stations that speak plain JSON.
pub(crate) const STATIONS: usize = 60;

const PERIOD_MS: i64 = 10_000;
const RAMP_MS: i64 = 12 * MINUTE_MS;
const SPELL_REACH_KM: f64 = 3.8;
const PM25_MAX: f64 = 120.0;

/// What a station measures at one instant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct AirReading {
    /// ug/m3.
    pub(crate) pm25: f64,
    /// ug/m3.
    pub(crate) pm10: f64,
    /// Degrees Celsius.
    pub(crate) temp: f64,
    /// Per cent.
    pub(crate) hum: i64,
}

/// What the air is like at a site.
pub(crate) fn measure(world: &World, site: &Site, at_ms: i64) -> AirReading {
    let noise = &world.noise;
    let character = |slot| noise.unit(Stream(Kind::Character, site.number), slot);
    let hour = clock::local_hour(at_ms);
    let week = if clock::is_weekend(at_ms) { 0.55 } else { 1.0 };
    let traffic = clock::bell(hour, 7.2, 1.3)
        + 0.75 * clock::bell(hour, 18.3, 1.7)
        + 0.3 * clock::bell(hour, 12.5, 2.5);
    let background = 9.5 + 5.0 * character(0) + 2.5 * noise.smooth(Stream(Kind::Slow, 0), at_ms, 6 * HOUR_MS);
    let local = 2.0 * noise.smooth(Stream(Kind::Slow, site.number), at_ms, 25 * MINUTE_MS);
    let flicker = 0.7 * noise.bell(Stream(Kind::Fast, site.number), at_ms);
    let washed = 1.0 - 0.35 * (1.0 - (-world.weather.rain_mm_h(at_ms, &site.position) / 8.0).exp());
    let usual = (background + week * traffic * (6.0 + 8.0 * character(1)) + local) * washed;
    let pm25 = (usual + spell(world, site, at_ms) + flicker).clamp(2.0, PM25_MAX);
    let coarse = 1.45
        + 0.25 * character(2)
        + 0.1 * noise.smooth(Stream(Kind::Slow, site.number + 5_000), at_ms, HOUR_MS);
    let temperature = world.weather.temperature_c(at_ms, &site.position, site.number);
    let shown = tenths(temperature + 0.05 * noise.bell(Stream(Kind::Fast, site.number + 5_000), at_ms));
    AirReading {
        pm25: tenths(pm25),
        pm10: tenths(pm25 * coarse),
        temp: shown,
        hum: world.weather.humidity_percent(at_ms, &site.position, temperature).round() as i64,
    }
}

/// PM2.5 that a polluted spell adds; the one of the last cycle may still be clearing.
fn spell(world: &World, site: &Site, at_ms: i64) -> f64 {
    let cycle = at_ms.div_euclid(POLLUTION_CYCLE_MS);
    [cycle - 1, cycle]
        .iter()
        .map(|cycle| {
            let Pollution { start_ms, length_ms, zone, added } = world.episodes.pollution(*cycle);
            let rise = (at_ms - start_ms) as f64 / RAMP_MS as f64;
            let fall = (start_ms + length_ms + RAMP_MS - at_ms) as f64 / RAMP_MS as f64;
            let distance = site.position.distance_km(&world.ground.zone_centre(zone)) / SPELL_REACH_KM;
            // Flat in the middle, so that the comuna and its neighbours are clearly in it.
            added * rise.min(fall).clamp(0.0, 1.0) * (1.0 - distance.powi(4)).max(0.0)
        })
        .sum()
}

/// What is wrong with a station.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// Shows the same values for 40 minutes of every two hours.
    Stuck,
    /// Sends -9999 for particles: ten minutes in every fifty, and now and then.
    Sentinel,
    /// Sends cut-off or garbled JSON: one message in twenty-five.
    Malformed,
    /// Its clock says 2099 for half an hour of every three.
    FarFuture,
    /// Its clock is two days behind for twenty minutes of every two hours.
    DaysBehind,
}

/// A station that publishes plain JSON every ten seconds.
#[derive(Clone, Debug)]
pub(crate) struct AirStation {
    id: String,
    site: Site,
    fault: Fault,
}

impl AirStation {
    /// The station of the given index, in the barrio of the same index.
    pub(crate) fn new(world: &World, index: usize) -> Self {
        let number = index as u32 + 1;
        let fault = match number {
            7 => Fault::FarFuture,
            13 => Fault::Stuck,
            29 => Fault::Sentinel,
            47 => Fault::Malformed,
            51 => Fault::DaysBehind,
            _ => Fault::None,
        };
        let site = Site {
            number,
            zone: world.ground.zone_of_barrio(index),
            position: world.ground.inside_barrio(index, number),
            period_ms: PERIOD_MS,
            phase_ms: world.noise.whole(Stream(Kind::Phase, number), 0, 0, PERIOD_MS),
        };
        Self { id: format!("aire-{number:05}"), site, fault }
    }

    fn reading(&self, world: &World, at_ms: i64) -> AirReading {
        let in_hours = |hours: i64| at_ms.rem_euclid(hours * HOUR_MS);
        match self.fault {
            Fault::Stuck if in_hours(2) < 40 * MINUTE_MS => measure(world, &self.site, at_ms - in_hours(2)),
            Fault::Sentinel => {
                let rarely = world.noise.unit(Stream(Kind::Fault, self.site.number), at_ms) < 0.01;
                let reading = measure(world, &self.site, at_ms);
                if rarely || at_ms.rem_euclid(50 * MINUTE_MS) < 10 * MINUTE_MS {
                    AirReading { pm25: -9999.0, pm10: -9999.0, ..reading }
                } else {
                    reading
                }
            }
            _ => measure(world, &self.site, at_ms),
        }
    }

    /// What the station's own clock says.
    fn clock_ms(&self, at_ms: i64) -> i64 {
        match self.fault {
            // 73 years of which 18 are leap years: the same day and time in 2099.
            Fault::FarFuture if at_ms.rem_euclid(3 * HOUR_MS) < 30 * MINUTE_MS => {
                at_ms + (73 * 365 + 18) * DAY_MS
            }
            Fault::DaysBehind if at_ms.rem_euclid(2 * HOUR_MS) < 20 * MINUTE_MS => at_ms - 2 * DAY_MS - 1_337,
            _ => at_ms,
        }
    }

    fn payload(&self, world: &World, at_ms: i64) -> Vec<u8> {
        let AirReading { pm25, pm10, temp, hum } = self.reading(world, at_ms);
        let text = format!(
            "{{\"id\":\"{}\",\"t\":\"{}\",\"zone\":\"{}\",\"pm25\":{pm25:.1},\"pm10\":{pm10:.1},\"temp\":{temp:.1},\
             \"hum\":{hum},\"lat\":{:.6},\"lon\":{:.6}}}",
            self.id,
            clock::local(self.clock_ms(at_ms)),
            world.ground.zone_id(self.site.zone),
            self.site.position.latitude,
            self.site.position.longitude,
        );
        let draw = world.noise.unit(Stream(Kind::Fault, self.site.number), at_ms);
        match self.fault {
            Fault::Malformed if draw < 0.02 => text.bytes().take(40 + (draw * 2_000.0) as usize).collect(),
            Fault::Malformed if draw < 0.04 => text.replacen("\"pm10\":", "\"pm10\"", 1).into_bytes(),
            _ => text.into_bytes(),
        }
    }
}

impl Device for AirStation {
    fn gateway(&self) -> u16 {
        street_gateway(self.site.zone)
    }

    fn report(&self, world: &World, from_ms: i64, to_ms: i64, out: &mut Vec<Draft>) {
        let topic = format!("ciudad/{}/aire/{}", world.ground.zone_id(self.site.zone), self.id);
        for at_ms in self.site.instants(from_ms, to_ms) {
            let ready_ms = self.site.ready_ms(&world.noise, at_ms);
            let draft =
                Draft { ready_ms, kept: true, topic: topic.clone(), payload: self.payload(world, at_ms) };
            let again = self.site.repeat_ms(&world.noise, at_ms);
            out.extend(again.map(|ready_ms| Draft { ready_ms, ..draft.clone() }));
            out.push(draft);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_772_384_400_000;

    #[test]
    fn ordinary_air_is_ordinary_and_a_spell_passes_the_norm_for_an_hour() {
        let world = World::new(1);
        let stations: Vec<AirStation> = (0..STATIONS).map(|index| AirStation::new(&world, index)).collect();
        let spell = world.episodes.pollution(NOW_MS / POLLUTION_CYCLE_MS);
        let quiet: Vec<f64> =
            stations.iter().map(|s| measure(&world, &s.site, spell.start_ms - MINUTE_MS).pm25).collect();
        assert!(quiet.iter().all(|pm25| (2.0..45.0).contains(pm25)), "{quiet:?}");
        let bad = stations.iter().filter(|station| {
            let from = spell.start_ms + RAMP_MS;
            let hour: Vec<f64> =
                (0..60).map(|m| measure(&world, &station.site, from + m * MINUTE_MS).pm25).collect();
            hour.iter().sum::<f64>() / 60.0 > 55.0
        });
        let bad = bad.count();
        assert!((6..45).contains(&bad), "{bad} stations in the spell");
    }

    #[test]
    fn payloads_have_the_agreed_form() {
        let world = World::new(1);
        let station = AirStation::new(&world, 41);
        let value: serde_json::Value =
            serde_json::from_slice(&station.payload(&world, NOW_MS + 250)).unwrap();
        assert_eq!(value["id"], "aire-00042");
        assert_eq!(value["t"], "2026-03-01T12:00:00.250-05:00");
        assert!(value["zone"].as_str().unwrap().starts_with("comuna-"));
        for key in ["pm25", "pm10", "temp", "hum", "lat", "lon"] {
            assert!(value[key].is_number(), "{key}");
        }
    }

    #[test]
    fn faulty_stations_show_their_faults() {
        let world = World::new(1);
        let day = |number: usize| {
            let station = AirStation::new(&world, number - 1);
            let mut drafts = Vec::new();
            station.report(&world, NOW_MS, NOW_MS + 3 * HOUR_MS, &mut drafts);
            drafts.into_iter().map(|draft| String::from_utf8(draft.payload).unwrap()).collect::<Vec<_>>()
        };
        let broken =
            day(47).iter().filter(|text| serde_json::from_str::<serde_json::Value>(text).is_err()).count();
        assert!((15..90).contains(&broken), "{broken}");
        assert!(day(29).iter().filter(|text| text.contains("\"pm25\":-9999.0")).count() > 100);
        assert!(day(7).iter().filter(|text| text.contains("\"t\":\"2099-03-01")).count() > 100);
        assert!(day(51).iter().filter(|text| text.contains("\"t\":\"2026-02-27")).count() > 50);
        let stuck: std::collections::BTreeSet<String> =
            day(13).iter().map(|text| text.split("\"pm25\":").nth(1).unwrap().to_owned()).collect();
        assert!(stuck.len() < 1_080 - 200, "{}", stuck.len());
        assert!(day(1).iter().all(|text| serde_json::from_str::<serde_json::Value>(text).is_ok()));
    }
}
