//! Noise meters, publishing the level of the last ten seconds as a bare number, dB(A), without a time.
//!
//! A gateway without connection throws these away: without their time they would be worth nothing later.

use crate::clock::{self, MINUTE_MS};
use crate::device::{Device, Draft, Site, World, street_gateway};
use crate::noise::{Kind, Stream};

/// Noise meters in all.
pub(crate) const METERS: usize = 15;

const PERIOD_MS: i64 = 10_000;
const FIRST_NUMBER: u32 = 4_001;

/// One noise meter.
#[derive(Clone, Debug)]
pub(crate) struct NoiseMeter {
    id: String,
    site: Site,
    /// Whether the street is louder at night than by day.
    nightlife: bool,
}

impl NoiseMeter {
    /// The meter of the given index, 0 to 14.
    pub(crate) fn new(world: &World, index: usize) -> Self {
        let number = FIRST_NUMBER + index as u32;
        let zone = index % world.ground.zones.len();
        let site = Site {
            number,
            zone,
            position: world.ground.inside_zone(zone, number),
            period_ms: PERIOD_MS,
            phase_ms: world.noise.whole(Stream(Kind::Phase, number), 0, 0, PERIOD_MS),
        };
        Self { id: format!("ruido-{:02}", index + 1), site, nightlife: index % 5 == 4 }
    }

    /// The level in dB(A).
    fn level(&self, world: &World, at_ms: i64) -> f64 {
        let hour = clock::local_hour(at_ms);
        let street =
            (clock::bell(hour, 8.0, 2.5) + clock::bell(hour, 13.0, 3.0) + clock::bell(hour, 18.5, 2.5))
                .min(1.2);
        let night = if self.nightlife { 1.25 * clock::bell(hour, 23.5, 2.2) } else { 0.0 };
        let base = 46.0 + 7.0 * world.noise.unit(Stream(Kind::Character, self.site.number), 0);
        let slow = 2.0 * world.noise.smooth(Stream(Kind::Slow, self.site.number), at_ms, 4 * MINUTE_MS);
        let fast = 1.4 * world.noise.bell(Stream(Kind::Fast, self.site.number), at_ms);
        let passing = world.noise.unit(Stream(Kind::Fault, self.site.number), at_ms);
        let horn = if passing < 0.04 { 6.0 + 250.0 * passing } else { 0.0 };
        (base + 14.0 * street.max(night) + slow + fast + horn).clamp(35.0, 105.0)
    }
}

impl Device for NoiseMeter {
    fn gateway(&self) -> u16 {
        street_gateway(self.site.zone)
    }

    fn report(&self, world: &World, from_ms: i64, to_ms: i64, out: &mut Vec<Draft>) {
        let topic = format!("ciudad/{}/ruido/{}", world.ground.zone_id(self.site.zone), self.id);
        for at_ms in self.site.instants(from_ms, to_ms) {
            let payload = format!("{:.1}", self.level(world, at_ms)).into_bytes();
            let ready_ms = self.site.ready_ms(&world.noise, at_ms);
            out.push(Draft { ready_ms, kept: false, topic: topic.clone(), payload });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_bare_numbers_of_plausible_level() {
        let world = World::new(1);
        let mut drafts = Vec::new();
        NoiseMeter::new(&world, 4).report(
            &world,
            1_772_384_400_000,
            1_772_384_400_000 + 24 * 60 * MINUTE_MS,
            &mut drafts,
        );
        let levels: Vec<f64> =
            drafts.iter().map(|d| std::str::from_utf8(&d.payload).unwrap().parse().unwrap()).collect();
        assert_eq!(levels.len(), 8_640);
        assert!(levels.iter().all(|level| (35.0..=105.0).contains(level)));
        assert!(levels.iter().any(|level| *level > 70.0) && levels.iter().any(|level| *level < 55.0));
    }
}
