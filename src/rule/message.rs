//! Templates of alert messages: `PM2.5 de {pm25_mean:1} µg/m³ en {sensor}`.
//!
//! `{name}` stands for a field, a quantity, `sensor` or a tag; `{name:2}` for a number with two
//! decimals; `{{` and `}}` for the braces themselves.

use super::locale::Locale;
use crate::model::Fault;
use crate::model::decimal::DECIMALS_MAX;

/// Bytes of one template.
const LENGTH_MAX: usize = 4_096;

/// What a placeholder stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Part<'a> {
    /// A number; one that is not finite has no data.
    Number(f64),
    /// A text.
    Text(&'a str),
}

/// A template, read once and rendered for every alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    pieces: Box<[Piece]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Placeholder { name: String, decimals: Option<u8>, within: (usize, usize) },
}

impl Template {
    /// Reads a template.
    ///
    /// ```
    /// use sereno::rule::{Locale, Part, Template};
    /// let template = Template::parse("{level_cm:0} cm en {sensor}").unwrap();
    /// let lookup = |name: &str| match name {
    ///     "level_cm" => Some(Part::Number(1312.4)),
    ///     _ => Some(Part::Text("rio-01")),
    /// };
    /// assert_eq!(template.render(lookup, Locale::Es), "1.312 cm en rio-01");
    /// ```
    ///
    /// # Errors
    /// A fault that points at the brace or placeholder that is wrong.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        if text.len() > LENGTH_MAX {
            let message = format!("the message is {} bytes long", text.len());
            return Err(Fault::new(message, format!("write it in {LENGTH_MAX} bytes or less")));
        }
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(at);
            literal.push_str(before);
            let start = text.len() - from.len();
            if let Some(after) = from.strip_prefix("{{").or_else(|| from.strip_prefix("}}")) {
                literal.extend(from.chars().next());
                rest = after;
                continue;
            }
            let (placeholder, after) = Self::placeholder(from, start)?;
            if !literal.is_empty() {
                pieces.push(Piece::Literal(std::mem::take(&mut literal)));
            }
            pieces.push(placeholder);
            rest = after;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        Ok(Self { pieces: pieces.into() })
    }

    /// Reads `{name:2}` at the start of `from`, which begins with a brace.
    fn placeholder(from: &str, start: usize) -> Result<(Piece, &str), Fault> {
        let fault = |end: usize, message: String, remedy: &str| {
            let mut fault = Fault::new(message, remedy);
            fault.within = Some((start, start + end));
            fault
        };
        let Some(inner) = from.strip_prefix('{') else {
            return Err(fault(1, "a `}` closes nothing".into(), "write }} for the brace itself"));
        };
        let Some((inside, after)) = inner.split_once('}') else {
            return Err(fault(
                1,
                "a `{` is never closed".into(),
                "close it, or write {{ for the brace itself",
            ));
        };
        let end = inside.len() + 2;
        let (name, decimals) = match inside.split_once(':') {
            Some((name, decimals)) => (name, Some(decimals)),
            None => (inside, None),
        };
        let decimals = match decimals {
            None => None,
            Some(digits) => {
                let number = digits.parse::<u8>().ok().filter(|number| *number <= DECIMALS_MAX);
                Some(number.ok_or_else(|| {
                    fault(
                        end,
                        format!("`{digits}` is no number of decimals"),
                        "write 0 to 12, as in {pm25_mean:1}",
                    )
                })?)
            }
        };
        let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if name.is_empty() || !name.chars().all(letters) {
            let message = format!("`{{{inside}}}` names nothing");
            return Err(fault(
                end,
                message,
                "write {name} with letters, digits and _, or {{ for the brace itself",
            ));
        }
        Ok((Piece::Placeholder { name: name.to_owned(), decimals, within: (start, start + end) }, after))
    }

    /// Names of its placeholders, in order, as often as they stand.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.placeholders().map(|(name, _)| name)
    }

    /// Names and byte ranges of its placeholders in the text, in order.
    pub fn placeholders(&self) -> impl Iterator<Item = (&str, (usize, usize))> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Placeholder { name, within, .. } => Some((name.as_str(), *within)),
            Piece::Literal(_) => None,
        })
    }

    /// The message, with what `lookup` knows of each name; `None` is no data.
    pub fn render<'a>(&self, lookup: impl Fn(&str) -> Option<Part<'a>>, locale: Locale) -> String {
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Literal(literal) => text.push_str(literal),
                Piece::Placeholder { name, decimals, .. } => match lookup(name) {
                    Some(Part::Text(part)) => text.push_str(part),
                    Some(Part::Number(value)) => text.push_str(&locale.number(value, *decimals)),
                    None => text.push_str(locale.no_data()),
                },
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(text: &str, locale: Locale) -> String {
        let lookup = |name: &str| match name {
            "pm25_mean" => Some(Part::Number(1060.25)),
            "sensor" => Some(Part::Text("aire-00042")),
            _ => None,
        };
        Template::parse(text).unwrap().render(lookup, locale)
    }

    #[test]
    fn renders_in_both_languages() {
        assert_eq!(
            rendered("PM2.5 de {pm25_mean} en {sensor}", Locale::Es),
            "PM2.5 de 1.060,2 en aire-00042"
        );
        assert_eq!(rendered("{pm25_mean:2} {{at}} {zone}", Locale::En), "1,060.25 {at} no data");
        assert_eq!(rendered("sin nada", Locale::Es), "sin nada");
        assert_eq!(rendered("µ{sensor}µ", Locale::Es), "µaire-00042µ");
    }

    #[test]
    fn faults_point_at_the_placeholder() {
        for (text, part) in [
            ("PM2.5 {pm25", "{"),
            ("PM2.5 }", "}"),
            ("µ {} x", "{}"),
            ("{a b}", "{a b}"),
            ("{a:x}", "{a:x}"),
            ("{a:13}", "{a:13}"),
        ] {
            let (start, end) = Template::parse(text).unwrap_err().within.unwrap();
            assert_eq!(&text[start..end], part, "{text}");
        }
    }
}
