//! The weather: temperature, humidity and rain at a place and an instant.

use crate::clock::{self, HOUR_MS, MINUTE_MS};
use crate::episodes::{Episodes, FLOOD_CYCLE_MS};
use crate::geography::{Geography, Position};
use crate::noise::{Kind, Noise, Stream};

const SHOWER_RATE_MM_H: f64 = 8.0;
const STORM_RATE_MM_H: f64 = 55.0;
const STORM_CREST_MS: i64 = 14 * MINUTE_MS;
const STORM_REACH_KM: f64 = 3.5;

/// The weather of one city.
#[derive(Clone, Debug)]
pub(crate) struct Weather {
    noise: Noise,
    episodes: Episodes,
    /// Where a storm has its middle: the places on the river where floods begin.
    storm_places: Vec<Position>,
}

impl Weather {
    pub(crate) fn new(noise: Noise, episodes: Episodes, ground: &Geography) -> Self {
        Self { noise, episodes, storm_places: (0..9).map(|row| ground.river_bank(row)).collect() }
    }

    /// Rain at a place, millimetres an hour.
    pub(crate) fn rain_mm_h(&self, at_ms: i64, place: &Position) -> f64 {
        let afternoon = clock::bell(clock::local_hour(at_ms), 15.5, 3.0);
        let shower = self.noise.smooth(Stream(Kind::Rain, 0), at_ms, 95 * MINUTE_MS) + 0.4 * afternoon - 0.75;
        shower.max(0.0) * SHOWER_RATE_MM_H + self.storm_mm_h(at_ms, place)
    }

    /// Temperature at a place, degrees Celsius; `station` gives the place its own character.
    pub(crate) fn temperature_c(&self, at_ms: i64, place: &Position, station: u32) -> f64 {
        let day = (std::f64::consts::TAU * (clock::local_hour(at_ms) - 14.0) / 24.0).cos();
        let drift = self.noise.smooth(Stream(Kind::Temperature, 0), at_ms, 5 * HOUR_MS);
        let local = self.noise.within(Stream(Kind::Character, station), 10, -1.3, 1.3);
        let cooling = 3.0 * (1.0 - (-self.rain_mm_h(at_ms, place) / 12.0).exp());
        21.5 + 4.2 * day + 1.2 * drift + local - cooling
    }

    /// Relative humidity in per cent at a place with the given temperature.
    pub(crate) fn humidity_percent(&self, at_ms: i64, place: &Position, temperature_c: f64) -> f64 {
        let drift = self.noise.smooth(Stream(Kind::Temperature, 1), at_ms, 4 * HOUR_MS);
        let wet = 14.0 * (1.0 - (-self.rain_mm_h(at_ms, place) / 10.0).exp());
        (67.0 - 3.1 * (temperature_c - 21.5) + 4.0 * drift + wet).clamp(32.0, 99.0)
    }

    /// The storms that make the river rise; the one of the last cycle may still rain out.
    fn storm_mm_h(&self, at_ms: i64, place: &Position) -> f64 {
        let cycle = at_ms.div_euclid(FLOOD_CYCLE_MS);
        let storms = [cycle - 1, cycle].map(|cycle| {
            let flood = self.episodes.flood(cycle);
            let strength = swell(at_ms - flood.start_ms, STORM_CREST_MS);
            let reach = self
                .storm_places
                .get(flood.gauge as usize)
                .map_or(0.0, |middle| (-(place.distance_km(middle) / STORM_REACH_KM).powi(2)).exp());
            STORM_RATE_MM_H * strength * reach
        });
        // A trace of rain is no rain: gauges and probes see none.
        storms.iter().filter(|rate| **rate >= 0.2).sum()
    }
}

/// A swell that begins at 0, is 1 at `crest_ms` and falls off slower than it rose.
pub(crate) fn swell(since_ms: i64, crest_ms: i64) -> f64 {
    if since_ms <= 0 {
        return 0.0;
    }
    let x = since_ms as f64 / crest_ms as f64;
    x * x * (2.0 * (1.0 - x)).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weather_stays_plausible_and_storms_rain() {
        let noise = Noise::new(1);
        let (ground, episodes) = (Geography::new(noise), Episodes::new(noise));
        let weather = Weather::new(noise, episodes, &ground);
        let place = ground.zone_centre(3);
        for step in 0..2_000 {
            let at_ms = 1_772_384_400_000 + step * 11 * MINUTE_MS;
            let temperature = weather.temperature_c(at_ms, &place, 3);
            assert!((11.0..33.0).contains(&temperature), "{temperature}");
            assert!((32.0..=99.0).contains(&weather.humidity_percent(at_ms, &place, temperature)));
        }
        let flood = episodes.flood(164_000);
        let middle = ground.river_bank(i64::from(flood.gauge));
        assert!(weather.rain_mm_h(flood.start_ms + STORM_CREST_MS, &middle) > 40.0);
    }
}
