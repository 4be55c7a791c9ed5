//! From the plan of a query with state to its parts.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use arrow::datatypes::SchemaRef;
use headworks_plan::{DELETED_COLUMN, InternalTopic, PipelinePlan, StagePlan, StatePlan, Stream};
use headworks_sql::dataflow::{Edge, Stage};
use headworks_sql::keyed::{Keyed, KeyedRows};
use headworks_sql::schema::{Column, Schema};
use headworks_sql::target::Mapping;
use headworks_sql::types::DataType;
use headworks_state::Spec;
use snafu::{OptionExt, ResultExt, ensure};

use super::compile::{
    CompileError, FormatSnafu, KeySnafu, PartsSnafu, VerdictsSnafu, input, mapping, query,
};
use super::exchange_operator::{ExchangeOperator, WaitsFor, times};
use crate::format::Formats;
use crate::keyed::exchange_writer::ExchangeWriter;
use crate::keyed::hash;
use crate::keyed::results::{DeleteEncoding, Finish, Projection, Results, SinkWriter};
use crate::keyed::verdicts::VerdictReader;
use crate::stateless::{ResultForm, StatelessOperator};

/// Compiles `stage` of `plan`, which brings rows with equal keys together in `topic`.
pub(crate) fn compile_exchange(
    plan: &PipelinePlan,
    stage: &StagePlan,
    topic: &InternalTopic,
    formats: &dyn Formats,
) -> Result<(StatelessOperator, ExchangeOperator), CompileError> {
    let runs = stage.runs.context(PartsSnafu)?;
    let (stateless, rows, waits) = compile_rows(plan, runs, formats)?;
    let writer = ExchangeWriter::new(topic, &rows.schema.to_arrow(), rows.keys);
    let times = plan.inputs.iter().map(times).collect();
    let max_drift_ms = stage.max_drift_ms.unwrap_or(u64::MAX);
    let exchange = ExchangeOperator::new(writer, times, waits, rows.time, max_drift_ms);
    Ok((stateless, exchange))
}

/// Of a query with state: the stage that gives the rows, and the one that keeps state for them, by their places.
pub(crate) fn stateful(plan: &PipelinePlan) -> Result<Option<(usize, usize)>, CompileError> {
    let dataflow = query(plan)?;
    let stages = dataflow.stages.iter().enumerate();
    let mut with_state = stages.filter(|(_, stage)| stage.keyed.is_some());
    Ok(with_state.find_map(|(at, stage)| Some((stage.exchanges().next()?.from, at))))
}

/// Compiles the stage `runs` of the query, which gives rows by key. Gives what the rows are, and what the stage that reads them
/// waits for.
pub(crate) fn compile_rows(
    plan: &PipelinePlan,
    runs: usize,
    formats: &dyn Formats,
) -> Result<(StatelessOperator, KeyedRows, WaitsFor), CompileError> {
    let mut stages = query(plan)?.stages;
    let reads = |stage: &Stage| stage.exchanges().any(|exchange| exchange.from == runs);
    let reader = stages.extract_if(.., |stage| reads(stage)).next();
    let reader = reader.context(PartsSnafu)?;
    let waits = reader
        .keyed
        .as_ref()
        .map(WaitsFor::from)
        .unwrap_or_default();
    let rows = rows_of(reader, Some(runs))?;
    for column in &rows.schema.columns[..rows.keys] {
        ensure!(
            hash::takes(&column.data_type.to_arrow()),
            KeySnafu {
                column: &column.name,
                type_: column.data_type.to_string(),
            }
        );
    }
    // Stages read only those before them, so the reader's going moved none of these.
    let source = stages.into_iter().nth(runs).context(PartsSnafu)?;
    let mut branches = source.into_branches();
    let required = rows.time.is_some();
    let inputs = plan
        .inputs
        .iter()
        .map(|stream| input(stream, None, Some(required), &mut branches, formats))
        .collect::<Result<_, _>>()?;
    let stateless = StatelessOperator {
        inputs,
        outputs: Vec::new(),
        tells: true,
        results: ResultForm::Rows,
    };
    Ok((stateless, rows, waits))
}

/// The rows of a stage's exchange; `from`: of the one that this stage gives.
fn rows_of(stage: Stage, from: Option<usize>) -> Result<KeyedRows, CompileError> {
    let mut exchanges = stage.inputs.into_iter().filter_map(|edge| match edge {
        Edge::Stream(_) => None,
        Edge::Exchange(exchange) => Some(exchange),
    });
    let found = exchanges.find(|exchange| from.is_none_or(|from| exchange.from == from));
    found.map(|exchange| exchange.rows).context(PartsSnafu)
}

/// What all shards of a pipeline have in common.
fn spec(rows: &KeyedRows, keyed: &Keyed, plan: &StatePlan) -> Arc<Spec> {
    let signed = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
    let ttl_ms = plan.ttl_ms.map(signed).filter(|_| !keyed.by_event_time());
    let lateness_ms = signed(plan.allowed_lateness_ms);
    Arc::new(Spec::new(rows, keyed, lateness_ms, ttl_ms))
}

/// What the second part is made of.
pub(crate) struct Compiled {
    pub(crate) spec: Arc<Spec>,
    pub(crate) results: Results,
    /// True: a column of the key is labelled.
    pub(crate) labelled: bool,
}

/// Compiles the stage `runs` of the query, which keeps state within the bounds of `state`. Its sinks are the plan's outputs and
/// then, if there are tables, the stream that they are written from (`results`).
pub(crate) fn compile_keyed(
    plan: &PipelinePlan,
    runs: usize,
    state: &StatePlan,
    results: Option<&Stream>,
    formats: &dyn Formats,
) -> Result<Compiled, CompileError> {
    let dataflow = query(plan)?;
    let output = dataflow.output;
    let mut part = dataflow.stages.into_iter().nth(runs).context(PartsSnafu)?;
    let keyed = part.keyed.take().context(PartsSnafu)?;
    let rows = rows_of(part, None)?;
    let upserts = !keyed.unique.is_empty();
    let mut sinks = Vec::new();
    for stream in &plan.outputs {
        sinks.push(sink(stream, &output, upserts, formats)?);
    }
    if let Some(stream) = results {
        sinks.push(if upserts {
            marked_sink(stream, &output, formats)?
        } else {
            sink(stream, &output, false, formats)?
        });
    }
    let labelled = rows.schema.columns[..rows.keys]
        .iter()
        .any(|column| !column.labels.is_empty());
    let spec = spec(&rows, &keyed, state);
    let results = Results {
        sinks,
        keys: rows.keys,
        unique: keyed.unique.clone(),
        output: nullable(&output).to_arrow(),
        finish: finish(keyed),
        verdicts: plan
            .verdicts
            .as_ref()
            .map(|columns| VerdictReader::new(columns, &output).context(VerdictsSnafu))
            .transpose()?,
    };
    Ok(Compiled {
        spec,
        results,
        labelled,
    })
}

fn finish(keyed: Keyed) -> Finish {
    let columns: Vec<usize> = keyed
        .finish
        .columns
        .iter()
        .filter_map(|name| {
            keyed
                .results
                .columns
                .iter()
                .position(|column| column.name == *name)
        })
        .collect();
    let branch = keyed.finish;
    Box::new(move |results| {
        let view = results
            .project(&columns)
            .map_err(|error| error.to_string())?;
        let evaluated = branch.evaluate(&view).map_err(|error| error.to_string())?;
        Ok((evaluated.batch, evaluated.rows.values().to_vec()))
    })
}

fn sink(
    stream: &Stream,
    output: &Schema,
    upserts: bool,
    formats: &dyn Formats,
) -> Result<SinkWriter, CompileError> {
    let gone = if upserts {
        Some(DeleteEncoding::Tombstone(shape(mapping(
            &nullable(output),
            &nullable_stream(stream),
        )?)))
    } else {
        None
    };
    Ok(SinkWriter {
        topic: stream.topic.clone(),
        max_message_bytes: stream.max_message_bytes,
        compacted: stream.contract.compacted,
        encoder: formats.encoder_of(stream).context(FormatSnafu {
            stream: &stream.name,
        })?,
        shape: shape(mapping(output, stream)?),
        gone,
    })
}

/// A sink that says in its last column whether a row is gone.
fn marked_sink(
    stream: &Stream,
    output: &Schema,
    formats: &dyn Formats,
) -> Result<SinkWriter, CompileError> {
    let marked = |mut output: Schema| {
        output.columns.push(Column {
            name: DELETED_COLUMN.to_owned(),
            data_type: DataType::Boolean,
            nullable: false,
            labels: Vec::new(),
        });
        output
    };
    let stays = marked(output.clone());
    let goes = marked(nullable(output));
    Ok(SinkWriter {
        topic: stream.topic.clone(),
        max_message_bytes: stream.max_message_bytes,
        compacted: stream.contract.compacted,
        encoder: formats.encoder_of(stream).context(FormatSnafu {
            stream: &stream.name,
        })?,
        shape: marking(stays.to_arrow(), false, mapping(&stays, stream)?),
        gone: Some(DeleteEncoding::Row(marking(
            goes.to_arrow(),
            true,
            mapping(&goes, &nullable_stream(stream))?,
        ))),
    })
}

fn shape(mapping: Mapping) -> Projection {
    Box::new(move |output| mapping.apply(output).map_err(|error| error.to_string()))
}

fn marking(schema: SchemaRef, gone: bool, mapping: Mapping) -> Projection {
    Box::new(move |output| {
        let mark: ArrayRef = Arc::new(BooleanArray::from(vec![gone; output.num_rows()]));
        let columns = output.columns().iter().cloned().chain([mark]).collect();
        RecordBatch::try_new(schema.clone(), columns)
            .and_then(|marked| mapping.apply(&marked))
            .map_err(|error| error.to_string())
    })
}

fn nullable(schema: &Schema) -> Schema {
    let mut schema = schema.clone();
    for column in &mut schema.columns {
        column.nullable = true;
    }
    schema
}

fn nullable_stream(stream: &Stream) -> Stream {
    let mut stream = stream.clone();
    for field in &mut stream.contract.fields {
        field.nullable = true;
    }
    stream
}

/// What a part that isn't the query's comes to.
pub(crate) fn parts_differ<T>() -> Result<T, CompileError> {
    PartsSnafu.fail()
}

#[cfg(test)]
mod tests;
