//! From plans of queries with state to operators.

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
        rules: Vec::new(),
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
        verdicts: None,
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
    let keys =
        RecordBatch::try_from_iter([("id", Arc::new(StringArray::from(vec!["c"])) as ArrayRef)])
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
    assert_eq!(
        (stateful(&tables).unwrap(), stateful(&plan).unwrap()),
        (None, Some((0, 1)))
    );
    assert_eq!(tables.start_from, StartFrom::Earliest);
    assert_eq!(tables.inputs[0].topic, "words-results");
    assert_eq!(
        reads(&tables, &stage).unwrap(),
        reads(&plan, &plan.stages[2]).unwrap()
    );
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

#[test]
fn a_monitors_results_are_read_as_verdicts() {
    let sql = "SELECT window_end, COUNT(*) AS records, \
        MAP['rows', CAST(COUNT(*) AS STRING), 'sum', CAST(NULL AS STRING)] AS observed, \
        MAP['rows', COUNT(*) <= 2, 'sum', SUM(n) > 0] AS passed \
        FROM TABLE(TUMBLE(TABLE words, DESCRIPTOR(`at`), INTERVAL '1' MINUTE)) GROUP BY window_start, window_end";
    let plan = monitor(sql);
    let columns = plan.verdicts.clone().unwrap();
    let output = query(&plan).unwrap().output;
    let batch = verdict_rows(&output);
    let mut reader = VerdictReader::new(&columns, &output).unwrap();
    assert_eq!(reader.take(), None);
    reader.read(&batch, 0);
    reader.read(&batch, 1);
    let said = reader.take().unwrap();
    assert_eq!(reader.take(), None, "told once");
    let told: Vec<_> = said.windows[0]
        .checks
        .iter()
        .map(|check| (check.name.as_str(), check.observed.as_deref(), check.failed))
        .collect();
    assert_eq!(
        told,
        [("rows", Some("3"), 2), ("sum", None, 0)],
        "null passes"
    );
    assert_eq!(
        (said.windows[0].end_ms, said.windows[0].records),
        (60_000, 7)
    );
    assert_eq!(said.of, "x");

    let keyed = &plan.stages[1];
    let state = keyed.state.as_ref().unwrap();
    assert!(compile_keyed(&plan, 1, state, None, &BarFormats).is_ok());
    let other = PipelinePlan {
        verdicts: Some(headworks_plan::VerdictColumns {
            observed: "passed".into(),
            ..columns
        }),
        ..plan.clone()
    };
    let refused = compile_keyed(&other, 1, state, None, &BarFormats);
    assert!(matches!(refused.err(), Some(CompileError::Verdicts)));
}

/// A plan of a monitor with this query, which writes to no stream.
fn monitor(sql: &str) -> PipelinePlan {
    let mut plan = plan(sql);
    plan.inputs[0] = stream(
        "words",
        &[
            ("id", "string", false),
            ("n", "bigint", true),
            ("at", "timestamp_ltz(3)", false),
        ],
    );
    plan.inputs[0].contract.event_time = Some(headworks_plan::EventTime {
        field: "at".into(),
        max_out_of_orderness_ms: 0,
        idle_timeout_ms: None,
    });
    plan.outputs = Vec::new();
    plan.stages = crate::testing::keyed_stages(&["words"], 2, None);
    plan.verdicts = Some(headworks_plan::VerdictColumns {
        of: "x".into(),
        window_end: "window_end".into(),
        records: "records".into(),
        observed: "observed".into(),
        passed: "passed".into(),
    });
    plan
}

/// Two results of one window.
fn verdict_rows(output: &Schema) -> RecordBatch {
    use arrow::array::{BooleanBuilder, MapBuilder, StringBuilder, TimestampMillisecondArray};
    let schema = nullable(output).to_arrow();
    let mut observed = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    let mut passed = MapBuilder::new(None, StringBuilder::new(), BooleanBuilder::new());
    for rows in ["3", "4"] {
        observed.keys().append_value("rows");
        observed.values().append_value(rows);
        observed.keys().append_value("sum");
        observed.values().append_null();
        observed.append(true).unwrap();
        passed.keys().append_value("rows");
        passed.values().append_value(false);
        passed.keys().append_value("sum");
        passed.values().append_null();
        passed.append(true).unwrap();
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(TimestampMillisecondArray::from(vec![60_000, 60_000])),
        Arc::new(Int64Array::from(vec![3, 4])),
        Arc::new(observed.finish()),
        Arc::new(passed.finish()),
    ];
    let cast = columns.into_iter().zip(schema.fields());
    let columns =
        cast.map(|(column, field)| arrow::compute::cast(&column, field.data_type()).unwrap());
    RecordBatch::try_new(schema.clone(), columns.collect()).unwrap()
}
