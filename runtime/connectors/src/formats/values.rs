//! Values that Avro and Protobuf say alike: into columns, with the checks that a contract asks for.

use headworks_sql::types::DataType;

use super::json::column::{Column, Values};
use super::json::{decimal, temporal};
use super::refused::Refused;

/// Seconds of the years 0001 to 9999, the ones that every other format and store can say.
const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;
/// Days of the same years.
const DAYS: std::ops::RangeInclusive<i32> = -719_162..=2_932_896;
/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

#[cold]
pub(super) fn mismatch(column: &Column) -> Refused {
    Refused::contract(format!(
        "the definition has another type than the contract's {}",
        column.data_type
    ))
}

#[cold]
pub(super) fn out_of_range(column: &Column) -> Refused {
    Refused::contract(format!("out of the range of {}", column.data_type))
}

#[cold]
pub(super) fn full() -> Refused {
    Refused::contract("the batch has no room for it: its column would pass 2 GiB")
}

pub(super) fn null(column: &mut Column) -> Result<(), Refused> {
    if !column.nullable {
        return Err(Refused::contract(format!(
            "is null; {} is required",
            column.data_type
        )));
    }
    column.push_null();
    Ok(())
}

/// A value that isn't there at all.
pub(super) fn missing(column: &mut Column) -> Result<(), Refused> {
    if !column.nullable {
        return Err(Refused::contract(format!(
            "is missing; {} is required",
            column.data_type
        )));
    }
    column.push_null();
    Ok(())
}

pub(super) fn boolean(column: &mut Column, value: bool) -> Result<(), Refused> {
    match &mut column.values {
        Values::Boolean(values) => values.append(value),
        _ => return Err(mismatch(column)),
    }
    column.valid();
    Ok(())
}

/// A whole number, into any column that takes one.
#[inline]
pub(super) fn whole(column: &mut Column, value: i64) -> Result<(), Refused> {
    match &mut column.values {
        Values::BigInt(values) => values.push(value),
        Values::Int(values) => match i32::try_from(value) {
            Ok(value) => values.push(value),
            Err(_) => return Err(out_of_range(column)),
        },
        Values::Float(values) => values.push(value as f32),
        Values::Double(values) => values.push(value as f64),
        Values::Decimal { .. } => return unscaled(column, i128::from(value), 0),
        _ => return Err(mismatch(column)),
    }
    column.valid();
    Ok(())
}

#[inline]
pub(super) fn double(column: &mut Column, value: f64) -> Result<(), Refused> {
    match &mut column.values {
        Values::Double(values) => values.push(value),
        _ => return Err(mismatch(column)),
    }
    column.valid();
    Ok(())
}

#[inline]
pub(super) fn float(column: &mut Column, value: f32) -> Result<(), Refused> {
    match &mut column.values {
        Values::Float(values) => values.push(value),
        Values::Double(values) => values.push(f64::from(value)),
        _ => return Err(mismatch(column)),
    }
    column.valid();
    Ok(())
}

/// An unscaled number with `scale` digits after the point.
#[inline]
pub(super) fn unscaled(column: &mut Column, value: i128, scale: u8) -> Result<(), Refused> {
    let Values::Decimal {
        precision,
        scale: wanted,
        values,
    } = &mut column.values
    else {
        return Err(mismatch(column));
    };
    let scaled = match wanted.checked_sub(scale) {
        Some(0) => Some(value),
        Some(more) => 10_i128
            .checked_pow(u32::from(more))
            .and_then(|factor| value.checked_mul(factor)),
        // Only digits that say nothing may go.
        None => 10_i128
            .checked_pow(u32::from(scale - *wanted))
            .filter(|factor| value % factor == 0)
            .map(|factor| value / factor),
    };
    let limit = 10_u128.pow(u32::from(*precision));
    match scaled.filter(|value| value.unsigned_abs() < limit) {
        Some(value) => values.push(value),
        None => return Err(out_of_range(column)),
    }
    column.valid();
    Ok(())
}

/// An unscaled number, big end first, in two's complement.
#[inline]
pub(super) fn unscaled_bytes(bytes: &[u8]) -> Option<i128> {
    let negative = bytes.first().is_some_and(|first| first & 0x80 != 0);
    let fill = if negative { 0xff } else { 0 };
    // Longer ones must begin with bytes that only repeat the sign.
    let skip = bytes.len().saturating_sub(16);
    let (head, tail) = bytes.split_at(skip);
    if head.iter().any(|byte| *byte != fill) || (skip > 0 && (tail[0] & 0x80 != 0) != negative) {
        return None;
    }
    let mut whole = [fill; 16];
    whole[16 - tail.len()..].copy_from_slice(tail);
    Some(i128::from_be_bytes(whole))
}

/// UTF-8 text, into a column of text or bytes.
#[inline]
pub(super) fn text(column: &mut Column, value: &[u8]) -> Result<(), Refused> {
    match &mut column.values {
        Values::String(text) => {
            if std::str::from_utf8(value).is_err() {
                return Err(Refused::decode("a string that is not UTF-8"));
            }
            text.push(value).map_err(|_| full())?;
        }
        Values::Bytes(text) => text.push(value).map_err(|_| full())?,
        _ => return Err(mismatch(column)),
    }
    column.valid();
    Ok(())
}

/// A value written as in JSON, where the format has no type of its own for it. Empty text says nothing, as
/// Protobuf doesn't tell it from no text.
pub(super) fn written(column: &mut Column, value: &[u8]) -> Result<(), Refused> {
    if value.is_empty() {
        return missing(column);
    }
    let value =
        std::str::from_utf8(value).map_err(|_| Refused::decode("a string that is not UTF-8"))?;
    let parsed = match &mut column.values {
        Values::Decimal {
            precision,
            scale,
            values,
        } => decimal::parse(value, *precision, *scale).map(|value| values.push(value)),
        Values::Date(values) => temporal::parse_date(value).map(|value| values.push(value)),
        Values::Time(values) => temporal::parse_time(value).map(|value| values.push(value)),
        Values::Timestamp { digits, values } => {
            temporal::parse_timestamp(value, *digits).map(|value| values.push(value))
        }
        Values::Instant { digits, values } => {
            temporal::parse_instant(value, *digits).map(|value| values.push(value))
        }
        _ => return Err(mismatch(column)),
    };
    parsed.map_err(Refused::contract)?;
    column.valid();
    Ok(())
}

#[inline]
pub(super) fn day(column: &mut Column, value: i32) -> Result<(), Refused> {
    match &mut column.values {
        Values::Date(values) if DAYS.contains(&value) => values.push(value),
        Values::Date(_) => return Err(beyond_years()),
        _ => return Err(mismatch(column)),
    }
    column.valid();
    Ok(())
}

/// A time of day in microseconds.
pub(super) fn time(column: &mut Column, micros: Option<i64>) -> Result<(), Refused> {
    match &mut column.values {
        Values::Time(values) => match micros.filter(|micros| (0..DAY).contains(micros)) {
            Some(micros) => values.push(micros),
            None => return Err(Refused::contract("is no time of day")),
        },
        _ => return Err(mismatch(column)),
    }
    column.valid();
    Ok(())
}

/// A point in time in so many parts of a second, `unit`. Digits beyond the column's are cut off.
#[inline]
pub(super) fn point(column: &mut Column, value: i64, unit: u32) -> Result<(), Refused> {
    let unit = i64::from(unit);
    if !SECONDS.contains(&value.div_euclid(unit)) {
        return Err(beyond_years());
    }
    match &mut column.values {
        Values::Instant { digits, values } | Values::Timestamp { digits, values } => {
            let wanted = per_second(*digits);
            // Within the years, neither can overflow.
            values.push(if wanted >= unit {
                value * (wanted / unit)
            } else {
                value.div_euclid(unit / wanted)
            });
        }
        _ => return Err(mismatch(column)),
    }
    column.valid();
    Ok(())
}

/// Parts of a second of a time stamp with so many digits.
pub(super) fn per_second(digits: u8) -> i64 {
    match digits {
        0 => 1,
        3 => 1_000,
        _ => 1_000_000,
    }
}

#[cold]
fn beyond_years() -> Refused {
    Refused::contract("is outside the years 0001 to 9999")
}

/// True for a type that Protobuf has no word for, so that it is text.
pub(super) fn is_written(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Decimal { .. }
            | DataType::Date
            | DataType::Time
            | DataType::Timestamp(_)
            | DataType::TimestampLtz(_)
    )
}
