//! From the plan of a query with state to its parts.

use std::sync::Arc;

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
use super::exchange_operator::{ExchangeOperator, times};
use crate::format::Formats;
use crate::keyed::exchange_writer::ExchangeWriter;
use crate::keyed::hash;
use crate::keyed::results::{DeleteEncoding, Finish, Projection, Results, SinkWriter};
use crate::stateless::{ResultForm, StatelessOperator};

/// Compiles the part of `plan` that brings rows with equal keys together.
pub(crate) fn compile_exchange(
    plan: &PipelinePlan,
    keyed_plan: &KeyedPlan,
    formats: &dyn Formats,
) -> Result<(StatelessOperator, ExchangeOperator), CompileError> {
    let (stateless, keyed) = compile_rows(plan, formats)?;
    let schema = keyed.rows.to_arrow();
    let writer = ExchangeWriter::new(&keyed_plan.repartition, &schema, keyed.keys);
    let times = plan.inputs.iter().map(times).collect();
    let (window, time) = (keyed.window, keyed.time);
    let exchange = ExchangeOperator::new(writer, times, window, time, keyed_plan.max_drift_ms);
    Ok((stateless, exchange))
}

/// True for a query that needs state.
pub(crate) fn needs_state(plan: &PipelinePlan) -> Result<bool, CompileError> {
    Ok(query(plan)?.keyed.is_some())
}

/// Compiles the stage that gives rows.
pub(crate) fn compile_rows(
    plan: &PipelinePlan,
    formats: &dyn Formats,
) -> Result<(StatelessOperator, Keyed), CompileError> {
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
    let stateless = StatelessOperator {
        inputs,
        outputs: Vec::new(),
        tells: true,
        results: ResultForm::Rows,
    };
    Ok((stateless, keyed))
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

/// Compiles the part of `plan` that keeps state. Its sinks are the plan's outputs and then, if there are
/// tables, the stream that they are written from.
pub(crate) fn compile_keyed(
    plan: &PipelinePlan,
    keyed_plan: &KeyedPlan,
    formats: &dyn Formats,
) -> Result<Compiled, CompileError> {
    let mut dataflow = query(plan)?;
    let keyed = dataflow.keyed.take().context(PartsSnafu)?;
    let upserts = !keyed.unique.is_empty();
    let mut sinks = Vec::new();
    for stream in &plan.outputs {
        sinks.push(sink(stream, &dataflow.output, upserts, formats)?);
    }
    if let Some(stream) = &keyed_plan.results {
        sinks.push(if upserts {
            marked_sink(stream, &dataflow.output, formats)?
        } else {
            sink(stream, &dataflow.output, false, formats)?
        });
    }
    let labelled = keyed.rows.columns[..keyed.keys]
        .iter()
        .any(|column| !column.labels.is_empty());
    let spec = spec(&keyed, keyed_plan);
    let results = Results {
        sinks,
        keys: keyed.keys,
        unique: keyed.unique.clone(),
        output: nullable(&dataflow.output).to_arrow(),
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

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, StringArray};
    use headworks_plan::{Contract, Delivery, Field, InternalTopic, OnBadRecord};
    use headworks_state::EpochOutput;

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
        let topic = |name: &str| InternalTopic {
            topic: name.into(),
            partitions: 2,
            max_message_bytes: 1_000_000,
        };
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
            tables: Vec::new(),
            delivery: Delivery::ExactlyOnce,
            commit_interval_ms: 10,
            start_from: StartFrom::Latest,
            on_bad_record: OnBadRecord::DeadLetter,
            on_overflow: headworks_plan::OnOverflow::SetNull,
            group: "g".into(),
            keyed: Some(KeyedPlan {
                repartition: topic("re"),
                changelog: topic("state"),
                group: "g.keyed".into(),
                allowed_lateness_ms: 0,
                max_drift_ms: 0,
                ttl_ms: None,
                memory_bytes: 1_000_000,
                results: Some(stream(
                    "words-results",
                    &[
                        ("id", "string", false),
                        ("n", "bigint", true),
                        (DELETED_COLUMN, "boolean", false),
                    ],
                )),
            }),
            accept_data_loss: None,
        }
    }

    #[test]
    fn a_row_that_is_gone_is_a_tombstone_for_a_stream_and_a_marked_row_for_tables() {
        let plan = plan("SELECT COUNT(*) AS n, id FROM words GROUP BY id HAVING COUNT(*) > 1");
        let keyed = plan.keyed.clone().unwrap();
        let mut compiled = compile_keyed(&plan, &keyed, &BarFormats).unwrap();
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
        let tables = table_plan(&plan).unwrap();
        assert_eq!(
            tables.sql,
            "SELECT `id`, `n`, `headworks_deleted` FROM `words-results`"
        );
        assert!(!needs_state(&tables).unwrap());
        assert_eq!(
            (tables.start_from, tables.keyed),
            (StartFrom::Earliest, None)
        );
        assert_eq!(tables.inputs[0].topic, "words-results");
    }

    #[test]
    fn a_plan_whose_parts_are_not_the_querys_is_refused() {
        let without = plan("SELECT id, n FROM words");
        let keyed = without.keyed.clone().unwrap();
        let refused = compile_exchange(&without, &keyed, &BarFormats)
            .err()
            .unwrap();
        assert!(refused.to_string().contains("of one version"), "{refused}");
        let with = plan("SELECT COUNT(*) AS n, id FROM words GROUP BY id");
        assert!(super::super::compile(&with, &BarFormats).is_err());
    }
}
