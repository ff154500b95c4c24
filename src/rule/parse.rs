//! SQL text to one expression of `sqlparser`, bounded, with faults that point into the text.
//!
//! Bounds before meaning: [`LENGTH_MAX`] bytes, [`WORDS_MAX`] words, and `sqlparser`'s own limit
//! of fifty nested levels.

use sqlparser::ast::Expr;
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Tokenizer};

use crate::model::Fault;

/// Bytes of one expression.
pub(super) const LENGTH_MAX: usize = 4_096;
/// Words, numbers and signs of one expression; bounds how deep a chain of operators can be.
const WORDS_MAX: usize = 1_000;

/// Where in the text something stands, in bytes; `None`: the whole of it.
pub(super) type Within = Option<(usize, usize)>;

/// A fault of the text, or of a part of it.
pub(super) fn fault(within: Within, message: impl Into<String>, remedy: impl Into<String>) -> Fault {
    let mut fault = Fault::new(message, remedy);
    fault.within = within;
    fault
}

/// Both ranges and what lies between.
pub(super) fn join(left: Within, right: Within) -> Within {
    match (left, right) {
        (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
        (one, other) => one.or(other),
    }
}

/// Byte range of a `sqlparser` span, whose columns count characters from 1.
pub(super) fn range(sql: &str, span: Span) -> Within {
    Some((offset(sql, span.start)?, offset(sql, span.end)?)).filter(|(start, end)| start < end)
}

fn offset(sql: &str, at: Location) -> Option<usize> {
    let line = usize::try_from(at.line).ok()?.checked_sub(1)?;
    let column = usize::try_from(at.column).ok()?.checked_sub(1)?;
    let text = sql.split_inclusive('\n').nth(line).or((line == 0).then_some(sql))?;
    let start = text.as_ptr() as usize - sql.as_ptr() as usize;
    Some(start + text.char_indices().nth(column).map_or(text.len(), |(at, _)| at))
}

/// Reads exactly one expression.
pub(super) fn parse(sql: &str) -> Result<Expr, Fault> {
    if sql.len() > LENGTH_MAX {
        let message = format!("the expression is {} bytes long", sql.len());
        return Err(Fault::new(message, format!("write it in {LENGTH_MAX} bytes or less")));
    }
    let tokens = Tokenizer::new(&GenericDialect, sql).tokenize_with_location().map_err(|error| {
        let start = offset(sql, error.location);
        fault(start.map(|at| (at, sql.len())), lower_first(&error.message), QUOTES)
    })?;
    let words: Vec<TokenWithSpan> =
        tokens.into_iter().filter(|token| !matches!(token.token, Token::Whitespace(_))).collect();
    if words.is_empty() {
        return Err(Fault::new("the expression is empty", "write for example \"pm25 > 55\""));
    }
    if words.len() > WORDS_MAX {
        let message = format!("the expression has {} words and signs", words.len());
        return Err(Fault::new(
            message,
            format!("write it with {WORDS_MAX} or less; use IN (...) for lists"),
        ));
    }
    refuse_foreign_signs(sql, &words)?;
    let mut parser = Parser::new(&GenericDialect).with_tokens_with_locations(words.clone());
    let expression = parser.parse_expr().map_err(|error| explain(sql, &words, error))?;
    let next = parser.peek_token();
    if next.token != Token::EOF {
        let message = format!("`{}` follows where the expression was complete", next.token);
        return Err(fault(range(sql, next.span), message, "join conditions with AND or OR"));
    }
    Ok(expression)
}

const QUOTES: &str = "texts stand in single quotes, as in zone = 'comuna-07'";

/// Words that cannot stand for a column without quotes, in this language or in a query.
const RESERVED: [&str; 47] = [
    "all",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "between",
    "by",
    "case",
    "cast",
    "cross",
    "desc",
    "distinct",
    "else",
    "end",
    "except",
    "exists",
    "false",
    "for",
    "from",
    "full",
    "group",
    "having",
    "in",
    "inner",
    "intersect",
    "interval",
    "is",
    "join",
    "left",
    "like",
    "limit",
    "natural",
    "not",
    "null",
    "offset",
    "on",
    "or",
    "order",
    "outer",
    "right",
    "select",
    "then",
    "true",
    "union",
    "using",
    "when",
];

/// Whether a name, in lower case, is a word of SQL, so that every query would have to quote it.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name) || matches!(name, "where" | "window" | "with" | "over" | "table")
}

/// Signs of other languages, which `sqlparser` would take as something else or explain poorly.
fn refuse_foreign_signs(sql: &str, words: &[TokenWithSpan]) -> Result<(), Fault> {
    for word in words {
        let (sign, remedy) = match &word.token {
            Token::DoubleEq => ("==", "write ="),
            Token::Overlap => ("&&", "write AND"),
            Token::StringConcat => ("||", "write OR"),
            Token::ExclamationMark => ("!", "write NOT"),
            Token::Caret => ("^", "write power(x, y)"),
            _ => continue,
        };
        return Err(fault(range(sql, word.span), format!("`{sign}` is not SQL"), remedy));
    }
    Ok(())
}

/// A parser's error as a fault at the word it stopped at.
fn explain(sql: &str, words: &[TokenWithSpan], error: ParserError) -> Fault {
    let text = match error {
        ParserError::RecursionLimitExceeded => {
            return Fault::new("the expression is nested too deeply", "write it with fewer parentheses");
        }
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => text,
    };
    let (message, location) = split_location(&text);
    let within = location.and_then(|at| {
        let word = words.iter().find(|word| word.span.start == at)?;
        range(sql, word.span)
    });
    let at_end = location.is_none() || message.ends_with("found: EOF");
    if at_end {
        let last = words.last().and_then(|word| range(sql, word.span));
        let what = message.strip_prefix("Expected: ").and_then(|rest| rest.split(", found").next());
        let message = match what {
            Some(what) => format!("it ends where {what} is due"),
            None => lower_first(message),
        };
        return fault(last, message, "complete it, or take away what is left over");
    }
    let message = match message.strip_prefix("Expected: ").and_then(|rest| rest.split_once(", found: ")) {
        Some((due, found)) => format!("`{found}` stands where {due} is due"),
        None => lower_first(message),
    };
    fault(within, message, "a condition reads like pm25 > 55 AND zone = 'comuna-07'")
}

/// `text at Line: 1, Column: 5` apart.
fn split_location(text: &str) -> (&str, Option<Location>) {
    let parts = text.rsplit_once(" at Line: ").and_then(|(message, place)| {
        let (line, column) = place.split_once(", Column: ")?;
        Some((message, Location::new(line.parse().ok()?, column.parse().ok()?)))
    });
    parts.map_or((text, None), |(message, location)| (message, Some(location)))
}

fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(sql: &str) -> (String, String) {
        let fault = parse(sql).unwrap_err();
        let part = fault.within.map_or("", |(start, end)| &sql[start..end]);
        (part.to_owned(), fault.message)
    }

    #[test]
    fn faults_point_at_the_word() {
        for (sql, part, message) in [
            ("", "", "the expression is empty"),
            ("-- ñ", "", "the expression is empty"),
            ("pm25 == 3", "==", "`==` is not SQL"),
            ("a > 1 && b > 2", "&&", "`&&` is not SQL"),
            ("a > 1 b", "b", "`b` follows where the expression was complete"),
            ("ñandú > 1;", ";", "`;` follows where the expression was complete"),
            ("a >", ">", "it ends where an expression is due"),
            ("a > ) 3", ")", "`)` stands where an expression is due"),
            ("á\n= 'x' y", "y", "`y` follows where the expression was complete"),
            ("zone = 'x", "'x", "unterminated string literal"),
        ] {
            assert_eq!(refused(sql), (part.to_owned(), message.to_owned()), "{sql}");
        }
    }

    #[test]
    fn bounds_hold_before_parsing() {
        assert!(parse(&"1".repeat(LENGTH_MAX + 1)).is_err());
        assert!(parse(&"a+".repeat(600)).is_err());
        assert!(parse(&format!("{}a{}", "(".repeat(60), ")".repeat(60))).is_err());
        assert!(parse(&format!("{}a{}", "(".repeat(12), ")".repeat(12))).is_ok());
    }
}
