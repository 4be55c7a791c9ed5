//! Which partition a key belongs to. The answer must be the same in every process, on every machine and
//! in every version, since the state of a key lies in its partition: so the hash is defined here, and has
//! no seed.
//!
//! `step(h, w) = fold((h ^ w ^ A) × B)`, a 128-bit product whose halves are combined by exclusive or. A key
//! begins with `h = 0`; each column is one or more words `w`: a number its two's complement (decimals two
//! words, low first), a boolean 0 or 1, text and bytes their length and then their bytes, eight at a time,
//! little-endian, the last ones filled up with zeros; null is `N`. The partition is
//! `(h >> 32) × partitions >> 32`.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type,
    Time64MicrosecondType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampSecondType,
};

const A: u64 = 0x9E37_79B9_7F4A_7C15;
const B: u64 = 0xD6E8_FEB8_6659_FD93;
/// Null.
const N: u64 = 0xA076_1D64_78BD_642F;

fn step(hash: u64, word: u64) -> u64 {
    let product = u128::from(hash ^ word ^ A) * u128::from(B);
    product as u64 ^ (product >> 64) as u64
}

/// The hash of bytes.
pub(crate) fn bytes(hash: u64, bytes: &[u8]) -> u64 {
    let mut hash = step(hash, bytes.len() as u64);
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        let mut word = [0; 8];
        word.copy_from_slice(chunk);
        hash = step(hash, u64::from_le_bytes(word));
    }
    let rest = chunks.remainder();
    if !rest.is_empty() {
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        hash = step(hash, u64::from_le_bytes(word));
    }
    hash
}

/// True for types that can be part of a key.
pub(crate) fn takes(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Boolean
            | DataType::Int32
            | DataType::Int64
            | DataType::Float32
            | DataType::Float64
            | DataType::Decimal128(..)
            | DataType::Utf8
            | DataType::Binary
            | DataType::Date32
            | DataType::Time64(TimeUnit::Microsecond)
            | DataType::Timestamp(..)
    )
}

/// Gives each row's partition.
pub(crate) fn partitions(keys: &[ArrayRef], rows: usize, count: u32, out: &mut Vec<u32>) {
    let mut hashes = vec![0_u64; rows];
    for column in keys {
        add(column.as_ref(), &mut hashes);
    }
    out.extend(
        hashes
            .iter()
            .map(|hash| (((hash >> 32) * u64::from(count)) >> 32) as u32),
    );
}

/// Adds a column to the rows' hashes.
fn add(column: &dyn Array, hashes: &mut [u64]) {
    let nulls = column.nulls().filter(|nulls| nulls.null_count() > 0);
    macro_rules! words {
        ($word:expr) => {{
            let word = $word;
            match nulls {
                None => {
                    for (row, hash) in hashes.iter_mut().enumerate() {
                        *hash = word(*hash, row);
                    }
                }
                Some(nulls) => {
                    for (row, hash) in hashes.iter_mut().enumerate() {
                        *hash = if nulls.is_null(row) {
                            step(*hash, N)
                        } else {
                            word(*hash, row)
                        };
                    }
                }
            }
        }};
    }
    macro_rules! numbers {
        ($type:ty) => {{
            let values = column.as_primitive::<$type>().values();
            words!(|hash, row: usize| step(hash, i64::from(values[row]) as u64))
        }};
    }
    match column.data_type() {
        DataType::Boolean => {
            let values = column.as_boolean();
            words!(|hash, row| step(hash, u64::from(values.value(row))));
        }
        DataType::Int32 => numbers!(Int32Type),
        DataType::Int64 => numbers!(Int64Type),
        DataType::Date32 => numbers!(Date32Type),
        DataType::Time64(_) => numbers!(Time64MicrosecondType),
        DataType::Timestamp(TimeUnit::Second, _) => numbers!(TimestampSecondType),
        DataType::Timestamp(TimeUnit::Millisecond, _) => numbers!(TimestampMillisecondType),
        DataType::Timestamp(TimeUnit::Microsecond, _) => numbers!(TimestampMicrosecondType),
        DataType::Float32 => {
            let values = column.as_primitive::<Float32Type>().values();
            words!(|hash, row: usize| step(hash, bits(f64::from(values[row]))));
        }
        DataType::Float64 => {
            let values = column.as_primitive::<Float64Type>().values();
            words!(|hash, row: usize| step(hash, bits(values[row])));
        }
        DataType::Decimal128(..) => {
            let values = column.as_primitive::<Decimal128Type>().values();
            words!(|hash, row: usize| {
                let value = values[row];
                step(step(hash, value as u64), (value >> 64) as u64)
            });
        }
        DataType::Utf8 => {
            let values = column.as_string::<i32>();
            words!(|hash, row| bytes(hash, values.value(row).as_bytes()));
        }
        DataType::Binary => {
            let values = column.as_binary::<i32>();
            words!(|hash, row| bytes(hash, values.value(row)));
        }
        // Refused when the plan is compiled, see `takes`.
        _ => {}
    }
}

/// Equal for equal numbers.
fn bits(value: f64) -> u64 {
    if value == 0.0 {
        0
    } else if value.is_nan() {
        f64::NAN.to_bits()
    } else {
        value.to_bits()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Float64Array, Int64Array, StringArray};

    use super::*;

    #[test]
    fn a_key_stays_in_its_partition_from_version_to_version() {
        let ids: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), Some(2), None, Some(-1)]));
        let names: ArrayRef = Arc::new(StringArray::from(vec!["", "short", "a longer name", "ß"]));
        let mut out = Vec::new();
        partitions(&[ids, names], 4, 1_000_000, &mut out);
        // Computed once by this code; another answer loses the state of every pipeline.
        assert_eq!(out, PINNED);
    }

    const PINNED: [u32; 4] = [896_697, 478_199, 138_581, 517_935];

    #[test]
    fn equal_numbers_have_equal_partitions_and_keys_are_spread() {
        let zeros: ArrayRef = Arc::new(Float64Array::from(vec![0.0, -0.0, f64::NAN, -f64::NAN]));
        let mut out = Vec::new();
        partitions(&[zeros], 4, 1_000_000, &mut out);
        assert_eq!((out[0], out[2]), (out[1], out[3]));

        let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..64_000));
        let mut out = Vec::new();
        partitions(&[ids], 64_000, 64, &mut out);
        let mut counts = [0_u32; 64];
        for partition in out {
            counts[partition as usize] += 1;
        }
        assert!(
            counts.iter().all(|n| (800..1_200).contains(n)),
            "{counts:?}"
        );
    }

    #[test]
    fn without_a_key_all_rows_are_together() {
        let mut out = Vec::new();
        partitions(&[], 3, 8, &mut out);
        assert_eq!(out, [0, 0, 0]);
    }
}
