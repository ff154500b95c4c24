//! What every device of the city has in common: the world it measures and the messages it hands over.

use crate::episodes::Episodes;
use crate::geography::{Geography, Position};
use crate::noise::{Kind, Noise, Stream};
use crate::weather::Weather;

/// The longest a message takes from the instant it tells of to being ready at its gateway.
pub(crate) const LATENCY_MAX_MS: i64 = 6_000;

/// The gateway of the ChirpStack server, of the Things Stack, and of the service desk; those below
/// stand in the streets, one for each two comunas.
pub(crate) const CHIRPSTACK_GATEWAY: u16 = 5;
pub(crate) const THINGS_STACK_GATEWAY: u16 = 6;
pub(crate) const DESK_GATEWAY: u16 = 7;

/// The gateway in the streets of a comuna.
pub(crate) fn street_gateway(zone: usize) -> u16 {
    (zone / 2).min(4) as u16
}

/// All that devices can measure or be troubled by.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) noise: Noise,
    pub(crate) ground: Geography,
    pub(crate) episodes: Episodes,
    pub(crate) weather: Weather,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let noise = Noise::new(seed);
        let (ground, episodes) = (Geography::new(noise), Episodes::new(noise));
        let weather = Weather::new(noise, episodes, &ground);
        Self { noise, ground, episodes, weather }
    }
}

/// A message that is ready at a gateway, which may hold it back.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) ready_ms: i64,
    /// Whether a gateway without connection keeps it; without a time of its own it is worthless later.
    pub(crate) kept: bool,
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
}

/// One source of messages.
pub(crate) trait Device: Send + Sync + std::fmt::Debug {
    /// The gateway it speaks through.
    fn gateway(&self) -> u16;

    /// Adds what the device tells of the instants in [from, to), each ready at most [`LATENCY_MAX_MS`] later.
    fn report(&self, world: &World, from_ms: i64, to_ms: i64, out: &mut Vec<Draft>);
}

/// Where and when a device measures.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    /// Distinguishes the device in every draw.
    pub(crate) number: u32,
    pub(crate) zone: usize,
    pub(crate) position: Position,
    pub(crate) period_ms: i64,
    /// When in its period it measures.
    pub(crate) phase_ms: i64,
}

impl Site {
    /// The instants in [from, to) at which the device measures.
    pub(crate) fn instants(&self, from_ms: i64, to_ms: i64) -> impl Iterator<Item = i64> {
        let (period, phase) = (self.period_ms, self.phase_ms);
        let first = (from_ms - phase + period - 1).div_euclid(period);
        (first..).map(move |slot| slot * period + phase).take_while(move |at| *at < to_ms)
    }

    /// When what was measured at `at_ms` is ready at the gateway.
    pub(crate) fn ready_ms(&self, noise: &Noise, at_ms: i64) -> i64 {
        at_ms + noise.whole(Stream(Kind::Latency, self.number), at_ms, 30, 900)
    }

    /// When the device sends the same once more, having missed the first answer: three in a thousand.
    pub(crate) fn repeat_ms(&self, noise: &Noise, at_ms: i64) -> Option<i64> {
        let draw = noise.unit(Stream(Kind::Repeat, self.number), at_ms);
        (draw < 0.003).then(|| self.ready_ms(noise, at_ms) + 1_500 + (draw * 800_000.0) as i64)
    }
}

/// Rounded to one decimal, as devices report.
pub(crate) fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_of_split_spans_are_those_of_the_whole() {
        let world = World::new(1);
        let position = world.ground.zone_centre(0);
        let site = Site { number: 1, zone: 0, position, period_ms: 10_000, phase_ms: 250 };
        let whole: Vec<i64> = site.instants(-30_000, 90_000).collect();
        let split: Vec<i64> = site.instants(-30_000, 250).chain(site.instants(250, 90_000)).collect();
        assert_eq!(whole, split);
        assert_eq!(whole.len(), 12);
        assert!(whole.iter().all(|at| at.rem_euclid(10_000) == 250));
    }

    #[test]
    fn nothing_is_ready_later_than_the_bound() {
        let world = World::new(1);
        let position = world.ground.zone_centre(0);
        let site = Site { number: 1, zone: 0, position, period_ms: 10_000, phase_ms: 250 };
        let late =
            (0..50_000).filter_map(|at| site.repeat_ms(&world.noise, at).map(|ready| ready - at)).max();
        assert!(late.unwrap() < LATENCY_MAX_MS);
    }
}
