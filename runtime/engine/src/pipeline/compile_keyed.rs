//! From the plan of a query with state to its parts.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use arrow::datatypes::SchemaRef;
use headworks_plan::{
    DELETED_COLUMN, InternalTopic, PipelinePlan, StagePlan, StatePlan, Stream,
};
use headworks_sql::dataflow::{Edge, Stage};
use headworks_sql::keyed::{Keyed, KeyedRows, Window};
use headworks_sql::schema::{Column, Schema};
use headworks_sql::target::Mapping;
use headworks_sql::types::DataType;
use headworks_state::Spec;
use snafu::{OptionExt, ResultExt, ensure};

use super::compile::{CompileError, FormatSnafu, KeySnafu, PartsSnafu, input, mapping, query};
use super::exchange_operator::{ExchangeOperator, times};
use crate::format::Formats;
use crate::keyed::exchange_writer::ExchangeWriter;
use crate::keyed::hash;
use crate::keyed::results::{DeleteEncoding, Finish, Projection, Results, SinkWriter};
use crate::stateless::StatelessOperator;

/// Compiles `stage` of `plan`, which brings rows with equal keys together in `topic`.
pub(crate) fn compile_exchange(
    plan: &PipelinePlan,
    stage: &StagePlan,
    topic: &InternalTopic,
    formats: &dyn Formats,
) -> Result<(StatelessOperator, ExchangeOperator), CompileError> {
    let runs = stage.runs.context(PartsSnafu)?;
    let (stateless, rows, window) = compile_rows(plan, runs, formats)?;
    let writer = ExchangeWriter::new(topic, &rows.schema.to_arrow(), rows.keys);
    let times = plan.inputs.iter().map(times).collect();
    let max_drift_ms = stage.max_drift_ms.unwrap_or(u64::MAX);
    let exchange = ExchangeOperator::new(writer, times, window, rows.time, max_drift_ms);
    Ok((stateless, exchange))
}

/// Of a query with state: the stage that gives the rows, and the one that keeps state for them, by their places.
pub(crate) fn stateful(plan: &PipelinePlan) -> Result<Option<(usize, usize)>, CompileError> {
    let dataflow = query(plan)?;
    let stages = dataflow.stages.iter().enumerate();
    let mut with_state = stages.filter(|(_, stage)| stage.keyed.is_some());
    Ok(with_state.find_map(|(at, stage)| Some((stage.exchanges().next()?.from, at))))
}

/// Compiles the stage `runs` of the query, which gives rows by key. Gives what the rows are, and the windows that they
/// fall into after it.
pub(crate) fn compile_rows(
    plan: &PipelinePlan,
    runs: usize,
    formats: &dyn Formats,
) -> Result<(StatelessOperator, KeyedRows, Option<Window>), CompileError> {
    let mut stages = query(plan)?.stages;
    let reads = |stage: &Stage| stage.exchanges().any(|exchange| exchange.from == runs);
    let reader = stages.extract_if(.., |stage| reads(stage)).next();
    let reader = reader.context(PartsSnafu)?;
    let window = reader.keyed.as_ref().and_then(|keyed| keyed.window);
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
        keeps_rows: true,
    };
    Ok((stateless, rows, window))
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
    let ttl_ms = plan.ttl_ms.map(signed).filter(|_| keyed.window.is_none());
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
    let mut stage = dataflow.stages.into_iter().nth(runs).context(PartsSnafu)?;
    let keyed = stage.keyed.take().context(PartsSnafu)?;
    let rows = rows_of(stage, None)?;
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
mod tests {
    use arrow::array::{Int64Array, StringArray};
    use headworks_plan::{Contract, Delivery, Field, OnBadRecord, StartFrom};
    use headworks_state::EpochOutput;

    use super::super::edges::{copies, reads, tells};
    use super::*;
    use crate::keyed::results::ResultRecord;
    use crate::testing::keyed_fixture_format::BarFormats;

    fn stream(name: &str, fields: &[(&str, &str, bool)]) -> Stream {
        let field = |(name, type_, nullable): &(&str, &str, bool)| Field {
            name: (*name).into(),
            type_: (*type_).into(),
            nullable: *nullable,
            labels: Vec::new(),
        };
        Stream {
            name: name.into(),
            topic: name.into(),
            dead_letter_topic: format!("{name}.dlq"),
            contract: Contract {
                fields: fields.iter().map(field).collect(),
                key: vec!["id".into()],
                ..Contract::default()
            },
            max_message_bytes: 1_000_000,
        }
    }

    fn plan(sql: &str) -> PipelinePlan {
        PipelinePlan {
            sql: sql.into(),
            inputs: vec![stream(
                "words",
                &[("id", "string", false), ("n", "bigint", false)],
            )],
            // Its columns are in another order, and one isn't the query's.
            outputs: vec![stream(
                "counts",
                &[
                    ("id", "string", false),
                    ("more", "bigint", true),
                    ("n", "bigint", false),
                ],
            )],
            delivery: Delivery::ExactlyOnce,
            commit_interval_ms: 10,
            start_from: StartFrom::Latest,
            on_bad_record: OnBadRecord::DeadLetter,
            on_overflow: headworks_plan::OnOverflow::SetNull,
            stages: crate::testing::keyed_stages(
                &["words"],
                2,
                Some(stream(
                    "words-results",
                    &[
                        ("id", "string", false),
                        ("n", "bigint", true),
                        (DELETED_COLUMN, "boolean", false),
                    ],
                )),
            ),
            accept_data_loss: None,
        }
    }

    #[test]
    fn a_row_that_is_gone_is_a_tombstone_for_a_stream_and_a_marked_row_for_tables() {
        let plan = plan("SELECT COUNT(*) AS n, id FROM words GROUP BY id HAVING COUNT(*) > 1");
        let keyed = &plan.stages[1];
        let state = keyed.state.as_ref().unwrap();
        let mut compiled = compile_keyed(&plan, 1, state, keyed.results(), &BarFormats).unwrap();
        let results = RecordBatch::try_new(
            compiled.spec.results.clone(),
            vec![
                Arc::new(StringArray::from(vec!["a", "b"])),
                Arc::new(Int64Array::from(vec![1, 2])),
            ],
        )
        .unwrap();
        let keys = RecordBatch::try_from_iter([(
            "id",
            Arc::new(StringArray::from(vec!["c"])) as ArrayRef,
        )])
        .unwrap();
        let sealed = EpochOutput {
            results: vec![results],
            gone: vec![keys],
            ..EpochOutput::default()
        };
        let mut lines = Vec::new();
        compiled
            .results
            .run(&sealed, &mut |given| {
                let ResultRecord::Record {
                    topic, key, value, ..
                } = given
                else {
                    panic!("{given:?}")
                };
                let text = |bytes: Option<&[u8]>| {
                    bytes.map_or("-".to_owned(), |b| String::from_utf8_lossy(b).into_owned())
                };
                lines.push(format!("{topic} {} {}", text(key), text(value)));
                Ok(())
            })
            .unwrap();
        assert_eq!(
            lines,
            [
                "counts b b|null|2",
                "words-results b b|2|false",
                "counts a -",
                "words-results a a|null|true",
                "counts c -",
                "words-results c c|null|true",
            ]
        );
    }

    #[test]
    fn tables_are_written_from_the_results_without_state() {
        let plan = plan("SELECT COUNT(*) AS n, id FROM words GROUP BY id");
        let table = crate::testing::table_stage("t", headworks_plan::Edge::Stage("keyed".into()), None);
        let plan = PipelinePlan {
            stages: plan.stages.iter().cloned().chain([table]).collect(),
            ..plan
        };
        let (tables, stage) = copies(&plan, &plan.stages[2]).unwrap().unwrap();
        assert_eq!(
            tables.sql,
            "SELECT `id`, `n`, `headworks_deleted` FROM `words-results`"
        );
        assert_eq!((stateful(&tables).unwrap(), stateful(&plan).unwrap()), (None, Some((0, 1))));
        assert_eq!(tables.start_from, StartFrom::Earliest);
        assert_eq!(tables.inputs[0].topic, "words-results");
        assert_eq!(reads(&tables, &stage).unwrap(), reads(&plan, &plan.stages[2]).unwrap());
        assert!(tells(&tables, &stage) && copies(&plan, &plan.stages[1]).unwrap().is_none());
    }

    #[test]
    fn a_plan_whose_parts_are_not_the_querys_is_refused() {
        let without = plan("SELECT id, n FROM words");
        let exchange = &without.stages[0];
        let topic = exchange.exchange().unwrap();
        let refused = compile_exchange(&without, exchange, topic, &BarFormats)
            .err()
            .unwrap();
        assert!(refused.to_string().contains("of one version"), "{refused}");
        let with = plan("SELECT COUNT(*) AS n, id FROM words GROUP BY id");
        assert!(super::super::compile(&with, &BarFormats).is_err());
    }
}
