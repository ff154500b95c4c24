//! One JSON scalar as it was written: what kind it is, and its text.

use std::borrow::Cow;

use super::words;
use crate::model::{Reason, Rejected};

/// Characters of a found value that a refusal shows.
const SHOWN_CHARS_MAX: usize = 48;

/// A JSON value taken by its first byte; numbers keep their own text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// `true` or `false`.
    Bool(bool),
    /// A number, as written.
    Number(&'a str),
    /// A string, its escapes resolved.
    Text(Cow<'a, str>),
    /// An object, a list or `null`, by its name.
    Other(&'static str),
}

impl<'a> Token<'a> {
    /// Takes a value's text, which the JSON reader has already found to be valid.
    ///
    /// # Errors
    /// [`Reason::BadText`] for a string whose escapes name half a character (a lone surrogate).
    pub(super) fn of(raw: &'a str) -> Result<Self, Rejected> {
        Ok(match raw.as_bytes().first() {
            Some(b'"') => Self::Text(unescaped(raw)?),
            Some(b't') => Self::Bool(true),
            Some(b'f') => Self::Bool(false),
            Some(b'{') => Self::Other("an object"),
            Some(b'[') => Self::Other("a list"),
            Some(b'-' | b'0'..=b'9') => Self::Number(raw),
            _ => Self::Other("null"),
        })
    }

    /// The text of a string, number or boolean; `Err` names what else it is.
    pub(super) fn text(self) -> Result<Cow<'a, str>, &'static str> {
        match self {
            Self::Bool(true) => Ok("true".into()),
            Self::Bool(false) => Ok("false".into()),
            Self::Number(text) => Ok(text.into()),
            Self::Text(text) => Ok(text),
            Self::Other(what) => Err(what),
        }
    }
}

fn unescaped(raw: &str) -> Result<Cow<'_, str>, Rejected> {
    let inner = raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(raw);
    if !words::contains(inner.as_bytes(), b'\\') {
        return Ok(inner.into());
    }
    serde_json::from_str::<String>(raw).map(Cow::Owned).map_err(|_| {
        Rejected::message(Reason::BadText, format!("the string {} holds half a character", shown(raw)))
    })
}

/// A found value for a refusal's detail: cut short, control characters escaped.
pub(super) fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN_CHARS_MAX).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN_CHARS_MAX).is_some() {
        shown.push_str("...");
    }
    format!("`{shown}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_the_kinds_apart_and_keeps_the_text_of_numbers() {
        assert_eq!(Token::of("1.50e3"), Ok(Token::Number("1.50e3")));
        assert_eq!(Token::of(r#""a\u00f1\n""#), Ok(Token::Text("a\u{f1}\n".into())));
        assert_eq!(Token::of("[1]"), Ok(Token::Other("a list")));
        assert_eq!(Token::of("null"), Ok(Token::Other("null")));
        assert_eq!(Token::of(r#""\ud800""#).unwrap_err().reason, Reason::BadText);
        assert_eq!(Token::of("true").unwrap().text(), Ok("true".into()));
        assert_eq!(Token::of("{}").unwrap().text(), Err("an object"));
    }

    #[test]
    fn what_is_shown_is_short_and_printable() {
        assert_eq!(shown("a\nb"), "`a\\nb`");
        assert!(shown(&"\u{1F600}".repeat(10_000)).len() < 300);
    }
}
