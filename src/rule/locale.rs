//! Numbers as people of a language read them.

/// The two languages of the service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Locale {
    /// Spanish of Colombia: `1.234,5`.
    #[default]
    Es,
    /// English: `1,234.5`.
    En,
}

impl Locale {
    /// What stands where a number has no data.
    #[must_use]
    pub fn no_data(self) -> &'static str {
        match self {
            Self::Es => "sin dato",
            Self::En => "no data",
        }
    }

    /// The number with `decimals` places, or with one that is left out where it would be zero.
    ///
    /// Digits come from the exact value of the double, halves to even; what is not finite has no
    /// data.
    #[must_use]
    pub fn number(self, value: f64, decimals: Option<u8>) -> String {
        if !value.is_finite() {
            return self.no_data().to_owned();
        }
        let places = usize::from(decimals.unwrap_or(1));
        let digits = format!("{:.places$}", value.abs());
        let (whole, fraction) = digits.split_once('.').unwrap_or((&digits, ""));
        let fraction = if decimals.is_none() { fraction.trim_end_matches('0') } else { fraction };
        let (thousands, point) = match self {
            Self::Es => ('.', ','),
            Self::En => (',', '.'),
        };
        let mut text = String::with_capacity(digits.len() + 8);
        let zero = digits.bytes().all(|byte| matches!(byte, b'0' | b'.'));
        if value < 0.0 && !zero {
            text.push('-');
        }
        for (index, digit) in whole.char_indices() {
            if index > 0 && (whole.len() - index) % 3 == 0 {
                text.push(thousands);
            }
            text.push(digit);
        }
        if !fraction.is_empty() {
            text.push(point);
            text.push_str(fraction);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        for (value, decimals, es, en) in [
            (1234.5, None, "1.234,5", "1,234.5"),
            (1234.0, None, "1.234", "1,234"),
            (1234.0, Some(1), "1.234,0", "1,234.0"),
            (-0.04, None, "0", "0"),
            (-1_234_567.891, Some(2), "-1.234.567,89", "-1,234,567.89"),
            (999.96, None, "1.000", "1,000"),
            (55.0, Some(0), "55", "55"),
            (f64::NAN, None, "sin dato", "no data"),
        ] {
            assert_eq!(Locale::Es.number(value, decimals), es);
            assert_eq!(Locale::En.number(value, decimals), en);
        }
    }
}
