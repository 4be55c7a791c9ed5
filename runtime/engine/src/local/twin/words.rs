//! Records of three words, for runs in memory and in a pod.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow::datatypes::{DataType, Field as Column, Schema, TimeUnit};
use headworks_plan::{Contract, DeadLetterReason};

use crate::format::{DecodeError, Decoder, Encoder, FormatError, Formats, RowError};
use crate::testing::keyed_fixture_format::BarFormats;

/// Reads `a 1700 3`: a key, an event time and a number.
struct Words {
    columns: Vec<String>,
    rows: Vec<(String, i64, i64)>,
}

impl Decoder for Words {
    fn decode(&mut self, payload: &[u8]) -> Result<(), DecodeError> {
        let text = std::str::from_utf8(payload).unwrap_or_default();
        let words: Vec<&str> = text.split(' ').collect();
        let row = match words[..] {
            [key, time, n] => time
                .parse()
                .ok()
                .zip(n.parse().ok())
                .map(|(t, n)| (key, t, n)),
            _ => None,
        };
        let (key, time, n) = row.ok_or_else(|| RowError {
            reason: DeadLetterReason::Decode,
            path: String::new(),
            message: "not three words".to_owned(),
        })?;
        self.rows.push((key.to_owned(), time, n));
        Ok(())
    }

    fn rows(&self) -> usize {
        self.rows.len()
    }

    fn finish(&mut self) -> Result<RecordBatch, FormatError> {
        let rows = std::mem::take(&mut self.rows);
        let column = |name: &String| -> (Column, ArrayRef) {
            match name.as_str() {
                "k" => (
                    Column::new("k", DataType::Utf8, false),
                    Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.0))),
                ),
                "t" => {
                    let zone = Some("UTC".into());
                    let instant = DataType::Timestamp(TimeUnit::Millisecond, zone);
                    let times = rows.iter().map(|row| row.1);
                    let times = TimestampMillisecondArray::from_iter_values(times);
                    (
                        Column::new("t", instant, false),
                        Arc::new(times.with_timezone("UTC")),
                    )
                }
                _ => (
                    Column::new("n", DataType::Int64, false),
                    Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.2))),
                ),
            }
        };
        let (fields, columns): (Vec<Column>, Vec<ArrayRef>) =
            self.columns.iter().map(column).unzip();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
            .map_err(|source| FormatError::Columns { source })
    }
}

pub(super) struct TwinFormats;

impl Formats for TwinFormats {
    fn decoder(&self, _: &Contract, columns: &[String]) -> Result<Box<dyn Decoder>, FormatError> {
        Ok(Box::new(Words {
            columns: columns.to_vec(),
            rows: Vec::new(),
        }))
    }

    fn keys(&self, contract: &Contract) -> Result<Box<dyn Decoder>, FormatError> {
        BarFormats.keys(contract)
    }

    fn encoder(&self, contract: &Contract) -> Result<Box<dyn Encoder>, FormatError> {
        BarFormats.encoder(contract)
    }
}
