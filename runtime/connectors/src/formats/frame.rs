//! What decoders have in common: their columns, and the batch that becomes of them.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema, SchemaRef};
use headworks_engine::format::{DecodeError, FormatError, RowError};
use headworks_plan::{DeadLetterReason, UnknownFields};
use headworks_schema::SchemaText;
use headworks_sql::types::StructField;

use super::json::column::Column;
use super::json::object::Object;
use super::schemas::Lookup;

/// Columns that grow a record at a time.
pub(super) struct Frame {
    schema: SchemaRef,
    pub(super) object: Object,
}

impl Frame {
    pub(super) fn new(columns: &[StructField]) -> Frame {
        let fields: Vec<Field> = columns
            .iter()
            .map(|c| Field::new(&c.name, c.data_type.to_arrow(), c.nullable))
            .collect();
        let columns = columns.iter().map(|c| {
            let column = Column::new(&c.data_type, c.nullable, UnknownFields::Ignore);
            (c.name.clone(), column)
        });
        Frame {
            schema: Arc::new(Schema::new(fields)),
            object: Object::new(columns, UnknownFields::Ignore),
        }
    }

    pub(super) fn finish(&mut self) -> Result<RecordBatch, FormatError> {
        let options = RecordBatchOptions::new().with_row_count(Some(self.object.rows()));
        self.object
            .finish()
            .and_then(|arrays| {
                RecordBatch::try_new_with_options(self.schema.clone(), arrays, &options)
            })
            .map_err(|source| FormatError::Columns { source })
    }
}

/// What a record's reader is told of a schema that isn't there, or not yet.
///
/// # Errors
/// Always, but where it was found.
pub(super) fn found(id: u32, lookup: Lookup) -> Result<Arc<SchemaText>, DecodeError> {
    Err(match lookup {
        Lookup::Found(text) => return Ok(text),
        Lookup::Missing => unknown_id(id).into(),
        Lookup::Never(why) => undecodable(format!("written with schema {id}, but {why}")).into(),
        Lookup::Waits(why) => DecodeError::Waits {
            message: format!("schema {id} is needed to read a record: {why}"),
        },
    })
}

/// The registry says that there is no such schema.
#[cold]
pub(super) fn unknown_id(id: u32) -> RowError {
    undecodable(format!(
        "written with schema {id}, which the schema registry doesn't have"
    ))
}

/// The record as a whole isn't of the format.
pub(super) fn undecodable(message: String) -> RowError {
    RowError {
        reason: DeadLetterReason::Decode,
        path: String::new(),
        message,
    }
}
