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
