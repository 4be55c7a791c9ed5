//! Values as bytes whose order is the values' order: what the rows of a rank are compared by.
//!
//! Ours, as [`crate::codec`] is, because ranks keep these bytes in the changelog. A column begins with a byte that
//! says whether it is null; numbers follow with the most significant byte first and their sign turned, texts
//! with 0x00 written as 0x00 0xFF and ended by 0x00 0x00. All bits of a descending column are turned.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type,
};

use crate::codec::{Texts, fixed_width, raw};

/// Appends row `row` of a column to `out`.
pub(crate) fn put(
    array: &ArrayRef,
    row: usize,
    descending: bool,
    nulls_first: bool,
    out: &mut Vec<u8>,
) {
    if array.is_null(row) {
        out.push(if nulls_first { 0 } else { 2 });
        return;
    }
    out.push(1);
    let start = out.len();
    match array.data_type() {
        DataType::Boolean => out.push(u8::from(array.as_boolean().value(row))),
        DataType::Int32 => int(i64::from(array.as_primitive::<Int32Type>().value(row)), out),
        DataType::Date32 => int(
            i64::from(array.as_primitive::<Date32Type>().value(row)),
            out,
        ),
        DataType::Int64 => int(array.as_primitive::<Int64Type>().value(row), out),
        DataType::Float32 => {
            float(
                f64::from(array.as_primitive::<Float32Type>().value(row)),
                out,
            );
        }
        DataType::Float64 => float(array.as_primitive::<Float64Type>().value(row), out),
        DataType::Decimal128(..) => {
            let value = array.as_primitive::<Decimal128Type>().value(row);
            out.extend_from_slice(&((value as u128) ^ (1 << 127)).to_be_bytes());
        }
        other => {
            if let Some(texts) = Texts::of(array) {
                for &byte in texts.get(row) {
                    out.push(byte);
                    if byte == 0 {
                        out.push(0xFF);
                    }
                }
                out.extend_from_slice(&[0, 0]);
            } else if fixed_width(other) == Some(8) {
                // Times and time stamps.
                let data = array.to_data();
                let mut bytes = [0; 8];
                bytes.copy_from_slice(&raw(&data, 8)[row * 8..row * 8 + 8]);
                int(i64::from_le_bytes(bytes), out);
            }
        }
    }
    if descending {
        out[start..].iter_mut().for_each(|b| *b = !*b);
    }
}

fn int(value: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(&((value as u64) ^ (1 << 63)).to_be_bytes());
}

fn float(value: f64, out: &mut Vec<u8>) {
    let bits = value.to_bits() as i64;
    // Negative numbers grow with their bits: turned, all but the sign.
    int(bits ^ (((bits >> 63) as u64) >> 1) as i64, out);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{BooleanArray, Decimal128Array, Float64Array, Int64Array, StringArray};

    use super::*;

    /// Ascending; null is the first.
    fn is_ascending(array: ArrayRef) {
        let keys = |descending, nulls_first| -> Vec<Vec<u8>> {
            (0..array.len())
                .map(|row| {
                    let mut key = Vec::new();
                    put(&array, row, descending, nulls_first, &mut key);
                    key.push(7); // what comes behind doesn't matter
                    key
                })
                .collect()
        };
        assert!(keys(false, true).is_sorted_by(|a, b| a < b), "{array:?}");
        let mut turned = keys(true, false);
        turned.reverse();
        assert!(turned.is_sorted_by(|a, b| a < b), "descending {array:?}");
    }

    #[test]
    fn bytes_are_ordered_as_their_values() {
        is_ascending(Arc::new(Int64Array::from(vec![
            None,
            Some(i64::MIN),
            Some(-1),
            Some(0),
            Some(9),
        ])));
        is_ascending(Arc::new(StringArray::from(vec![
            None,
            Some(""),
            Some("a"),
            Some("a\0"),
            Some("a\0b"),
            Some("aa"),
            Some("b"),
        ])));
        is_ascending(Arc::new(Float64Array::from(vec![
            None,
            Some(f64::NEG_INFINITY),
            Some(-1.5),
            Some(-1.0),
            Some(-0.0),
            Some(0.0),
            Some(2.0),
            Some(f64::NAN),
        ])));
        is_ascending(Arc::new(Decimal128Array::from(vec![
            None,
            Some(i128::MIN),
            Some(-7),
            Some(0),
            Some(i128::MAX),
        ])));
        is_ascending(Arc::new(BooleanArray::from(vec![
            None,
            Some(false),
            Some(true),
        ])));
    }
}
