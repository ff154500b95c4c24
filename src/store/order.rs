//! The order of a file's rows: by its sort columns, the first decides first.
//!
//! The first column is a text that nearly every row has another of: where its texts are short beyond
//! what all of them begin with, they are compared as numbers of sixteen bytes. Other texts are ranked
//! once for each that is different; then whole numbers are compared. Rows that come in sorted runs,
//! as those of a merge do, are merged.

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, StringArray, TimestampNanosecondArray, UInt32Array, UInt64Array,
};
use datafusion::arrow::compute::{SortColumn, lexsort_to_indices};
use datafusion::arrow::error::ArrowError;
use hashbrown::HashMap;

/// Maps signed to unsigned numbers of the same order.
const SIGN: u64 = 1 << 63;
/// Bytes of a text, beyond what all begin with, that a pair of numbers holds beside their count.
const SHORT: usize = 15;

/// A row: its first column as a pair of numbers, its second, and its place.
type Placed = ((u64, u64), u64, u32);

/// The rows in the order of these columns, nulls first; rows that are equal in all of them stay as
/// they are.
pub(super) fn indices(columns: &[ArrayRef]) -> Result<UInt32Array, ArrowError> {
    let rows = columns.first().map_or(0, |column| column.len());
    let others: Option<Vec<Vec<u64>>> = columns.iter().skip(1).map(ranks).collect();
    let firsts = columns.first().and_then(pairs);
    let (Some(firsts), Some(others), Ok(_)) = (firsts, others, u32::try_from(rows)) else {
        let column = |values: &ArrayRef| SortColumn { values: values.clone(), options: None };
        return lexsort_to_indices(&columns.iter().map(column).collect::<Vec<_>>(), None);
    };
    let rank = |ranks: &Vec<u64>, row: u32| ranks.get(row as usize).copied().unwrap_or_default();
    let second = |row| others.first().map_or(0, |ranks| rank(ranks, row));
    let mut order: Vec<Placed> = (0..).zip(firsts).map(|(row, first)| (first, second(row), row)).collect();
    let rest = |row: u32| others.iter().skip(1).map(move |ranks| rank(ranks, row));
    // Stable, and quick where runs are sorted already.
    order.sort_by(|one, other| {
        let first = (one.0, one.1).cmp(&(other.0, other.1));
        first.then_with(|| rest(one.2).cmp(rest(other.2)))
    });
    Ok(order.into_iter().map(|(_, _, row)| row).collect::<Vec<_>>().into())
}

/// Pairs of numbers that are in the order of a column's values; `None` for a column of another kind.
fn pairs(column: &ArrayRef) -> Option<Vec<(u64, u64)>> {
    if let Some(short) = column.as_string_opt::<i32>().and_then(pairs_of_texts) {
        return Some(short);
    }
    Some(ranks(column)?.into_iter().map(|rank| (0, rank)).collect())
}

/// The texts themselves, without what all of them begin with, if what stays of each is short: its bytes,
/// zeros up to fifteen, and how many they are and one, which tells `a` from `a\0`. No text is zero.
fn pairs_of_texts(texts: &StringArray) -> Option<Vec<(u64, u64)>> {
    let mut present = texts.iter().flatten().map(str::as_bytes);
    let first = present.next().unwrap_or_default();
    let common = present.fold(first.len(), |common, text| {
        first.iter().zip(text).take(common).take_while(|(one, other)| one == other).count()
    });
    let mut pairs = Vec::with_capacity(texts.len());
    for text in texts {
        pairs.push(match text {
            None => (0, 0),
            Some(text) => {
                let rest = text.as_bytes().get(common..)?;
                let mut bytes = [0; SHORT + 1];
                bytes.get_mut(..SHORT)?.get_mut(..rest.len())?.copy_from_slice(rest);
                let both = u128::from_be_bytes(bytes) | (rest.len() as u128 + 1);
                ((both >> 64) as u64, both as u64)
            }
        });
    }
    Some(pairs)
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
            rows in prop::collection::vec((prop::option::of("[a-c\u{0}ñ]{0,3}"), -3..3_i64, 0..3_u64), 0..60),
            (before, behind) in ("(urn:sensor:)?", "[xy]{0,16}"),
        ) {
            // Short texts, long ones that begin alike, and long ones that do not.
            let text = |row: &(Option<String>, i64, u64)| {
                let own = row.0.as_ref()?;
                Some(format!("{before}{own}{}", if row.2 == 0 { &behind } else { "" }))
            };
            let mut columns: Vec<ArrayRef> = vec![
                Arc::new(StringArray::from_iter(rows.iter().map(text))),
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
