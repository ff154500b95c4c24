//! How many different values there are: HyperLogLog (Flajolet and others, 2007) with the
//! improved raw estimator of Ertl, "New cardinality estimation algorithms for HyperLogLog
//! sketches", 2017 (arXiv:1702.01284), which needs no tables of corrections.
//!
//! A value's hash is xxh3-64, seed 0, of its mantissa's eight bytes, least significant first. Up
//! to [`EXACT_MAX`] different hashes are kept as they are, and counted exactly; beyond, 4,096
//! registers keep the longest run of leading zeros, and the standard error is
//! [`STANDARD_ERROR`]. Which of the two it is depends on the set of values alone, and so does
//! everything else: merging is commutative, associative and idempotent.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

/// Different values that are counted exactly (two hashes of 64 bits being different).
pub const EXACT_MAX: usize = 256;
/// Standard error of larger numbers, as a share: 1.04 / sqrt(4096).
pub const STANDARD_ERROR: f64 = 0.016_25;
/// Bits of a hash that choose its register.
const REGISTER_BITS: u32 = 12;
const REGISTERS: usize = 1 << REGISTER_BITS;
/// Bits of a hash in which leading zeros are counted.
const RANK_BITS: usize = 64 - REGISTER_BITS as usize;

/// A set of values, to be counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Distinct {
    /// Hashes, sorted, at most [`EXACT_MAX`].
    Few(Vec<u64>),
    /// By register: one more than the longest run of leading zeros, 0 where nothing fell.
    Many(Box<[u8]>),
}

impl Default for Distinct {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl Distinct {
    /// Takes in one value.
    pub fn add(&mut self, mantissa: i64) {
        self.add_hash(xxh3_64(&mantissa.to_le_bytes()));
    }

    fn add_hash(&mut self, hash: u64) {
        match self {
            Self::Few(hashes) => {
                if let Err(at) = hashes.binary_search(&hash) {
                    hashes.insert(at, hash);
                    if hashes.len() > EXACT_MAX {
                        let mut registers = vec![0; REGISTERS].into_boxed_slice();
                        hashes.iter().for_each(|hash| raise(&mut registers, *hash));
                        *self = Self::Many(registers);
                    }
                }
            }
            Self::Many(registers) => raise(registers, hash),
        }
    }

    /// Takes in another's values.
    pub fn merge(&mut self, other: &Self) {
        match (&mut *self, other) {
            (_, Self::Few(hashes)) => hashes.iter().for_each(|hash| self.add_hash(*hash)),
            (Self::Many(mine), Self::Many(registers)) => {
                mine.iter_mut().zip(registers).for_each(|(mine, other)| *mine = (*mine).max(*other));
            }
            (Self::Few(hashes), Self::Many(registers)) => {
                let mut mine = registers.clone();
                hashes.iter().for_each(|hash| raise(&mut mine, *hash));
                *self = Self::Many(mine);
            }
        }
    }

    /// How many different values there are, to the nearest whole number.
    #[must_use]
    pub fn count(&self) -> u64 {
        match self {
            Self::Few(hashes) => hashes.len() as u64,
            Self::Many(registers) => estimate(registers) as u64,
        }
    }
}

fn raise(registers: &mut [u8], hash: u64) {
    let register = (hash >> RANK_BITS) as usize;
    // A one behind the bits that count ends the run.
    let rank = ((hash << REGISTER_BITS) | 1 << (REGISTER_BITS - 1)).leading_zeros() as u8 + 1;
    if let Some(held) = registers.get_mut(register) {
        *held = (*held).max(rank);
    }
}

/// Ertl's improved raw estimator over the registers' histogram.
fn estimate(registers: &[u8]) -> f64 {
    let mut histogram = [0_u32; RANK_BITS + 2];
    for rank in registers {
        if let Some(count) = histogram.get_mut(usize::from(*rank)) {
            *count += 1;
        }
    }
    let size = REGISTERS as f64;
    let (zeros, rest) = histogram.split_first().map_or((0, &[][..]), |(zeros, rest)| (*zeros, rest));
    let (full, middle) = rest.split_last().map_or((0, &[][..]), |(full, middle)| (*full, middle));
    let mut sum = size * tau(1.0 - f64::from(full) / size);
    for count in middle.iter().rev() {
        sum = 0.5 * (sum + f64::from(*count));
    }
    sum += size * sigma(f64::from(zeros) / size);
    libm::rint(size * size / (2.0 * std::f64::consts::LN_2 * sum))
}

/// x + sum over k of x^(2^k) 2^(k-1).
fn sigma(share: f64) -> f64 {
    if share >= 1.0 {
        return f64::INFINITY;
    }
    let (mut power, mut weight, mut sum) = (share, 1.0, share);
    loop {
        let before = sum;
        power *= power;
        sum += power * weight;
        weight += weight;
        if sum == before {
            return sum;
        }
    }
}

/// (1 - x - sum over k of (1 - x^(2^-k))^2 2^-k) / 3.
fn tau(share: f64) -> f64 {
    if share <= 0.0 || share >= 1.0 {
        return 0.0;
    }
    let (mut root, mut weight, mut sum) = (share, 1.0, 1.0 - share);
    loop {
        let before = sum;
        root = root.sqrt();
        weight *= 0.5;
        sum -= (1.0 - root) * (1.0 - root) * weight;
        if sum == before {
            return sum / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fold(values: impl IntoIterator<Item = i64>) -> Distinct {
        let mut distinct = Distinct::default();
        values.into_iter().for_each(|value| distinct.add(value));
        distinct
    }

    #[test]
    fn few_values_are_counted_exactly() {
        assert_eq!(fold([]).count(), 0);
        assert_eq!(fold((0..10_000).map(|n| n % 256)).count(), 256);
    }

    #[test]
    fn many_values_are_counted_within_the_stated_error() {
        // Forty sets for each size; the mean of squared errors is the standard error's.
        for size in [300_i64, 1_000, 10_000, 100_000] {
            let error = |set: i64| {
                let count = fold((0..size).map(|n| set * 1_000_000_007 + n)).count();
                (count as f64 - size as f64) / size as f64
            };
            let errors: Vec<f64> = (0..40).map(error).collect();
            let spread = (errors.iter().map(|e| e * e).sum::<f64>() / 40.0).sqrt();
            assert!(spread < STANDARD_ERROR * 1.3, "{size}: {spread}");
            assert!(errors.iter().all(|e| e.abs() < STANDARD_ERROR * 4.0), "{size}: {errors:?}");
        }
    }

    #[test]
    fn registers_hold_the_longest_run_of_leading_zeros() {
        let rank_of = |hash: u64| {
            let mut registers = vec![0; REGISTERS];
            raise(&mut registers, hash);
            let at = registers.iter().position(|rank| *rank > 0).unwrap();
            assert_eq!(registers.iter().filter(|rank| **rank > 0).count(), 1);
            (at, registers[at])
        };
        assert_eq!(rank_of(u64::MAX), (4_095, 1));
        assert_eq!(rank_of(1 << 63 | 1 << 51), (2_048, 1));
        assert_eq!(rank_of(1 << 52 | 1 << 50), (1, 2));
        assert_eq!(rank_of(1), (0, 52));
        assert_eq!(rank_of(0), (0, 53), "no one in all of its bits");
    }

    #[test]
    fn the_estimate_is_ertls() {
        // The first twelve of sixty decimals, by the formulas as they are printed.
        let close = |found: f64, wanted: f64| (found / wanted - 1.0).abs() < 1e-9;
        for (share, small, large) in [
            (0.25, 0.199_964_747_932, 0.320_373_537_018),
            (0.5, 0.149_929_495_864, 0.890_747_074_037),
            (0.75, 0.079_880_941_437, 2.427_552_487_930),
            (0.9, 0.032_829_956_807, 6.813_691_958_633),
        ] {
            assert!(close(tau(share), small) && close(sigma(share), large), "{share}");
        }
        assert_eq!((tau(0.0), tau(1.0), sigma(0.0)), (0.0, 0.0, 0.0));
        let of = |ranks: &[(u8, usize)]| {
            let registers: Vec<u8> = ranks.iter().flat_map(|(rank, of)| vec![*rank; *of]).collect();
            assert_eq!(registers.len(), REGISTERS);
            estimate(&registers)
        };
        assert_eq!(of(&[(0, 4_096)]), 0.0);
        assert_eq!(of(&[(1, 4_096)]), 5_909.0);
        assert_eq!(of(&[(0, 2_048), (1, 1_024), (2, 512), (3, 512)]), 2_781.0);
        assert_eq!(of(&[(0, 4_000), (1, 60), (5, 30), (53, 6)]), 97.0);
        assert_eq!(of(&[(0, 1), (9, 4_095)]), 1_344_945.0);
        assert_eq!(of(&[(20, 4_096)]), 3_098_164_009.0);
        assert!(close(of(&[(53, 1_024), (52, 1_024), (51, 2_048)]), 10_005_792_761_766_040_489.0));
    }

    #[test]
    fn the_hash_is_that_of_the_documents() {
        // `printf '\x07\0\0\0\0\0\0\0' | xxhsum -H3`
        assert_eq!(fold([7]), Distinct::Few(vec![xxh3_64(&[7, 0, 0, 0, 0, 0, 0, 0])]));
        assert_ne!(fold([7]), fold([-7]));
    }

    proptest! {
        #[test]
        fn merging_is_commutative_and_idempotent(values in prop::collection::vec(-600_i64..600, 0..900), at in 0_usize..900) {
            let (left, right) = values.split_at(at.min(values.len()));
            let (a, b) = (fold(left.iter().copied()), fold(right.iter().copied()));
            let (mut ab, mut ba) = (a.clone(), b.clone());
            ab.merge(&b);
            ba.merge(&a);
            prop_assert_eq!(&ab, &ba);
            prop_assert_eq!(&ab, &fold(values.iter().rev().copied()));
            ab.merge(&a);
            ab.merge(&ba);
            prop_assert_eq!(ab, ba);
        }
    }
}
