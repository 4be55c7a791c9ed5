//! From a writer's message and the columns that a reader wants to a table of field numbers.
//!
//! Fields are found by number, as Protobuf does it: a column's number is the one that the contract's own definition
//! gives its name. What is at that number is read as the writer's definition says.

use std::collections::HashMap;

use headworks_schema::protobuf::{Known, known};
use headworks_sql::types::{DataType, StructField};
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

use super::super::values::is_written;
use super::dynamic::Json;
use super::key::Key;

/// Numbers below this are found by index.
const DIRECT: usize = 256;
/// Nesting of columns; a contract's own limit is lower.
const MAX_DEPTH: usize = 40;

/// Where it is in the contract, and what is wrong.
pub(super) type Wrong = (String, String);

/// What is read of a message.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) slots: Vec<Slot>,
    /// Slot by field number, plus one; 0: nobody asked for it.
    direct: Vec<u16>,
    others: HashMap<u32, u16>,
    /// The writer's oneofs that have a wanted member.
    pub(super) oneofs: Vec<Oneof>,
}

/// Of these fields a message has one at most: the one that stands last.
#[derive(Debug)]
pub(super) struct Oneof {
    /// All of its members.
    pub(super) numbers: Vec<u32>,
    /// Those that are wanted.
    pub(super) slots: Vec<usize>,
}

/// A column of a message. Slots and columns have the same order.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) name: String,
    pub(super) number: u32,
    pub(super) many: Many,
    /// How a map's keys are read.
    pub(super) key: Key,
    pub(super) op: Op,
    /// What the column gets where the field isn't there.
    pub(super) absent: Absent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Many {
    One,
    List,
    Map,
}

/// What a field that isn't there means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Absent {
    /// Null.
    Null,
    /// The type's default: 0, false, nothing.
    Default,
}

/// How a value is read.
#[derive(Debug)]
pub(super) enum Op {
    Bool,
    /// A bool, to a column of numbers.
    Truth,
    Int32,
    Sint32,
    Uint32,
    Int64,
    Sint64,
    Uint64,
    Fixed32,
    Sfixed32,
    Fixed64,
    Sfixed64,
    Float,
    Double,
    Text,
    Bytes,
    /// Text, as in JSON.
    Written,
    Enum(HashMap<i32, String>),
    Timestamp,
    /// A message without fields: that it is there.
    Present,
    /// A JSON value in Protobuf's words.
    Json(Json),
    /// The value of a message's field 1.
    Wrapper(Box<Slot>),
    Struct(Box<Message>),
}

impl Message {
    #[inline]
    pub(super) fn slot(&self, number: u32) -> Option<usize> {
        let slot = match self.direct.get(number as usize) {
            Some(slot) => *slot,
            None if (number as usize) < DIRECT => 0,
            None => self.others.get(&number).copied().unwrap_or(0),
        };
        (slot as usize).checked_sub(1)
    }

    fn of(slots: Vec<Slot>, writer: &MessageDescriptor) -> Message {
        let oneofs = writer.oneofs().filter(|oneof| !oneof.is_synthetic());
        let oneofs = oneofs.filter_map(|oneof| {
            let numbers: Vec<u32> = oneof.fields().map(|field| field.number()).collect();
            let wanted = |at: &usize| numbers.contains(&slots[*at].number);
            let slots: Vec<usize> = (0..slots.len()).filter(wanted).collect();
            (!slots.is_empty()).then_some(Oneof { numbers, slots })
        });
        let mut message = Message {
            oneofs: oneofs.collect(),
            direct: Vec::new(),
            others: HashMap::new(),
            slots,
        };
        for (at, slot) in message.slots.iter().enumerate() {
            let (number, slot) = (slot.number as usize, at as u16 + 1);
            if number >= DIRECT {
                message.others.insert(number as u32, slot);
                continue;
            }
            if message.direct.len() <= number {
                message.direct.resize(number + 1, 0);
            }
            message.direct[number] = slot;
        }
        message
    }
}

/// A program for `writer`. `reader` is the message of the contract's definition.
///
/// # Errors
/// The writer's type of a column isn't one that the column can hold.
pub(super) fn message(
    writer: &MessageDescriptor,
    reader: &MessageDescriptor,
    columns: &[StructField],
    depth: usize,
) -> Result<Message, Wrong> {
    let mut slots = Vec::with_capacity(columns.len());
    for column in columns {
        let within = |(path, why): Wrong| (step(&column.name, &path), why);
        let own = reader.get_field_by_name(&column.name).ok_or_else(|| {
            (
                column.name.clone(),
                "the contract's definition doesn't have it".to_owned(),
            )
        })?;
        let theirs = match writer.get_field(own.number()) {
            Some(theirs) => theirs,
            None => match writer.get_field_by_name(&column.name) {
                // What it was written as can't be read as what it is now, and to say 0 instead would be a lie.
                Some(other) => {
                    return Err((
                        column.name.clone(),
                        format!(
                            "has number {} in the definition that the record was written with, and {} in the contract's, as its type changed",
                            other.number(),
                            own.number()
                        ),
                    ));
                }
                // A field that the writer doesn't have is never there.
                None => own.clone(),
            },
        };
        slots.push(slot(&theirs, &own, &column.name, &column.data_type, depth).map_err(within)?);
    }
    Ok(Message::of(slots, writer))
}

fn slot(
    writer: &FieldDescriptor,
    reader: &FieldDescriptor,
    name: &str,
    to: &DataType,
    depth: usize,
) -> Result<Slot, Wrong> {
    if depth > MAX_DEPTH {
        return Err((String::new(), "is nested too deep".to_owned()));
    }
    let element = |(path, why): Wrong| (step("[]", &path), why);
    let mut key = Key::Text;
    let (many, op) = match (shape(writer), to) {
        (Many::List, DataType::Array(to)) => (
            Many::List,
            op(&writer.kind(), &reader.kind(), to, depth).map_err(element)?,
        ),
        (Many::Map, DataType::Map(to)) => {
            let (theirs, ours) = (values_of(writer), values_of(reader));
            let (Some((theirs_key, theirs)), Some((_, ours))) = (theirs, ours) else {
                return Err(mismatch(writer, to));
            };
            key = theirs_key;
            (
                Many::Map,
                op(&theirs.kind(), &ours.kind(), to, depth).map_err(element)?,
            )
        }
        (Many::One, to) => (Many::One, op(&writer.kind(), &reader.kind(), to, depth)?),
        (_, to) => return Err(mismatch(writer, to)),
    };
    let absent = if many == Many::One && writer.supports_presence() {
        Absent::Null
    } else {
        Absent::Default
    };
    Ok(Slot {
        name: name.to_owned(),
        number: writer.number(),
        many,
        key,
        op,
        absent,
    })
}

pub(super) fn shape(field: &FieldDescriptor) -> Many {
    if field.is_map() {
        Many::Map
    } else if field.is_list() {
        Many::List
    } else {
        Many::One
    }
}

/// A map's keys, and the field of its values.
pub(super) fn values_of(field: &FieldDescriptor) -> Option<(Key, FieldDescriptor)> {
    match field.kind() {
        Kind::Message(entry) if entry.is_map_entry() => {
            let key = Key::of(&entry.map_entry_key_field().kind())?;
            Some((key, entry.map_entry_value_field()))
        }
        _ => None,
    }
}

fn op(writer: &Kind, reader: &Kind, to: &DataType, depth: usize) -> Result<Op, Wrong> {
    use DataType as T;
    let whole = matches!(to, T::Int | T::BigInt | T::Decimal { .. });
    Ok(match (writer, to) {
        (Kind::Bool, T::Boolean) => Op::Bool,
        (Kind::Bool, T::Int | T::BigInt) => Op::Truth,
        (Kind::Int32, _) if whole => Op::Int32,
        (Kind::Sint32, _) if whole => Op::Sint32,
        (Kind::Uint32, _) if whole => Op::Uint32,
        (Kind::Int64, _) if whole => Op::Int64,
        (Kind::Sint64, _) if whole => Op::Sint64,
        (Kind::Uint64, _) if whole => Op::Uint64,
        (Kind::Fixed32, _) if whole => Op::Fixed32,
        (Kind::Sfixed32, _) if whole => Op::Sfixed32,
        (Kind::Fixed64, _) if whole => Op::Fixed64,
        (Kind::Sfixed64, _) if whole => Op::Sfixed64,
        (Kind::Float, T::Float | T::Double) => Op::Float,
        (Kind::Double, T::Double) => Op::Double,
        (Kind::String, T::String) => Op::Text,
        (Kind::Bytes, T::Bytes | T::String) | (Kind::String, T::Bytes) => Op::Bytes,
        (Kind::String, to) if is_written(to) => Op::Written,
        (Kind::Enum(values), T::String) => Op::Enum(
            values
                .values()
                .map(|value| (value.number(), value.name().to_owned()))
                .collect(),
        ),
        (Kind::Message(theirs), to) => {
            let ours = match reader {
                Kind::Message(ours) => ours,
                _ => theirs,
            };
            match (known(theirs), to) {
                (Known::Timestamp, T::TimestampLtz(_)) => Op::Timestamp,
                (Known::Empty, T::Boolean) => Op::Present,
                // It had fields once; that it is there is what is left of it.
                (Known::None | Known::Items, T::Boolean) if known(ours) == Known::Empty => {
                    Op::Present
                }
                (it @ (Known::Struct | Known::Value | Known::List), to) => {
                    match (Json::of(it), to) {
                        (Some(json), T::String) => Op::Json(json),
                        _ => return Err(no(&format!("message {}", theirs.full_name()), to)),
                    }
                }
                (Known::Wrapper, to) => inner(theirs, ours, to, depth)?,
                (Known::Items, T::Array(_) | T::Map(_)) => inner(theirs, ours, to, depth)?,
                (_, T::Struct(columns)) => {
                    Op::Struct(Box::new(message(theirs, ours, columns, depth + 1)?))
                }
                _ => return Err(no(&format!("message {}", theirs.full_name()), to)),
            }
        }
        _ => return Err(no(&format!("{writer:?}").to_lowercase(), to)),
    })
}

fn inner(
    theirs: &MessageDescriptor,
    ours: &MessageDescriptor,
    to: &DataType,
    depth: usize,
) -> Result<Op, Wrong> {
    let (Some(field), Some(own)) = (theirs.get_field(1), ours.get_field(1)) else {
        return Err(no("a message", to));
    };
    Ok(Op::Wrapper(Box::new(slot(
        &field,
        &own,
        "",
        to,
        depth + 1,
    )?)))
}

fn mismatch(field: &FieldDescriptor, to: &DataType) -> Wrong {
    let what = match shape(field) {
        Many::One => format!("{:?}", field.kind()).to_lowercase(),
        Many::List => "repeated".to_owned(),
        Many::Map => "a map".to_owned(),
    };
    no(&what, to)
}

fn no(what: &str, to: &DataType) -> Wrong {
    let why =
        format!("is {what} in the definition that the record was written with, which is no {to}");
    (String::new(), why)
}

fn step(name: &str, path: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else if path.starts_with('[') || name.is_empty() {
        format!("{name}{path}")
    } else {
        format!("{name}.{path}")
    }
}
