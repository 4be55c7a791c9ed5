//! Lists and maps, whose items stand anywhere in a message.

use std::collections::{HashMap, HashSet};

use super::super::json::column::{Column, Text, Values};
use super::super::json::value::double as comes_twice;
use super::super::refused::Refused;
use super::super::values;
use super::compile::Slot;
use super::read::{Found, NOWHERE, Scratch, wrong_wire};
use super::wire::{Field, LENGTH, field};

impl Slot {
    pub(super) fn list(
        &self,
        bytes: &[u8],
        found: &Found,
        column: &mut Column,
        scratch: &mut Scratch,
    ) -> Result<(), Refused> {
        let Values::Array { offsets, items } = &mut column.values else {
            return Err(values::mismatch(column));
        };
        let begin = items.len();
        let mut at = found.first;
        while found.count > 0 && at < found.last.end {
            let field = field(bytes, &mut at)?;
            if field.number != self.number {
                continue;
            }
            if field.wire == LENGTH && self.op.wire() != LENGTH {
                let packed = &bytes[field.value as usize..field.end];
                let mut within = 0;
                while within < packed.len() {
                    let index = items.len() - begin;
                    let item = self.op.packed(packed, &mut within)?;
                    self.op
                        .read(packed, &item, items, scratch)
                        .map_err(|refused| refused.index(index))?;
                }
            } else {
                let index = items.len() - begin;
                self.op
                    .read(bytes, &field, items, scratch)
                    .map_err(|refused| refused.index(index))?;
            }
        }
        offsets.push(i32::try_from(items.len()).map_err(|_| values::full())?);
        column.valid();
        Ok(())
    }

    pub(super) fn map(
        &self,
        bytes: &[u8],
        found: &Found,
        column: &mut Column,
        scratch: &mut Scratch,
    ) -> Result<(), Refused> {
        let Values::Map {
            offsets,
            keys,
            items,
        } = &mut column.values
        else {
            return Err(values::mismatch(column));
        };
        let begin = keys.len();
        self.entries(bytes, found, keys, items, scratch, &HashSet::new())?;
        if comes_twice(keys, begin).is_some() {
            // Of equal keys the last one counts (Protobuf, "Maps").
            let mut last: HashMap<Vec<u8>, usize> = HashMap::new();
            let mut over = HashSet::new();
            for at in begin..keys.len() {
                over.extend(last.insert(keys.get(at).to_vec(), at - begin));
            }
            keys.truncate(begin);
            items.truncate(begin);
            self.entries(bytes, found, keys, items, scratch, &over)?;
        }
        offsets.push(i32::try_from(items.len()).map_err(|_| values::full())?);
        column.valid();
        Ok(())
    }

    /// The entries of a map, but those whose index is in `without`.
    fn entries(
        &self,
        bytes: &[u8],
        found: &Found,
        keys: &mut Text,
        items: &mut Column,
        scratch: &mut Scratch,
        without: &HashSet<usize>,
    ) -> Result<(), Refused> {
        let mut at = found.first;
        let mut index = 0;
        while found.count > 0 && at < found.last.end {
            let entry = field(bytes, &mut at)?;
            if entry.number != self.number {
                continue;
            }
            if entry.wire != LENGTH {
                return Err(wrong_wire());
            }
            index += 1;
            if without.contains(&(index - 1)) {
                continue;
            }
            let entry = &bytes[entry.value as usize..entry.end];
            let (mut key, mut value) = (None, None);
            let mut within = 0;
            while within < entry.len() {
                let field = field(entry, &mut within)?;
                match (field.number, field.wire) {
                    (1, wire) if wire == self.key.wire() => key = Some(field),
                    (2, _) => value = Some(field),
                    _ => {}
                }
            }
            self.key.read(entry, key.as_ref(), keys)?;
            let done = match value {
                Some(value) => self.op.read(entry, &value, items, scratch),
                // A value that isn't there is its type's default; of a message, one without fields.
                None if self.op.is_message() => {
                    let empty = Field {
                        wire: LENGTH,
                        ..NOWHERE.last
                    };
                    self.op.read(&[], &empty, items, scratch)
                }
                None => self.default(items),
            };
            done.map_err(|refused| refused.key(keys.get(keys.len() - 1)))?;
        }
        Ok(())
    }
}
