//! The city as a whole: its devices, and every message they send in a span of time.

use crate::air::{self, AirStation};
use crate::chirpstack::{self, LoraStation};
use crate::device::{Device, Draft, LATENCY_MAX_MS, World};
use crate::geojson;
use crate::message::Message;
use crate::parking::{self, CarPark};
use crate::requests::{self, Channel};
use crate::river::{self, Gauge};
use crate::sound::{self, NoiseMeter};

/// Messages are made a block at a time; blocks are aligned, so that spans concatenate.
const BLOCK_MS: i64 = 30_000;

/// A fictional city: ten comunas, about 135 devices behind 8 gateways, weather and mishaps.
///
/// It is a pure function of its seed; see [`City::messages`].
#[derive(Debug)]
pub struct City {
    world: World,
    devices: Vec<Box<dyn Device>>,
}

impl City {
    /// The city of a seed. The same seed gives the same city on every machine of one architecture.
    pub fn new(seed: u64) -> City {
        let world = World::new(seed);
        let mut devices: Vec<Box<dyn Device>> = Vec::new();
        devices.extend((0..air::STATIONS).map(|i| Box::new(AirStation::new(&world, i)) as Box<dyn Device>));
        devices.extend(
            (0..chirpstack::STATIONS).map(|i| Box::new(LoraStation::new(&world, i)) as Box<dyn Device>),
        );
        devices.extend((0..river::GAUGES).map(|i| Box::new(Gauge::new(&world, i)) as Box<dyn Device>));
        devices.extend((0..parking::CAR_PARKS).map(|i| Box::new(CarPark::new(&world, i)) as Box<dyn Device>));
        devices.extend((0..requests::CHANNELS.len()).map(|i| Box::new(Channel::new(i)) as Box<dyn Device>));
        devices.extend((0..sound::METERS).map(|i| Box::new(NoiseMeter::new(&world, i)) as Box<dyn Device>));
        City { world, devices }
    }

    /// The ground as one GeoJSON FeatureCollection (RFC 7946, WGS 84).
    ///
    /// The comunas are polygons with the properties `zone` (`comuna-01` to `comuna-10`) and `name`; they
    /// tile the city. Barrios (with `comuna`), the river, creeks and roads have `kind` and `name`.
    pub fn zones_geojson(&self) -> String {
        geojson::feature_collection(&self.world.ground)
    }

    /// Every message sent in [`from_ms`, `to_ms`) (milliseconds since 1970 UTC), in the order of
    /// `sent_at_ms`; a pure function of (seed, from, to).
    ///
    /// The messages of two adjoining spans are together those of the whole span. They are made as the
    /// iterator goes, so `to_ms` may be as far away as `i64::MAX`.
    pub fn messages(&self, from_ms: i64, to_ms: i64) -> Messages<'_> {
        let block = from_ms.div_euclid(BLOCK_MS);
        Messages { city: self, from_ms, to_ms, block, ready: Vec::new().into_iter() }
    }

    /// The messages sent in one block, in order.
    fn block(&self, block: i64) -> Vec<Message> {
        let (from_ms, to_ms) =
            (block.saturating_mul(BLOCK_MS), block.saturating_add(1).saturating_mul(BLOCK_MS));
        let mut found: Vec<(i64, usize, Message)> = Vec::new();
        let mut drafts: Vec<Draft> = Vec::new();
        let episodes = &self.world.episodes;
        for (index, device) in self.devices.iter().enumerate() {
            let gateway = device.gateway();
            let since_ms = episodes.ready_since(gateway, from_ms, to_ms) - LATENCY_MAX_MS;
            device.report(&self.world, since_ms, to_ms, &mut drafts);
            for Draft { ready_ms, kept, topic, payload } in drafts.drain(..) {
                let is_lost = !kept && episodes.is_silent(gateway, ready_ms);
                let sent_at_ms = if kept { episodes.release(gateway, ready_ms) } else { ready_ms };
                if !is_lost && sent_at_ms >= from_ms && sent_at_ms < to_ms {
                    found.push((ready_ms, index, Message { sent_at_ms, gateway, topic, payload }));
                }
            }
        }
        // Stable, and by readiness within the same millisecond: a gateway's backlog keeps its order.
        found.sort_by_key(|(ready_ms, index, message)| (message.sent_at_ms, *ready_ms, *index));
        found.into_iter().map(|(_, _, message)| message).collect()
    }
}

/// The messages of a span; see [`City::messages`].
#[derive(Debug)]
pub struct Messages<'a> {
    city: &'a City,
    from_ms: i64,
    to_ms: i64,
    block: i64,
    ready: std::vec::IntoIter<Message>,
}

impl Iterator for Messages<'_> {
    type Item = Message;

    fn next(&mut self) -> Option<Message> {
        loop {
            for message in self.ready.by_ref() {
                if message.sent_at_ms >= self.to_ms {
                    return None;
                }
                if message.sent_at_ms >= self.from_ms {
                    return Some(message);
                }
            }
            if self.block.saturating_mul(BLOCK_MS) >= self.to_ms {
                return None;
            }
            self.ready = self.city.block(self.block).into_iter();
            self.block += 1;
        }
    }
}

#[cfg(test)]
#[path = "city_tests.rs"]
mod tests;
