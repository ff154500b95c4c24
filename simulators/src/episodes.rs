//! What happens in the city, and when: floods, polluted air, silent gateways, bursts of requests, full car
//! parks.
//!
//! Each kind recurs in cycles of fixed length counted from 1970; where in its cycle an episode falls, how
//! long it lasts and whom it meets are draws of (seed, cycle). So an episode can be looked up from any
//! instant, and every six hours hold at least one whole flood, polluted spell and backlog.

use crate::clock::{MINUTE_MS, SECOND_MS};
use crate::noise::{Kind, Noise, Stream};

/// How often the river floods.
pub(crate) const FLOOD_CYCLE_MS: i64 = 180 * MINUTE_MS;
/// How often the air turns bad somewhere.
pub(crate) const POLLUTION_CYCLE_MS: i64 = 210 * MINUTE_MS;
/// How often a gateway falls silent.
pub(crate) const OUTAGE_CYCLE_MS: i64 = 90 * MINUTE_MS;
/// How often citizens report the same thing from the same comuna.
pub(crate) const BURST_CYCLE_MS: i64 = 50 * MINUTE_MS;
/// How often a car park fills up.
pub(crate) const FULL_CYCLE_MS: i64 = 40 * MINUTE_MS;
/// Gateways that can fall silent: those of the streets and that of the LoRaWAN stations.
pub(crate) const OUTAGE_GATEWAYS: i64 = 6;
/// How long a gateway takes to send its backlog.
const DRAIN_MS: i64 = 20 * SECOND_MS;
/// How long a burst of requests lasts, and how many requests it adds.
pub(crate) const BURST_LENGTH_MS: i64 = 25 * MINUTE_MS;
/// Requests that a burst adds to the ordinary ones.
pub(crate) const BURST_REQUESTS: f64 = 14.0;

/// A storm over the upper river, and the wave that follows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flood {
    /// When the rain begins.
    pub(crate) start_ms: i64,
    /// The first gauge of the river that rises, 0 to 5.
    pub(crate) gauge: u32,
    /// How much the river rises there at most, in centimetres.
    pub(crate) rise_cm: f64,
    /// From the wave's beginning to its crest.
    pub(crate) crest_ms: i64,
}

/// A spell of polluted air around one comuna.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pollution {
    pub(crate) start_ms: i64,
    /// Until the air begins to clear.
    pub(crate) length_ms: i64,
    /// The comuna in the middle of it.
    pub(crate) zone: usize,
    /// PM2.5 added in the middle, ug/m3.
    pub(crate) added: f64,
}

/// A gateway without a connection: what it hears meanwhile it sends afterwards, in order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outage {
    pub(crate) gateway: u16,
    pub(crate) start_ms: i64,
    pub(crate) end_ms: i64,
}

/// Many requests of one type from one comuna, as when the street lights fail.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Burst {
    pub(crate) start_ms: i64,
    pub(crate) zone: usize,
    /// Index of the type of request.
    pub(crate) service: usize,
}

/// A car park that fills to the last place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Full {
    pub(crate) start_ms: i64,
    pub(crate) end_ms: i64,
    pub(crate) car_park: u32,
}

/// Every episode of one city.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Episodes {
    noise: Noise,
}

impl Episodes {
    pub(crate) fn new(noise: Noise) -> Self {
        Self { noise }
    }

    /// The flood of a cycle.
    pub(crate) fn flood(&self, cycle: i64) -> Flood {
        let draw = self.draws(Kind::Flood, cycle);
        Flood {
            start_ms: draw.start(FLOOD_CYCLE_MS, 45 * MINUTE_MS),
            gauge: draw.whole(1, 6) as u32,
            rise_cm: draw.within(2, 240.0, 290.0),
            crest_ms: draw.within(3, 24.0, 30.0) as i64 * MINUTE_MS,
        }
    }

    /// The polluted spell of a cycle.
    pub(crate) fn pollution(&self, cycle: i64) -> Pollution {
        let draw = self.draws(Kind::Pollution, cycle);
        Pollution {
            start_ms: draw.start(POLLUTION_CYCLE_MS, 25 * MINUTE_MS),
            length_ms: draw.within(1, 75.0, 105.0) as i64 * MINUTE_MS,
            zone: draw.whole(2, 10) as usize,
            added: draw.within(3, 70.0, 98.0),
        }
    }

    /// The silent gateway of a cycle.
    pub(crate) fn outage(&self, cycle: i64) -> Outage {
        let draw = self.draws(Kind::Outage, cycle);
        let start_ms = draw.start(OUTAGE_CYCLE_MS, 45 * MINUTE_MS) + 10 * MINUTE_MS;
        let length_ms = draw.within(1, 6.0 * 60.0, 12.0 * 60.0) as i64 * SECOND_MS;
        Outage { gateway: draw.whole(2, OUTAGE_GATEWAYS) as u16, start_ms, end_ms: start_ms + length_ms }
    }

    /// The burst of requests of a cycle.
    pub(crate) fn burst(&self, cycle: i64) -> Burst {
        let draw = self.draws(Kind::Burst, cycle);
        Burst {
            start_ms: draw.start(BURST_CYCLE_MS, 20 * MINUTE_MS),
            zone: draw.whole(1, 10) as usize,
            service: draw.whole(2, 6) as usize,
        }
    }

    /// The full car park of a cycle.
    pub(crate) fn full(&self, cycle: i64) -> Full {
        let draw = self.draws(Kind::FullCarPark, cycle);
        let start_ms = draw.start(FULL_CYCLE_MS, 10 * MINUTE_MS);
        Full { start_ms, end_ms: start_ms + 24 * MINUTE_MS, car_park: draw.whole(1, 25) as u32 }
    }

    /// When a gateway publishes what it has had ready since `ready_ms`.
    ///
    /// During an outage and the drain after it, time at the gateway is mapped onto the drain alone: the
    /// map never goes back, so the gateway's order is kept, and it meets real time at the drain's end.
    pub(crate) fn release(&self, gateway: u16, ready_ms: i64) -> i64 {
        let outage = self.outage(ready_ms.div_euclid(OUTAGE_CYCLE_MS));
        let drained_ms = outage.end_ms + DRAIN_MS;
        if outage.gateway != gateway || ready_ms < outage.start_ms || ready_ms >= drained_ms {
            return ready_ms;
        }
        let held_ms = drained_ms - outage.start_ms;
        outage.end_ms + (ready_ms - outage.start_ms) * DRAIN_MS / held_ms
    }

    /// Whether a gateway is without connection at an instant.
    pub(crate) fn is_silent(&self, gateway: u16, at_ms: i64) -> bool {
        let outage = self.outage(at_ms.div_euclid(OUTAGE_CYCLE_MS));
        outage.gateway == gateway && (outage.start_ms..outage.end_ms).contains(&at_ms)
    }

    /// The earliest instant from which a gateway may hold something that it publishes at or after `sent_ms`.
    pub(crate) fn ready_since(&self, gateway: u16, sent_ms: i64, until_ms: i64) -> i64 {
        [sent_ms, until_ms].iter().fold(sent_ms, |since, at_ms| {
            let outage = self.outage(at_ms.div_euclid(OUTAGE_CYCLE_MS));
            let drains =
                outage.gateway == gateway && outage.end_ms < until_ms && outage.end_ms + DRAIN_MS > sent_ms;
            if drains { since.min(outage.start_ms) } else { since }
        })
    }

    fn draws(&self, kind: Kind, cycle: i64) -> Draws<'_> {
        Draws { noise: &self.noise, kind, cycle }
    }
}

/// The draws of one cycle of one kind of episode.
struct Draws<'a> {
    noise: &'a Noise,
    kind: Kind,
    cycle: i64,
}

impl Draws<'_> {
    fn start(&self, cycle_ms: i64, spread_ms: i64) -> i64 {
        self.cycle * cycle_ms + self.whole(0, spread_ms)
    }

    fn within(&self, draw: u32, low: f64, high: f64) -> f64 {
        self.noise.within(Stream(self.kind, draw), self.cycle, low, high)
    }

    fn whole(&self, draw: u32, high: i64) -> i64 {
        self.noise.whole(Stream(self.kind, draw), self.cycle, 0, high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::HOUR_MS;

    const NOW_MS: i64 = 1_772_384_400_000;

    #[test]
    fn every_six_hours_hold_a_whole_flood_spell_and_outage() {
        for seed in 0..20 {
            let episodes = Episodes::new(Noise::new(seed));
            for step in 0..200 {
                let (from, to) = (NOW_MS + step * 7 * MINUTE_MS, NOW_MS + step * 7 * MINUTE_MS + 6 * HOUR_MS);
                let holds = |cycle_ms: i64, span: &dyn Fn(i64) -> (i64, i64)| {
                    let cycles = from.div_euclid(cycle_ms)..=to.div_euclid(cycle_ms);
                    cycles.map(span).any(|(start, end)| start >= from && end <= to)
                };
                assert!(holds(FLOOD_CYCLE_MS, &|c| {
                    let flood = episodes.flood(c);
                    (flood.start_ms, flood.start_ms + 100 * MINUTE_MS)
                }));
                assert!(holds(POLLUTION_CYCLE_MS, &|c| {
                    let spell = episodes.pollution(c);
                    (spell.start_ms, spell.start_ms + spell.length_ms)
                }));
                assert!(holds(OUTAGE_CYCLE_MS, &|c| (
                    episodes.outage(c).start_ms,
                    episodes.outage(c).end_ms + DRAIN_MS
                )));
            }
        }
    }

    #[test]
    fn a_silent_gateway_sends_nothing_and_then_its_backlog_in_order() {
        let episodes = Episodes::new(Noise::new(1));
        let outage = episodes.outage(NOW_MS / OUTAGE_CYCLE_MS);
        let (from, to) = (outage.start_ms - MINUTE_MS, outage.end_ms + 2 * MINUTE_MS);
        let sent: Vec<i64> =
            (from..to).step_by(37).map(|ready| episodes.release(outage.gateway, ready)).collect();
        assert!(sent.windows(2).all(|w| w[0] <= w[1]), "order is kept");
        assert!(sent.iter().all(|sent| !(outage.start_ms..outage.end_ms).contains(sent)), "silence");
        for (ready, sent) in (from..to).step_by(37).zip(&sent) {
            assert!(ready >= episodes.ready_since(outage.gateway, *sent, *sent + 1));
            assert_eq!(episodes.release(outage.gateway + 1, ready), ready, "the others do not wait");
        }
    }
}
