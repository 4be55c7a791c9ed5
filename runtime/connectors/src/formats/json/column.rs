//! Columns that grow a value at a time and can be cut back.
//!
//! Arrow's own builders can't forget a half-written value, and a refused record must leave no trace. So
//! these are plain vectors in Arrow's layout, with a `truncate` that restores any earlier length
//! through all levels of nesting; [`Column::finish`] hands the vectors to Arrow without copying them.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, BooleanBufferBuilder, Date32Array, Decimal128Array,
    Float32Array, Float64Array, Int32Array, Int64Array, ListArray, MapArray, NullBufferBuilder,
    StringArray, StructArray, Time64MicrosecondArray, TimestampMicrosecondArray,
    TimestampMillisecondArray, TimestampSecondArray,
};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType as Arrow, FieldRef, Fields};
use arrow::error::ArrowError;
use headworks_plan::UnknownFields;
use headworks_sql::types::DataType;

use super::cost::cost;
use super::object::Object;

/// One column of any type.
pub(in crate::formats) struct Column {
    pub(in crate::formats) data_type: DataType,
    pub(in crate::formats) nullable: bool,
    /// What one more value may cost, see [`cost`].
    pub(super) cost: usize,
    arrow: Arrow,
    nulls: NullBufferBuilder,
    pub(in crate::formats) values: Values,
}

/// A column's values: one entry a row, also where the row is null.
pub(in crate::formats) enum Values {
    Boolean(BooleanBufferBuilder),
    Int(Vec<i32>),
    BigInt(Vec<i64>),
    Float(Vec<f32>),
    Double(Vec<f64>),
    Decimal {
        precision: u8,
        scale: u8,
        values: Vec<i128>,
    },
    String(Text),
    Bytes(Text),
    Date(Vec<i32>),
    Time(Vec<i64>),
    Timestamp {
        digits: u8,
        values: Vec<i64>,
    },
    Instant {
        digits: u8,
        values: Vec<i64>,
    },
    Array {
        offsets: Vec<i32>,
        items: Box<Column>,
    },
    Map {
        offsets: Vec<i32>,
        keys: Text,
        items: Box<Column>,
    },
    Struct(Box<Object>),
}

/// Strings or bytes, end to end.
pub(in crate::formats) struct Text {
    offsets: Vec<i32>,
    pub(in crate::formats) bytes: Vec<u8>,
}

/// A column would pass 2 GiB, the most that Arrow's 32-bit offsets can say.
#[derive(Debug)]
pub(in crate::formats) struct Full;

impl Text {
    fn new() -> Text {
        Text {
            offsets: vec![0],
            bytes: Vec::new(),
        }
    }

    /// Ends the value whose bytes were appended to `bytes`.
    #[inline]
    pub(in crate::formats) fn end(&mut self) -> Result<(), Full> {
        self.offsets
            .push(i32::try_from(self.bytes.len()).map_err(|_| Full)?);
        Ok(())
    }

    #[inline]
    pub(in crate::formats) fn push(&mut self, value: &[u8]) -> Result<(), Full> {
        self.bytes.extend_from_slice(value);
        self.end()
    }

    #[inline]
    pub(in crate::formats) fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    pub(in crate::formats) fn get(&self, index: usize) -> &[u8] {
        &self.bytes[self.offsets[index] as usize..self.offsets[index + 1] as usize]
    }

    fn pad(&mut self) {
        self.offsets.push(last(&self.offsets));
    }

    pub(in crate::formats) fn truncate(&mut self, len: usize) {
        self.offsets.truncate(len + 1);
        self.bytes.truncate(last(&self.offsets) as usize);
    }

    fn take(&mut self) -> (OffsetBuffer<i32>, Buffer) {
        (
            take_offsets(&mut self.offsets),
            Buffer::from_vec(take(&mut self.bytes)),
        )
    }
}

fn last(offsets: &[i32]) -> i32 {
    offsets.last().copied().unwrap_or(0)
}

/// The next batch is likely as long as this one.
fn take<T>(values: &mut Vec<T>) -> Vec<T> {
    let next = Vec::with_capacity(values.len());
    std::mem::replace(values, next)
}

fn take_offsets(offsets: &mut Vec<i32>) -> OffsetBuffer<i32> {
    let mut next = Vec::with_capacity(offsets.len());
    next.push(0);
    OffsetBuffer::new(ScalarBuffer::from(std::mem::replace(offsets, next)))
}

impl Column {
    pub(in crate::formats) fn new(
        data_type: &DataType,
        nullable: bool,
        unknown: UnknownFields,
    ) -> Column {
        let arrow = data_type.to_arrow();
        let values = match data_type {
            DataType::Boolean => Values::Boolean(BooleanBufferBuilder::new(0)),
            DataType::Int => Values::Int(Vec::new()),
            DataType::BigInt => Values::BigInt(Vec::new()),
            DataType::Float => Values::Float(Vec::new()),
            DataType::Double => Values::Double(Vec::new()),
            DataType::Decimal { precision, scale } => Values::Decimal {
                precision: *precision,
                scale: *scale,
                values: Vec::new(),
            },
            DataType::String => Values::String(Text::new()),
            DataType::Bytes => Values::Bytes(Text::new()),
            DataType::Date => Values::Date(Vec::new()),
            DataType::Time => Values::Time(Vec::new()),
            DataType::Timestamp(digits) => Values::Timestamp {
                digits: *digits,
                values: Vec::new(),
            },
            DataType::TimestampLtz(digits) => Values::Instant {
                digits: *digits,
                values: Vec::new(),
            },
            DataType::Array(item) => Values::Array {
                offsets: vec![0],
                items: Box::new(Column::new(item, true, unknown)),
            },
            DataType::Map(item) => Values::Map {
                offsets: vec![0],
                keys: Text::new(),
                items: Box::new(Column::new(item, true, unknown)),
            },
            DataType::Struct(fields) => {
                let fields = fields.iter().map(|f| {
                    (
                        f.name.clone(),
                        Column::new(&f.data_type, f.nullable, unknown),
                    )
                });
                Values::Struct(Box::new(Object::new(fields, unknown)))
            }
        };
        Column {
            data_type: data_type.clone(),
            nullable,
            cost: cost(data_type),
            arrow,
            nulls: NullBufferBuilder::new(0),
            values,
        }
    }

    #[inline]
    pub(in crate::formats) fn len(&self) -> usize {
        self.nulls.len()
    }

    /// Says that the value just appended to `values` is one.
    #[inline]
    pub(in crate::formats) fn valid(&mut self) {
        self.nulls.append_non_null();
    }

    /// Appends a null, whether or not the column may hold one: a required child of a null struct is null
    /// too.
    pub(in crate::formats) fn push_null(&mut self) {
        self.nulls.append_null();
        match &mut self.values {
            Values::Boolean(values) => values.append(false),
            Values::Int(values) | Values::Date(values) => values.push(0),
            Values::BigInt(values)
            | Values::Time(values)
            | Values::Timestamp { values, .. }
            | Values::Instant { values, .. } => values.push(0),
            Values::Float(values) => values.push(0.0),
            Values::Double(values) => values.push(0.0),
            Values::Decimal { values, .. } => values.push(0),
            Values::String(text) | Values::Bytes(text) => text.pad(),
            Values::Array { offsets, .. } | Values::Map { offsets, .. } => {
                offsets.push(last(offsets));
            }
            Values::Struct(object) => object.push_nulls(),
        }
    }

    /// Forgets everything from row `len` on, also a value that was only half written.
    pub(in crate::formats) fn truncate(&mut self, len: usize) {
        self.nulls.truncate(len);
        match &mut self.values {
            Values::Boolean(values) => values.truncate(len),
            Values::Int(values) | Values::Date(values) => values.truncate(len),
            Values::BigInt(values)
            | Values::Time(values)
            | Values::Timestamp { values, .. }
            | Values::Instant { values, .. } => values.truncate(len),
            Values::Float(values) => values.truncate(len),
            Values::Double(values) => values.truncate(len),
            Values::Decimal { values, .. } => values.truncate(len),
            Values::String(text) | Values::Bytes(text) => text.truncate(len),
            Values::Array { offsets, items } => {
                offsets.truncate(len + 1);
                items.truncate(last(offsets) as usize);
            }
            Values::Map {
                offsets,
                keys,
                items,
            } => {
                offsets.truncate(len + 1);
                keys.truncate(last(offsets) as usize);
                items.truncate(last(offsets) as usize);
            }
            Values::Struct(object) => object.truncate(len),
        }
    }

    /// The column as an Arrow array; a new one begins.
    pub(in crate::formats) fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let nulls = self.nulls.finish();
        Ok(match &mut self.values {
            Values::Boolean(values) => Arc::new(BooleanArray::new(values.finish(), nulls)),
            Values::Int(values) => Arc::new(Int32Array::try_new(take(values).into(), nulls)?),
            Values::BigInt(values) => Arc::new(Int64Array::try_new(take(values).into(), nulls)?),
            Values::Float(values) => Arc::new(Float32Array::try_new(take(values).into(), nulls)?),
            Values::Double(values) => Arc::new(Float64Array::try_new(take(values).into(), nulls)?),
            Values::Decimal { values, .. } => Arc::new(
                Decimal128Array::try_new(take(values).into(), nulls)?
                    .with_data_type(self.arrow.clone()),
            ),
            Values::String(text) => {
                let (offsets, bytes) = text.take();
                Arc::new(StringArray::try_new(offsets, bytes, nulls)?)
            }
            Values::Bytes(text) => {
                let (offsets, bytes) = text.take();
                Arc::new(BinaryArray::try_new(offsets, bytes, nulls)?)
            }
            Values::Date(values) => Arc::new(Date32Array::try_new(take(values).into(), nulls)?),
            Values::Time(values) => {
                Arc::new(Time64MicrosecondArray::try_new(take(values).into(), nulls)?)
            }
            Values::Timestamp { digits, values } | Values::Instant { digits, values } => {
                timestamps(*digits, take(values).into(), nulls, &self.arrow)?
            }
            Values::Array { offsets, items } => Arc::new(ListArray::try_new(
                child(&self.arrow)?.clone(),
                take_offsets(offsets),
                items.finish()?,
                nulls,
            )?),
            Values::Map {
                offsets,
                keys,
                items,
            } => {
                let entries = child(&self.arrow)?;
                let (key_offsets, key_bytes) = keys.take();
                let keys = StringArray::try_new(key_offsets, key_bytes, None)?;
                let items = items.finish()?;
                let pairs = StructArray::try_new(
                    children(entries.data_type())?.clone(),
                    vec![Arc::new(keys), items],
                    None,
                )?;
                Arc::new(MapArray::try_new(
                    entries.clone(),
                    take_offsets(offsets),
                    pairs,
                    nulls,
                    false,
                )?)
            }
            Values::Struct(object) => {
                let rows = object.rows();
                let arrays = object.finish()?;
                Arc::new(StructArray::try_new_with_length(
                    children(&self.arrow)?.clone(),
                    arrays,
                    nulls,
                    rows,
                )?)
            }
        })
    }
}

fn timestamps(
    digits: u8,
    values: ScalarBuffer<i64>,
    nulls: Option<NullBuffer>,
    arrow: &Arrow,
) -> Result<ArrayRef, ArrowError> {
    Ok(match digits {
        0 => Arc::new(TimestampSecondArray::try_new(values, nulls)?.with_data_type(arrow.clone())),
        3 => Arc::new(
            TimestampMillisecondArray::try_new(values, nulls)?.with_data_type(arrow.clone()),
        ),
        _ => Arc::new(
            TimestampMicrosecondArray::try_new(values, nulls)?.with_data_type(arrow.clone()),
        ),
    })
}

fn child(arrow: &Arrow) -> Result<&FieldRef, ArrowError> {
    match arrow {
        Arrow::List(field) | Arrow::Map(field, _) => Ok(field),
        other => Err(ArrowError::SchemaError(format!("{other} has no elements"))),
    }
}

fn children(arrow: &Arrow) -> Result<&Fields, ArrowError> {
    match arrow {
        Arrow::Struct(fields) => Ok(fields),
        other => Err(ArrowError::SchemaError(format!("{other} has no fields"))),
    }
}
