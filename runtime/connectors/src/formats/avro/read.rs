//! Runs a program: a record's bytes into columns.

use headworks_schema::avro::{Avro, Id};

use super::super::json::column::{Column, Values};
use super::super::json::object::Object;
use super::super::json::value::double as comes_twice;
use super::super::refused::Refused;
use super::super::values;
use super::cursor::Cursor;
use super::skip::skip;

/// A writer's record, as a reader wants it.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// In the order in which the writer wrote.
    pub(super) steps: Vec<Step>,
    /// Columns that the writer doesn't have.
    pub(super) rest: Vec<Rest>,
}

/// One field of the writer's.
#[derive(Debug)]
pub(super) enum Step {
    /// Nobody asked for it.
    Skip(Id),
    /// It goes to a column.
    Read { column: usize, name: String, op: Op },
}

/// A column that the writer has no field for.
#[derive(Debug)]
pub(super) struct Rest {
    pub(super) column: usize,
    pub(super) name: String,
    pub(super) value: RestValue,
}

#[derive(Debug)]
pub(super) enum RestValue {
    Null,
    /// The default of the reader's definition, in Avro.
    Default(Op, Vec<u8>),
    /// The contract requires it, and the writer's definition has no such field.
    Required,
}

/// How a value is read.
#[derive(Debug)]
pub(super) enum Op {
    Boolean,
    /// An int, to any column of numbers.
    Int,
    /// A long, to any column of numbers.
    Long,
    Float,
    Double,
    Decimal {
        length: Length,
        scale: u8,
    },
    Text,
    /// Bytes, to a column of bytes or (if they are UTF-8) text.
    Bytes(Length),
    /// By the writer's index: what it is for the reader.
    Enum(Vec<String>),
    Uuid,
    Date,
    TimeMillis,
    TimeMicros,
    /// Parts of a second.
    Point(u32),
    Array(Box<Op>),
    Map(Box<Op>),
    Struct(Box<Record>),
    Union(Vec<Op>),
    /// To the one field of a struct that is a union of several types; the others are null.
    Chosen {
        column: usize,
        name: String,
        op: Box<Op>,
    },
    Null,
    /// A branch of a union that the contract has no place for.
    Never(String),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Length {
    Prefixed,
    Fixed(usize),
}

impl Length {
    #[inline]
    fn read<'a>(self, input: &mut Cursor<'a>) -> Result<&'a [u8], Refused> {
        match self {
            Length::Prefixed => input.prefixed(),
            Length::Fixed(size) => input.take(size),
        }
    }
}

impl Record {
    /// Reads a record into a new row. On an error the row is half written: truncate.
    pub(super) fn read(
        &self,
        writer: &Avro,
        object: &mut Object,
        input: &mut Cursor<'_>,
    ) -> Result<(), Refused> {
        for step in &self.steps {
            match step {
                Step::Skip(id) => skip(writer, *id, input, 0)?,
                Step::Read { column, name, op } => op
                    .read(writer, &mut object.columns()[*column], input)
                    .map_err(|refused| refused.field(name))?,
            }
        }
        for rest in &self.rest {
            let column = &mut object.columns()[rest.column];
            let done = match &rest.value {
                RestValue::Null => {
                    column.push_null();
                    Ok(())
                }
                RestValue::Default(op, bytes) => op.read(writer, column, &mut Cursor::new(bytes)),
                RestValue::Required => Err(Refused::contract(format!(
                    "is missing in the definition that the record was written with; {} is required",
                    column.data_type
                ))),
            };
            done.map_err(|refused| refused.field(&rest.name))?;
        }
        object.end_row();
        Ok(())
    }
}

impl Op {
    #[inline]
    fn read(
        &self,
        writer: &Avro,
        column: &mut Column,
        input: &mut Cursor<'_>,
    ) -> Result<(), Refused> {
        match self {
            Op::Long => values::whole(column, input.long()?),
            Op::Int => values::whole(column, i64::from(input.int()?)),
            Op::Text => values::text(column, input.prefixed()?),
            Op::Point(unit) => values::point(column, input.long()?, *unit),
            Op::Decimal { length, scale } => {
                let bytes = length.read(input)?;
                match values::unscaled_bytes(bytes) {
                    Some(value) => values::unscaled(column, value, *scale),
                    None => Err(values::out_of_range(column)),
                }
            }
            Op::Boolean => values::boolean(column, input.boolean()?),
            Op::Float => values::float(column, f32::from_le_bytes(input.array()?)),
            Op::Double => values::double(column, f64::from_le_bytes(input.array()?)),
            Op::Bytes(length) => values::text(column, length.read(input)?),
            Op::Date => values::day(column, input.int()?),
            Op::TimeMillis => values::time(column, Some(i64::from(input.int()?) * 1_000)),
            Op::TimeMicros => values::time(column, Some(input.long()?)),
            Op::Null => values::null(column),
            Op::Union(branches) => {
                let index = usize::try_from(input.long()?).ok();
                match index.and_then(|index| branches.get(index)) {
                    Some(op) => op.read(writer, column, input),
                    None => Err(Refused::decode("a branch that the union doesn't have")),
                }
            }
            _ => self.read_rest(writer, column, input),
        }
    }

    /// What is rarer, or calls itself.
    fn read_rest(
        &self,
        writer: &Avro,
        column: &mut Column,
        input: &mut Cursor<'_>,
    ) -> Result<(), Refused> {
        match (self, &mut column.values) {
            (Op::Enum(symbols), _) => {
                let index = usize::try_from(input.int()?).ok();
                match index.and_then(|index| symbols.get(index)) {
                    Some(symbol) => values::text(column, symbol.as_bytes()),
                    None => Err(Refused::decode("a symbol that the enum doesn't have")),
                }
            }
            (Op::Uuid, _) => {
                let text = uuid(&input.array()?);
                values::text(column, text.as_bytes())
            }
            (Op::Array(op), Values::Array { offsets, items }) => {
                let begin = items.len();
                loop {
                    let (count, _) = input.block()?;
                    if count == 0 {
                        break;
                    }
                    for _ in 0..count {
                        let index = items.len() - begin;
                        op.read(writer, items, input)
                            .map_err(|refused| refused.index(index))?;
                    }
                }
                offsets.push(i32::try_from(items.len()).map_err(|_| values::full())?);
                column.valid();
                Ok(())
            }
            (
                Op::Map(op),
                Values::Map {
                    offsets,
                    keys,
                    items,
                },
            ) => {
                let begin = keys.len();
                loop {
                    let (count, _) = input.block()?;
                    if count == 0 {
                        break;
                    }
                    for _ in 0..count {
                        let key = input.prefixed()?;
                        if std::str::from_utf8(key).is_err() {
                            return Err(Refused::decode("a map key that is not UTF-8"));
                        }
                        keys.push(key).map_err(|_| values::full())?;
                        op.read(writer, items, input)
                            .map_err(|refused| refused.key(key))?;
                    }
                }
                if let Some(twice) = comes_twice(keys, begin) {
                    return Err(Refused::contract("comes twice in the map").key(keys.get(twice)));
                }
                offsets.push(i32::try_from(items.len()).map_err(|_| values::full())?);
                column.valid();
                Ok(())
            }
            (Op::Struct(record), Values::Struct(object)) => {
                record.read(writer, object, input)?;
                column.valid();
                Ok(())
            }
            (
                Op::Chosen {
                    column: at,
                    name,
                    op,
                },
                Values::Struct(object),
            ) => {
                for (index, field) in object.columns().iter_mut().enumerate() {
                    if index == *at {
                        op.read(writer, field, input)
                            .map_err(|refused| refused.field(name))?;
                    } else {
                        field.push_null();
                    }
                }
                object.end_row();
                column.valid();
                Ok(())
            }
            (Op::Never(why), _) => Err(Refused::contract(why.clone())),
            _ => Err(values::mismatch(column)),
        }
    }
}

/// A UUID in its usual text (RFC 9562).
fn uuid(bytes: &[u8; 16]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        if [4, 6, 8, 10].contains(&at) {
            text.push('-');
        }
        let _ = write!(text, "{byte:02x}");
    }
    text
}
