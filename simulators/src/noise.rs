//! Randomness without state: every draw is a hash of (seed, stream, slot).
//!
//! A stream is one quantity of one thing (a [`Stream`]), a slot is an index in time. Nothing is drawn in
//! sequence, so any instant of the city can be computed without those before it. The mixer is the
//! finalizer of SplitMix64 (Steele, Lea, Flood 2014), applied once for each of the three inputs.

use std::f64::consts::PI;

/// What a draw is for: a kind of quantity and the index of the thing it belongs to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stream(pub(crate) Kind, pub(crate) u32);

/// The kinds of quantity that are drawn; each is independent of the others.
#[derive(Clone, Copy, Debug)]
#[repr(u16)]
pub(crate) enum Kind {
    VertexEast,
    VertexNorth,
    Edge,
    Border,
    Names,
    Bend,
    Place,
    Phase,
    Latency,
    Repeat,
    Loss,
    Fault,
    Character,
    Slow,
    Fast,
    Outage,
    Flood,
    Pollution,
    Burst,
    FullCarPark,
    Rain,
    Temperature,
    Request,
    Radio,
    Identity,
}

/// The source of every draw of one city.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Noise {
    seed: u64,
}

impl Noise {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed: mix(seed ^ 0x5e7e_0000_c1da_d001) }
    }

    /// 64 uniform bits.
    pub(crate) fn bits(&self, stream: Stream, slot: i64) -> u64 {
        let Stream(kind, index) = stream;
        let name = (u64::from(kind as u16) << 32) | u64::from(index);
        mix(mix(self.seed ^ mix(name)) ^ slot.cast_unsigned())
    }

    /// A uniform draw in [0, 1).
    pub(crate) fn unit(&self, stream: Stream, slot: i64) -> f64 {
        unit(self.bits(stream, slot))
    }

    /// A uniform draw in [low, high).
    pub(crate) fn within(&self, stream: Stream, slot: i64, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit(stream, slot)
    }

    /// A uniform whole number in [low, high); `low` when the interval is empty.
    pub(crate) fn whole(&self, stream: Stream, slot: i64, low: i64, high: i64) -> i64 {
        let width = high.saturating_sub(low).max(1).cast_unsigned();
        low + (self.bits(stream, slot) % width).cast_signed()
    }

    /// A bell-shaped draw, mean 0, standard deviation 1, within 3.47 of the mean.
    pub(crate) fn bell(&self, stream: Stream, slot: i64) -> f64 {
        let bits = self.bits(stream, slot);
        let sum: f64 = [0, 16, 32, 48].iter().map(|shift| ((bits >> shift) & 0xffff) as f64 / 65_535.0).sum();
        (sum - 2.0) * 3f64.sqrt()
    }

    /// A draw in [-1, 1] that changes smoothly: lattice values every `period_ms`, cosine between them.
    pub(crate) fn smooth(&self, stream: Stream, at_ms: i64, period_ms: i64) -> f64 {
        let slot = at_ms.div_euclid(period_ms);
        let part = at_ms.rem_euclid(period_ms) as f64 / period_ms as f64;
        let (before, after) =
            (self.within(stream, slot, -1.0, 1.0), self.within(stream, slot + 1, -1.0, 1.0));
        before + (after - before) * (1.0 - (part * PI).cos()) / 2.0
    }
}

/// The first 53 bits as a number in [0, 1).
pub(crate) fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

/// Spreads every bit over all: the finalizer of SplitMix64.
pub(crate) fn mix(value: u64) -> u64 {
    let z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: Stream = Stream(Kind::Slow, 7);

    #[test]
    fn draws_depend_on_seed_stream_and_slot_only() {
        let noise = Noise::new(1);
        assert_eq!(noise.bits(STREAM, 5), Noise::new(1).bits(STREAM, 5));
        assert_ne!(noise.bits(STREAM, 5), Noise::new(2).bits(STREAM, 5));
        assert_ne!(noise.bits(STREAM, 5), noise.bits(STREAM, 6));
        assert_ne!(noise.bits(STREAM, 5), noise.bits(Stream(Kind::Fast, 7), 5));
    }

    #[test]
    fn draws_keep_their_bounds_and_means() {
        let noise = Noise::new(3);
        let mean = (0..10_000).map(|slot| noise.unit(STREAM, slot)).sum::<f64>() / 10_000.0;
        assert!((mean - 0.5).abs() < 0.02, "{mean}");
        let spread = (0..10_000).map(|slot| noise.bell(STREAM, slot).powi(2)).sum::<f64>() / 10_000.0;
        assert!((spread - 1.0).abs() < 0.05, "{spread}");
        assert!((-500..500).all(|slot| (3..9).contains(&noise.whole(STREAM, slot, 3, 9))));
    }

    #[test]
    fn smooth_noise_has_no_jumps() {
        let noise = Noise::new(4);
        let jump = (-5_000..5_000i64)
            .map(|at| (noise.smooth(STREAM, at + 1, 1_000) - noise.smooth(STREAM, at, 1_000)).abs())
            .fold(0.0, f64::max);
        assert!(jump < 0.004, "{jump}");
    }
}
