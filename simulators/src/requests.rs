//! Citizens' service requests through four channels, each with a running number.
//!
//! The number of requests that a channel has had is the integral of its rate, which has a closed form:
//! request n comes when the integral passes n plus a draw below one. So the number rises by exactly one
//! from request to request and is still a function of time alone.

use crate::clock::{self, DAY_MS, HOUR_MS, ORIGIN_MS};
use crate::device::{DESK_GATEWAY, Device, Draft, World};
use crate::episodes::{BURST_CYCLE_MS, BURST_LENGTH_MS, BURST_REQUESTS};
use crate::noise::{Kind, Stream};

/// The channels and each one's share of all requests.
pub(crate) const CHANNELS: [(&str, f64); 4] =
    [("app", 0.46), ("web", 0.2), ("telefono", 0.26), ("presencial", 0.08)];

const SERVICES: [&str; 6] = ["alumbrado", "huecos", "basuras", "ruido", "arboles", "acueducto"];
/// How common each service is by day and by night.
const SERVICE_WEIGHTS: [(f64, f64); 6] =
    [(0.13, 0.34), (0.22, 0.06), (0.24, 0.08), (0.10, 0.36), (0.14, 0.04), (0.17, 0.12)];
/// Requests a day through all channels, without bursts.
const REQUESTS_A_DAY: f64 = 1_100.0;
/// How much of the day's requests falls in each local hour, relative to the others.
const HOURS: [f64; 24] = [
    0.25, 0.15, 0.1, 0.1, 0.15, 0.4, 0.9, 1.5, 2.0, 2.1, 2.0, 1.8, 1.4, 1.4, 1.7, 1.8, 1.7, 1.5, 1.3, 1.2,
    1.0, 0.8, 0.6, 0.4,
];
const FIRST_NUMBER: i64 = 100_000;
const FIRST_STREAM: u32 = 5_001;

/// One channel of the service desk.
#[derive(Clone, Debug)]
pub(crate) struct Channel {
    name: &'static str,
    share: f64,
    stream: u32,
}

impl Channel {
    /// The channel of the given index, 0 to 3.
    pub(crate) fn new(index: usize) -> Self {
        let (name, share) = CHANNELS.get(index).copied().unwrap_or(("app", 0.0));
        Self { name, share, stream: FIRST_STREAM + index as u32 }
    }

    /// How many requests the channel has had since the origin, as a real number.
    fn had(&self, world: &World, at_ms: i64) -> f64 {
        let usual = REQUESTS_A_DAY * days(at_ms - ORIGIN_MS);
        let cycle = at_ms.div_euclid(BURST_CYCLE_MS);
        let burst = world.episodes.burst(cycle);
        let part = ((at_ms - burst.start_ms) as f64 / BURST_LENGTH_MS as f64).clamp(0.0, 1.0);
        let bursts = (cycle - ORIGIN_MS.div_euclid(BURST_CYCLE_MS)) as f64 + part;
        self.share * (usual + BURST_REQUESTS * bursts)
    }

    /// When request `n` comes: the first millisecond at which the channel has had enough.
    fn comes_ms(&self, world: &World, n: i64, low_ms: i64, high_ms: i64) -> i64 {
        let goal = n as f64 + world.noise.unit(Stream(Kind::Request, self.stream), n);
        let (mut low, mut high) = (low_ms, high_ms);
        while low < high {
            let middle = low + (high - low).div_euclid(2);
            if self.had(world, middle) >= goal { high = middle } else { low = middle + 1 }
        }
        low
    }

    fn payload(&self, world: &World, n: i64, at_ms: i64) -> (usize, String) {
        let draw = |slot: i64| world.noise.unit(Stream(Kind::Request, self.stream + 100), n * 8 + slot);
        let hour = clock::local_hour(at_ms);
        let burst = world.episodes.burst(at_ms.div_euclid(BURST_CYCLE_MS));
        let in_burst = (0..BURST_LENGTH_MS).contains(&(at_ms - burst.start_ms));
        let burst_rate = BURST_REQUESTS / BURST_LENGTH_MS as f64;
        let usual_rate =
            hour_weight(hour as usize) / HOURS.iter().sum::<f64>() * REQUESTS_A_DAY / HOUR_MS as f64;
        let (zone, service) = if in_burst && draw(0) < burst_rate / (burst_rate + usual_rate) {
            (burst.zone, burst.service)
        } else {
            ((draw(1) * 10.0) as usize, usual_service(draw(2), (7.0..19.0).contains(&hour)))
        };
        let pick = 10_000 + (draw(3) * 10_000.0) as u32;
        let place = world.ground.inside_zone(zone, pick);
        let text = format!(
            "{{\"channel\":\"{}\",\"number\":{},\"t\":\"{}\",\"type\":\"{}\",\"zone\":\"{}\",\"priority\":{},\
             \"lat\":{:.6},\"lon\":{:.6}}}",
            self.name,
            FIRST_NUMBER + n,
            clock::local_seconds(at_ms),
            SERVICES.get(service).unwrap_or(&"otros"),
            world.ground.zone_id(zone),
            1 + (draw(4).powf(0.7) * 5.0) as i64,
            place.latitude,
            place.longitude,
        );
        (zone, text)
    }
}

impl Device for Channel {
    fn gateway(&self) -> u16 {
        DESK_GATEWAY
    }

    fn report(&self, world: &World, from_ms: i64, to_ms: i64, out: &mut Vec<Draft>) {
        let first = self.had(world, from_ms).floor() as i64 - 1;
        let last = self.had(world, to_ms).floor() as i64 + 1;
        for n in first..=last {
            // Clamped to just outside the span, where a request is not counted.
            let at_ms = self.comes_ms(world, n, from_ms - 1, to_ms);
            if at_ms >= from_ms && at_ms < to_ms {
                let (zone, text) = self.payload(world, n, at_ms);
                let topic = format!("ciudad/{}/solicitudes", world.ground.zone_id(zone));
                let ready_ms =
                    at_ms + 1_000 + world.noise.whole(Stream(Kind::Latency, self.stream), n, 0, 900);
                out.push(Draft { ready_ms, kept: true, topic, payload: text.into_bytes() });
            }
        }
    }
}

/// Days since the origin (a local midnight), the last one weighted by the hours of the day.
fn days(since_ms: i64) -> f64 {
    let (whole, in_day_ms) = (since_ms.div_euclid(DAY_MS), since_ms.rem_euclid(DAY_MS));
    let hour = (in_day_ms / HOUR_MS) as usize;
    let part = (in_day_ms % HOUR_MS) as f64 / HOUR_MS as f64;
    let so_far = HOURS.iter().take(hour).sum::<f64>() + part * hour_weight(hour);
    whole as f64 + so_far / HOURS.iter().sum::<f64>()
}

fn hour_weight(hour: usize) -> f64 {
    HOURS.get(hour).copied().unwrap_or(1.0)
}

/// A service by its weight in the day or the night.
fn usual_service(draw: f64, is_day: bool) -> usize {
    let mut left = draw;
    for (index, (by_day, by_night)) in SERVICE_WEIGHTS.iter().enumerate() {
        left -= if is_day { by_day } else { by_night };
        if left < 0.0 {
            return index;
        }
    }
    0
}

#[cfg(test)]
#[path = "requests_tests.rs"]
mod tests;
