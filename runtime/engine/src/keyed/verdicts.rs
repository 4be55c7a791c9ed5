//! What the results of a QualityRule's monitor say: read from the query's own columns, so that the status tells what the stream of
//! verdicts holds, and nothing else.

use arrow::array::{
    Array, AsArray, BooleanArray, Int64Array, MapArray, RecordBatch, StringArray,
    TimestampMillisecondArray,
};
use arrow::datatypes::{Int64Type, TimestampMillisecondType};
use headworks_plan::{CheckVerdict, VERDICT_CHECKS, VerdictColumns, VerdictFigures, WindowVerdict};
use headworks_sql::schema::Schema;
use headworks_sql::types::DataType;

/// Longest text of what was observed, in characters: the counts of 32 bins.
const OBSERVED: usize = 384;

/// Reads results as verdicts.
pub(crate) struct VerdictReader {
    of: String,
    window_end: usize,
    records: usize,
    observed: usize,
    passed: usize,
    read: VerdictFigures,
}

/// The columns of a batch, of their types.
struct Columns<'a> {
    ends: &'a TimestampMillisecondArray,
    records: &'a Int64Array,
    observed: &'a MapArray,
    passed: &'a MapArray,
}

impl VerdictReader {
    /// A reader of an output with these columns; none where one isn't there, or of another type.
    pub(crate) fn new(columns: &VerdictColumns, output: &Schema) -> Option<VerdictReader> {
        let column = |name: &str, data_type: DataType| {
            let mut all = output.columns.iter();
            all.position(|column| column.name == name && column.data_type == data_type)
        };
        let map = |value: DataType| DataType::Map(Box::new(value));
        Some(VerdictReader {
            of: columns.of.clone(),
            window_end: column(&columns.window_end, DataType::Timestamp(3))?,
            records: column(&columns.records, DataType::BigInt)?,
            observed: column(&columns.observed, map(DataType::String))?,
            passed: column(&columns.passed, map(DataType::Boolean))?,
            read: VerdictFigures::default(),
        })
    }

    /// Reads a row of the output.
    pub(crate) fn read(&mut self, output: &RecordBatch, row: usize) {
        let Some(window) = self.window(output, row) else {
            return;
        };
        self.read.add(&VerdictFigures {
            of: self.of.clone(),
            windows: vec![window],
        });
    }

    /// What was read since the last call.
    pub(crate) fn take(&mut self) -> Option<VerdictFigures> {
        let read = std::mem::take(&mut self.read);
        (!read.windows.is_empty()).then_some(read)
    }

    fn columns<'a>(&self, output: &'a RecordBatch) -> Option<Columns<'a>> {
        let columns = output.columns();
        Some(Columns {
            ends: columns
                .get(self.window_end)?
                .as_primitive_opt::<TimestampMillisecondType>()?,
            records: columns.get(self.records)?.as_primitive_opt::<Int64Type>()?,
            observed: columns.get(self.observed)?.as_map_opt()?,
            passed: columns.get(self.passed)?.as_map_opt()?,
        })
    }

    fn window(&self, output: &RecordBatch, row: usize) -> Option<WindowVerdict> {
        let columns = self.columns(output)?;
        if columns.ends.is_null(row) {
            return None;
        }
        let observed = entries(columns.observed, row)?;
        let texts: Option<&StringArray> = observed.column(1).as_string_opt();
        let texts = texts?;
        let observed: &StringArray = observed.column(0).as_string_opt()?;
        let passed = entries(columns.passed, row)?;
        let verdicts: &BooleanArray = passed.column(1).as_boolean_opt()?;
        let names: &StringArray = passed.column(0).as_string_opt()?;
        let mut checks = Vec::with_capacity(names.len().min(VERDICT_CHECKS));
        for at in 0..names.len().min(VERDICT_CHECKS) {
            let name = names.value(at);
            let told = (0..observed.len())
                .find(|other| observed.value(*other) == name && texts.is_valid(*other));
            checks.push(CheckVerdict {
                name: name.to_owned(),
                observed: told.map(|at| texts.value(at).chars().take(OBSERVED).collect()),
                // Null passes, as in a check of a row.
                failed: u64::from(verdicts.is_valid(at) && !verdicts.value(at)),
            });
        }
        let records = if columns.records.is_null(row) {
            0
        } else {
            columns.records.value(row)
        };
        Some(WindowVerdict {
            end_ms: columns.ends.value(row),
            records: u64::try_from(records).unwrap_or(0),
            checks,
        })
    }
}

/// The keys and values of a row's map.
fn entries(map: &MapArray, row: usize) -> Option<arrow::array::StructArray> {
    (!map.is_null(row)).then(|| map.value(row))
}
