//! The decoder: payloads in, one Arrow batch out.

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema as ArrowSchema, SchemaRef};
use headworks_engine::format::{DecodeError, Decoder, FormatError, RowError};
use headworks_plan::{Contract, DeadLetterReason, UnknownFields};
use serde::de::DeserializeSeed;
use std::sync::Arc;

use super::column::Column;
use super::cost;
use super::fault::{Fault, TOO_MUCH};
use super::object::{Object, Record};

/// What some editors put before a text.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// Reads JSON objects into Arrow columns by a contract.
pub struct JsonDecoder {
    schema: SchemaRef,
    object: Object,
    /// What a row costs before anything is read of it, see [`cost`](super::cost).
    row: usize,
    /// What the rows of one batch may cost together, and what is left of it.
    allowance: usize,
    left: usize,
    overspent: bool,
    /// A record had a whole number with a point or an exponent: the next ones of the stream will, too.
    exact: bool,
}

impl JsonDecoder {
    /// Reads only `columns` (top-level fields, in this order). A field that isn't read isn't checked.
    ///
    /// # Errors
    /// The contract is no contract, or has no such field.
    pub fn pruned(contract: &Contract, columns: &[String]) -> Result<JsonDecoder, FormatError> {
        let schema = super::schema(contract)?;
        let mut fields = Vec::with_capacity(columns.len());
        for name in columns {
            let column = schema.column(name).ok_or_else(|| FormatError::Value {
                field: name.clone(),
                message: "the contract has no such field".to_owned(),
            })?;
            fields.push(column);
        }
        Ok(JsonDecoder::over(&fields, UnknownFields::Ignore))
    }

    /// Reads the whole contract: what it lets through obeys it in every field.
    ///
    /// # Errors
    /// The contract is no contract.
    pub fn whole(contract: &Contract, unknown: UnknownFields) -> Result<JsonDecoder, FormatError> {
        let schema = super::schema(contract)?;
        Ok(JsonDecoder::over(
            &schema.columns.iter().collect::<Vec<_>>(),
            unknown,
        ))
    }

    fn over(columns: &[&headworks_sql::schema::Column], unknown: UnknownFields) -> JsonDecoder {
        let fields: Vec<Field> = columns
            .iter()
            .map(|c| Field::new(&c.name, c.data_type.to_arrow(), c.nullable))
            .collect();
        let row = columns.iter().map(|c| cost::field(&c.name, &c.data_type));
        let row = row.sum::<usize>() + cost::RECORD;
        let columns = columns.iter().map(|c| {
            (
                c.name.clone(),
                Column::new(&c.data_type, c.nullable, unknown),
            )
        });
        JsonDecoder {
            schema: Arc::new(ArrowSchema::new(fields)),
            object: Object::new(columns, unknown),
            row,
            allowance: usize::MAX,
            left: usize::MAX,
            overspent: false,
            exact: false,
        }
    }

    /// From the next batch on its rows may cost so many bytes, as columns and written as JSON. A record that
    /// would cost more is refused with [`JsonDecoder::overspent`]; in a batch of its own it may fit.
    pub(crate) fn allow(&mut self, bytes: usize) {
        self.allowance = bytes;
        self.left = bytes;
    }

    /// True: the last record was refused because the batch has no room for it.
    pub(crate) fn overspent(&self) -> bool {
        self.overspent
    }

    /// What a record of `length` bytes costs at least.
    pub(crate) fn least(&self, length: usize) -> usize {
        // As columns, and written.
        self.row.saturating_add(length.saturating_mul(2))
    }

    fn read(&mut self, text: &str, fault: &Fault) -> Result<(), serde_json::Error> {
        let mut json = serde_json::Deserializer::from_str(text);
        let record = Record {
            object: &mut self.object,
            fault,
        };
        record.deserialize(&mut json).and_then(|()| json.end())
    }
}

impl Decoder for JsonDecoder {
    fn decode(&mut self, payload: &[u8]) -> Result<(), DecodeError> {
        let refuse = |reason: DeadLetterReason, message: String| RowError {
            reason,
            path: String::new(),
            message,
        };
        // A refused record counts, too: there is a list of them, and what one made columns grow by stays theirs until
        // the batch is finished.
        let left = self.left.checked_sub(self.least(payload.len()));
        self.overspent = left.is_none();
        self.left = left.unwrap_or(0);
        if self.overspent {
            return Err(refuse(DeadLetterReason::TooLarge, TOO_MUCH.to_owned()).into());
        }
        // Once for the whole record: skipped fields are checked too, and the parser needn't check again.
        let text = std::str::from_utf8(payload).map_err(|error| {
            refuse(
                DeadLetterReason::Decode,
                format!("not UTF-8 at byte {}", error.valid_up_to()),
            )
        })?;
        if text.starts_with(BYTE_ORDER_MARK) {
            let message =
                "begins with a byte-order mark (EF BB BF), which is no JSON (RFC 8259 §8.1)";
            return Err(refuse(DeadLetterReason::Decode, message.to_owned()).into());
        }
        let rows = self.object.rows();
        let mut fault = Fault::new(self.exact, self.left);
        let mut read = self.read(text, &fault);
        if read.is_err() && fault.undecided() {
            self.object.truncate(rows);
            fault = Fault::new(true, self.left);
            read = self.read(text, &fault);
            self.exact = read.is_ok();
        }
        self.overspent = fault.left().is_none();
        self.left = fault.left().unwrap_or(0);
        read.map_err(|error| {
            self.object.truncate(rows);
            fault.into_row_error(&error).into()
        })
    }

    fn rows(&self) -> usize {
        self.object.rows()
    }

    fn finish(&mut self) -> Result<RecordBatch, FormatError> {
        self.left = self.allowance;
        let options = RecordBatchOptions::new().with_row_count(Some(self.object.rows()));
        self.object
            .finish()
            .and_then(|arrays| {
                RecordBatch::try_new_with_options(self.schema.clone(), arrays, &options)
            })
            .map_err(|source| FormatError::Columns { source })
    }
}
