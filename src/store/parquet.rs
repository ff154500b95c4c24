//! Rows to Parquet and back.
//!
//! zstd level 3, statistics on for every page, sorted by series and time so that one series'
//! pages lie together. Times and counts are delta encoded, and so are the texts that rows are sorted by
//! first: each begins as the one before it. Other texts and floats go through a dictionary, which is
//! where most repeated readings end.

use std::sync::Arc;

use bytes::Bytes;
use datafusion::arrow::array::{
    Array, ArrayRef, RecordBatch, TimestampNanosecondArray, UInt32Array, new_null_array,
};
use datafusion::arrow::compute::{concat, interleave, take, take_record_batch};
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use datafusion::parquet::basic::{Compression, Encoding, ZstdLevel};
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::metadata::SortingColumn;
use datafusion::parquet::file::properties::{EnabledStatistics, WriterProperties};
use datafusion::parquet::schema::types::ColumnPath;

use super::error::StoreError;
use super::file::StoredFile;
use super::order;
use super::table::Table;
use crate::model::Timestamp;

/// Rows of a row group, the unit that statistics let a query skip.
const ROW_GROUP_ROWS: usize = 128 * 1024;
/// Rows of a page, the finer such unit.
const PAGE_ROWS: usize = 8 * 1024;
/// The compression level of every column.
const ZSTD_LEVEL: i32 = 3;

/// The rows of several batches in one, with all of the table's columns, sorted as its files are. A column
/// is let go as soon as its rows are in order, so that no two copies of a merge are ever held.
pub(super) fn sorted(table: &Table, batches: Vec<RecordBatch>) -> Result<RecordBatch, ArrowError> {
    let schema = table.schema();
    let batches: Vec<RecordBatch> =
        batches.into_iter().map(|batch| widened(&batch, schema)).collect::<Result<_, _>>()?;
    if batches.is_empty() {
        return Ok(RecordBatch::new_empty(schema.clone()));
    }
    let whole = |name: &str| {
        let parts = batches.iter().filter_map(|batch| batch.column_by_name(name));
        concat(&parts.map(|part| &**part).collect::<Vec<_>>())
    };
    let columns: Vec<ArrayRef> = table.sort_columns().into_iter().map(whole).collect::<Result<_, _>>()?;
    let order = order::indices(&columns)?;
    drop(columns);
    let places = places(&order, &batches);
    let mut parts: Vec<Vec<ArrayRef>> = schema.fields().iter().map(|_| Vec::new()).collect();
    for batch in batches {
        for (column, part) in parts.iter_mut().zip(batch.into_parts().1) {
            column.push(part);
        }
    }
    let in_order = |parts: Vec<ArrayRef>| match parts.as_slice() {
        [one] => take(one, &order, None),
        parts => interleave(&parts.iter().map(|part| &**part).collect::<Vec<_>>(), &places),
    };
    RecordBatch::try_new(schema.clone(), parts.into_iter().map(in_order).collect::<Result<_, _>>()?)
}

/// The batch, and the row in it, of each row of them all.
fn places(order: &UInt32Array, batches: &[RecordBatch]) -> Vec<(usize, usize)> {
    let mut ends = Vec::with_capacity(batches.len());
    let mut rows = 0;
    for batch in batches {
        rows += batch.num_rows();
        ends.push(rows);
    }
    let place = |row: &u32| {
        let row = *row as usize;
        let batch = ends.partition_point(|end| *end <= row);
        let before = batch.checked_sub(1).and_then(|before| ends.get(before)).copied().unwrap_or(0);
        (batch, row - before)
    };
    order.values().iter().map(place).collect()
}

/// A batch with all columns of `schema`, the missing ones null.
pub(super) fn widened(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    if batch.schema_ref() == schema {
        return Ok(batch.clone());
    }
    let columns: Vec<ArrayRef> = schema
        .fields()
        .iter()
        .map(|field| match batch.column_by_name(field.name()) {
            Some(column) => column.clone(),
            None => new_null_array(field.data_type(), batch.num_rows()),
        })
        .collect();
    RecordBatch::try_new(schema.clone(), columns)
}

/// The event times of a batch.
pub(super) fn times(batch: &RecordBatch) -> &[i64] {
    batch
        .column_by_name("time")
        .and_then(|column| column.as_any().downcast_ref::<TimestampNanosecondArray>())
        .map_or(&[][..], |times| times.values())
}

/// The earliest and latest event time of a batch.
pub(super) fn time_range(batch: &RecordBatch) -> (Timestamp, Timestamp) {
    let times = times(batch).iter().copied();
    let (first, last) = (times.clone().min(), times.max());
    (Timestamp(first.unwrap_or_default()), Timestamp(last.unwrap_or_default()))
}

/// The bytes of a file that holds `batch`.
pub(super) fn encode(table: &Table, batch: &RecordBatch) -> Result<Vec<u8>, ParquetError> {
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties(table)?))?;
    writer.write(batch)?;
    writer.into_inner()
}

fn properties(table: &Table) -> Result<WriterProperties, ParquetError> {
    let schema = table.schema();
    let sorting = table
        .sort_columns()
        .iter()
        .filter_map(|name| schema.index_of(name).ok())
        .filter_map(|number| i32::try_from(number).ok())
        .map(|column_idx| SortingColumn { column_idx, descending: false, nulls_first: true })
        .collect();
    let mut properties = WriterProperties::builder()
        .set_created_by(format!("sereno {}", env!("CARGO_PKG_VERSION")))
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_sorting_columns(Some(sorting));
    let first = table.sort_columns().first().copied();
    for field in schema.fields() {
        let encoding = match field.data_type() {
            DataType::Timestamp(..) | DataType::UInt64 => Encoding::DELTA_BINARY_PACKED,
            DataType::Utf8 if first == Some(field.name()) => Encoding::DELTA_BYTE_ARRAY,
            _ => continue,
        };
        let column = ColumnPath::new(vec![field.name().clone()]);
        properties = properties
            .set_column_dictionary_enabled(column.clone(), false)
            .set_column_encoding(column, encoding);
    }
    Ok(properties.build())
}

/// All rows of a file, its bytes found right first.
pub(super) fn read(file: &StoredFile) -> Result<Vec<RecordBatch>, StoreError> {
    let path = file.full_path();
    let bytes = Bytes::from(file.read()?);
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)
        .and_then(|builder| builder.with_batch_size(ROW_GROUP_ROWS).build())
        .map_err(StoreError::encode(&path))?;
    reader.collect::<Result<_, _>>().map_err(StoreError::encode(&path))
}

/// Splits a batch by the UTC day of its event time; days since 1970.
pub(super) fn by_day(batch: &RecordBatch) -> Result<Vec<(i64, RecordBatch)>, ArrowError> {
    let mut rows: std::collections::BTreeMap<i64, Vec<u64>> = std::collections::BTreeMap::new();
    for (row, time) in (0..).zip(times(batch)) {
        rows.entry(day_of(Timestamp(*time))).or_default().push(row);
    }
    if rows.len() == 1 {
        return Ok(rows.into_keys().map(|day| (day, batch.clone())).collect());
    }
    rows.into_iter()
        .map(|(day, rows)| {
            let rows = datafusion::arrow::array::UInt64Array::from(rows);
            Ok((day, take_record_batch(batch, &rows)?))
        })
        .collect()
}

/// Days since 1970 of an instant, in UTC.
pub(super) fn day_of(at: Timestamp) -> i64 {
    at.0.div_euclid(86_400 * crate::model::time::SECOND)
}

/// A day as folders spell it: `2026-03-01`.
pub(super) fn day_name(day: i64) -> String {
    let at = Timestamp(day.saturating_mul(86_400 * crate::model::time::SECOND));
    at.to_string().chars().take(10).collect()
}

/// A text column with gaps.
pub(super) fn texts<'a>(values: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    Arc::new(datafusion::arrow::array::StringArray::from_iter(values))
}

/// An instant column without gaps.
pub(super) fn instants(values: Vec<i64>) -> ArrayRef {
    Arc::new(TimestampNanosecondArray::from(values).with_timezone("UTC"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_utc_and_reach_before_1970() {
        for (text, want) in [
            ("2026-03-01T23:59:59.999999999Z", "2026-03-01"),
            ("2026-03-01T23:00:00-05:00", "2026-03-02"),
            ("1969-12-31T23:59:59Z", "1969-12-31"),
            ("1970-01-01T00:00:00Z", "1970-01-01"),
        ] {
            assert_eq!(day_name(day_of(Timestamp::parse_rfc3339(text).unwrap())), want, "{text}");
        }
    }
}
