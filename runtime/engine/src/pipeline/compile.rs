//! From a plan to a [`Stage`]: the query checked against its streams, decoders that build only the
//! columns it reads, and encoders for every output.

use arrow::array::RecordBatch;
use headworks_plan::{PipelinePlan, Stream, TableOutput};
use headworks_sql::schema::Schema;
use headworks_sql::target::Mapping;
use headworks_sql::types::DataType;
use headworks_sql::{Catalog, Dataflow, target};
use snafu::{ResultExt, Snafu, ensure};

use super::event_time::EventTime;
use super::stage::{Branch, Evaluation, Input, Output, Stage};
use crate::format::{FormatError, Formats};
use crate::store::Stores;

/// Why a plan can't be run. The operator checks the same before it makes a pod, so these are met only
/// when operator and runtime differ.
#[derive(Debug, Snafu)]
#[snafu(visibility(pub(super)))]
pub(crate) enum CompileError {
    /// The query has errors.
    #[snafu(display("spec.sql: {said}"))]
    Sql { said: String },
    /// The result doesn't fit an output.
    #[snafu(display("the result doesn't fit stream {stream}: {said}"))]
    Misfit { stream: String, said: String },
    /// The plan's inputs aren't the query's.
    #[snafu(display(
        "the query doesn't read the plan's input {stream}; operator and runtime must be of one version"
    ))]
    Unread { stream: String },
    /// A wire format can't carry a contract.
    #[snafu(display("stream {stream}: {source}"))]
    Format { stream: String, source: FormatError },
    /// The plan has no such table.
    #[snafu(display("the plan has no table {index}"))]
    NoTable { index: usize },
    /// The query needs state and the plan has none, or the other way round.
    #[snafu(display(
        "the plan's parts aren't the query's (with or without state); operator and runtime must be of one version"
    ))]
    Parts,
    /// State can't be kept.
    #[snafu(display("{said}"))]
    State { said: String },
    /// Keys of a type by which rows can't be brought together.
    #[snafu(display("column {column}: {type_} is no key; group by its fields or items instead"))]
    Key { column: String, type_: String },
    /// A store can't hold the result.
    #[snafu(display("table {table}: {source}"))]
    Row { table: String, source: FormatError },
}

/// Compiles the part of `plan` that writes streams. The inputs of the stage are in the plan's order.
pub(crate) fn compile(plan: &PipelinePlan, formats: &dyn Formats) -> Result<Stage, CompileError> {
    let mut dataflow = query(plan)?;
    ensure!(dataflow.keyed.is_none(), PartsSnafu);
    let inputs = plan
        .inputs
        .iter()
        .map(|stream| input(stream, Some(&plan.outputs), None, &mut dataflow, formats))
        .collect::<Result<_, _>>()?;
    let output = |stream: &Stream| {
        let encoder = formats.encoder_of(stream).context(FormatSnafu {
            stream: &stream.name,
        })?;
        Ok(Output {
            topic: stream.topic.clone(),
            table: false,
            max_message_bytes: stream.max_message_bytes,
            compacted: stream.contract.compacted,
            encoder,
        })
    };
    Ok(Stage {
        inputs,
        outputs: plan.outputs.iter().map(output).collect::<Result<_, _>>()?,
        tells: true,
        keeps_rows: false,
    })
}

/// Compiles the part of `plan` that writes `table`, and gives the query's columns. `tells`: see
/// [`Stage::tells`].
pub(crate) fn compile_table(
    plan: &PipelinePlan,
    table: &TableOutput,
    formats: &dyn Formats,
    stores: &dyn Stores,
    tells: bool,
) -> Result<(Stage, Schema), CompileError> {
    let mut dataflow = query(plan)?;
    ensure!(dataflow.keyed.is_none(), PartsSnafu);
    let inputs = plan
        .inputs
        .iter()
        .map(|stream| input(stream, None, None, &mut dataflow, formats))
        .collect::<Result<_, _>>()?;
    let encoder = stores.encoder(table, &dataflow.output).context(RowSnafu {
        table: &table.table,
    })?;
    let output = Output {
        topic: format!("table {}", table.table),
        table: true,
        // Whatever Kafka held, the store says itself whether it fits.
        max_message_bytes: u64::MAX,
        compacted: false,
        encoder,
    };
    let stage = Stage {
        inputs,
        outputs: vec![output],
        tells,
        keeps_rows: false,
    };
    Ok((stage, dataflow.output))
}

pub(super) fn query(plan: &PipelinePlan) -> Result<Dataflow, CompileError> {
    let catalog = plan.inputs.iter().fold(Catalog::new(), |catalog, stream| {
        catalog.with(&stream.name, stream.contract.clone())
    });
    let catalog = catalog.on_overflow(plan.on_overflow.into());
    headworks_sql::plan(&plan.sql, &catalog).map_err(|errors| CompileError::Sql {
        said: listed(&errors),
    })
}

/// What happens to `stream`'s records. Without `outputs` the results stay as the query gives them.
/// `clock`: the event time is read whatever the query reads; true, if a record must have one.
pub(super) fn input(
    stream: &Stream,
    outputs: Option<&[Stream]>,
    clock: Option<bool>,
    dataflow: &mut Dataflow,
    formats: &dyn Formats,
) -> Result<Input, CompileError> {
    let reads = |column: &str| {
        dataflow.branches.iter().any(|branch| {
            branch.input == stream.name && branch.columns.iter().any(|read| read == column)
        })
    };
    let time = stream
        .contract
        .event_time
        .as_ref()
        .map(|time| time.field.as_str());
    let first = time
        .and_then(|time| time.split('.').next())
        .filter(|_| clock.is_some());
    // In the contract's order, each once, whichever branches read it.
    let columns: Vec<String> = stream
        .contract
        .fields
        .iter()
        .map(|field| field.name.clone())
        .filter(|name| reads(name) || first == Some(name))
        .collect();
    ensure!(
        dataflow
            .branches
            .iter()
            .any(|branch| branch.input == stream.name),
        UnreadSnafu {
            stream: &stream.name,
        }
    );
    let event_time = event_time(stream, &columns, clock == Some(true));
    let decoder = formats
        .decoder(&stream.contract, &columns)
        .context(FormatSnafu {
            stream: &stream.name,
        })?;
    let mut branches = Vec::new();
    for branch in dataflow
        .branches
        .extract_if(.., |branch| branch.input == stream.name)
    {
        let mappings = outputs
            .map(|outputs| {
                outputs
                    .iter()
                    .map(|to| mapping(&dataflow.output, to))
                    .collect::<Result<Vec<_>, _>>()
            })
            .transpose()?;
        branches.push(Branch {
            columns: branch
                .columns
                .iter()
                .filter_map(|read| columns.iter().position(|column| column == read))
                .collect(),
            evaluate: Box::new(move |batch: &RecordBatch| {
                let evaluated = branch.evaluate(batch).map_err(|error| error.to_string())?;
                let outputs = match &mappings {
                    None => vec![evaluated.batch],
                    Some(mappings) => mappings
                        .iter()
                        .map(|mapping| mapping.apply(&evaluated.batch))
                        .collect::<Result<_, _>>()
                        .map_err(|error| error.to_string())?,
                };
                Ok(Evaluation {
                    rows: evaluated.rows.values().to_vec(),
                    outputs,
                })
            }),
        });
    }
    Ok(Input {
        decoder,
        event_time,
        branches,
    })
}

/// Where the stream's event time is among these columns, if it is there.
fn event_time(stream: &Stream, columns: &[String], required: bool) -> Option<EventTime> {
    let field = &stream.contract.event_time.as_ref()?.field;
    let mut steps = field.split('.');
    let first = steps.next()?;
    let mut path = vec![columns.iter().position(|column| column == first)?];
    let schema = Schema::from_contract(&stream.contract).ok()?;
    let mut level = schema.column(first)?.data_type.clone();
    for step in steps {
        let DataType::Struct(fields) = level else {
            return None;
        };
        let at = fields.iter().position(|field| field.name == step)?;
        path.push(at);
        level = fields[at].data_type.clone();
    }
    Some(EventTime {
        path,
        field: field.clone(),
        required,
    })
}

pub(super) fn mapping(output: &Schema, to: &Stream) -> Result<Mapping, CompileError> {
    target::check(output, &to.contract).map_err(|mismatches| CompileError::Misfit {
        stream: to.name.clone(),
        said: listed(&mismatches),
    })
}

pub(super) fn listed<E: ToString>(errors: &[E]) -> String {
    errors
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use headworks_plan::{
        Contract, Delivery, EventTime, Field, OnBadRecord, OnOverflow, StartFrom,
    };

    use super::*;
    use crate::memory::{Faults, MemoryBroker, Stored};
    use crate::pipeline::{InputTopic, Pipeline, Settings};
    use crate::status::StatusHandle;
    use crate::words::WordFormats;

    fn plan(sql: &str) -> PipelinePlan {
        let field = |name: &str, type_: &str| Field {
            name: name.into(),
            type_: type_.into(),
            nullable: false,
            labels: Vec::new(),
        };
        let stream = |name: &str| Stream {
            name: name.into(),
            topic: name.into(),
            dead_letter_topic: format!("{name}.dlq"),
            contract: Contract {
                fields: vec![field("id", "string"), field("n", "bigint")],
                ..Contract::default()
            },
            max_message_bytes: 1_000_000,
        };
        PipelinePlan {
            sql: sql.into(),
            inputs: vec![stream("words")],
            outputs: vec![stream("out")],
            tables: Vec::new(),
            delivery: Delivery::ExactlyOnce,
            commit_interval_ms: 10,
            start_from: StartFrom::Earliest,
            on_bad_record: OnBadRecord::DeadLetter,
            on_overflow: OnOverflow::SetNull,
            group: "g".into(),
            keyed: None,
            accept_data_loss: None,
        }
    }

    fn run(plan: &PipelinePlan, values: &[&str]) -> (Vec<String>, Vec<(String, String)>) {
        let broker = MemoryBroker::new(1, Faults::default());
        for topic in ["words", "words.dlq", "out"] {
            broker.create(topic, 1);
        }
        for value in values {
            broker.append(
                "words",
                0,
                Stored {
                    value: Some(value.as_bytes().to_vec()),
                    ..Stored::default()
                },
            );
        }
        let input = InputTopic {
            topic: "words".into(),
            dead_letter_topic: "words.dlq".into(),
            max_message_bytes: 1_000_000,
        };
        let settings = Settings {
            pipeline: "shop/p".into(),
            inputs: vec![input],
            on_bad_record: plan.on_bad_record,
            start_from: plan.start_from,
            commit_interval: Duration::from_millis(plan.commit_interval_ms),
            accept_data_loss: None,
        };
        let log = broker.open("m", &["words"]).unwrap();
        let mut session = Pipeline::new(
            log,
            compile(plan, &WordFormats).unwrap(),
            Arc::new(settings),
            StatusHandle::new(),
        );
        for _ in 0..100 {
            session.step().unwrap();
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let results = broker
            .committed("out", 0)
            .iter()
            .map(|record| text(record.value.as_deref().unwrap_or_default()))
            .collect();
        let bad = broker.committed("words.dlq", 0);
        let reason = |record: &Stored| {
            record
                .headers
                .iter()
                .filter(|(name, _)| name == "headworks.reason" || name == "headworks.error")
                .map(|(_, value)| text(value))
                .collect::<Vec<_>>()
                .join(": ")
        };
        (
            results,
            bad.iter()
                .map(|record| {
                    (
                        text(record.value.as_deref().unwrap_or_default()),
                        reason(record),
                    )
                })
                .collect(),
        )
    }

    #[test]
    fn the_row_that_divides_by_zero_is_a_dead_letter_and_its_neighbours_are_results() {
        let (results, bad) = run(
            &plan("SELECT id, 40 / n AS n FROM words WHERE n < 20"),
            &["a 1", "b 2", "c 0", "d 30", "e 5"],
        );
        assert_eq!(results, ["a=40", "b=20", "e=8"]);
        assert_eq!(bad.len(), 1);
        assert!(
            bad[0].0 == "c 0" && bad[0].1.contains("Evaluation"),
            "{bad:?}"
        );
    }

    #[test]
    fn a_number_that_does_not_fit_is_null_or_a_dead_letter() {
        let sql = "SELECT id, CAST(COALESCE(CAST(NULLIF(n, 7) AS DECIMAL(2,0)), 0) AS BIGINT) AS n FROM words";
        let mut plan = plan(sql);
        let values = ["a 1", "b 7", "c 100"];
        assert_eq!(
            run(&plan, &values),
            (vec!["a=1".into(), "b=0".into(), "c=0".into()], vec![])
        );
        plan.on_overflow = OnOverflow::DeadLetter;
        let (results, bad) = run(&plan, &values);
        assert_eq!(results, ["a=1", "b=0"]);
        assert!(
            bad.len() == 1 && bad[0].0 == "c 100" && bad[0].1.contains("decimal(2,0)"),
            "{bad:?}"
        );
    }

    #[test]
    fn branches_of_a_union_read_a_record_once_and_keep_its_order() {
        let sql = "SELECT id, n FROM words WHERE n > 1 UNION ALL SELECT UPPER(id) AS id, n * 10 AS n FROM words WHERE n < 3";
        let (results, bad) = run(&plan(sql), &["a 1", "b 2", "c 3"]);
        assert_eq!(results, ["A=10", "b=2", "B=20", "c=3"]);
        assert_eq!(bad, []);
    }

    #[test]
    fn only_the_columns_that_the_query_reads_are_decoded() {
        let mut plan = plan("SELECT id, CAST(CHAR_LENGTH(id) AS BIGINT) AS n FROM words");
        plan.inputs[0].contract.fields.push(Field {
            name: "at".into(),
            type_: "timestamp_ltz(3)".into(),
            nullable: false,
            labels: Vec::new(),
        });
        plan.inputs[0].contract.event_time = Some(EventTime {
            field: "at".into(),
            max_out_of_orderness_ms: 0,
            idle_timeout_ms: None,
        });
        let stage = compile(&plan, &WordFormats).unwrap();
        assert_eq!(
            stage.inputs[0].event_time, None,
            "the query doesn't read it"
        );
        assert_eq!(run(&plan, &["abc 1"]).0, ["abc=3"]);
    }

    #[test]
    fn a_plan_of_another_version_is_refused_with_the_place() {
        let refused = |plan: &PipelinePlan| {
            compile(plan, &WordFormats)
                .err()
                .map(|error| error.to_string())
                .unwrap_or_default()
        };
        assert!(
            refused(&plan("SELECT idd FROM words")).contains("line 1, column 8"),
            "{}",
            refused(&plan("SELECT idd FROM words"))
        );
        assert!(refused(&plan("SELECT id FROM words")).contains("doesn't fit stream out"));
        let mut more = plan("SELECT id, n FROM words");
        more.inputs.push(Stream {
            name: "unread".into(),
            ..more.inputs[0].clone()
        });
        assert!(refused(&more).contains("unread"), "{}", refused(&more));
    }
}
