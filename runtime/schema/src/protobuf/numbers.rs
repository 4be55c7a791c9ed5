//! Field numbers that keep their meaning from one definition to the next.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use prost_reflect::{Kind, MessageDescriptor};

use super::fields::{Known, known};
use crate::error::SchemaError;

/// The greatest field number.
const LAST: u32 = 536_870_911;
/// Numbers that Protobuf keeps for itself.
const KEPT: std::ops::RangeInclusive<u32> = 19_000..=19_999;
/// The word of a message's shape.
pub(super) const MESSAGE: &str = "message";

/// One value, a list, or a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Many {
    One,
    List,
    Map,
}

/// What a field is on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    many: Many,
    word: String,
}

impl Shape {
    pub(super) fn new(many: Many, word: &str) -> Shape {
        Shape {
            many,
            word: word.to_owned(),
        }
    }

    fn of(field: &prost_reflect::FieldDescriptor) -> Shape {
        let (many, kind) = match field.kind() {
            Kind::Message(entry) if field.is_map() => {
                if !matches!(entry.map_entry_key_field().kind(), Kind::String) {
                    // Ours have text for keys.
                    return Shape::new(Many::Map, "another key");
                }
                (Many::Map, entry.map_entry_value_field().kind())
            }
            kind if field.is_list() => (Many::List, kind),
            kind => (Many::One, kind),
        };
        let word = match kind {
            Kind::Message(message) => match known(&message) {
                Known::None | Known::Items => MESSAGE.to_owned(),
                // What is no struct here: its fields' numbers mean nothing to one.
                _ => message.full_name().to_owned(),
            },
            Kind::Enum(_) => "enum".to_owned(),
            kind => format!("{kind:?}").to_ascii_lowercase(),
        };
        Shape { many, word }
    }

    /// True where what was written as `self` can be read as `now`.
    fn becomes(&self, now: &Shape) -> bool {
        self == now
            || self.many == now.many
                && matches!(
                    (self.word.as_str(), now.word.as_str()),
                    ("bool", "int32" | "int64")
                        | ("int32" | "uint32", "int64")
                        | ("string", "bytes")
                        | ("bytes", "string")
                )
    }
}

/// The numbers of one message's fields.
pub(super) struct Numbers {
    before: BTreeMap<String, (u32, Shape, Option<MessageDescriptor>)>,
    /// Numbers that no new field may have: first and last.
    reserved: BTreeSet<(u32, u32)>,
    reserved_names: BTreeSet<String>,
    next: u32,
}

impl Numbers {
    pub(super) fn of(before: Option<&MessageDescriptor>) -> Numbers {
        let mut numbers = Numbers {
            before: BTreeMap::new(),
            reserved: BTreeSet::new(),
            reserved_names: BTreeSet::new(),
            next: 1,
        };
        let Some(before) = before else {
            return numbers;
        };
        for field in before.fields() {
            let message = match field.kind() {
                Kind::Message(entry) if field.is_map() => {
                    match entry.map_entry_value_field().kind() {
                        Kind::Message(message) => Some(message),
                        _ => None,
                    }
                }
                Kind::Message(message) => Some(message),
                _ => None,
            };
            numbers.next = numbers.next.max(field.number().saturating_add(1));
            let known = (field.number(), Shape::of(&field), message);
            numbers.before.insert(field.name().to_owned(), known);
        }
        for range in before.reserved_ranges().filter(|range| !range.is_empty()) {
            numbers.next = numbers.next.max(range.end);
            numbers.reserved.insert((range.start, range.end - 1));
        }
        let names = before.reserved_names().map(str::to_owned);
        numbers.reserved_names.extend(names);
        numbers
    }

    /// The field's number, and its message of before.
    pub(super) fn of_field(
        &mut self,
        name: &str,
        shape: &Shape,
        path: &[String],
    ) -> Result<(u32, Option<MessageDescriptor>), SchemaError> {
        self.reserved_names.remove(name);
        if let Some((number, was, message)) = self.before.remove(name) {
            if was.becomes(shape) {
                return Ok((number, message));
            }
            // Old records have the number with another meaning.
            self.reserved.insert((number, number));
        }
        if KEPT.contains(&self.next) {
            self.next = KEPT.end() + 1;
        }
        if self.next > LAST {
            return Err(SchemaError::at(
                path,
                "the message has no field number left",
            ));
        }
        self.next += 1;
        Ok((self.next - 1, None))
    }

    /// The `reserved` lines, once every field has its number.
    pub(super) fn reserved(mut self, indent: &str) -> String {
        for (name, (number, _, _)) in std::mem::take(&mut self.before) {
            self.reserved.insert((number, number));
            self.reserved_names.insert(name);
        }
        let mut out = String::new();
        if !self.reserved.is_empty() {
            let ranges: Vec<String> = self
                .reserved
                .iter()
                .map(|(first, last)| match (first, last) {
                    (first, last) if first == last => first.to_string(),
                    (first, last) if *last >= LAST => format!("{first} to max"),
                    (first, last) => format!("{first} to {last}"),
                })
                .collect();
            let _ = writeln!(out, "{indent}  reserved {};", ranges.join(", "));
        }
        if !self.reserved_names.is_empty() {
            let names: Vec<String> = self
                .reserved_names
                .iter()
                .map(|name| format!("\"{name}\""))
                .collect();
            let _ = writeln!(out, "{indent}  reserved {};", names.join(", "));
        }
        out
    }
}
