//! A tiny wire format, queries with state over it, and what they should come to, for the tests of the loop.
//!
//! Records look like `a 1700 3`: a key, an event time in milliseconds and a number. 13 can't be evaluated,
//! and multiples of 7 are filtered out (but their event time counts).

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray,
};
use arrow::datatypes::{
    DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit, TimestampMillisecondType,
};
use headworks_plan::{Contract, DeadLetterReason, InternalTopic};
use headworks_sql::keyed::{Aggregate, Function, Operator, Order, Rank, Window};
use headworks_sql::types::DataType as Sql;
use headworks_state::{Pool, Spec};

use super::join_fixture::{self, Join};
use super::over_fixture::{self, Looks};
use super::temporal_fixture::{self, Temporal};
use crate::format::{DecodeError, Decoder, Encoder, FormatError, Formats, RowError};
use crate::keyed::exchange_writer::ExchangeWriter;
use crate::keyed::results::{DeleteEncoding, Projection, Results, SinkWriter};
use crate::keyed::shards::Shards;
use crate::pipeline::{ExchangeOperator, InputTopic, KeyedOperator, Times, WaitsFor};
use crate::stateless::{
    Branch, Evaluation, EventTime, Input, ResultForm, StatelessOperator, taken,
};

/// The result has no key.
pub(crate) const NOBODY: &str = "nobody";
/// What a record of the changelog may be long.
pub(crate) const STATE_BYTES: u64 = 1_000_000;

/// A query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Query {
    /// COUNT and SUM of a key in windows.
    Windowed(Window),
    /// COUNT and SUM of a key; HAVING the count isn't a multiple of 3.
    Upserts,
    /// The first row of a key, by event time.
    First,
    /// Pairs of rows of two inputs.
    Join(Join),
    /// Rows of one input with what the other one held at their time.
    Temporal(Temporal),
    /// Each row, with what those of its key before it come to.
    Over(Looks),
}

impl Query {
    pub(crate) fn window(self) -> Option<Window> {
        match self {
            Query::Windowed(window) => Some(window),
            _ => None,
        }
    }

    /// True: results come by event time, and are final.
    pub(crate) fn by_event_time(self) -> bool {
        !matches!(self, Query::Upserts | Query::First)
    }

    fn rows(self) -> SchemaRef {
        match self {
            Query::Join(join) => join.rows_schema(),
            Query::Temporal(_) => temporal_fixture::rows_schema(),
            _ => rows_schema(),
        }
    }
}

pub(crate) fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))
}

fn rows_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("k", DataType::Utf8, false),
        Field::new("t", instant(), true),
        Field::new("n", DataType::Int64, false),
    ]))
}

fn results_schema(query: Query) -> SchemaRef {
    let number = |name| Field::new(name, DataType::Int64, true);
    let moment = |name| {
        Field::new(
            name,
            DataType::Timestamp(TimeUnit::Millisecond, None),
            false,
        )
    };
    let mut fields = vec![Field::new("k", DataType::Utf8, false)];
    match query {
        Query::Join(_) | Query::Temporal(_) => return join_fixture::results_schema(),
        Query::Over(_) => return over_fixture::results_schema(),
        Query::Windowed(_) => fields.extend([
            moment("window_start"),
            moment("window_end"),
            Field::new("window_time", instant(), false),
            number("cnt"),
            number("total"),
        ]),
        Query::Upserts => fields.extend([number("cnt"), number("total")]),
        Query::First => fields.extend([
            Field::new("t", instant(), true),
            number("n"),
            number("row_number"),
        ]),
    }
    Arc::new(Schema::new(fields))
}

/// The state's side of a query.
pub(crate) fn spec(query: Query, allowed_lateness_ms: i64) -> Spec {
    let aggregate = |function, argument| Aggregate {
        function,
        argument,
        filter: None,
        distinct: false,
        data_type: Sql::BigInt,
    };
    let operator = match query {
        Query::Join(join) => join.operator(),
        Query::Temporal(temporal) => temporal.operator(),
        Query::Over(looks) => looks.operator(),
        Query::First => Operator::Rank(Rank {
            order: vec![Order {
                column: 1,
                descending: false,
                nulls_first: true,
            }],
            limit: 1,
        }),
        _ => Operator::Aggregate(vec![
            aggregate(Function::Count, None),
            aggregate(Function::Sum, Some(2)),
        ]),
    };
    Spec {
        rows: query.rows(),
        keys: 1,
        time: Some(1),
        window: query.window(),
        operator,
        results: results_schema(query),
        allowed_lateness_ms,
        ttl_ms: None,
    }
}

/// Reads `a 1700 3`; `-` is no time.
#[derive(Default)]
struct Words {
    rows: Vec<(String, Option<i64>, i64)>,
}

impl Decoder for Words {
    fn decode(&mut self, payload: &[u8]) -> Result<(), DecodeError> {
        let text = std::str::from_utf8(payload).unwrap_or_default();
        let row = parse(text).ok_or_else(|| RowError {
            reason: DeadLetterReason::Decode,
            path: String::new(),
            message: "not three words".to_owned(),
        })?;
        self.rows.push(row);
        Ok(())
    }

    fn rows(&self) -> usize {
        self.rows.len()
    }

    fn finish(&mut self) -> Result<RecordBatch, FormatError> {
        let rows = std::mem::take(&mut self.rows);
        let keys = StringArray::from_iter_values(rows.iter().map(|(k, ..)| k));
        let times: TimestampMillisecondArray = rows.iter().map(|(_, t, _)| *t).collect();
        let numbers = Int64Array::from_iter_values(rows.iter().map(|(.., n)| *n));
        let columns: Vec<ArrayRef> = vec![
            Arc::new(keys),
            Arc::new(times.with_timezone("UTC")),
            Arc::new(numbers),
        ];
        RecordBatch::try_new(rows_schema(), columns)
            .map_err(|source| FormatError::Columns { source })
    }
}

/// A record's words.
pub(super) fn parse(text: &str) -> Option<(String, Option<i64>, i64)> {
    let mut words = text.split(' ');
    let key = words.next()?.to_owned();
    let time = match words.next()? {
        "-" => None,
        time => Some(time.parse().ok()?),
    };
    Some((key, time, words.next()?.parse().ok()?))
}

/// Writes the columns with a bar between them, under the first one as key.
struct Bars;

/// The same as a format of the engine, for writing.
pub(crate) struct BarFormats;

impl Formats for BarFormats {
    fn decoder(&self, _: &Contract, _: &[String]) -> Result<Box<dyn Decoder>, FormatError> {
        Ok(Box::new(Words::default()))
    }

    fn keys(&self, _: &Contract) -> Result<Box<dyn Decoder>, FormatError> {
        Ok(Box::new(KeyTexts::default()))
    }

    fn encoder(&self, _: &Contract) -> Result<Box<dyn Encoder>, FormatError> {
        Ok(Box::new(Bars))
    }
}

/// Reads keys, which are the text of their only field.
#[derive(Default)]
pub(crate) struct KeyTexts(Vec<String>);

impl Decoder for KeyTexts {
    fn decode(&mut self, key: &[u8]) -> Result<(), DecodeError> {
        self.0.push(String::from_utf8_lossy(key).into_owned());
        Ok(())
    }

    fn rows(&self) -> usize {
        self.0.len()
    }

    fn finish(&mut self) -> Result<RecordBatch, FormatError> {
        let keys: ArrayRef = Arc::new(StringArray::from_iter_values(self.0.drain(..)));
        RecordBatch::try_from_iter([("k", keys)]).map_err(|source| FormatError::Columns { source })
    }
}

impl Encoder for Bars {
    fn encode(
        &mut self,
        batch: &RecordBatch,
        row: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), FormatError> {
        let text = |column: &ArrayRef| {
            if column.is_null(row) {
                return "null".to_owned();
            }
            match column.data_type() {
                DataType::Utf8 => column.as_string::<i32>().value(row).to_owned(),
                DataType::Boolean => column.as_boolean().value(row).to_string(),
                DataType::Int64 => column.as_primitive::<Int64Type>().value(row).to_string(),
                _ => column
                    .as_primitive::<TimestampMillisecondType>()
                    .value(row)
                    .to_string(),
            }
        };
        let words: Vec<String> = batch.columns().iter().map(text).collect();
        out.extend_from_slice(words.join("|").as_bytes());
        Ok(())
    }

    fn key(
        &mut self,
        batch: &RecordBatch,
        row: usize,
        out: &mut Vec<u8>,
    ) -> Result<bool, FormatError> {
        let key = batch.column(0).as_string::<i32>().value(row);
        if key == NOBODY {
            return Ok(false);
        }
        out.extend_from_slice(key.as_bytes());
        Ok(true)
    }
}

fn rows(batch: &RecordBatch) -> Result<Evaluation, String> {
    let numbers = batch.column(2).as_primitive::<Int64Type>();
    if numbers.iter().flatten().any(|n| n == 13) {
        return Err("thirteen can't be evaluated".to_owned());
    }
    let kept: Vec<u32> = (0..numbers.len())
        .filter(|row| numbers.value(*row) % 7 != 0)
        .map(|row| row as u32)
        .collect();
    Ok(Evaluation {
        outputs: vec![taken(batch, kept.clone())?],
        rows: kept,
    })
}

/// The stage of the first part.
pub(crate) fn stateless(query: Query, inputs: usize) -> StatelessOperator {
    let input = |at| Input {
        decoder: Box::new(Words::default()),
        event_time: Some(EventTime {
            path: vec![1],
            field: "t".to_owned(),
            required: true,
        }),
        columns: Vec::new(),
        fix: None,
        rules: None,
        tombstones: (matches!(query, Query::Temporal(_)) && at == 1)
            .then(temporal_fixture::tombstones),
        branches: vec![Branch {
            columns: vec![0, 1, 2],
            evaluate: match query {
                Query::Join(join) => {
                    Box::new(move |batch: &RecordBatch| join.of_side(rows(batch)?, at == 1))
                }
                Query::Temporal(_) => Box::new(move |batch: &RecordBatch| {
                    temporal_fixture::of_side(rows(batch)?, at == 1)
                }),
                _ => Box::new(rows),
            },
        }],
    };
    StatelessOperator {
        inputs: (0..inputs).map(input).collect(),
        outputs: Vec::new(),
        tells: true,
        results: ResultForm::Rows,
    }
}

/// The first part of a query.
pub(crate) fn first(
    query: Query,
    topic: &InternalTopic,
    times: Vec<Times>,
    drift_ms: u64,
) -> ExchangeOperator {
    let writer = ExchangeWriter::new(topic, &query.rows(), 1);
    let waits = WaitsFor {
        window: query.window(),
        by_event_time: query.by_event_time(),
        refuses_late: query.by_event_time()
            && !matches!(query, Query::Join(join) if join.window.is_none()),
    };
    ExchangeOperator::new(writer, times, waits, Some(1), drift_ms)
}

/// The second part of a query, which writes to `out` and keeps its state in `state`. The less memory it has,
/// the fewer results an epoch gives.
pub(crate) fn second(
    query: Query,
    allowed_lateness_ms: i64,
    inputs: Vec<InputTopic>,
    memory_bytes: u64,
    state_bytes: u64,
) -> KeyedOperator {
    let pool = Pool::open(memory_bytes, None).unwrap();
    let spec = spec(query, allowed_lateness_ms);
    let results = spec.results.clone();
    let shards = Shards::new(Arc::new(spec), pool, inputs.len());
    let as_it_is = || -> Projection { Box::new(|batch| Ok(batch.clone())) };
    let upserts = !query.by_event_time();
    let nullable: Vec<Field> = results
        .fields()
        .iter()
        .map(|field| field.as_ref().clone().with_nullable(true))
        .collect();
    let results = Results {
        finish: Box::new(move |results| {
            let kept: Vec<u32> = (0..results.num_rows())
                .filter(|row| {
                    query != Query::Upserts
                        || results.column(1).as_primitive::<Int64Type>().value(*row) % 3 != 0
                })
                .map(|row| row as u32)
                .collect();
            Ok((taken(results, kept.clone())?, kept))
        }),
        sinks: vec![SinkWriter {
            topic: "out".to_owned(),
            max_message_bytes: 1_000,
            compacted: upserts,
            encoder: Box::new(Bars),
            shape: as_it_is(),
            gone: upserts.then(|| DeleteEncoding::Tombstone(as_it_is())),
        }],
        keys: 1,
        unique: if upserts { vec![0] } else { Vec::new() },
        output: Arc::new(Schema::new(nullable)),
        verdicts: None,
    };
    let changelog = InternalTopic {
        topic: "state".to_owned(),
        partitions: 0,
        max_message_bytes: state_bytes,
    };
    KeyedOperator::new(shards, results, &changelog, "second", inputs, false)
}
