//! Single values as bytes, and columns of bytes: what rows and nested values are both made of.

use std::sync::Arc;

use arrow::array::{Array, ArrayData, ArrayRef, AsArray, BinaryArray, StringArray, make_array};
use arrow::buffer::{Buffer, MutableBuffer, NullBuffer, OffsetBuffer};
use arrow::datatypes::DataType;

use crate::error::{StateError, columns};

/// Bytes a value of a type takes, where all take as many.
pub(crate) fn fixed_width(data_type: &DataType) -> Option<usize> {
    match data_type {
        DataType::Boolean => Some(1),
        other => other.primitive_width(),
    }
}

/// The values of a column of fixed width (not boolean), as they lie in memory.
pub(crate) fn raw(data: &ArrayData, width: usize) -> &[u8] {
    data.buffers()
        .first()
        .map_or(&[], |b| &b.as_slice()[data.offset() * width..])
}

/// The bytes of row `row` of a text or bytes column.
pub(crate) enum Texts<'a> {
    Text(&'a StringArray),
    Bytes(&'a BinaryArray),
}

impl<'a> Texts<'a> {
    pub(crate) fn of(array: &'a dyn Array) -> Option<Texts<'a>> {
        match array.data_type() {
            DataType::Utf8 => Some(Texts::Text(array.as_string())),
            DataType::Binary => Some(Texts::Bytes(array.as_binary())),
            _ => None,
        }
    }

    pub(crate) fn get(&self, row: usize) -> &'a [u8] {
        match self {
            Texts::Text(array) => array.value(row).as_bytes(),
            Texts::Bytes(array) => array.value(row),
        }
    }
}

/// A text or bytes column of these values. Texts are checked.
pub(crate) fn texts(
    data_type: &DataType,
    values: &[u8],
    lengths: impl Iterator<Item = usize>,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef, StateError> {
    let offsets = OffsetBuffer::<i32>::from_lengths(lengths);
    let values = Buffer::from(values);
    Ok(match data_type {
        DataType::Utf8 => Arc::new(StringArray::try_new(offsets, values, nulls).map_err(columns)?),
        _ => Arc::new(BinaryArray::try_new(offsets, values, nulls).map_err(columns)?),
    })
}

/// A column of fixed width (not boolean) of these bytes.
pub(super) fn fixed(
    data_type: &DataType,
    len: usize,
    values: MutableBuffer,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef, StateError> {
    let data = ArrayData::builder(data_type.clone())
        .len(len)
        .add_buffer(values.into())
        .nulls(nulls)
        .align_buffers(true)
        .build()
        .map_err(columns)?;
    Ok(make_array(data))
}

/// Bytes that end too early.
pub(super) fn cut() -> StateError {
    StateError::Unreadable {
        message: "a row is cut off".into(),
    }
}

/// The next `len` bytes.
pub(crate) fn take<'a>(cursor: &mut &'a [u8], len: usize) -> Result<&'a [u8], StateError> {
    let (head, rest) = cursor.split_at_checked(len).ok_or_else(cut)?;
    *cursor = rest;
    Ok(head)
}

/// The next four bytes, a number.
pub(crate) fn take_u32(cursor: &mut &[u8]) -> Result<u32, StateError> {
    let bytes = take(cursor, 4)?;
    Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

/// The next eight bytes, a number.
pub(crate) fn take_i64(cursor: &mut &[u8]) -> Result<i64, StateError> {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(take(cursor, 8)?);
    Ok(i64::from_le_bytes(bytes))
}

/// The next value, behind its length.
pub(crate) fn take_sized<'a>(cursor: &mut &'a [u8]) -> Result<&'a [u8], StateError> {
    let len = take_u32(cursor)? as usize;
    take(cursor, len)
}

/// A value behind its length.
pub(crate) fn put_sized(out: &mut Vec<u8>, value: &[u8]) {
    // A value above 4 GiB can't come in a record.
    out.extend_from_slice(&(value.len() as u32).to_le_bytes());
    out.extend_from_slice(value);
}
