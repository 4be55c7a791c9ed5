//! From the plan of a query with state to its parts.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use arrow::datatypes::SchemaRef;
use headworks_plan::{DELETED_COLUMN, KeyedPlan, PipelinePlan, StartFrom, Stream};
use headworks_sql::keyed::Keyed;
use headworks_sql::schema::{Column, Schema};
use headworks_sql::target::Mapping;
use headworks_sql::types::DataType;
use headworks_state::Spec;
use snafu::{OptionExt, ResultExt, ensure};

use super::compile::{CompileError, FormatSnafu, KeySnafu, PartsSnafu, input, mapping, query};
use super::first::{First, Times};
use super::stage::Stage;
use crate::format::Formats;
use crate::keyed::gather::Gather;
use crate::keyed::hash;
use crate::keyed::results::{Finish, Gone, Outlet, Results, Shape};

/// Compiles the part of `plan` that brings rows with equal keys together.
pub(crate) fn compile_first(
    plan: &PipelinePlan,
    keyed_plan: &KeyedPlan,
    formats: &dyn Formats,
) -> Result<(Stage, First), CompileError> {
    let (stage, keyed) = compile_rows(plan, formats)?;
    let schema = keyed.rows.to_arrow();
    let gather = Gather::new(&keyed_plan.repartition, &schema, keyed.keys);
    let times = plan.inputs.iter().map(times).collect();
    let windowed = keyed.window.is_some();
    let first = First::new(gather, times, windowed, keyed.time, keyed_plan.max_drift_ms);
    Ok((stage, first))
}

/// True for a query that needs state.
pub(crate) fn needs_state(plan: &PipelinePlan) -> Result<bool, CompileError> {
    Ok(query(plan)?.keyed.is_some())
}

/// Compiles the stage that gives rows.
pub(crate) fn compile_rows(
    plan: &PipelinePlan,
    formats: &dyn Formats,
) -> Result<(Stage, Keyed), CompileError> {
    let mut dataflow = query(plan)?;
    let keyed = dataflow.keyed.take().context(PartsSnafu)?;
    for column in &keyed.rows.columns[..keyed.keys] {
        ensure!(
            hash::takes(&column.data_type.to_arrow()),
            KeySnafu {
                column: &column.name,
                type_: column.data_type.to_string(),
            }
        );
    }
    let required = keyed.time.is_some();
    let inputs = plan
        .inputs
        .iter()
        .map(|stream| input(stream, None, Some(required), &mut dataflow, formats))
        .collect::<Result<_, _>>()?;
    let stage = Stage {
        inputs,
        outputs: Vec::new(),
        tells: true,
        keeps_rows: true,
    };
    Ok((stage, keyed))
}

fn times(stream: &Stream) -> Times {
    let time = stream.contract.event_time.as_ref();
    Times {
        disorder_ms: time.map_or(0, |time| {
            i64::try_from(time.max_out_of_orderness_ms).unwrap_or(i64::MAX)
        }),
        idle_timeout: time
            .and_then(|time| time.idle_timeout_ms)
            .map(Duration::from_millis),
    }
}

/// What all shards of a pipeline have in common.
fn spec(keyed: &Keyed, plan: &KeyedPlan) -> Arc<Spec> {
    let signed = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
    let ttl_ms = plan.ttl_ms.map(signed).filter(|_| keyed.window.is_none());
    Arc::new(Spec::new(keyed, signed(plan.allowed_lateness_ms), ttl_ms))
}

/// What the second part is made of.
pub(crate) struct Compiled {
    pub(crate) spec: Arc<Spec>,
    pub(crate) results: Results,
    /// True: a column of the key is labelled.
    pub(crate) labelled: bool,
}

/// Compiles the part of `plan` that keeps state. Its outlets are the plan's outputs and then, if there are
/// tables, the stream that they are written from.
pub(crate) fn compile_second(
    plan: &PipelinePlan,
    keyed_plan: &KeyedPlan,
    formats: &dyn Formats,
) -> Result<Compiled, CompileError> {
    let mut dataflow = query(plan)?;
    let keyed = dataflow.keyed.take().context(PartsSnafu)?;
    let upserts = !keyed.unique.is_empty();
    let mut outlets = Vec::new();
    for stream in &plan.outputs {
        outlets.push(outlet(stream, &dataflow.output, upserts, formats)?);
    }
    if let Some(stream) = &keyed_plan.results {
        outlets.push(if upserts {
            marked_outlet(stream, &dataflow.output, formats)?
        } else {
            outlet(stream, &dataflow.output, false, formats)?
        });
    }
    let labelled = keyed.rows.columns[..keyed.keys]
        .iter()
        .any(|column| !column.labels.is_empty());
    let spec = spec(&keyed, keyed_plan);
    let results = Results {
        outlets,
        keys: keyed.keys,
        unique: keyed.unique.clone(),
        output: nullable(&dataflow.output).to_arrow(),
        window_end: keyed.window.is_some().then_some(keyed.keys + 1),
        finish: finish(keyed),
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

fn outlet(
    stream: &Stream,
    output: &Schema,
    upserts: bool,
    formats: &dyn Formats,
) -> Result<Outlet, CompileError> {
    let gone = if upserts {
        Some(Gone::Tombstone(shape(mapping(
            &nullable(output),
            &nullable_stream(stream),
        )?)))
    } else {
        None
    };
    Ok(Outlet {
        topic: stream.topic.clone(),
        max_message_bytes: stream.max_message_bytes,
        encoder: formats.encoder(&stream.contract).context(FormatSnafu {
            stream: &stream.name,
        })?,
        shape: shape(mapping(output, stream)?),
        gone,
    })
}

/// An outlet that says in its last column whether a row is gone.
fn marked_outlet(
    stream: &Stream,
    output: &Schema,
    formats: &dyn Formats,
) -> Result<Outlet, CompileError> {
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
    Ok(Outlet {
        topic: stream.topic.clone(),
        max_message_bytes: stream.max_message_bytes,
        encoder: formats.encoder(&stream.contract).context(FormatSnafu {
            stream: &stream.name,
        })?,
        shape: marking(stays.to_arrow(), false, mapping(&stays, stream)?),
        gone: Some(Gone::Row(marking(
            goes.to_arrow(),
            true,
            mapping(&goes, &nullable_stream(stream))?,
        ))),
    })
}

fn shape(mapping: Mapping) -> Shape {
    Box::new(move |output| mapping.apply(output).map_err(|error| error.to_string()))
}

fn marking(schema: SchemaRef, gone: bool, mapping: Mapping) -> Shape {
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

/// The plan of the tables of a pipeline with state: they are written from its results.
pub(crate) fn table_plan(plan: &PipelinePlan) -> Option<PipelinePlan> {
    let results = plan.keyed.as_ref()?.results.as_ref()?;
    let quoted = |name: &str| format!("`{}`", name.replace('`', "``"));
    let columns: Vec<String> = results
        .contract
        .fields
        .iter()
        .map(|field| quoted(&field.name))
        .collect();
    Some(PipelinePlan {
        sql: format!(
            "SELECT {} FROM {}",
            columns.join(", "),
            quoted(&results.name)
        ),
        inputs: vec![results.clone()],
        outputs: Vec::new(),
        start_from: StartFrom::Earliest,
        keyed: None,
        ..plan.clone()
    })
}
