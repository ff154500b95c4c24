//! The values of a window's fields from the plain list of its readings.

/// One reading: its place in the order of the semantics (event time, device, counter, journal
/// sequence) and its mantissa.
pub type Placed = ((i64, String, Option<u64>, u64), i64);

/// The value of `function` over readings of a quantity with that many decimals; `None`: no data.
pub fn value(function: &str, readings: &[Placed], decimals: u8) -> Option<f64> {
    let mut readings = readings.to_vec();
    readings.sort();
    let mantissas: Vec<i128> = readings.iter().map(|reading| i128::from(reading.1)).collect();
    let n = mantissas.len() as i128;
    let unit = 10_i128.pow(u32::from(decimals));
    let sum: i128 = mantissas.iter().sum();
    match function {
        "count" => Some(n as f64),
        _ if n == 0 => None,
        "sum" => Some(quotient(sum, unit)),
        "mean" => Some(quotient(sum, n * unit)),
        "min" => mantissas.iter().min().map(|low| quotient(*low, unit)),
        "max" => mantissas.iter().max().map(|high| quotient(*high, unit)),
        "first" => mantissas.first().map(|first| quotient(*first, unit)),
        "last" => mantissas.last().map(|last| quotient(*last, unit)),
        "stddev" => (n > 1).then(|| {
            // Sum of squared distances from the mean, times n, is whole.
            let squares: i128 = mantissas.iter().map(|m| m * m).sum();
            quotient(n * squares - sum * sum, n * (n - 1)).sqrt() / unit as f64
        }),
        "p50" => quantile(50, &mantissas).map(|mantissa| mantissa / unit as f64),
        "p95" => quantile(95, &mantissas).map(|mantissa| mantissa / unit as f64),
        _ => panic!("the naive evaluator knows no {function}"),
    }
}

/// The float nearest to a fraction: long division by hand, as far as halves between two floats
/// have digits, then the standard library's correctly rounded reading of decimal text.
pub fn quotient(numerator: i128, denominator: i128) -> f64 {
    let negative = (numerator < 0) != (denominator < 0);
    let (top, bottom) = (numerator.unsigned_abs(), denominator.unsigned_abs());
    let mut text = format!("{}.", top / bottom);
    let mut rest = top % bottom;
    for _ in 0..160 {
        rest *= 10;
        text.push(char::from(b'0' + (rest / bottom) as u8));
        rest %= bottom;
    }
    if rest != 0 {
        text.push('1');
    }
    let magnitude: f64 = text.parse().expect("digits and a point");
    if negative && magnitude != 0.0 { -magnitude } else { magnitude }
}

/// DDSketch (Masson, Rim, Lee, VLDB 2019) with a relative error of 0.5 %: a value lies in bucket
/// ceil(log_gamma |v|), a bucket stands for 2 gamma^i / (gamma + 1), the rank is floor(q (n - 1)), exactly.
fn quantile(percent: usize, mantissas: &[i128]) -> Option<f64> {
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
    middles.get(percent * (middles.len() - 1) / 100).copied()
}

#[test]
fn quotients_are_the_nearest_floats() {
    assert_eq!(quotient(1, 3), 1.0 / 3.0);
    assert_eq!(quotient(-25_652, 1_000), -25.652);
    assert_eq!(quotient(0, -7), 0.0);
    // Exactly half way between two floats: to even.
    assert_eq!(quotient((1 << 53) + 1, 1), 9_007_199_254_740_992.0);
    assert_eq!(quotient(((1 << 53) + 1) * 3, 3), 9_007_199_254_740_992.0);
    assert_eq!(quotient((1 << 53) * 3 + 4, 3), 9_007_199_254_740_994.0);
}
