//! Rows of recorded files: a CSV record with its header, or a line of JSON.

use super::PlayError;
use crate::message::{Message, quoted};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::sync::Arc;

/// The rows of one file.
pub(super) struct Rows {
    path: Arc<str>,
    source: Source,
    line: u64,
}

enum Source {
    Csv {
        reader: Box<csv::Reader<File>>,
        header: Arc<[String]>,
    },
    Lines(BufReader<File>),
    /// A whole JSON document: one message.
    Document(Option<Vec<u8>>),
}

impl Rows {
    pub(super) fn open(path: &Path, delimiter: u8) -> Result<Self, PlayError> {
        let name: Arc<str> = path.display().to_string().into();
        let read = |source| PlayError::Read { path: name.to_string(), source };
        let extension = path.extension().map(|text| text.to_string_lossy().to_lowercase());
        let source = match extension.as_deref() {
            Some("ndjson" | "jsonl") => Source::Lines(BufReader::new(File::open(path).map_err(read)?)),
            Some("json") => {
                let text = std::fs::read(path).map_err(read)?;
                let is_one_document = serde_json::from_slice::<serde::de::IgnoredAny>(&text).is_ok();
                if is_one_document {
                    Source::Document(Some(text.trim_ascii().to_vec()))
                } else {
                    Source::Lines(BufReader::new(File::open(path).map_err(read)?))
                }
            }
            _ => csv_source(path, &name, delimiter)?,
        };
        Ok(Self { path: name, source, line: 0 })
    }

    /// Checks that a CSV file has the columns.
    pub(super) fn require<'a>(&self, columns: impl Iterator<Item = &'a str>) -> Result<(), PlayError> {
        let Source::Csv { header, .. } = &self.source else { return Ok(()) };
        for column in columns {
            if !header.iter().any(|name| name == column) {
                let (path, has) = (&self.path, header.join(", "));
                return Err(PlayError::Option(format!("{path} has no column `{column}`; it has: {has}")));
            }
        }
        Ok(())
    }

    pub(super) fn next_row(&mut self) -> Result<Option<Row>, PlayError> {
        let content = match &mut self.source {
            Source::Document(text) => {
                self.line = 1;
                text.take().map(Content::json)
            }
            Source::Csv { reader, header } => {
                let mut record = csv::ByteRecord::new();
                let is_row =
                    reader.read_byte_record(&mut record).map_err(|error| csv_error(&self.path, &error))?;
                self.line = record.position().map_or(0, csv::Position::line);
                let cells = record.iter().map(|cell| String::from_utf8_lossy(cell).into_owned()).collect();
                is_row.then(|| Content::Csv { header: Arc::clone(header), cells })
            }
            Source::Lines(reader) => loop {
                let mut text = Vec::new();
                let path = &self.path;
                let read = reader.read_until(b'\n', &mut text);
                let length = read.map_err(|source| PlayError::Read { path: path.to_string(), source })?;
                self.line += 1;
                let trimmed = text.trim_ascii_end();
                match (length, trimmed.is_empty()) {
                    (0, _) => break None,
                    (_, true) => {}
                    (_, false) => break Some(Content::json(trimmed.to_vec())),
                }
            },
        };
        Ok(content.map(|content| Row { path: Arc::clone(&self.path), line: self.line, content }))
    }
}

fn csv_source(path: &Path, name: &str, delimiter: u8) -> Result<Source, PlayError> {
    let file = File::open(path).map_err(|source| PlayError::Read { path: name.to_owned(), source })?;
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).flexible(false).from_reader(file);
    let fields = reader.byte_headers().map_err(|error| csv_error(name, &error))?;
    let header: Vec<String> = fields
        .iter()
        .map(|field| String::from_utf8_lossy(field).trim_start_matches('\u{feff}').trim().to_owned())
        .collect();
    let repeated = header
        .iter()
        .enumerate()
        .find(|(index, column)| header.iter().take(*index).any(|other| other == *column));
    if let Some((_, column)) = repeated {
        let detail = format!("the header has `{column}` twice; rename one, for each is a key of the payload");
        return Err(PlayError::Line { path: name.to_owned(), line: 1, detail });
    }
    Ok(Source::Csv { reader: Box::new(reader), header: header.into() })
}

fn csv_error(path: &str, error: &csv::Error) -> PlayError {
    let line = error.position().map_or(0, csv::Position::line);
    PlayError::Line { path: path.to_owned(), line, detail: error.to_string() }
}

/// One row of a file.
pub(super) struct Row {
    path: Arc<str>,
    line: u64,
    content: Content,
}

enum Content {
    Csv { header: Arc<[String]>, cells: Vec<String> },
    Json { text: Vec<u8>, parsed: std::cell::OnceCell<Option<Value>> },
}

impl Content {
    fn json(text: Vec<u8>) -> Self {
        Content::Json { text, parsed: std::cell::OnceCell::new() }
    }
}

impl Row {
    /// A value as text: a cell of the column, or what stands at the dotted path in the line.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        match &self.content {
            Content::Csv { header, cells } => {
                let place = header.iter().position(|column| column == name)?;
                cells.get(place).map(|cell| cell.trim().to_owned()).filter(|cell| !cell.is_empty())
            }
            Content::Json { text, parsed } => {
                let value = parsed.get_or_init(|| serde_json::from_slice(text).ok()).as_ref()?;
                let found =
                    value.get(name).or_else(|| value.pointer(&format!("/{}", name.replace('.', "/"))))?;
                match found {
                    Value::String(text) => Some(text.clone()),
                    Value::Number(number) => Some(number.to_string()),
                    _ => None,
                }
            }
        }
    }

    /// The payload: a JSON object of the cells that are not empty, or the line as it is.
    pub(super) fn into_payload(self) -> Vec<u8> {
        match self.content {
            Content::Json { text, .. } => text,
            Content::Csv { header, cells } => {
                let pairs = header.iter().zip(&cells).map(|(key, cell)| (key, cell.trim()));
                let fields: Vec<String> = pairs
                    .filter(|(_, cell)| !cell.is_empty())
                    .map(|(key, cell)| match is_json_number(cell) {
                        true => format!("{}:{cell}", quoted(key)),
                        false => format!("{}:{}", quoted(key), quoted(cell)),
                    })
                    .collect();
                format!("{{{}}}", fields.join(",")).into_bytes()
            }
        }
    }

    /// The message of an arrivals line.
    pub(super) fn arrival(self, sent_at_ms: i64) -> Result<Message, PlayError> {
        let missing =
            |key: &str| self.error(format!("an arrival has no `{key}`; give --topic for other lines"));
        let topic = self.get("topic").ok_or_else(|| missing("topic"))?;
        let payload = match (self.get("payload"), self.get("payload_b64")) {
            (Some(text), _) => text.into_bytes(),
            (None, Some(text)) => {
                STANDARD.decode(text).map_err(|error| self.error(format!("payload_b64: {error}")))?
            }
            (None, None) => return Err(missing("payload")),
        };
        Ok(Message { sent_at_ms, gateway: 0, topic, payload })
    }

    /// An error at this row.
    pub(super) fn error(&self, detail: String) -> PlayError {
        PlayError::Line { path: self.path.to_string(), line: self.line, detail }
    }
}

/// Whether a text is a number by the grammar of JSON (RFC 8259 section 6): no `+`, no leading zeros, no `.5`.
pub(super) fn is_json_number(text: &str) -> bool {
    let digits = |text: &str| text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let rest = text.strip_prefix('-').unwrap_or(text);
    let whole = digits(rest);
    if whole == 0 || (whole > 1 && rest.starts_with('0')) {
        return false;
    }
    let mut rest = rest.get(whole..).unwrap_or("");
    if let Some(fraction) = rest.strip_prefix('.') {
        let count = digits(fraction);
        if count == 0 {
            return false;
        }
        rest = fraction.get(count..).unwrap_or("");
    }
    match rest.strip_prefix(['e', 'E']) {
        None => rest.is_empty(),
        Some(exponent) => {
            let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            !exponent.is_empty() && digits(exponent) == exponent.len()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_json_number;

    #[test]
    fn numbers_are_those_of_json() {
        for text in ["0", "-0", "12", "-9999.0", "1e5", "1.50E-07", "123456789012345678901234567890"] {
            assert!(is_json_number(text) && serde_json::from_str::<f64>(text).is_ok(), "{text}");
        }
        for text in ["", "-", "007", "+1", ".5", "5.", "1e", "1e+", "NA", "1,5", "0x10", "NaN", "1 2"] {
            assert!(!is_json_number(text), "{text}");
        }
    }
}
