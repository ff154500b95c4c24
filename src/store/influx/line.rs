//! Line protocol: one point as text.
//!
//! Escaping as InfluxDB's own encoder does it: `,` and space in measurements; `,`, `=` and space in
//! tag keys, tag values and field keys; `"` and `\` in strings. What the protocol cannot say is
//! refused, never bent: a line break or a last backslash outside a string, an empty tag value,
//! NaN and infinity, a measurement that would read as a comment. A refusal leaves the text as it
//! was before the line.

use std::fmt::Write as _;

use thiserror::Error;

use crate::model::Timestamp;

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FieldValue<'a> {
    /// A float, written so that it reads back as the same bits.
    Float(f64),
    /// A signed integer, with `i` behind it.
    Integer(i64),
    /// `true` or `false`.
    Boolean(bool),
    /// A text in quotes; may hold line breaks.
    Text(&'a str),
}

/// Why a point cannot be written as a line.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LineError {
    /// No measurement, or one that begins a comment.
    #[error("`{0}` cannot be a measurement")]
    Measurement(String),
    /// A tag's key or value has no form in the protocol; see [`tag_fits`].
    #[error("the tag {0}={1:?} cannot be written")]
    Tag(String, String),
    /// A field's key has no form, or its value is NaN or infinite.
    #[error("the field {0} cannot be written")]
    Field(String),
    /// A point needs a field.
    #[error("a point without fields")]
    NoFields,
}

/// Appends the line of one point, with a line break behind it.
///
/// # Errors
/// [`LineError`]: nothing was appended.
pub fn append(
    text: &mut String,
    measurement: &str,
    tags: &[(&str, &str)],
    fields: &[(&str, FieldValue<'_>)],
    at: Timestamp,
) -> Result<(), LineError> {
    let before = text.len();
    let result = append_parts(text, measurement, tags, fields);
    match result {
        Ok(()) => _ = writeln!(text, " {}", at.0),
        Err(_) => text.truncate(before),
    }
    result
}

/// Whether a tag can be written so that every reader understands the same: neither part empty, no
/// control characters, no backslash at the end or before a character that is escaped (InfluxDB and
/// VictoriaMetrics read `\\ ` differently), and no name that InfluxDB reserves.
#[must_use]
pub fn tag_fits(key: &str, value: &str) -> bool {
    let portable = |part: &str| {
        !part.is_empty()
            && !part.chars().any(char::is_control)
            && !part.ends_with('\\')
            && !["\\,", "\\=", "\\ "].iter().any(|pair| part.contains(pair))
    };
    portable(key) && portable(value) && !matches!(key, "time" | "_field" | "_measurement")
}

fn append_parts(
    text: &mut String,
    measurement: &str,
    tags: &[(&str, &str)],
    fields: &[(&str, FieldValue<'_>)],
) -> Result<(), LineError> {
    if measurement.starts_with('#') || !writable(measurement) {
        return Err(LineError::Measurement(measurement.to_owned()));
    }
    escape(text, measurement, &[',', ' ']);
    for &(key, value) in tags {
        if !writable(key) || !writable(value) {
            return Err(LineError::Tag(key.to_owned(), value.to_owned()));
        }
        text.push(',');
        escape(text, key, &[',', '=', ' ']);
        text.push('=');
        escape(text, value, &[',', '=', ' ']);
    }
    if fields.is_empty() {
        return Err(LineError::NoFields);
    }
    for (n, &(key, value)) in fields.iter().enumerate() {
        text.push(if n == 0 { ' ' } else { ',' });
        if !writable(key) {
            return Err(LineError::Field(key.to_owned()));
        }
        escape(text, key, &[',', '=', ' ']);
        text.push('=');
        append_value(text, value).ok_or_else(|| LineError::Field(key.to_owned()))?;
    }
    Ok(())
}

/// Whether the protocol has a form for this measurement, key or tag value.
fn writable(part: &str) -> bool {
    !part.is_empty() && !part.ends_with('\\') && !part.contains(['\n', '\r', '\0'])
}

fn escape(text: &mut String, part: &str, special: &[char]) {
    for c in part.chars() {
        if special.contains(&c) {
            text.push('\\');
        }
        text.push(c);
    }
}

fn append_value(text: &mut String, value: FieldValue<'_>) -> Option<()> {
    match value {
        FieldValue::Float(float) => append_float(text, float)?,
        FieldValue::Integer(integer) => _ = write!(text, "{integer}i"),
        FieldValue::Boolean(boolean) => _ = write!(text, "{boolean}"),
        FieldValue::Text(string) => {
            text.push('"');
            escape(text, string, &['"', '\\']);
            text.push('"');
        }
    }
    Some(())
}

/// The shortest digits that read back as the same float; an exponent only where the digits would
/// be many.
fn append_float(text: &mut String, float: f64) -> Option<()> {
    if !float.is_finite() {
        return None;
    }
    let plain = float == 0.0 || (1e-7..1e21).contains(&float.abs());
    if plain {
        _ = write!(text, "{float}");
    } else {
        let digits = format!("{float:e}");
        let signed = if digits.contains("e-") { digits } else { digits.replace('e', "e+") };
        text.push_str(&signed);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    fn line(tags: &[(&str, &str)], fields: &[(&str, FieldValue<'_>)]) -> Result<String, LineError> {
        let mut text = String::new();
        append(&mut text, "m", tags, fields, Timestamp(7)).map(|()| text)
    }

    #[derive(Deserialize)]
    struct Case {
        input: CaseInput,
        output: CaseOutput,
    }
    #[derive(Deserialize)]
    struct CaseInput {
        key: String,
        point: CasePoint,
    }
    #[derive(Deserialize)]
    struct CasePoint {
        time: i64,
        name: String,
        tags: Vec<CaseTag>,
        fields: Vec<CaseField>,
    }
    #[derive(Deserialize)]
    struct CaseTag {
        key: String,
        value: String,
    }
    #[derive(Deserialize)]
    struct CaseField {
        key: String,
        value: CaseValue,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum CaseValue {
        Float(f64),
        Int(i64),
        Bool(bool),
        String(String),
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum CaseOutput {
        Result(String),
        Error(String),
    }

    /// The encode cases of influxdata/line-protocol, MIT.
    #[test]
    fn encodes_the_published_cases() {
        let Ok(corpora) = std::env::var("SERENO_CORPORA") else {
            println!("skipped: SERENO_CORPORA does not name the folder of format samples");
            return;
        };
        let path = std::path::Path::new(&corpora).join("06_line_protocol/encode_cases.json");
        let cases: Vec<Case> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        assert!(cases.len() > 50);
        for Case { input: CaseInput { key, point }, output } in &cases {
            let tags: Vec<_> = point.tags.iter().map(|t| (t.key.as_str(), t.value.as_str())).collect();
            let fields: Vec<_> = point
                .fields
                .iter()
                .map(|field| {
                    let value = match &field.value {
                        CaseValue::Float(float) => FieldValue::Float(*float),
                        CaseValue::Int(integer) => FieldValue::Integer(*integer),
                        CaseValue::Bool(boolean) => FieldValue::Boolean(*boolean),
                        CaseValue::String(text) => FieldValue::Text(text),
                    };
                    (field.key.as_str(), value)
                })
                .collect();
            let mut text = String::new();
            let got = append(&mut text, &point.name, &tags, &fields, Timestamp(point.time));
            match output {
                CaseOutput::Result(want) => assert_eq!(text.trim_end_matches('\n'), want, "{key}"),
                CaseOutput::Error(why) => assert!(got.is_err() && text.is_empty(), "{key}: {why}"),
            }
        }
    }

    #[test]
    fn nothing_in_a_tag_begins_a_new_line_or_field() {
        let injection = "x value=1\nother,a=b value=2";
        assert!(line(&[("zone", injection)], &[("v", FieldValue::Float(1.0))]).is_err());
        assert!(!tag_fits("zone", injection));
        assert_eq!(
            line(&[("zone", "a b,c=d")], &[("v", FieldValue::Text("q\"\\\n"))]).unwrap(),
            "m,zone=a\\ b\\,c\\=d v=\"q\\\"\\\\\n\" 7\n"
        );
        for value in ["", "ends\\", "two\\ words", "a\\=b", "tab\there"] {
            assert!(!tag_fits("zone", value), "{value:?}");
        }
        assert!(tag_fits("zone", "comuna-07 á \\server") && !tag_fits("time", "x"));
    }

    #[test]
    fn what_has_no_form_is_refused_and_leaves_the_text_alone() {
        let mut text = "kept".to_owned();
        for float in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let refused = append(&mut text, "m", &[], &[("v", FieldValue::Float(float))], Timestamp(0));
            assert_eq!(refused, Err(LineError::Field("v".into())));
        }
        assert_eq!(append(&mut text, "m", &[], &[], Timestamp(0)), Err(LineError::NoFields));
        assert!(append(&mut text, "#m", &[], &[("v", FieldValue::Integer(1))], Timestamp(0)).is_err());
        assert_eq!(text, "kept");
    }

    #[test]
    fn floats_read_back_as_the_same_bits() {
        for float in [0.1, 23.4, 1e300, -5e-324, 1e21, 1e-7, 123_456_789.123_456_78, f64::MAX] {
            let text = line(&[], &[("v", FieldValue::Float(float))]).unwrap();
            let digits = text.trim_start_matches("m v=").trim_end_matches(" 7\n");
            assert_eq!(digits.parse::<f64>().unwrap().to_bits(), float.to_bits(), "{digits}");
            assert!(digits.len() < 26, "{digits}");
        }
    }
}
