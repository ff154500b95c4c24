//! Rows of CSV files and of `sereno query`, by column.

use std::collections::BTreeMap;
use std::path::Path;

/// A row: column to text.
pub type Row = BTreeMap<String, String>;

/// The rows of a CSV text whose first line names the columns.
pub fn rows(text: &str) -> Vec<Row> {
    let mut lines = text.lines();
    let names = fields(lines.next().unwrap_or_default());
    lines.map(|line| names.iter().cloned().zip(fields(line)).collect()).collect()
}

/// The rows of a CSV file.
pub fn read(path: &Path) -> Vec<Row> {
    rows(&std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

/// The fields of one line, quotes undone.
fn fields(line: &str) -> Vec<String> {
    let (mut fields, mut field, mut quoted) = (Vec::new(), String::new(), false);
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                field.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(std::mem::take(&mut field)),
            other => field.push(other),
        }
    }
    fields.push(field);
    fields
}

/// Whether two numbers are the same but for rounding.
pub fn close(left: f64, right: f64, relative: f64) -> bool {
    (left - right).abs() <= relative * left.abs().max(right.abs()).max(1e-12)
}
