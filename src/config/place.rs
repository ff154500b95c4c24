//! From a fault's path to the bytes of the file it means.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use crate::model::Fault;
use crate::model::fault::Step;

/// What of a value is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// The value, or a part of its text.
    Value,
    /// The key before it.
    Key,
}

/// The bytes of `text` (TOML) that a fault is about. Where the path leads to nothing, because the
/// setting is absent, the table it would stand in.
pub(super) fn place(text: &str, fault: &Fault, target: Target) -> Range<usize> {
    let (document, _) = DeTable::parse_recoverable(text);
    let mut table = Some(document.get_ref());
    let mut value: Option<&DeValue<'_>> = None;
    let mut span = 0..0;
    for (index, step) in fault.path.iter().enumerate() {
        let last = index + 1 == fault.path.len();
        let next = match step {
            Step::Key(key) => table.and_then(|table| table.iter().find(|(name, _)| name.get_ref() == key)),
            Step::Index(index) => {
                let item = value.and_then(DeValue::as_array).and_then(|array| array.get(*index));
                match item {
                    Some(item) => {
                        span = item.span();
                        value = Some(item.get_ref());
                        table = item.get_ref().as_table();
                        continue;
                    }
                    None => None,
                }
            }
        };
        let Some((key, found)) = next else { return or_name(text, document.get_ref(), span) };
        span = if last && target == Target::Key { key.span() } else { found.span() };
        value = Some(found.get_ref());
        table = found.get_ref().as_table();
    }
    if let (Some(DeValue::String(decoded)), Some(within), Target::Value) = (value, fault.within, target) {
        return part(text, &span, decoded, within).unwrap_or(span);
    }
    or_name(text, document.get_ref(), span)
}

/// The bytes of a part of a string; `None` where escapes stand before it, so that the bytes of the
/// file are not those of the text.
fn part(text: &str, span: &Range<usize>, decoded: &str, within: (usize, usize)) -> Option<Range<usize>> {
    let raw = text.get(span.clone())?;
    let quotes = if raw.starts_with("\"\"\"") || raw.starts_with("'''") { 3 } else { 1 };
    let inner = raw.get(quotes..)?;
    // A line break right after three quotes is not of the text.
    let skipped = match inner {
        _ if quotes == 1 => 0,
        _ if inner.starts_with("\r\n") => 2,
        _ if inner.starts_with('\n') => 1,
        _ => 0,
    };
    let same = inner.get(skipped..skipped + within.1)? == decoded.get(..within.1)?;
    let start = span.start + quotes + skipped;
    same.then_some(start + within.0..start + within.1)
}

/// What stands for a whole file: its name, or else its first line.
fn or_name(text: &str, document: &DeTable<'_>, span: Range<usize>) -> Range<usize> {
    if !(span.is_empty() && span.start == 0) {
        return span;
    }
    let name = document.iter().find(|(key, _)| key.get_ref() == "name").map(|(_, value)| value.span());
    name.unwrap_or_else(|| 0..text.lines().next().unwrap_or_default().trim_end().len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "name = \"a\"\n[[rule]]\nname = \"x\"\n[[rule]]\nwhen = \"\"\"\nñu > 1\"\"\"\nfor = \"\\u0031 x\"\n\
                        [feed.quantity.pm25]\nunit = \"u\"\nfields = { one = \"mean(x)\" }\n";

    fn found(path: &[Step], within: Option<(usize, usize)>, target: Target) -> &'static str {
        let fault = Fault { path: path.to_vec(), within, message: String::new(), remedy: String::new() };
        &TEXT[place(TEXT, &fault, target)]
    }

    #[test]
    fn paths_lead_to_values_parts_and_tables() {
        let key = |key: &str| Step::from(key);
        assert_eq!(found(&[key("name")], None, Target::Value), "\"a\"");
        assert_eq!(found(&[key("rule"), 1.into(), key("when")], Some((0, 3)), Target::Value), "ñu");
        assert_eq!(found(&[key("rule"), 0.into(), key("name")], Some((0, 1)), Target::Value), "x");
        assert_eq!(found(&[key("rule"), 1.into(), key("for")], Some((2, 3)), Target::Value), "\"\\u0031 x\"");
        assert_eq!(found(&[key("rule"), 0.into(), key("when")], Some((0, 1)), Target::Value), "[[rule]]");
        assert_eq!(
            found(&[key("feed"), key("quantity"), key("pm25")], None, Target::Value),
            "[feed.quantity.pm25]"
        );
        let one = [key("feed"), key("quantity"), key("pm25"), key("fields"), key("one")];
        assert_eq!(found(&one, None, Target::Key), "one");
        assert_eq!(found(&one, Some((5, 6)), Target::Value), "x");
        assert_eq!(found(&[key("version")], None, Target::Value), "\"a\"");
    }
}
