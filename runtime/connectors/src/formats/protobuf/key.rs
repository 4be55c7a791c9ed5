//! A map's keys. SQL's maps have text for keys: of a whole number it is its digits, of a boolean `true` or `false`, as
//! in Protobuf's own JSON.

use std::io::Write as _;

use prost_reflect::Kind;

use super::super::json::column::Text;
use super::super::refused::Refused;
use super::super::values;
use super::wire::{FIXED32, FIXED64, Field, LENGTH, VARINT, put_varint, unzigzag, zigzag};

/// What a map's keys are on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Text,
    Bool,
    Int32,
    Int64,
    Uint32,
    Uint64,
    Sint32,
    Sint64,
    Fixed32,
    Fixed64,
    Sfixed32,
    Sfixed64,
}

impl Key {
    /// `None`: Protobuf has no such keys.
    pub(super) fn of(kind: &Kind) -> Option<Key> {
        Some(match kind {
            Kind::String => Key::Text,
            Kind::Bool => Key::Bool,
            Kind::Int32 => Key::Int32,
            Kind::Int64 => Key::Int64,
            Kind::Uint32 => Key::Uint32,
            Kind::Uint64 => Key::Uint64,
            Kind::Sint32 => Key::Sint32,
            Kind::Sint64 => Key::Sint64,
            Kind::Fixed32 => Key::Fixed32,
            Kind::Fixed64 => Key::Fixed64,
            Kind::Sfixed32 => Key::Sfixed32,
            Kind::Sfixed64 => Key::Sfixed64,
            _ => return None,
        })
    }

    pub(super) fn wire(self) -> u8 {
        match self {
            Key::Text => LENGTH,
            Key::Fixed32 | Key::Sfixed32 => FIXED32,
            Key::Fixed64 | Key::Sfixed64 => FIXED64,
            _ => VARINT,
        }
    }

    /// Appends the key that stands at `field` of an entry. One that isn't there is its type's default.
    pub(super) fn read(
        self,
        entry: &[u8],
        field: Option<&Field>,
        keys: &mut Text,
    ) -> Result<(), Refused> {
        let value = field.map_or(0, |field| field.value);
        let number = match self {
            Key::Text => {
                let text = field.map_or(&[][..], |field| &entry[field.value as usize..field.end]);
                if std::str::from_utf8(text).is_err() {
                    return Err(Refused::decode("a map key that is not UTF-8"));
                }
                return keys.push(text).map_err(|_| values::full());
            }
            Key::Bool => {
                let text: &[u8] = if value == 0 { b"false" } else { b"true" };
                return keys.push(text).map_err(|_| values::full());
            }
            Key::Int32 | Key::Sfixed32 => i128::from(value as i32),
            Key::Int64 | Key::Sfixed64 => i128::from(value as i64),
            Key::Uint32 | Key::Fixed32 => i128::from(value as u32),
            Key::Uint64 | Key::Fixed64 => i128::from(value),
            Key::Sint32 => i128::from(zigzag(value & 0xffff_ffff) as i32),
            Key::Sint64 => i128::from(zigzag(value)),
        };
        write!(keys.bytes, "{number}").map_err(|_| values::full())?;
        keys.end().map_err(|_| values::full())
    }

    /// Writes the key with its tag.
    pub(super) fn write(self, text: &str, out: &mut Vec<u8>) -> Result<(), Refused> {
        put_varint(1 << 3 | u64::from(self.wire()), out);
        match self {
            Key::Text => {
                put_varint(text.len() as u64, out);
                out.extend_from_slice(text.as_bytes());
            }
            Key::Bool => match text {
                "true" => out.push(1),
                "false" => out.push(0),
                _ => return Err(no_key("true or false", text)),
            },
            Key::Int32 => put_varint(self.number::<i32>(text)? as u64, out),
            Key::Int64 => put_varint(self.number::<i64>(text)? as u64, out),
            Key::Uint32 => put_varint(self.number::<u32>(text)?.into(), out),
            Key::Uint64 => put_varint(self.number::<u64>(text)?, out),
            Key::Sint32 => put_varint(unzigzag(self.number::<i32>(text)?.into()), out),
            Key::Sint64 => put_varint(unzigzag(self.number::<i64>(text)?), out),
            Key::Fixed32 => out.extend_from_slice(&self.number::<u32>(text)?.to_le_bytes()),
            Key::Fixed64 => out.extend_from_slice(&self.number::<u64>(text)?.to_le_bytes()),
            Key::Sfixed32 => out.extend_from_slice(&self.number::<i32>(text)?.to_le_bytes()),
            Key::Sfixed64 => out.extend_from_slice(&self.number::<i64>(text)?.to_le_bytes()),
        }
        Ok(())
    }

    /// In one spelling only: `7` and `07` would be two keys here and one there.
    fn number<T: std::str::FromStr + ToString>(self, text: &str) -> Result<T, Refused> {
        let number = text.parse::<T>().ok();
        number
            .filter(|number| number.to_string() == text)
            .ok_or_else(|| no_key(&format!("the digits of {self:?}").to_lowercase(), text))
    }
}

#[cold]
fn no_key(wanted: &str, text: &str) -> Refused {
    Refused::contract(format!(
        "is no key of the definition's map: expected {wanted}"
    ))
    .key(text.as_bytes())
}
