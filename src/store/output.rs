//! What a query gave: as a table for people, CSV, or JSON.

use arrow_json::writer::{JsonArray, JsonFormat, LineDelimited};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::util::pretty::pretty_format_batches_with_schema;

use super::error::StoreError;

/// Rows with their columns' names. Times come out as RFC 3339 in UTC, in every form.
#[derive(Debug)]
pub struct QueryResult {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    truncated: bool,
}

impl QueryResult {
    pub(super) fn new(schema: SchemaRef, batches: Vec<RecordBatch>, truncated: bool) -> Self {
        Self { schema, batches, truncated }
    }

    /// The rows, for the store's own readers.
    pub(super) fn batches(&self) -> &[RecordBatch] {
        &self.batches
    }

    /// Names of the columns, in order.
    #[must_use]
    pub fn columns(&self) -> Vec<&str> {
        self.schema.fields().iter().map(|field| field.name().as_str()).collect()
    }

    /// Rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// Whether there were more rows than the limit.
    #[must_use]
    pub fn truncated(&self) -> bool {
        self.truncated
    }

    /// A table with lines around it.
    ///
    /// # Errors
    /// [`StoreError::Query`] for a type that has no text.
    pub fn to_table(&self) -> Result<String, StoreError> {
        let table = pretty_format_batches_with_schema(self.schema.clone(), &self.batches).map_err(fault)?;
        Ok(format!("{table}\n"))
    }

    /// CSV with a first line of names; null is empty.
    ///
    /// # Errors
    /// [`StoreError::Query`] for a type that CSV cannot say.
    pub fn to_csv(&self) -> Result<String, StoreError> {
        let mut bytes = Vec::new();
        let mut writer = arrow_csv::WriterBuilder::new().with_header(true).build(&mut bytes);
        let empty = RecordBatch::new_empty(self.schema.clone());
        let batches = if self.batches.is_empty() { std::slice::from_ref(&empty) } else { &self.batches };
        batches.iter().try_for_each(|batch| writer.write(batch)).map_err(fault)?;
        drop(writer);
        text(bytes)
    }

    /// One JSON object a line; null is written.
    ///
    /// # Errors
    /// [`StoreError::Query`] for a type that JSON cannot say.
    pub fn to_json_lines(&self) -> Result<String, StoreError> {
        self.json::<LineDelimited>()
    }

    /// A JSON array of objects.
    ///
    /// # Errors
    /// [`StoreError::Query`] for a type that JSON cannot say.
    pub fn to_json_array(&self) -> Result<String, StoreError> {
        self.json::<JsonArray>()
    }

    fn json<F: JsonFormat>(&self) -> Result<String, StoreError> {
        let mut bytes = Vec::new();
        let mut writer = arrow_json::WriterBuilder::new().with_explicit_nulls(true).build::<_, F>(&mut bytes);
        self.batches.iter().try_for_each(|batch| writer.write(batch)).map_err(fault)?;
        writer.finish().map_err(fault)?;
        drop(writer);
        text(bytes)
    }
}

fn fault(error: ArrowError) -> StoreError {
    StoreError::Query(error.to_string())
}

fn text(bytes: Vec<u8>) -> Result<String, StoreError> {
    String::from_utf8(bytes).map_err(|error| StoreError::Query(error.to_string()))
}
