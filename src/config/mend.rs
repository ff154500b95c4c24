//! The words of `toml` and `serde` about a file that does not read, as a message and a remedy.

use crate::rule::near;

/// What a missing setting looks like.
const EXAMPLES: [(&str, &str); 14] = [
    ("version", "version = 1"),
    ("name", "name = \"air-quality\""),
    ("title", "title = { es = \"Calidad del aire\", en = \"Air quality\" }"),
    ("message", "message = { es = \"PM2.5 de {pm25_mean}\", en = \"PM2.5 at {pm25_mean}\" }"),
    ("topic", "topic = \"ciudad/{zone}/aire/{sensor}\""),
    ("decoder", "decoder = \"json\""),
    ("path", "path = \"/t\""),
    ("size", "size = \"1h\""),
    ("fields", "fields = { pm25_mean = \"mean(pm25)\" }"),
    ("on", "on = \"pm25_1h\""),
    ("when", "when = \"pm25_mean > 55\""),
    ("severity", "severity = \"warning\""),
    ("url", "url = \"mqtt://broker:1883\""),
    ("password_file", "password_file = \"secrets/password\""),
];

/// Message and remedy from the error's own text.
pub(super) fn mend(error: &str) -> (String, String) {
    let error = error.trim();
    unknown_field(error)
        .or_else(|| unknown_variant(error))
        .or_else(|| missing_field(error))
        .or_else(|| wrong_type(error))
        .or_else(|| error.split_once("; ").map(|(message, remedy)| (message.to_owned(), remedy.to_owned())))
        .unwrap_or_else(|| grammar(error))
}

fn unknown_field(error: &str) -> Option<(String, String)> {
    let (name, expected) = error.strip_prefix("unknown field `")?.split_once('`')?;
    let known = quoted(expected);
    let remedy = near::suggest(name, known.iter().copied(), "take it away");
    Some((format!("there is no setting `{name}` here"), remedy))
}

fn unknown_variant(error: &str) -> Option<(String, String)> {
    let (word, expected) = error.strip_prefix("unknown variant `")?.split_once('`')?;
    let known = quoted(expected);
    let remedy = near::suggest(word, known.iter().copied(), "take it away");
    Some((format!("`{word}` is none of the words that can stand here"), remedy))
}

fn missing_field(error: &str) -> Option<(String, String)> {
    let name = error.strip_prefix("missing field `")?.strip_suffix('`')?;
    let example = EXAMPLES.iter().find(|(known, _)| *known == name).map(|(_, example)| *example);
    let remedy = match (name, example) {
        ("es" | "en", _) => {
            "texts are written in both languages, as in { es = \"Aire\", en = \"Air\" }".to_owned()
        }
        (_, Some(example)) => format!("add it, as in {example}"),
        (_, None) => "add it".to_owned(),
    };
    Some((format!("`{name}` is missing"), remedy))
}

fn wrong_type(error: &str) -> Option<(String, String)> {
    let rest = error.strip_prefix("invalid type: ").or_else(|| error.strip_prefix("invalid value: "))?;
    let (found, due) = rest.rsplit_once(", expected ")?;
    let (due, remedy) = match due {
        "a string" | "a borrowed string" | "path string" => ("a text", "put it in double quotes"),
        "struct LocalText" => {
            ("a text in both languages", "write { es = \"Calidad del aire\", en = \"Air quality\" }")
        }
        "struct TimeDefinition" => ("a table", "write { path = \"/t\", format = \"rfc3339\" }"),
        "a boolean" => ("true or false", "write true or false, without quotes"),
        "f64" => ("a number", "write a number without quotes"),
        "a sequence" => ("a list", "put it in brackets, as in [\"sensor\"]"),
        "a map" => ("a table", "write { name = \"value\" }"),
        _ if due.starts_with("struct ") => ("a table", "write its settings under a [heading]"),
        _ if matches!(due.as_bytes().first(), Some(b'u' | b'i')) && due.len() <= 5 => {
            ("a whole number", "write a whole number in its range, without quotes")
        }
        other => (other, "see the reference of this setting"),
    };
    let found = found.replace("string ", "the text ").replace("integer `", "the number `");
    let found = found.replace("floating point `", "the number `").replace("boolean `", "the word `");
    Some((format!("{found} stands where {due} is due"), remedy.to_owned()))
}

/// Mistakes of TOML itself.
fn grammar(error: &str) -> (String, String) {
    let (message, remedy) = match error {
        _ if error.starts_with("duplicate key") => {
            ("the setting stands in this table twice", "keep one of the two")
        }
        _ if error.contains("must be quoted") => {
            ("a text stands here without quotes", "put it in double quotes")
        }
        _ if error.contains("basic string, expected") || error.contains("literal string, expected") => {
            ("a text is not closed", "close it with the quote it began with")
        }
        _ if error.contains("unclosed") => (error, "close the bracket"),
        _ => (error, "TOML has settings as name = value, texts in double quotes, and [headings]"),
    };
    (message.to_owned(), remedy.to_owned())
}

/// The words between backquotes.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

#[cfg(test)]
mod tests {
    use super::mend;

    #[test]
    fn errors_get_a_remedy() {
        for (error, message, remedy) in [
            (
                "unknown field `topik`, expected one of `name`, `topic`",
                "there is no setting `topik` here",
                "did you mean `topic`?",
            ),
            (
                "unknown variant `jsn`, expected one of `json`, `senml`",
                "`jsn` is none of the words that can stand here",
                "did you mean `json`?",
            ),
            ("missing field `decoder`", "`decoder` is missing", "add it, as in decoder = \"json\""),
            (
                "invalid type: integer `3`, expected a string",
                "the number `3` stands where a text is due",
                "put it in double quotes",
            ),
            (
                "invalid value: integer `-1`, expected u32",
                "the number `-1` stands where a whole number is due",
                "write a whole number in its range, without quotes",
            ),
            ("`3 x` is no duration; write a number", "`3 x` is no duration", "write a number"),
            ("duplicate key", "the setting stands in this table twice", "keep one of the two"),
        ] {
            assert_eq!(mend(error), (message.to_owned(), remedy.to_owned()), "{error}");
        }
    }
}
