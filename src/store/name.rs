//! Names of tables and measurements, the same in SQL and InfluxDB.

/// A name as a plain SQL identifier: lower case, and `_` for everything that is no letter of
/// ASCII, digit or `_`, so that nobody has to quote it.
#[must_use]
pub fn plain(name: &str) -> String {
    let mut plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect();
    if plain.is_empty() || plain.starts_with(|c: char| c.is_ascii_digit()) {
        plain.insert(0, '_');
    }
    plain
}

/// What the rows of a window are called: `air-quality` and `pm25_1h` give `air_quality_pm25_1h`.
#[must_use]
pub fn of_window(pipeline: &str, window: &str) -> String {
    plain(&format!("{pipeline}_{window}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_need_no_quotes() {
        assert_eq!(of_window("air-quality", "pm25_1h"), "air_quality_pm25_1h");
        assert_eq!(plain("Río\"; DROP"), "r_o___drop");
        assert_eq!(plain("10min"), "_10min");
        assert_eq!(plain(""), "_");
    }
}
