//! Quantiles, numbers of different values, means of levels and of directions, naively: each value
//! is put into its bucket or register, or rounded to its unit, by the published rule.

use std::collections::BTreeSet;
use std::f64::consts::{LN_2, PI};

use xxhash_rust::xxh3::xxh3_64;

use super::fields::quotient;

/// DDSketch (Masson, Rim, Lee, VLDB 2019) with a relative error of 0.5 %: a value lies in bucket
/// ceil(log_gamma |v|), a bucket stands for 2 gamma^i / (gamma + 1), the rank is floor(q (n - 1)), exactly.
pub fn quantile(millionths: u128, mantissas: &[i128]) -> Option<f64> {
    let gamma: f64 = (1.0 + 0.005) / (1.0 - 0.005);
    let mut middles: Vec<f64> = mantissas
        .iter()
        .map(|mantissa| {
            if *mantissa == 0 {
                return 0.0;
            }
            let bucket = libm::ceil(libm::log(mantissa.unsigned_abs() as f64) / libm::log(gamma));
            let middle = 2.0 * libm::pow(gamma, bucket) / (gamma + 1.0);
            if *mantissa < 0 { -middle } else { middle }
        })
        .collect();
    middles.sort_by(f64::total_cmp);
    let rank = millionths * (middles.len() as u128).saturating_sub(1) / 1_000_000;
    middles.get(rank as usize).copied()
}

/// HyperLogLog beyond 256 different values, with Ertl's improved raw estimate (arXiv:1702.01284,
/// algorithm 6): 4,096 registers by the top 12 bits, each one more than the most leading zeros of
/// the other 52.
pub fn distinct(mantissas: &[i128]) -> i128 {
    let different: BTreeSet<i128> = mantissas.iter().copied().collect();
    if different.len() <= 256 {
        return different.len() as i128;
    }
    let mut registers = vec![0_usize; 4_096];
    for mantissa in &different {
        let hash = xxh3_64(&(*mantissa as i64).to_le_bytes());
        let rank = (hash << 12).leading_zeros().min(52) as usize + 1;
        let register = &mut registers[(hash >> 52) as usize];
        *register = rank.max(*register);
    }
    let mut multiplicity = [0_u32; 54];
    registers.iter().for_each(|rank| multiplicity[*rank] += 1);
    let m = 4_096.0;
    let mut z = m * tau(1.0 - f64::from(multiplicity[53]) / m);
    for k in (1..=52).rev() {
        z = 0.5 * (z + f64::from(multiplicity[k]));
    }
    z += m * sigma(f64::from(multiplicity[0]) / m);
    (m * m / (2.0 * LN_2 * z)).round_ties_even() as i128
}

/// x + the sum of x^(2^k) 2^(k-1), as far as it grows.
fn sigma(x: f64) -> f64 {
    let (mut x, mut y, mut z) = (x, 1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

/// (1 - x - the sum of (1 - x^(2^-k))^2 2^-k) / 3, as far as it falls.
fn tau(x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut x, mut y, mut z) = (x, 1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z == before {
            return z / 3.0;
        }
    }
}

/// 10 log10 of the mean energy of levels: whole numbers of 2^-30 from 0 dB, of 2^-90 below.
pub fn energy_mean(mantissas: &[i128], unit: i128) -> Option<f64> {
    let (mut loud, mut soft) = (0_i128, 0_i128);
    for mantissa in mantissas {
        let level = (*mantissa as f64 / unit as f64).clamp(-200.0, 200.0);
        let energy = libm::exp10(level / 10.0);
        if level < 0.0 {
            soft += (energy * 2_f64.powi(90)).round_ties_even() as i128;
        } else {
            loud += (energy * 2_f64.powi(30)).round_ties_even() as i128;
        }
    }
    let n = mantissas.len() as i128;
    let mean = quotient(loud, n << 30) + quotient(soft, n << 90);
    (mean > 0.0).then(|| 10.0 * libm::log10(mean))
}

/// The direction of the sum of unit vectors of whole numbers of 2^-30; none where the mean vector
/// is shorter than a millionth.
pub fn circular_mean(mantissas: &[i128], unit: i128) -> Option<f64> {
    let (mut sine, mut cosine) = (0_i128, 0_i128);
    for mantissa in mantissas {
        let radians = mantissa.rem_euclid(360 * unit) as f64 / unit as f64 * (PI / 180.0);
        sine += (libm::sin(radians) * 2_f64.powi(30)).round_ties_even() as i128;
        cosine += (libm::cos(radians) * 2_f64.powi(30)).round_ties_even() as i128;
    }
    let whole = (mantissas.len() as i128) << 30;
    if (sine * sine + cosine * cosine) * 1_000_000 <= whole * whole / 1_000_000 {
        return None;
    }
    let degrees = libm::atan2(sine as f64, cosine as f64) * (180.0 / PI);
    let turned = if degrees < 0.0 { degrees + 360.0 } else { degrees };
    Some(if turned >= 360.0 || turned == 0.0 { 0.0 } else { turned })
}

#[test]
fn sketches_of_plain_lists() {
    assert_eq!(distinct(&(0..256).collect::<Vec<_>>()), 256);
    let many = distinct(&(0..3_000).collect::<Vec<_>>());
    assert!((2_850..3_150).contains(&many), "{many}");
    assert_eq!(circular_mean(&[3_500, 100], 10), Some(0.0));
    assert_eq!(circular_mean(&[0, 1_800], 10), None);
    assert!((energy_mean(&[600, 800], 10).expect("a level") - 77.032_913_781).abs() < 1e-8);
    assert_eq!(quantile(500_000, &[0, 0, 5]), Some(0.0));
}
