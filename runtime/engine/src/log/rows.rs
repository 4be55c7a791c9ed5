//! Rows of a table on their way into its store. They stay columns: a store that keeps columns takes them as they are, and one
//! that doesn't makes rows of them itself.

use arrow::array::{BooleanArray, RecordBatch};
use arrow::buffer::ScalarBuffer;
use arrow::compute::filter_record_batch;
use arrow::error::ArrowError;

/// Rows in the order of the records that they came from; those of one record follow each other. A part of them costs no copy.
#[derive(Clone, Debug)]
pub struct TableRows {
    columns: RecordBatch,
    records: ScalarBuffer<u32>,
}

impl TableRows {
    /// Rows of `columns`, with each the batch's record that it came from, ascending.
    ///
    /// # Errors
    /// There aren't as many records as rows, or they aren't in order.
    pub fn new(columns: RecordBatch, records: Vec<u32>) -> Result<TableRows, ArrowError> {
        if columns.num_rows() != records.len() || !records.is_sorted() {
            return Err(ArrowError::InvalidArgumentError(format!(
                "{} rows of a table come with {} records, or these aren't in order",
                columns.num_rows(),
                records.len()
            )));
        }
        Ok(TableRows {
            columns,
            records: records.into(),
        })
    }

    /// The columns: those of the query, and perhaps the mark of deletes.
    pub fn columns(&self) -> &RecordBatch {
        &self.columns
    }

    /// For each row the record of the batch that it came from.
    pub fn records(&self) -> &[u32] {
        &self.records
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// True without rows.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Some of the rows.
    ///
    /// # Panics
    /// Where there aren't so many.
    #[must_use]
    pub fn slice(&self, from: usize, rows: usize) -> TableRows {
        TableRows {
            columns: self.columns.slice(from, rows),
            records: self.records.slice(from, rows),
        }
    }

    /// The rows of the records for which `keep` says so. They are copied.
    ///
    /// # Errors
    /// Arrow refused the columns: a bug.
    pub fn filter(&self, keep: impl Fn(u32) -> bool) -> Result<TableRows, ArrowError> {
        let kept: BooleanArray = self
            .records
            .iter()
            .map(|record| Some(keep(*record)))
            .collect();
        let records = self.records.iter().copied().filter(|record| keep(*record));
        Ok(TableRows {
            columns: filter_record_batch(&self.columns, &kept)?,
            records: records.collect(),
        })
    }
}

/// A record whose rows a store refused for what they hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The batch's record, as [`TableRows::records`] has it.
    pub record: usize,
    /// What the store said.
    pub message: String,
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{AsArray, Int64Array};
    use arrow::datatypes::{DataType, Field, Int64Type, Schema};

    use super::*;

    fn rows(numbers: &[i64], records: &[u32]) -> Result<TableRows, ArrowError> {
        let schema = Schema::new(vec![Field::new("n", DataType::Int64, false)]);
        let column = Int64Array::from(numbers.to_vec());
        let columns = RecordBatch::try_new(Arc::new(schema), vec![Arc::new(column)])?;
        TableRows::new(columns, records.to_vec())
    }

    fn shown(rows: &TableRows) -> Vec<(u32, i64)> {
        let column = rows.columns().column(0).as_primitive::<Int64Type>();
        let numbers = column.values().iter().copied();
        rows.records().iter().copied().zip(numbers).collect()
    }

    #[test]
    fn parts_keep_each_row_beside_its_record() {
        let rows = rows(&[10, 11, 12, 13], &[0, 2, 2, 5]).unwrap();
        assert_eq!(shown(&rows.slice(1, 2)), [(2, 11), (2, 12)]);
        let part = rows.slice(1, 3).filter(|record| record != 2).unwrap();
        assert_eq!(shown(&part), [(5, 13)]);
        assert!(rows.filter(|_| false).unwrap().is_empty());
        assert_eq!(rows.len(), 4);
    }

    #[test]
    fn rows_without_a_record_each_or_out_of_order_are_refused() {
        assert!(rows(&[1, 2], &[0]).is_err());
        assert!(rows(&[1, 2], &[1, 0]).is_err());
    }
}
