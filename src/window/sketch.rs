//! Quantiles that merge exactly: DDSketch (Masson, Rim, Lee, "DDSketch", VLDB 2019).
//!
//! Values fall into buckets whose bounds grow by the factor gamma; a quantile is its bucket's
//! middle, at most [`RELATIVE_ERROR`] away from a true value of that rank. Buckets are counted in
//! integers, so merging in any order gives the same sketch. There are at most 7,400 of them
//! (mantissas of up to 2^53 on both sides of zero).

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::function::Function;

/// A quantile is within this share of the exact one (of the same rank).
pub const RELATIVE_ERROR: f64 = 0.005;
const GAMMA: f64 = (1.0 + RELATIVE_ERROR) / (1.0 - RELATIVE_ERROR);
/// The natural logarithm of gamma, as `libm` gives it: asked for once a reading.
const GAMMA_LN: f64 = 0.010000083334583179;

/// Bits of a count; those above are of its bucket.
const COUNT_BITS: u32 = 48;
const COUNT_MAX: u64 = (1 << COUNT_BITS) - 1;

/// Bucket counts of one quantity. Mantissas, not floats, go in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sketch {
    /// By bucket, in eight bytes each: few lines of a cache are looked through for one.
    buckets: Vec<Counted>,
}

/// A bucket, see [`bucket`], and how many values fell into it. It counts up to 2^48 - 1: a million readings
/// a second take nine years to that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Counted(u64);

impl Counted {
    fn new(bucket: i16, count: u64) -> Self {
        // From the smallest bucket on.
        let place = bucket.wrapping_sub(i16::MIN) as u16;
        Self(u64::from(place) << COUNT_BITS | count.min(COUNT_MAX))
    }

    fn bucket(self) -> i16 {
        ((self.0 >> COUNT_BITS) as u16 as i16).wrapping_add(i16::MIN)
    }

    fn count(self) -> u64 {
        self.0 & COUNT_MAX
    }
}

impl Sketch {
    /// Counts one mantissa.
    pub fn add(&mut self, mantissa: i64) {
        self.add_many(bucket(mantissa), 1);
    }

    /// Takes in another sketch.
    pub fn merge(&mut self, other: &Self) {
        for counted in &other.buckets {
            self.add_many(counted.bucket(), counted.count());
        }
    }

    fn add_many(&mut self, bucket: i16, count: u64) {
        match self.buckets.binary_search_by_key(&bucket, |counted| counted.bucket()) {
            Ok(at) => {
                if let Some(counted) = self.buckets.get_mut(at) {
                    *counted = Counted::new(bucket, counted.count() + count);
                }
            }
            Err(at) => self.buckets.insert(at, Counted::new(bucket, count)),
        }
    }

    /// Number of values.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|counted| counted.count()).sum()
    }

    /// The value of rank `floor(quantile * (count - 1))` in mantissa units, the quantile given in
    /// millionths; `None` when empty.
    #[must_use]
    pub fn quantile(&self, millionths: u32) -> Option<f64> {
        let rank = rank(self.count(), millionths)?;
        let mut seen = 0;
        for counted in &self.buckets {
            seen += counted.count();
            if seen > rank {
                return Some(middle(counted.bucket()));
            }
        }
        None
    }
}

// Kept as pairs of bucket and count, sorted by bucket.

impl Serialize for Sketch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer
            .collect_seq(self.buckets.iter().map(|counted| (i32::from(counted.bucket()), counted.count())))
    }
}

impl<'de> Deserialize<'de> for Sketch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let pairs = Vec::<(i32, u64)>::deserialize(deserializer)?;
        let sorted = pairs.is_sorted_by(|one, other| one.0 < other.0);
        let counted = |(bucket, count): &(i32, u64)| {
            let bucket = i16::try_from(*bucket).ok().filter(|_| *count <= COUNT_MAX)?;
            Some(Counted::new(bucket, *count))
        };
        // Not collected from the pairs themselves, whose room the buckets would keep.
        let mut buckets = Vec::with_capacity(pairs.len());
        buckets.extend(pairs.iter().map_while(counted));
        if sorted && buckets.len() == pairs.len() {
            return Ok(Self { buckets });
        }
        Err(D::Error::custom("these are no buckets of a sketch"))
    }
}

/// Rank of a quantile among so many values, from 0; exactly, whatever the quantile.
fn rank(count: u64, millionths: u32) -> Option<u64> {
    let last = u128::from(count.checked_sub(1)?);
    u64::try_from(last * u128::from(millionths) / u128::from(Function::QUANTILE_PARTS)).ok()
}

/// Bucket 0 holds zero; bucket `n > 0` holds `gamma^(n-2) < v <= gamma^(n-1)`, and `-n` the
/// negative mirror. Buckets order as their values do.
fn bucket(mantissa: i64) -> i16 {
    if mantissa == 0 {
        return 0;
    }
    let index = libm::ceil(libm::log(mantissa.unsigned_abs() as f64) / GAMMA_LN) as i16 + 1;
    if mantissa < 0 { -index } else { index }
}

fn middle(bucket: i16) -> f64 {
    if bucket == 0 {
        return 0.0;
    }
    let magnitude = 2.0 * libm::pow(GAMMA, f64::from(bucket.abs() - 1)) / (GAMMA + 1.0);
    if bucket < 0 { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_constant_is_the_logarithm() {
        assert_eq!(GAMMA_LN, libm::log(GAMMA));
    }

    #[test]
    fn ranks_are_exact() {
        // 0.29 * 100 is 28.999999999999996 in floats.
        assert_eq!(rank(101, 290_000), Some(29));
        assert_eq!(rank(1_001, 999_000), Some(999));
        assert_eq!(rank(0, 500_000), None);
    }

    #[test]
    fn buckets_keep_their_order_and_their_counts_in_eight_bytes() {
        for bucket in [i16::MIN, -4_400, -1, 0, 1, 4_400, i16::MAX] {
            for count in [0, 1, COUNT_MAX] {
                let counted = Counted::new(bucket, count);
                assert_eq!((counted.bucket(), counted.count()), (bucket, count));
            }
        }
        assert_eq!(Counted::new(1, COUNT_MAX + 1), Counted::new(1, COUNT_MAX), "it stays there");
        assert!(Counted::new(-1, COUNT_MAX).0 < Counted::new(0, 0).0);
    }

    #[test]
    fn a_sketch_is_written_as_pairs_and_nothing_else_is_read_as_one() {
        let mut sketch = Sketch::default();
        [5, -7, 5, 0].iter().for_each(|mantissa| sketch.add(*mantissa));
        let pairs = vec![(bucket(-7).into(), 1_u64), (0_i32, 1), (bucket(5).into(), 2)];
        let written = postcard::to_allocvec(&pairs).unwrap();
        assert_eq!(postcard::to_allocvec(&sketch).unwrap(), written);
        let read: Sketch = postcard::from_bytes(&written).unwrap();
        assert_eq!((read.buckets.capacity(), read), (pairs.len(), sketch));
        for wrong in [vec![(2, 1), (1, 1)], vec![(1, 1), (1, 1)], vec![(40_000, 1)], vec![(1, COUNT_MAX + 1)]]
        {
            let written = postcard::to_allocvec::<Vec<(i32, u64)>>(&wrong).unwrap();
            assert!(postcard::from_bytes::<Sketch>(&written).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_sketch_of_everything_stays_bounded() {
        let mut sketch = Sketch::default();
        let mut value = 1.0_f64;
        while value < i64::MAX as f64 {
            sketch.add(value as i64);
            sketch.add(-(value as i64));
            value *= 1.003;
        }
        sketch.add(0);
        let buckets = sketch.buckets.len();
        assert!(buckets <= 8_800, "{buckets}");
        for n in [i64::MIN, i64::MAX, -1, 0, 1] {
            let mut one = Sketch::default();
            one.add(n);
            assert!(
                (one.quantile(500_000).unwrap() - n as f64).abs()
                    <= RELATIVE_ERROR * (n as f64).abs() * TOLERANCE
            );
        }
    }

    /// Logarithm and power are themselves rounded.
    const TOLERANCE: f64 = 1.000_000_1;

    proptest! {
        #[test]
        fn quantiles_stay_within_the_stated_error(
            mut values in prop::collection::vec(prop_oneof![
                8 => -1_000_000_000_i64..1_000_000_000,
                2 => -3_i64..=3,
                1 => -(1_i64 << 53)..=(1_i64 << 53),
                1 => Just(i64::MAX),
                1 => Just(i64::MIN),
            ], 1..400),
            millionths in 0_u32..=1_000_000,
        ) {
            let mut sketch = Sketch::default();
            values.iter().for_each(|v| sketch.add(*v));
            values.sort_unstable();
            let exact = values[(values.len() - 1) * millionths as usize / 1_000_000] as f64;
            let got = sketch.quantile(millionths).unwrap();
            prop_assert!((got - exact).abs() <= RELATIVE_ERROR * exact.abs() * TOLERANCE, "{got} {exact}");
        }

        #[test]
        fn merging_in_any_split_gives_the_same(values in prop::collection::vec(any::<i32>(), 0..200), at in 0_usize..200) {
            let mut whole = Sketch::default();
            values.iter().for_each(|v| whole.add(i64::from(*v)));
            let (left, right) = values.split_at(at.min(values.len()));
            let (mut a, mut b) = (Sketch::default(), Sketch::default());
            left.iter().for_each(|v| a.add(i64::from(*v)));
            right.iter().for_each(|v| b.add(i64::from(*v)));
            b.merge(&a);
            prop_assert_eq!(whole, b);
        }
    }
}
