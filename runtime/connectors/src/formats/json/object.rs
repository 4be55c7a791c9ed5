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
pub(super) struct Object {
    names: Vec<String>,
    /// Indexes into `names`, sorted by name.
    sorted: Vec<usize>,
    columns: Vec<Column>,
    rows: usize,
    unknown: UnknownFields,
}

impl Object {
    pub(super) fn new(
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
        }
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn push_nulls(&mut self) {
        for column in &mut self.columns {
            column.push_null();
        }
        self.rows += 1;
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        for column in &mut self.columns {
            column.truncate(rows);
        }
        self.rows = rows;
    }

    pub(super) fn finish(&mut self) -> Result<Vec<ArrayRef>, ArrowError> {
        self.rows = 0;
        self.columns.iter_mut().map(Column::finish).collect()
    }

    /// The column `name`. Records mostly have their fields in one order, so `guess` is mostly right.
    fn find(&self, name: &str, guess: usize) -> Option<usize> {
        if self.names.get(guess).is_some_and(|n| n == name) {
            return Some(guess);
        }
        let at = self
            .sorted
            .binary_search_by(|i| self.names[*i].as_str().cmp(name))
            .ok()?;
        Some(self.sorted[at])
    }

    /// Reads an object's fields into a new row. On an error the row is half written: truncate.
    pub(super) fn read<'de, A: MapAccess<'de>>(
        &mut self,
        mut map: A,
        fault: &Fault,
    ) -> Result<(), A::Error> {
        let mut guess = 0;
        while let Some(found) = map.next_key_seed(Name {
            object: self,
            guess,
        })? {
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
                    guess = index + 1;
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

enum Found {
    Field(usize),
    Unknown,
    Refused(String),
}

/// Reads a field's name and finds its column, without keeping the name.
struct Name<'a> {
    object: &'a Object,
    guess: usize,
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
            match (self.object.find(name, self.guess), self.object.unknown) {
                (Some(index), _) => Found::Field(index),
                (None, UnknownFields::Ignore) => Found::Unknown,
                (None, UnknownFields::Reject) => Found::Refused(name.to_owned()),
            },
        )
    }
}

/// The record itself.
pub(super) struct Record<'a> {
    pub(super) object: &'a mut Object,
    pub(super) fault: &'a Fault,
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
