//! Lines on their way to InfluxDB, with the deletions that go between them.

use super::line::{self, FieldValue, LineError};
use crate::model::Timestamp;

/// Points of one tag set at one time that have to go before the next lines are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delete {
    /// InfluxDB's predicate: measurement and tags, quoted.
    pub predicate: String,
    /// The points' time.
    pub at: Timestamp,
}

/// One thing to do; the order matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Write these lines, by their numbers.
    Write(std::ops::Range<usize>),
    /// Delete first.
    Delete(Delete),
}

/// What one turn of the reader gives InfluxDB, in order.
#[derive(Clone, Debug, Default)]
pub struct LineBatch {
    text: String,
    /// Where each line ends in `text`.
    ends: Vec<usize>,
    /// Deletions, each with the number of lines that go before it.
    deletes: Vec<(usize, Delete)>,
    /// Points that could not be written at all.
    pub refused_points: u64,
    /// Tags and fields that were left out of a point that was written.
    pub refused_parts: u64,
}

impl LineBatch {
    /// Appends one point.
    ///
    /// # Errors
    /// [`LineError`]: nothing was appended.
    pub fn push(
        &mut self,
        measurement: &str,
        tags: &[(&str, &str)],
        fields: &[(&str, FieldValue<'_>)],
        at: Timestamp,
    ) -> Result<(), LineError> {
        line::append(&mut self.text, measurement, tags, fields, at)?;
        self.ends.push(self.text.len());
        Ok(())
    }

    /// Deletes a point before the lines that follow.
    pub fn delete(&mut self, measurement: &str, tags: &[(&str, &str)], at: Timestamp) {
        let mut predicate = format!("_measurement={}", quoted(measurement));
        for (key, value) in tags {
            predicate += &format!(" AND {}={}", quoted(key), quoted(value));
        }
        self.deletes.push((self.ends.len(), Delete { predicate, at }));
    }

    /// Points to write.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty() && self.deletes.is_empty()
    }

    /// Bytes of all lines.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.text.len()
    }

    /// Forgets everything, keeping the memory.
    pub fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
        self.deletes.clear();
        self.refused_points = 0;
        self.refused_parts = 0;
    }

    /// The text of some lines, by their numbers.
    #[must_use]
    pub fn text(&self, lines: std::ops::Range<usize>) -> &str {
        let end_of = |line: usize| line.checked_sub(1).and_then(|n| self.ends.get(n)).copied().unwrap_or(0);
        self.text.get(end_of(lines.start)..end_of(lines.end)).unwrap_or_default()
    }

    /// What to do, in order: deletions, and lines in portions of at most `points_max` points and
    /// `bytes_max` bytes (a longer line goes alone).
    #[must_use]
    pub fn steps(&self, points_max: usize, bytes_max: usize) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut from = 0;
        for (before, delete) in &self.deletes {
            self.portions(from..*before, points_max, bytes_max, &mut steps);
            steps.push(Step::Delete(delete.clone()));
            from = *before;
        }
        self.portions(from..self.ends.len(), points_max, bytes_max, &mut steps);
        steps
    }

    fn portions(&self, lines: std::ops::Range<usize>, points: usize, bytes: usize, steps: &mut Vec<Step>) {
        let mut from = lines.start;
        for line in lines.clone() {
            let full = line - from >= points.max(1) || self.text(from..line + 1).len() > bytes;
            if full && line > from {
                steps.push(Step::Write(from..line));
                from = line;
            }
        }
        if from < lines.end {
            steps.push(Step::Write(from..lines.end));
        }
    }
}

/// A name or value in a delete predicate.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(lines: usize) -> LineBatch {
        let mut batch = LineBatch::default();
        for n in 0..lines {
            batch.push("m", &[], &[("v", FieldValue::Integer(n as i64))], Timestamp(0)).unwrap();
        }
        batch
    }

    #[test]
    fn portions_hold_their_bounds_and_every_line_once() {
        let batch = batch(10);
        let steps = batch.steps(4, 1_000);
        assert_eq!(steps, [Step::Write(0..4), Step::Write(4..8), Step::Write(8..10)]);
        assert_eq!(batch.steps(100, 9).len(), 10, "one line is 9 bytes");
        assert_eq!(batch.steps(100, 1).len(), 10, "a line over the bound goes alone");
        assert_eq!(batch.text(1..3), "m v=1i 0\nm v=2i 0\n");
        assert!(LineBatch::default().steps(4, 4).is_empty());
    }

    #[test]
    fn a_deletion_stands_between_the_lines_around_it() {
        let mut all = batch(2);
        all.delete("m", &[("zone", "a\" OR \"1\"=\"1\\")], Timestamp(5));
        all.push("m", &[], &[("v", FieldValue::Integer(9))], Timestamp(5)).unwrap();
        let predicate = r#"_measurement="m" AND "zone"="a\" OR \"1\"=\"1\\""#.to_owned();
        assert_eq!(
            all.steps(10, 1_000),
            [Step::Write(0..2), Step::Delete(Delete { predicate, at: Timestamp(5) }), Step::Write(2..3)]
        );
    }
}
