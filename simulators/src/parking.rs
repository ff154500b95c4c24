//! Car parks, reporting free places as SenML (RFC 8428) every thirty seconds.

use crate::clock::{self, MINUTE_MS, SECOND_MS};
use crate::device::{Device, Draft, Site, World, street_gateway};
use crate::episodes::FULL_CYCLE_MS;
use crate::noise::{Kind, Stream};

/// Car parks in all.
pub(crate) const CAR_PARKS: usize = 25;

const PERIOD_MS: i64 = 30_000;
const FIRST_NUMBER: u32 = 3_001;
const RAMP_MS: f64 = 5.0 * MINUTE_MS as f64;

/// What brings people to a car park, and so when it fills.
#[derive(Clone, Copy, Debug)]
enum Visit {
    Work,
    Shopping,
    Evening,
}

/// One car park.
#[derive(Clone, Debug)]
pub(crate) struct CarPark {
    id: String,
    index: u32,
    site: Site,
    capacity: i64,
    visit: Visit,
}

impl CarPark {
    /// The car park of the given index, 0 to 24.
    pub(crate) fn new(world: &World, index: usize) -> Self {
        let number = FIRST_NUMBER + index as u32;
        let zone = index % world.ground.zones.len();
        let draw = |slot| world.noise.whole(Stream(Kind::Character, number), slot, 0, 1_000);
        let visit = match draw(0) % 3 {
            0 => Visit::Work,
            1 => Visit::Shopping,
            _ => Visit::Evening,
        };
        let site = Site {
            number,
            zone,
            position: world.ground.inside_zone(zone, number),
            period_ms: PERIOD_MS,
            // `bt` is in whole seconds.
            phase_ms: world.noise.whole(Stream(Kind::Phase, number), 0, 0, PERIOD_MS / SECOND_MS) * SECOND_MS,
        };
        Self {
            id: format!("parqueo-{:03}", index + 1),
            index: index as u32,
            site,
            capacity: 40 + 20 * (draw(1) % 14),
            visit,
        }
    }

    /// Free places, 0 to the capacity.
    fn free(&self, world: &World, at_ms: i64) -> i64 {
        let hour = clock::local_hour(at_ms);
        let weekend = clock::is_weekend(at_ms);
        let rhythm = match self.visit {
            Visit::Work if weekend => 0.25 * clock::bell(hour, 12.0, 3.0),
            Visit::Work => (clock::bell(hour, 9.8, 2.0) + clock::bell(hour, 15.0, 2.3)).min(1.0),
            Visit::Shopping => {
                (0.6 * clock::bell(hour, 12.5, 2.2) + 0.85 * clock::bell(hour, 18.0, 2.2)).min(1.0)
            }
            Visit::Evening => {
                (0.35 * clock::bell(hour, 13.0, 2.5) + 0.95 * clock::bell(hour, 20.8, 2.0)).min(1.0)
            }
        };
        let share = |slot| world.noise.unit(Stream(Kind::Character, self.site.number), slot);
        let usual = 0.06 + 0.1 * share(2) + rhythm * (0.62 + 0.22 * share(3));
        let drift = 0.06 * world.noise.smooth(Stream(Kind::Slow, self.site.number), at_ms, 35 * MINUTE_MS);
        let coming = 0.012 * world.noise.smooth(Stream(Kind::Fast, self.site.number), at_ms, 2 * MINUTE_MS);
        let taken = (usual + drift + coming).clamp(0.0, 1.0);
        let taken = taken + (0.99 + coming - taken) * self.fullness(world, at_ms);
        (self.capacity as f64 * (1.0 - taken)).round().clamp(0.0, self.capacity as f64) as i64
    }

    /// How far an event nearby has filled the car park, 0 to 1.
    fn fullness(&self, world: &World, at_ms: i64) -> f64 {
        let full = world.episodes.full(at_ms.div_euclid(FULL_CYCLE_MS));
        if full.car_park != self.index {
            return 0.0;
        }
        let (since, left) = ((at_ms - full.start_ms) as f64, (full.end_ms - at_ms) as f64);
        (since.min(left) / RAMP_MS).clamp(0.0, 1.0)
    }

    fn payload(&self, world: &World, at_ms: i64) -> Vec<u8> {
        format!(
            "[{{\"bn\":\"urn:dev:{}:\",\"bt\":{},\"n\":\"free\",\"u\":\"count\",\"v\":{}}},\
             {{\"n\":\"capacity\",\"u\":\"count\",\"v\":{}}},{{\"n\":\"lat\",\"u\":\"lat\",\"v\":{:.6}}},\
             {{\"n\":\"lon\",\"u\":\"lon\",\"v\":{:.6}}}]",
            self.id,
            at_ms.div_euclid(SECOND_MS),
            self.free(world, at_ms),
            self.capacity,
            self.site.position.latitude,
            self.site.position.longitude,
        )
        .into_bytes()
    }
}

impl Device for CarPark {
    fn gateway(&self) -> u16 {
        street_gateway(self.site.zone)
    }

    fn report(&self, world: &World, from_ms: i64, to_ms: i64, out: &mut Vec<Draft>) {
        let topic = format!("ciudad/{}/parqueo/{}", world.ground.zone_id(self.site.zone), self.id);
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
    fn free_places_keep_within_the_capacity_and_change_over_a_day() {
        let world = World::new(1);
        for index in 0..CAR_PARKS {
            let park = CarPark::new(&world, index);
            let day: Vec<i64> = (0..1_440).map(|m| park.free(&world, NOW_MS + m * MINUTE_MS)).collect();
            let (low, high) = (day.iter().min().unwrap(), day.iter().max().unwrap());
            assert!(*low >= 0 && *high <= park.capacity);
            assert!(high - low > park.capacity / 10, "{index}: {low}..{high} of {}", park.capacity);
        }
    }

    #[test]
    fn the_full_car_park_of_a_cycle_is_full() {
        let world = World::new(1);
        for cycle in NOW_MS / FULL_CYCLE_MS..NOW_MS / FULL_CYCLE_MS + 50 {
            let full = world.episodes.full(cycle);
            let park = CarPark::new(&world, full.car_park as usize);
            let free = park.free(&world, full.start_ms + 10 * MINUTE_MS);
            assert!((free as f64) < 0.05 * park.capacity as f64, "{free} of {}", park.capacity);
        }
    }

    #[test]
    fn the_pack_is_senml_with_free_and_capacity() {
        let world = World::new(1);
        let value: serde_json::Value =
            serde_json::from_slice(&CarPark::new(&world, 2).payload(&world, NOW_MS)).unwrap();
        assert_eq!(value[0]["bn"], "urn:dev:parqueo-003:");
        assert_eq!(value[0]["bt"], 1_772_384_400);
        assert_eq!((value[0]["n"].as_str(), value[1]["n"].as_str()), (Some("free"), Some("capacity")));
        assert!(value[0]["v"].as_i64().unwrap() <= value[1]["v"].as_i64().unwrap());
    }
}
