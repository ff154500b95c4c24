//! The order of a file's rows: by its sort columns, the first decides first.
//!
//! Texts are ranked once for each that is different, since a table of readings has far fewer sensors
//! than rows; then whole numbers are compared.

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, StringArray, TimestampNanosecondArray, UInt32Array, UInt64Array,
};
use datafusion::arrow::compute::{SortColumn, lexsort_to_indices};
use datafusion::arrow::error::ArrowError;
use hashbrown::HashMap;

/// Maps signed to unsigned numbers of the same order.
const SIGN: u64 = 1 << 63;

/// The rows in the order of these columns, nulls first; rows that are equal in all of them stay as
/// they are.
pub(super) fn indices(columns: &[ArrayRef]) -> Result<UInt32Array, ArrowError> {
    let rows = columns.first().map_or(0, |column| column.len());
    let ranks: Option<Vec<Vec<u64>>> = columns.iter().map(ranks).collect();
    let (Some(ranks), Ok(rows)) = (ranks, u32::try_from(rows)) else {
        let column = |values: &ArrayRef| SortColumn { values: values.clone(), options: None };
        return lexsort_to_indices(&columns.iter().map(column).collect::<Vec<_>>(), None);
    };
    let rank = |column: usize, row: u32| {
        ranks.get(column).and_then(|ranks| ranks.get(row as usize)).copied().unwrap_or_default()
    };
    let mut order: Vec<(u64, u64, u32)> = (0..rows).map(|row| (rank(0, row), rank(1, row), row)).collect();
    let rest = |row: u32| (2..ranks.len()).map(move |column| rank(column, row));
    order.sort_unstable_by(|one, other| {
        let first = (one.0, one.1).cmp(&(other.0, other.1));
        first.then_with(|| rest(one.2).cmp(rest(other.2))).then(one.2.cmp(&other.2))
    });
    Ok(order.into_iter().map(|(_, _, row)| row).collect::<Vec<_>>().into())
}

/// Numbers that are in the order of a column's values; `None` for a column of another kind.
fn ranks(column: &ArrayRef) -> Option<Vec<u64>> {
    if let Some(texts) = column.as_string_opt::<i32>() {
        return Some(ranks_of_texts(texts));
    }
    if column.null_count() > 0 {
        return None;
    }
    let any = column.as_any();
    if let Some(times) = any.downcast_ref::<TimestampNanosecondArray>() {
        return Some(times.values().iter().map(|time| *time as u64 ^ SIGN).collect());
    }
    Some(any.downcast_ref::<UInt64Array>()?.values().to_vec())
}

fn ranks_of_texts(texts: &StringArray) -> Vec<u64> {
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut different: Vec<&str> = Vec::new();
    let rows: Vec<Option<usize>> = texts
        .iter()
        .map(|text| {
            text.map(|text| {
                *places.entry(text).or_insert_with(|| {
                    different.push(text);
                    different.len() - 1
                })
            })
        })
        .collect();
    let mut sorted: Vec<usize> = (0..different.len()).collect();
    sorted.sort_unstable_by_key(|place| different.get(*place).copied());
    let mut ranks = vec![0_u64; different.len()];
    for (rank, place) in (1..).zip(sorted) {
        if let Some(own) = ranks.get_mut(place) {
            *own = rank;
        }
    }
    rows.into_iter().map(|place| place.and_then(|place| ranks.get(place).copied()).unwrap_or(0)).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rows_come_in_the_order_that_arrow_gives_them(
            rows in prop::collection::vec((prop::option::of("[a-cñ]{0,3}"), -3..3_i64, 0..3_u64), 0..60)
        ) {
            let mut columns: Vec<ArrayRef> = vec![
                Arc::new(StringArray::from_iter(rows.iter().map(|row| row.0.as_deref()))),
                Arc::new(TimestampNanosecondArray::from_iter_values(rows.iter().map(|row| row.1))),
                Arc::new(UInt64Array::from_iter_values(rows.iter().map(|row| row.2))),
            ];
            for _ in 0..columns.len() {
                columns.rotate_left(1);
                // Arrow leaves open how equal rows lie: a column of their places decides it there.
                let places: ArrayRef = Arc::new(UInt64Array::from_iter_values(0..rows.len() as u64));
                let with_places = [columns.clone(), vec![places]].concat();
                let sorted = with_places.iter().map(|values| SortColumn { values: values.clone(), options: None });
                let want = lexsort_to_indices(&sorted.collect::<Vec<_>>(), None).unwrap();
                prop_assert_eq!(indices(&columns).unwrap(), want.clone());
                prop_assert_eq!(indices(&with_places).unwrap(), want);
            }
        }
    }

    #[test]
    fn numbers_with_gaps_are_ordered_too() {
        let columns: [ArrayRef; 1] = [Arc::new(UInt64Array::from(vec![Some(2), None, Some(0)]))];
        assert_eq!(indices(&columns).unwrap(), UInt32Array::from(vec![1, 2, 0]));
    }
}
