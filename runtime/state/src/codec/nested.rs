//! Arrays, maps and structs as bytes, one value at a time. Rare as arguments (`FIRST_VALUE(items)`, rows of a
//! rank), so it is plain rather than fast.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, ListArray, MapArray, StructArray, new_empty_array,
};
use arrow::buffer::{BooleanBuffer, MutableBuffer, NullBuffer, OffsetBuffer};
use arrow::compute::concat;
use arrow::datatypes::DataType;

use super::values::{Texts, fixed, fixed_width, put_sized, raw, take, take_sized, take_u32, texts};
use crate::error::{StateError, columns};

/// The bytes of one value.
pub(crate) fn write(array: &ArrayRef, row: usize) -> Result<Vec<u8>, StateError> {
    let mut out = Vec::new();
    write_all(array, &[row], &mut out)?;
    Ok(out)
}

/// A column of values that lie one after the other.
pub(crate) fn read(
    data_type: &DataType,
    values: &[u8],
    lengths: &[usize],
) -> Result<ArrayRef, StateError> {
    let mut rest = values;
    let mut arrays = Vec::with_capacity(lengths.len());
    for &length in lengths {
        let mut cursor = take(&mut rest, length)?;
        arrays.push(read_all(data_type, &mut cursor, 1)?);
    }
    if arrays.is_empty() {
        return Ok(new_empty_array(data_type));
    }
    let arrays: Vec<&dyn Array> = arrays.iter().map(AsRef::as_ref).collect();
    concat(&arrays).map_err(columns)
}

/// Values at `rows`: which are null, then the values, column by column.
fn write_all(array: &ArrayRef, rows: &[usize], out: &mut Vec<u8>) -> Result<(), StateError> {
    out.extend(rows.iter().map(|&row| u8::from(array.is_valid(row))));
    let valid = rows.iter().copied().filter(|&row| array.is_valid(row));
    match array.data_type() {
        DataType::Boolean => {
            let values = array.as_boolean();
            out.extend(valid.map(|row| u8::from(values.value(row))));
        }
        DataType::Utf8 | DataType::Binary => {
            if let Some(values) = Texts::of(array) {
                valid.for_each(|row| put_sized(out, values.get(row)));
            }
        }
        DataType::List(_) => {
            let lists = array.as_list::<i32>();
            write_lists(lists.values(), lists.offsets(), valid, out)?;
        }
        DataType::Map(..) => {
            let maps = array.as_map();
            let entries: ArrayRef = Arc::new(maps.entries().clone());
            write_lists(&entries, maps.offsets(), valid, out)?;
        }
        DataType::Struct(_) => {
            for column in array.as_struct().columns() {
                write_all(column, rows, out)?;
            }
        }
        other => {
            let width = fixed_width(other).ok_or_else(|| unknown(other))?;
            let data = array.to_data();
            let values = raw(&data, width);
            valid.for_each(|row| out.extend_from_slice(&values[row * width..(row + 1) * width]));
        }
    }
    Ok(())
}

fn write_lists(
    values: &ArrayRef,
    offsets: &OffsetBuffer<i32>,
    rows: impl Iterator<Item = usize>,
    out: &mut Vec<u8>,
) -> Result<(), StateError> {
    let mut elements = Vec::new();
    for row in rows {
        let (start, end) = (offsets[row] as usize, offsets[row + 1] as usize);
        out.extend_from_slice(&((end - start) as u32).to_le_bytes());
        elements.extend(start..end);
    }
    write_all(values, &elements, out)
}

fn read_all(data_type: &DataType, cursor: &mut &[u8], len: usize) -> Result<ArrayRef, StateError> {
    let valid: Vec<bool> = take(cursor, len)?.iter().map(|b| *b != 0).collect();
    let nulls = Some(NullBuffer::new(BooleanBuffer::from(valid.as_slice())));
    Ok(match data_type {
        DataType::Boolean => {
            let mut values = Vec::with_capacity(len);
            for valid in valid {
                values.push(valid && take(cursor, 1)?[0] != 0);
            }
            Arc::new(BooleanArray::new(values.into(), nulls))
        }
        DataType::Utf8 | DataType::Binary => {
            let mut bytes = Vec::new();
            let mut lengths = Vec::with_capacity(len);
            for valid in valid {
                let value: &[u8] = if valid { take_sized(cursor)? } else { &[] };
                lengths.push(value.len());
                bytes.extend_from_slice(value);
            }
            texts(data_type, &bytes, lengths.into_iter(), nulls)?
        }
        DataType::List(field) => {
            let (offsets, elements) = read_lengths(&valid, cursor)?;
            let values = read_all(field.data_type(), cursor, elements)?;
            Arc::new(ListArray::try_new(field.clone(), offsets, values, nulls).map_err(columns)?)
        }
        DataType::Map(field, sorted) => {
            let (offsets, elements) = read_lengths(&valid, cursor)?;
            let entries = read_all(field.data_type(), cursor, elements)?;
            // Entries are never null themselves.
            let (fields, arrays, _) = entries.as_struct().clone().into_parts();
            let entries = StructArray::try_new(fields, arrays, None).map_err(columns)?;
            Arc::new(
                MapArray::try_new(field.clone(), offsets, entries, nulls, *sorted)
                    .map_err(columns)?,
            )
        }
        DataType::Struct(fields) => {
            let arrays = fields
                .iter()
                .map(|f| read_all(f.data_type(), cursor, len))
                .collect::<Result<Vec<_>, _>>()?;
            Arc::new(
                StructArray::try_new_with_length(fields.clone(), arrays, nulls, len)
                    .map_err(columns)?,
            )
        }
        other => {
            let width = fixed_width(other).ok_or_else(|| unknown(other))?;
            let mut values = MutableBuffer::with_capacity(len * width);
            for valid in valid {
                if valid {
                    values.extend_from_slice(take(cursor, width)?);
                } else {
                    values.extend_zeros(width);
                }
            }
            fixed(other, len, values, nulls)?
        }
    })
}

fn read_lengths(
    valid: &[bool],
    cursor: &mut &[u8],
) -> Result<(OffsetBuffer<i32>, usize), StateError> {
    let mut lengths = Vec::with_capacity(valid.len());
    for valid in valid {
        let length = if *valid { take_u32(cursor)? } else { 0 };
        lengths.push(length as usize);
    }
    let elements: usize = lengths.iter().sum();
    // Every element takes at least the byte that says whether it is null.
    if elements > cursor.len() {
        return Err(StateError::Unreadable {
            message: "a list is cut off".into(),
        });
    }
    Ok((OffsetBuffer::from_lengths(lengths), elements))
}

fn unknown(data_type: &DataType) -> StateError {
    StateError::Columns {
        message: format!("no encoding for {data_type}"),
    }
}
