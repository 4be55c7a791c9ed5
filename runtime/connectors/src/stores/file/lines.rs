//! Rows as JSON, one a line, in the form that records of a JSON stream have.

use arrow::array::{Array, RecordBatch};
use headworks_engine::store::{StoreError, TableSchema, UnfitRow};

use crate::formats::json::JsonValue;

/// Writes rows of a table.
pub(super) struct Lines {
    columns: Vec<Column>,
}

struct Column {
    /// `"name":`.
    prefix: Vec<u8>,
    value: JsonValue,
}

impl Lines {
    pub(super) fn new(schema: &TableSchema) -> Lines {
        let column = |column: &headworks_sql::schema::Column| Column {
            prefix: format!("{}:", serde_json::Value::from(column.name.as_str())).into_bytes(),
            value: JsonValue::new(&column.name, &column.data_type),
        };
        Lines {
            columns: schema.columns.columns.iter().map(column).collect(),
        }
    }

    /// Appends a line for each row of a batch.
    ///
    /// # Errors
    /// [`StoreError::Unfit`]: rows with values that JSON has no word for. `out` is of no use then.
    pub(super) fn append(&self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), StoreError> {
        if batch.num_columns() != self.columns.len() {
            return Err(StoreError::Broken {
                message: "the batch has other columns than the query".to_owned(),
            });
        }
        let mut unfit = Vec::new();
        for row in 0..batch.num_rows() {
            for (at, (column, array)) in self.columns.iter().zip(batch.columns()).enumerate() {
                out.push(if at == 0 { b'{' } else { b',' });
                out.extend_from_slice(&column.prefix);
                if array.is_null(row) {
                    out.extend_from_slice(b"null");
                } else if let Err(error) = column.value.write(array, row, out) {
                    let message = error.to_string();
                    unfit.push(UnfitRow { row, message });
                    break;
                }
            }
            out.extend_from_slice(b"}\n");
        }
        if unfit.is_empty() {
            return Ok(());
        }
        Err(StoreError::Unfit { rows: unfit })
    }
}
