//! Rows as bytes: what keys are compared by, and how single rows stand in the changelog and on disk.
//!
//! The encoding is ours, so that an upgrade of a library can't change it: a bit for each column that says
//! whether it is null, then the columns in order. A column of fixed width takes that width (zeros where it
//! is null), a text or bytes its length and the bytes, and an array, map or struct the length and bytes of
//! [`nested`]. All numbers are little-endian. Equal rows have equal bytes, and the other way round.

pub(crate) mod nested;
mod values;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::buffer::{BooleanBuffer, MutableBuffer, NullBuffer};
use arrow::datatypes::DataType;

pub(crate) use values::{
    Texts, fixed_width, put_sized, raw, take, take_i64, take_sized, take_u32, texts,
};
use values::{cut, fixed};

use crate::error::{StateError, columns};

/// Encoded rows, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    data: Vec<u8>,
    /// Where each row begins, and the end; empty where all rows have `width`.
    offsets: Vec<usize>,
    width: usize,
    len: usize,
}

impl Rows {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn row(&self, row: usize) -> &[u8] {
        if self.offsets.is_empty() {
            &self.data[row * self.width..(row + 1) * self.width]
        } else {
            &self.data[self.offsets[row]..self.offsets[row + 1]]
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len).map(|row| self.row(row))
    }
}

/// How columns of some types become bytes.
#[derive(Clone, Debug)]
pub(crate) struct Codec {
    types: Vec<DataType>,
}

impl Codec {
    pub(crate) fn new(types: Vec<DataType>) -> Codec {
        Codec { types }
    }

    fn null_bytes(&self) -> usize {
        self.types.len().div_ceil(8)
    }

    /// Bytes a row takes, where all take as many.
    pub(crate) fn width(&self) -> Option<usize> {
        self.types
            .iter()
            .try_fold(self.null_bytes(), |sum, t| Some(sum + fixed_width(t)?))
    }

    /// Room for the rows, zeros all of it; and, unless all take the same width, where the next column of each begins.
    fn lay_out(
        &self,
        arrays: &[ArrayRef],
        blobs: &[Vec<Vec<u8>>],
        len: usize,
        head_width: usize,
    ) -> (Rows, Vec<usize>) {
        let mut rows = Rows {
            len,
            ..Rows::default()
        };
        if let Some(width) = self.width() {
            rows.width = width + head_width;
            rows.data = vec![0; rows.width * len];
            return (rows, Vec::new());
        }
        let start = head_width + self.null_bytes();
        let mut lengths = vec![start; len];
        let mut blob = blobs.iter();
        for array in arrays {
            if let Some(width) = fixed_width(array.data_type()) {
                for length in &mut lengths {
                    *length += width;
                }
            } else if let Some(values) = Texts::of(array) {
                for (row, length) in lengths.iter_mut().enumerate() {
                    *length += 4;
                    if array.is_valid(row) {
                        *length += values.get(row).len();
                    }
                }
            } else if let Some(values) = blob.next() {
                for (length, value) in lengths.iter_mut().zip(values) {
                    *length += 4 + value.len();
                }
            }
        }
        rows.offsets.reserve(len + 1);
        let mut end = 0;
        rows.offsets.push(0);
        for length in lengths {
            end += length;
            rows.offsets.push(end);
        }
        rows.data = vec![0; end];
        let places = rows.offsets[..len].iter().map(|o| o + start).collect();
        (rows, places)
    }

    /// The rows of `arrays`, each behind 8 bytes of `head` if there is one.
    pub(crate) fn encode(
        &self,
        arrays: &[ArrayRef],
        len: usize,
        head: Option<&[i64]>,
    ) -> Result<Rows, StateError> {
        let head_width = if head.is_some() { 8 } else { 0 };
        let start = head_width + self.null_bytes();
        // The nested columns' bytes must be known before the others find their places.
        let mut blobs: Vec<Vec<Vec<u8>>> = Vec::new();
        for array in arrays.iter().filter(|a| a.data_type().is_nested()) {
            blobs.push(
                (0..len)
                    .map(|row| nested::write(array, row))
                    .collect::<Result<_, _>>()?,
            );
        }
        let (mut rows, mut places) = self.lay_out(arrays, &blobs, len, head_width);
        let starts = |row: usize, rows: &Rows| {
            if rows.offsets.is_empty() {
                row * rows.width
            } else {
                rows.offsets[row]
            }
        };
        if let Some(head) = head {
            for (row, value) in head.iter().enumerate() {
                let at = starts(row, &rows);
                rows.data[at..at + 8].copy_from_slice(&value.to_le_bytes());
            }
        }
        let mut blob = blobs.iter();
        let mut column_start = start;
        for (column, array) in arrays.iter().enumerate() {
            if let Some(nulls) = array.nulls().filter(|n| n.null_count() > 0) {
                for row in 0..len {
                    if nulls.is_null(row) {
                        let at = starts(row, &rows) + head_width + column / 8;
                        rows.data[at] |= 1 << (column % 8);
                    }
                }
            }
            let valid = |row: usize| array.is_valid(row);
            if let Some(width) = fixed_width(array.data_type()) {
                let data = array.to_data();
                let bools = array.as_boolean_opt();
                let values = if bools.is_some() {
                    &[]
                } else {
                    raw(&data, width)
                };
                let all_valid = array.null_count() == 0;
                for row in 0..len {
                    let at = match places.get_mut(row) {
                        Some(place) => {
                            *place += width;
                            *place - width
                        }
                        None => row * rows.width + column_start,
                    };
                    if all_valid || valid(row) {
                        match (bools, width) {
                            (Some(bools), _) => rows.data[at] = u8::from(bools.value(row)),
                            // The usual width, without a call.
                            (None, 8) => {
                                rows.data[at..at + 8]
                                    .copy_from_slice(&values[row * 8..row * 8 + 8]);
                            }
                            (None, _) => rows.data[at..at + width]
                                .copy_from_slice(&values[row * width..(row + 1) * width]),
                        }
                    }
                }
                column_start += width;
            } else {
                let texts = Texts::of(array);
                let blob = if texts.is_none() { blob.next() } else { None };
                for (row, place) in places.iter_mut().enumerate() {
                    let value: &[u8] = match (&texts, blob) {
                        (Some(texts), _) if valid(row) => texts.get(row),
                        (None, Some(blob)) => &blob[row],
                        _ => &[],
                    };
                    let length = u32::try_from(value.len()).map_err(columns)?;
                    rows.data[*place..*place + 4].copy_from_slice(&length.to_le_bytes());
                    *place += 4;
                    rows.data[*place..*place + value.len()].copy_from_slice(value);
                    *place += value.len();
                }
            }
        }
        Ok(rows)
    }

    /// The columns of encoded rows.
    pub(crate) fn decode<'a>(
        &self,
        rows: impl Iterator<Item = &'a [u8]>,
    ) -> Result<Vec<ArrayRef>, StateError> {
        let heads: Vec<&[u8]> = rows.collect();
        let null_bytes = self.null_bytes();
        let mut cursors = heads
            .iter()
            .map(|row| row.get(null_bytes..).ok_or_else(cut))
            .collect::<Result<Vec<_>, _>>()?;
        let len = heads.len();
        let mut arrays = Vec::with_capacity(self.types.len());
        for (column, data_type) in self.types.iter().enumerate() {
            let valid = BooleanBuffer::collect_bool(len, |row| {
                heads[row][column / 8] & (1 << (column % 8)) == 0
            });
            let nulls = Some(NullBuffer::new(valid)).filter(|n| n.null_count() > 0);
            arrays.push(match fixed_width(data_type) {
                Some(_) if *data_type == DataType::Boolean => {
                    let mut values = Vec::with_capacity(len);
                    for cursor in &mut cursors {
                        values.push(take(cursor, 1)?[0] != 0);
                    }
                    Arc::new(BooleanArray::new(values.into(), nulls)) as ArrayRef
                }
                Some(width) => {
                    let mut values = MutableBuffer::with_capacity(len * width);
                    for cursor in &mut cursors {
                        values.extend_from_slice(take(cursor, width)?);
                    }
                    fixed(data_type, len, values, nulls)?
                }
                None => {
                    let mut values = Vec::new();
                    let mut lengths = Vec::with_capacity(len);
                    for cursor in &mut cursors {
                        let value = take_sized(cursor)?;
                        lengths.push(value.len());
                        values.extend_from_slice(value);
                    }
                    if data_type.is_nested() {
                        nested::read(data_type, &values, &lengths)?
                    } else {
                        texts(data_type, &values, lengths.into_iter(), nulls)?
                    }
                }
            });
        }
        Ok(arrays)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        BinaryArray, Decimal128Array, Int32Array, Int64Array, ListArray, StringArray,
    };
    use arrow::datatypes::Int32Type;

    use super::*;

    #[test]
    fn rows_come_back_as_they_were() {
        let lists = vec![Some(vec![Some(1)]), None, Some(vec![])];
        let arrays: Vec<ArrayRef> = vec![
            Arc::new(Int32Array::from(vec![Some(1), None, Some(-1)])),
            Arc::new(StringArray::from(vec![Some("ä"), Some(""), None])),
            Arc::new(BooleanArray::from(vec![Some(true), Some(false), None])),
            Arc::new(Decimal128Array::from(vec![Some(i128::MIN), None, Some(0)])),
            Arc::new(BinaryArray::from(vec![Some(&b"\0"[..]), None, Some(b"")])),
            Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(lists)),
        ];
        let codec = Codec::new(arrays.iter().map(|a| a.data_type().clone()).collect());
        let rows = codec.encode(&arrays, 3, None).unwrap();
        assert_eq!(codec.decode(rows.iter()).unwrap(), arrays);
        // Parts of arrays, too, and bytes before them.
        let parts: Vec<ArrayRef> = arrays.iter().map(|a| a.slice(1, 2)).collect();
        let behind = codec.encode(&parts, 2, Some(&[7, -7])).unwrap();
        assert_eq!(behind.row(1)[..8], (-7i64).to_le_bytes());
        assert_eq!(&behind.row(0)[8..], rows.row(1));
        assert_eq!(&behind.row(1)[8..], rows.row(2));
    }

    #[test]
    fn columns_of_fixed_width_make_rows_of_fixed_width() {
        let arrays: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(vec![Some(0), None])),
            Arc::new(BooleanArray::from(vec![Some(false), None])),
        ];
        let codec = Codec::new(vec![DataType::Int64, DataType::Boolean]);
        assert_eq!(codec.width(), Some(10));
        let rows = codec.encode(&arrays, 2, None).unwrap();
        assert_ne!(rows.row(0), rows.row(1), "null isn't zero");
        assert_eq!(codec.decode(rows.iter()).unwrap(), arrays);
    }

    #[test]
    fn bytes_that_are_cut_off_are_refused() {
        let codec = Codec::new(vec![DataType::Utf8, DataType::Int64]);
        let arrays: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(vec!["abc"])),
            Arc::new(Int64Array::from(vec![1])),
        ];
        let rows = codec.encode(&arrays, 1, None).unwrap();
        for end in 0..rows.row(0).len() {
            assert!(codec.decode(std::iter::once(&rows.row(0)[..end])).is_err());
        }
    }
}
