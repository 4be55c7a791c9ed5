//! The encoder: rows of a batch to JSON objects, and their Kafka keys.
//!
//! Every field of the contract is written, in its order, a null one as `null`. A **key** of one field is
//! the value's bare text, as it stands in JSON but without quotes or escapes (`1042`, `01J9…`,
//! `2026-01-01T00:00:00.000Z`), so that any producer can make the same; a key of several fields is the
//! JSON array of the values (`["eu",7]`). A record whose only key field is null has no key.

mod text;
mod value;

pub(crate) use value::JsonValue;

use arrow::array::{Array, AsArray, RecordBatch, StructArray};
use headworks_engine::format::{Encoder, FormatError};
use headworks_plan::Contract;
use value::{Member, Refused, write, write_members};

/// Writes rows as JSON objects by a contract.
pub struct JsonEncoder {
    members: Vec<Member>,
    keys: Vec<Key>,
}

/// A key field: the column, then the way down through structs.
struct Key {
    name: String,
    steps: Vec<usize>,
}

impl JsonEncoder {
    /// An encoder for batches with the contract's whole schema.
    ///
    /// # Errors
    /// The contract is no contract.
    pub fn new(contract: &Contract) -> Result<JsonEncoder, FormatError> {
        let schema = super::schema(contract)?;
        let members: Vec<Member> = schema
            .columns
            .iter()
            .map(|c| Member::new(&c.name, &c.data_type))
            .collect();
        let mut keys = Vec::with_capacity(contract.key.len());
        for name in &contract.key {
            let mut steps = Vec::new();
            let mut level = &members;
            for step in name.split('.') {
                let index = level.iter().position(|m| m.name == step).ok_or_else(|| {
                    FormatError::Value {
                        field: name.clone(),
                        message: "the key names a field that the contract doesn't have".to_owned(),
                    }
                })?;
                steps.push(index);
                level = &level[index].children;
            }
            keys.push(Key {
                name: name.clone(),
                steps,
            });
        }
        Ok(JsonEncoder { members, keys })
    }

    /// The same for rows that people look at and no reader gets: a number that is NaN or infinite, and a time outside the years
    /// that JSON's times have, are texts instead of refusals.
    ///
    /// # Errors
    /// The contract is no contract.
    pub fn showing(contract: &Contract) -> Result<JsonEncoder, FormatError> {
        let mut encoder = JsonEncoder::new(contract)?;
        for member in &mut encoder.members {
            member.show();
        }
        Ok(encoder)
    }

    /// Appends the key field's JSON; false: it is null.
    fn key_field(
        &self,
        key: &Key,
        batch: &RecordBatch,
        row: usize,
        out: &mut Vec<u8>,
    ) -> Result<bool, Refused> {
        let mut level = &self.members;
        let mut parent: Option<&StructArray> = None;
        let mut steps = key.steps.iter().peekable();
        while let Some(&index) = steps.next() {
            let array = match parent {
                Some(parent) => parent.columns().get(index),
                None => batch.columns().get(index),
            };
            let array = array.ok_or_else(|| Refused::new("the batch has no such column"))?;
            if array.is_null(row) {
                return Ok(false);
            }
            if steps.peek().is_none() {
                write(&level[index], array, row, out)?;
                return Ok(true);
            }
            parent = array.as_struct_opt();
            level = &level[index].children;
        }
        Ok(false)
    }
}

impl Encoder for JsonEncoder {
    fn encode(
        &mut self,
        batch: &RecordBatch,
        row: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), FormatError> {
        Ok(write_members(&self.members, batch.columns(), row, out)?)
    }

    fn key(
        &mut self,
        batch: &RecordBatch,
        row: usize,
        out: &mut Vec<u8>,
    ) -> Result<bool, FormatError> {
        let start = out.len();
        if let [key] = self.keys.as_slice() {
            let there = self
                .key_field(key, batch, row, out)
                .map_err(|refused| refused.within(&key.name))?;
            bare(out, start);
            return Ok(there);
        }
        for (i, key) in self.keys.iter().enumerate() {
            out.push(if i == 0 { b'[' } else { b',' });
            if !self
                .key_field(key, batch, row, out)
                .map_err(|refused| refused.within(&key.name))?
            {
                out.extend_from_slice(b"null");
            }
        }
        if !self.keys.is_empty() {
            out.push(b']');
        }
        Ok(!self.keys.is_empty())
    }
}

/// Takes the quotes and escapes off a JSON string at the end of `out`.
fn bare(out: &mut Vec<u8>, start: usize) {
    if out.get(start) == Some(&b'"')
        && let Ok(text) = serde_json::from_slice::<String>(&out[start..])
    {
        out.truncate(start);
        out.extend_from_slice(text.as_bytes());
    }
}
