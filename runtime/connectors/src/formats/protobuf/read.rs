//! Runs a program: a message's bytes into columns.
//!
//! A message is passed twice: once over its tags, to find where each wanted field last stands (the last one counts, and
//! fields may come in any order), then column by column over what was found.

use std::collections::HashMap;

use super::super::json::column::{Column, Values};
use super::super::json::object::Object;
use super::super::refused::Refused;
use super::super::values;
use super::compile::{Absent, Many, Message, Op, Slot};
use super::wire::{FIXED32, FIXED64, Field, LENGTH, VARINT, field, varint, zigzag};

/// Where a wanted field was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    /// How often; 0: it wasn't.
    pub(super) count: u32,
    /// Where its first one begins.
    pub(super) first: usize,
    pub(super) last: Field,
}

pub(super) const NOWHERE: Found = Found {
    count: 0,
    first: 0,
    last: Field {
        number: 0,
        wire: 0,
        value: 0,
        begin: 0,
        end: 0,
    },
};

/// Memory that messages share, so that none is asked for with each of them.
#[derive(Debug, Default)]
pub(super) struct Scratch(Vec<Found>);

impl Scratch {
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

impl Message {
    /// Reads a message into a new row. On an error the row is half written: truncate, and clear the scratch.
    pub(super) fn read(
        &self,
        bytes: &[u8],
        object: &mut Object,
        scratch: &mut Scratch,
    ) -> Result<(), Refused> {
        let base = scratch.0.len();
        scratch.0.resize(base + self.slots.len(), NOWHERE);
        let mut at = 0;
        while at < bytes.len() {
            let field = field(bytes, &mut at)?;
            for oneof in &self.oneofs {
                if oneof.numbers.contains(&field.number) {
                    // Whichever of them came before is no more.
                    for slot in &oneof.slots {
                        if self.slots[*slot].number != field.number {
                            scratch.0[base + *slot] = NOWHERE;
                        }
                    }
                }
            }
            if let Some(slot) = self.slot(field.number) {
                let found = &mut scratch.0[base + slot];
                if found.count == 0 {
                    found.first = field.begin;
                }
                found.count += 1;
                found.last = field;
            }
        }
        for (at, slot) in self.slots.iter().enumerate() {
            let found = scratch.0[base + at];
            let column = &mut object.columns()[at];
            slot.read(bytes, &found, column, scratch)
                .map_err(|refused| refused.field(&slot.name))?;
        }
        scratch.0.truncate(base);
        object.end_row();
        Ok(())
    }
}

impl Slot {
    fn read(
        &self,
        bytes: &[u8],
        found: &Found,
        column: &mut Column,
        scratch: &mut Scratch,
    ) -> Result<(), Refused> {
        match self.many {
            Many::One if found.count == 0 => match self.absent {
                Absent::Null => values::missing(column),
                Absent::Default => self.default(column),
            },
            Many::One if found.count > 1 && self.op.is_message() => {
                let whole = self.merged(bytes, found)?;
                let field = Field {
                    wire: LENGTH,
                    value: 0,
                    end: whole.len(),
                    ..found.last
                };
                self.op.read(&whole, &field, column, scratch)
            }
            Many::One => self.op.read(bytes, &found.last, column, scratch),
            Many::List => self.list(bytes, found, column, scratch),
            Many::Map => self.map(bytes, found, column, scratch),
        }
    }

    /// proto3 doesn't write a field that has its type's default.
    pub(super) fn default(&self, column: &mut Column) -> Result<(), Refused> {
        match &self.op {
            Op::Bool => values::boolean(column, false),
            Op::Float => values::float(column, 0.0),
            Op::Double => values::double(column, 0.0),
            Op::Text | Op::Bytes => values::text(column, b""),
            Op::Written => values::written(column, b""),
            Op::Enum(names) => enumerated(names, 0, column),
            op if op.is_message() => values::missing(column),
            _ => values::whole(column, 0),
        }
    }

    /// Messages that come more than once are merged, which is what a message of all their bytes is (Protobuf,
    /// "Encoding", last one wins).
    #[cold]
    fn merged(&self, bytes: &[u8], found: &Found) -> Result<Vec<u8>, Refused> {
        let mut whole = Vec::new();
        let mut at = found.first;
        while at < found.last.end {
            let field = field(bytes, &mut at)?;
            if field.number == self.number && field.wire == LENGTH {
                whole.extend_from_slice(&bytes[field.value as usize..field.end]);
            }
        }
        Ok(whole)
    }
}

#[cold]
pub(super) fn wrong_wire() -> Refused {
    Refused::decode("isn't on the wire what the definition says")
}

fn enumerated(
    names: &HashMap<i32, String>,
    number: i32,
    column: &mut Column,
) -> Result<(), Refused> {
    match names.get(&number) {
        Some(name) => values::text(column, name.as_bytes()),
        // As in Protobuf's JSON: enums are open, and a number without a name is itself.
        None => values::text(column, number.to_string().as_bytes()),
    }
}

impl Op {
    /// True for what is a message on the wire.
    pub(super) fn is_message(&self) -> bool {
        matches!(
            self,
            Op::Struct(_) | Op::Timestamp | Op::Wrapper(_) | Op::Present | Op::Json(_)
        )
    }

    /// The wire type of one value.
    pub(super) fn wire(&self) -> u8 {
        match self {
            Op::Fixed32 | Op::Sfixed32 | Op::Float => FIXED32,
            Op::Fixed64 | Op::Sfixed64 | Op::Double => FIXED64,
            Op::Text
            | Op::Bytes
            | Op::Written
            | Op::Timestamp
            | Op::Wrapper(_)
            | Op::Struct(_)
            | Op::Present
            | Op::Json(_) => LENGTH,
            _ => VARINT,
        }
    }

    /// The next value of a packed list, which has no tags.
    pub(super) fn packed(&self, bytes: &[u8], at: &mut usize) -> Result<Field, Refused> {
        let begin = *at;
        let wire = self.wire();
        let value = match wire {
            VARINT => varint(bytes, at)?,
            wire => {
                let size = if wire == FIXED32 { 4 } else { 8 };
                let end = begin + size;
                let taken = bytes.get(begin..end).ok_or_else(super::wire::cut_off)?;
                let mut whole = [0; 8];
                whole[..size].copy_from_slice(taken);
                *at = end;
                u64::from_le_bytes(whole)
            }
        };
        Ok(Field {
            number: 0,
            wire,
            value,
            begin,
            end: *at,
        })
    }

    /// Reads the value of `field`, which stands in `bytes`.
    #[inline]
    pub(super) fn read(
        &self,
        bytes: &[u8],
        field: &Field,
        column: &mut Column,
        scratch: &mut Scratch,
    ) -> Result<(), Refused> {
        if field.wire != self.wire() {
            return Err(wrong_wire());
        }
        let value = field.value;
        match self {
            Op::Int64 | Op::Sfixed64 => values::whole(column, value as i64),
            // A negative int32 is written with ten bytes; of a number with more bits the low ones count.
            Op::Int32 | Op::Sfixed32 => values::whole(column, i64::from(value as i32)),
            Op::Uint32 | Op::Fixed32 => values::whole(column, i64::from(value as u32)),
            Op::Sint32 => values::whole(column, i64::from(zigzag(value & 0xffff_ffff) as i32)),
            Op::Sint64 => values::whole(column, zigzag(value)),
            Op::Uint64 | Op::Fixed64 => match i64::try_from(value) {
                Ok(value) => values::whole(column, value),
                Err(_) => values::unscaled(column, i128::from(value), 0)
                    .map_err(|_| values::out_of_range(column)),
            },
            Op::Bool => values::boolean(column, value != 0),
            Op::Truth => values::whole(column, i64::from(value != 0)),
            Op::Float => values::float(column, f32::from_bits(value as u32)),
            Op::Double => values::double(column, f64::from_bits(value)),
            Op::Enum(names) => enumerated(names, value as i32, column),
            Op::Text | Op::Bytes => values::text(column, &bytes[value as usize..field.end]),
            Op::Written => values::written(column, &bytes[value as usize..field.end]),
            Op::Timestamp => timestamp(&bytes[value as usize..field.end], column),
            Op::Present => values::boolean(column, true),
            Op::Json(json) => {
                let text = json.read(&bytes[value as usize..field.end])?;
                values::text(column, text.as_bytes())
            }
            Op::Struct(message) => {
                let inner = &bytes[value as usize..field.end];
                let Values::Struct(object) = &mut column.values else {
                    return Err(values::mismatch(column));
                };
                message.read(inner, object, scratch)?;
                column.valid();
                Ok(())
            }
            Op::Wrapper(slot) => {
                let inner = &bytes[value as usize..field.end];
                let mut found = NOWHERE;
                let mut at = 0;
                while at < inner.len() {
                    let field = super::wire::field(inner, &mut at)?;
                    if field.number == slot.number {
                        if found.count == 0 {
                            found.first = field.begin;
                        }
                        found.count += 1;
                        found.last = field;
                    }
                }
                slot.read(inner, &found, column, scratch)
            }
        }
    }
}

/// `google.protobuf.Timestamp`: seconds and nanoseconds.
fn timestamp(bytes: &[u8], column: &mut Column) -> Result<(), Refused> {
    let (mut seconds, mut nanos) = (0_i64, 0_i64);
    let mut at = 0;
    while at < bytes.len() {
        let field = field(bytes, &mut at)?;
        match (field.number, field.wire) {
            (1, VARINT) => seconds = field.value as i64,
            (2, VARINT) => nanos = i64::from(field.value as i32),
            (1 | 2, _) => return Err(wrong_wire()),
            _ => {}
        }
    }
    if !(0..1_000_000_000).contains(&nanos) {
        return Err(Refused::contract("has nanoseconds beyond a second"));
    }
    // In microseconds; seconds that would overflow are outside the years anyway.
    let micros = seconds
        .checked_mul(1_000_000)
        .and_then(|micros| micros.checked_add(nanos / 1_000));
    values::point(column, micros.unwrap_or(i64::MAX), 1_000_000)
}
