//! Rows as JSON, one a line, in the form that records of a JSON stream have.

use arrow::array::{Array, RecordBatch};
use headworks_engine::format::{Encoder, FormatError};
use headworks_sql::schema::Schema;

use crate::formats::json::JsonValue;

/// Writes rows of a query's columns.
pub struct LineEncoder {
    columns: Vec<Column>,
}

struct Column {
    /// `"name":`.
    prefix: Vec<u8>,
    value: JsonValue,
}

impl LineEncoder {
    /// An encoder for batches with these columns.
    pub fn new(columns: &Schema) -> LineEncoder {
        let column = |column: &headworks_sql::schema::Column| Column {
            prefix: format!("{}:", serde_json::Value::from(column.name.as_str())).into_bytes(),
            value: JsonValue::new(&column.name, &column.data_type),
        };
        LineEncoder {
            columns: columns.columns.iter().map(column).collect(),
        }
    }
}

impl Encoder for LineEncoder {
    fn encode(
        &mut self,
        batch: &RecordBatch,
        row: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), FormatError> {
        if batch.num_columns() != self.columns.len() {
            return Err(FormatError::Value {
                field: String::new(),
                message: "the batch has other columns than the query".to_owned(),
            });
        }
        for (at, (column, array)) in self.columns.iter().zip(batch.columns()).enumerate() {
            out.push(if at == 0 { b'{' } else { b',' });
            out.extend_from_slice(&column.prefix);
            if array.is_null(row) {
                out.extend_from_slice(b"null");
            } else {
                column.value.write(array, row, out)?;
            }
        }
        out.extend_from_slice(b"}\n");
        Ok(())
    }

    fn key(&mut self, _: &RecordBatch, _: usize, _: &mut Vec<u8>) -> Result<bool, FormatError> {
        Ok(false)
    }
}
