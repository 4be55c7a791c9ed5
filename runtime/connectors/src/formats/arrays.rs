//! Values out of Arrow's arrays, for encoders.

use arrow::array::{Array, AsArray, OffsetSizeTrait};
use arrow::datatypes::{TimestampMicrosecondType, TimestampMillisecondType, TimestampSecondType};
use headworks_sql::types::DataType;

use super::refused::Refused;

pub(super) fn typed<'a, T>(
    array: Option<&'a T>,
    data_type: &DataType,
    given: &dyn Array,
) -> Result<&'a T, Refused> {
    array.ok_or_else(|| {
        Refused::contract(format!(
            "the batch has {} where the contract has {data_type}",
            given.data_type()
        ))
    })
}

pub(super) fn range<O: OffsetSizeTrait>(offsets: &[O], row: usize) -> std::ops::Range<usize> {
    offsets[row].as_usize()..offsets[row + 1].as_usize()
}

/// A point in time, and its digits of a second.
pub(super) fn point(
    data_type: &DataType,
    array: &dyn Array,
    row: usize,
) -> Result<(i64, u8), Refused> {
    let digits = match data_type {
        DataType::Timestamp(digits) | DataType::TimestampLtz(digits) => *digits,
        _ => 6,
    };
    let value = match digits {
        0 => typed(
            array.as_primitive_opt::<TimestampSecondType>(),
            data_type,
            array,
        )?
        .value(row),
        3 => typed(
            array.as_primitive_opt::<TimestampMillisecondType>(),
            data_type,
            array,
        )?
        .value(row),
        _ => typed(
            array.as_primitive_opt::<TimestampMicrosecondType>(),
            data_type,
            array,
        )?
        .value(row),
    };
    Ok((value, digits))
}
