//! A JSON object as columns: the record itself, or a nested struct.

use std::fmt;

use arrow::array::ArrayRef;
use arrow::error::ArrowError;
use headworks_plan::UnknownFields;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::column::Column;
use super::fault::{Fault, Step};
use super::value::Slot;

/// Named columns of one length.
pub(in crate::formats) struct Object {
    names: Vec<String>,
    /// Indexes into `names`, sorted by name.
    sorted: Vec<usize>,
    columns: Vec<Column>,
    rows: usize,
    unknown: UnknownFields,
    /// The names of the last objects' fields by their place, as far as they are of ordinary number and
    /// length, with their column; absent: none of ours. Objects of one stream mostly look alike.
    order: Vec<(String, Option<usize>)>,
}

/// So many places are remembered, and names of at most so many bytes.
const REMEMBERED: usize = 128;

impl Object {
    pub(in crate::formats) fn new(
        fields: impl IntoIterator<Item = (String, Column)>,
        unknown: UnknownFields,
    ) -> Object {
        let (names, columns): (Vec<_>, Vec<_>) = fields.into_iter().unzip();
        let mut sorted: Vec<usize> = (0..names.len()).collect();
        sorted.sort_by(|a, b| names[*a].cmp(&names[*b]));
        Object {
            names,
            sorted,
            columns,
            rows: 0,
            unknown,
            order: Vec::new(),
        }
    }

    pub(in crate::formats) fn rows(&self) -> usize {
        self.rows
    }

    /// The columns, in the order of the fields that the object was made of.
    pub(in crate::formats) fn columns(&mut self) -> &mut [Column] {
        &mut self.columns
    }

    /// Says that every column has got its value of one more row.
    pub(in crate::formats) fn end_row(&mut self) {
        self.rows += 1;
    }

    pub(in crate::formats) fn push_nulls(&mut self) {
        for column in &mut self.columns {
            column.push_null();
        }
        self.rows += 1;
    }

    pub(in crate::formats) fn truncate(&mut self, rows: usize) {
        for column in &mut self.columns {
            column.truncate(rows);
        }
        self.rows = rows;
    }

    pub(in crate::formats) fn finish(&mut self) -> Result<Vec<ArrayRef>, ArrowError> {
        self.rows = 0;
        self.columns.iter_mut().map(Column::finish).collect()
    }

    /// The column `name`, which is the object's field number `place`.
    #[inline]
    fn find(&mut self, name: &str, place: usize) -> Option<usize> {
        match self.order.get(place) {
            Some((known, column)) if same(known.as_bytes(), name.as_bytes()) => *column,
            _ => self.search(name, place),
        }
    }

    #[cold]
    fn search(&mut self, name: &str, place: usize) -> Option<usize> {
        let found = self
            .sorted
            .binary_search_by(|i| self.names[*i].as_str().cmp(name));
        let column = found.ok().map(|at| self.sorted[at]);
        if name.len() <= REMEMBERED {
            if let Some((known, known_column)) = self.order.get_mut(place) {
                known.clear();
                known.push_str(name);
                *known_column = column;
            } else if place == self.order.len() && place < REMEMBERED {
                self.order.push((name.to_owned(), column));
            }
        }
        column
    }

    /// Reads an object's fields into a new row. On an error the row is half written: truncate.
    pub(in crate::formats) fn read<'de, A: MapAccess<'de>>(
        &mut self,
        mut map: A,
        fault: &Fault,
    ) -> Result<(), A::Error> {
        let mut place = 0;
        while let Some(found) = map.next_key_seed(Name {
            object: self,
            place,
        })? {
            place += 1;
            match found {
                Found::Field(index) => {
                    let column = &mut self.columns[index];
                    if column.len() > self.rows {
                        return Err(fault.contract_at(
                            Step::Field(self.names[index].clone()),
                            "comes twice in the object",
                        ));
                    }
                    map.next_value_seed(Slot { column, fault })
                        .map_err(|error| {
                            fault.within(Step::Field(self.names[index].clone()), error)
                        })?;
                }
                Found::Unknown => {
                    map.next_value::<IgnoredAny>()?;
                }
                Found::Refused(name) => {
                    return Err(fault.contract_at(
                        Step::Field(name),
                        "isn't a field of the contract (unknownFields: Reject)",
                    ));
                }
            }
        }
        for (column, name) in self.columns.iter_mut().zip(&self.names) {
            if column.len() == self.rows {
                if !column.nullable {
                    return Err(fault.contract_at(
                        Step::Field(name.clone()),
                        format!("is missing; {} is required", column.data_type),
                    ));
                }
                column.push_null();
            }
        }
        self.rows += 1;
        Ok(())
    }
}

/// Whether two names are equal. Names are short: a call to compare memory costs more than it saves.
#[inline]
fn same(a: &[u8], b: &[u8]) -> bool {
    fn ends<const N: usize>(text: &[u8]) -> Option<(&[u8; N], &[u8; N])> {
        text.first_chunk().zip(text.last_chunk())
    }
    if a.len() != b.len() {
        return false;
    }
    match a.len() {
        0 => true,
        1..4 => {
            a[0] == b[0] && a[a.len() / 2] == b[a.len() / 2] && a[a.len() - 1] == b[a.len() - 1]
        }
        4..8 => ends::<4>(a) == ends::<4>(b),
        8..=16 => ends::<8>(a) == ends::<8>(b),
        _ => a == b,
    }
}

enum Found {
    Field(usize),
    Unknown,
    Refused(String),
}

/// Reads a field's name and finds its column, without keeping the name.
struct Name<'a> {
    object: &'a mut Object,
    place: usize,
}

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Found;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Found, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Found, E> {
        Ok(
            match (self.object.find(name, self.place), self.object.unknown) {
                (Some(index), _) => Found::Field(index),
                (None, UnknownFields::Ignore) => Found::Unknown,
                (None, UnknownFields::Reject) => Found::Refused(name.to_owned()),
            },
        )
    }
}

/// The record itself.
pub(in crate::formats) struct Record<'a> {
    pub(in crate::formats) object: &'a mut Object,
    pub(in crate::formats) fault: &'a Fault,
}

impl Record<'_> {
    fn refuse<E: serde::de::Error>(&self, found: &str) -> E {
        self.fault
            .decode(format!("a record is a JSON object, found {found}"))
    }
}

impl<'de> DeserializeSeed<'de> for Record<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Record<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        self.object.read(map, self.fault)
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        Err(self.refuse("an array"))
    }

    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<(), E> {
        Err(self.refuse("a boolean"))
    }

    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<(), E> {
        Err(self.refuse("a number"))
    }

    fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<(), E> {
        Err(self.refuse("a number"))
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<(), E> {
        Err(self.refuse("a number"))
    }

    fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<(), E> {
        Err(self.refuse("a string"))
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        Err(self.refuse("null"))
    }
}

#[cfg(test)]
mod tests {
    use super::same;

    #[test]
    fn names_are_equal_if_every_byte_is() {
        for length in 0..40 {
            let name = vec![b'n'; length];
            assert!(same(&name, &name.clone()), "{length}");
            assert!(!same(&name, &vec![b'n'; length + 1]), "{length}");
            for at in 0..length {
                let mut other = name.clone();
                other[at] = b'm';
                assert!(!same(&name, &other), "{length} {at}");
            }
        }
    }
}
