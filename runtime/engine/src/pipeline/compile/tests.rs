//! From plans to operators.

use std::sync::Arc;
use std::time::Duration;

use headworks_plan::{Contract, Delivery, EventTime, Field, OnBadRecord, OnOverflow, StartFrom};

use super::*;
use crate::memory::{Faults, MemoryBroker, Stored};
use crate::pipeline::{InputTopic, Pipeline, Settings};
use crate::status::StatusHandle;
use crate::testing::fixture_format::WordFormats;

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
        rules: Vec::new(),
    };
    PipelinePlan {
        sql: sql.into(),
        inputs: vec![stream("words")],
        outputs: vec![stream("out")],
        delivery: Delivery::ExactlyOnce,
        commit_interval_ms: 10,
        start_from: StartFrom::Earliest,
        on_bad_record: OnBadRecord::DeadLetter,
        on_overflow: OnOverflow::SetNull,
        stages: Vec::new(),
        accept_data_loss: None,
        verdicts: None,
    }
}

fn run(plan: &PipelinePlan, values: &[&str]) -> (Vec<String>, Vec<(String, String)>) {
    run_with(compile(plan, &WordFormats).unwrap(), plan, values)
}

fn run_with(
    stateless: StatelessOperator,
    plan: &PipelinePlan,
    values: &[&str],
) -> (Vec<String>, Vec<(String, String)>) {
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
    let mut session = Pipeline::new(log, stateless, Arc::new(settings), StatusHandle::new());
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
    let stateless = compile(&plan, &WordFormats).unwrap();
    assert_eq!(
        stateless.inputs[0].event_time, None,
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

#[test]
fn what_a_replay_puts_right_is_judged_and_goes_the_pipelines_own_way() {
    let check = headworks_plan::Check {
        name: "small".into(),
        expression: "n < 100".into(),
        field: Some("n".into()),
        action: headworks_plan::RuleAction::DeadLetter,
    };
    let mut plan = plan("SELECT id, 40 / n AS n FROM words WHERE n < 20");
    plan.inputs[0].rules = vec![headworks_plan::Rule {
        name: "sane".into(),
        generation: 1,
        filter: None,
        checks: vec![check],
    }];
    plan.stages = vec![crate::testing::streams_stage("g", &["words"])];
    let fix = "SELECT id, CASE WHEN n = 0 THEN CAST(1 AS BIGINT) ELSE 10 / (n - 5) * n END AS n FROM words WHERE id <> 'left'";
    let into = headworks_plan::IntoPipeline {
        fix: Some(fix.into()),
    };
    let fixed = replayed(
        compile(&plan, &WordFormats).unwrap(),
        &plan,
        &plan.stages[0],
        &into,
        &WordFormats,
    );
    let (results, bad) = run_with(
        fixed.unwrap(),
        &plan,
        &["a 0", "left 1", "b 6", "c 5", "d 7", "no"],
    );
    // 1; 60, which the query leaves out; 35, too.
    assert_eq!(results, ["a=40"]);
    let bad: Vec<(&str, &str)> = bad
        .iter()
        .map(|(value, why)| {
            (
                value.as_str(),
                why.split(':').next_back().unwrap_or_default(),
            )
        })
        .collect();
    assert_eq!(bad.len(), 2, "{bad:?}");
    assert_eq!((bad[0].0, bad[1].0), ("c 5", "no"));

    // What the rule refuses is as it was read, and not as the fix made it.
    let into = headworks_plan::IntoPipeline {
        fix: Some("SELECT id, n * 50 AS n FROM words".into()),
    };
    let fixed = replayed(
        compile(&plan, &WordFormats).unwrap(),
        &plan,
        &plan.stages[0],
        &into,
        &WordFormats,
    );
    let (results, bad) = run_with(fixed.unwrap(), &plan, &["a 2", "b 0"]);
    assert_eq!(results, [] as [&str; 0]);
    assert_eq!(bad.len(), 2, "{bad:?}");
    assert!(
        bad[0].0 == "a 2" && bad[0].1.contains("Quality") && bad[0].1.contains("n < 100"),
        "{bad:?}"
    );
    assert!(bad[1].1.contains("Evaluation"), "{bad:?}");
}

#[test]
fn only_the_inputs_that_a_replay_stands_for_are_read() {
    let mut plan = plan("SELECT id, n FROM words UNION ALL SELECT id, n FROM more");
    let more = Stream {
        name: "more".into(),
        ..plan.inputs[0].clone()
    };
    plan.inputs.push(more);
    plan.stages = vec![crate::testing::streams_stage("g", &["more"])];
    let replayed = replayed(
        compile(&plan, &WordFormats).unwrap(),
        &plan,
        &plan.stages[0],
        &headworks_plan::IntoPipeline::default(),
        &WordFormats,
    )
    .unwrap();
    assert_eq!(replayed.inputs.len(), 1);
}

#[test]
fn what_a_replay_writes_is_judged_before_it_is_written() {
    let check = |action| headworks_plan::Check {
        name: "positive".into(),
        expression: "n > 0".into(),
        field: Some("n".into()),
        action,
    };
    for (action, letters) in [
        (headworks_plan::RuleAction::DeadLetter, 1),
        (headworks_plan::RuleAction::Drop, 0),
    ] {
        let mut plan = plan("SELECT id, n - 3 AS n FROM words");
        plan.outputs[0].rules = vec![headworks_plan::Rule {
            name: "sane".into(),
            generation: 1,
            filter: None,
            checks: vec![check(action)],
        }];
        let (results, bad) = run(&plan, &["a 5", "b 2", "c 4"]);
        assert_eq!(results, ["a=2", "c=1"]);
        assert_eq!(bad.len(), letters, "{bad:?}");
        assert!(bad.iter().all(|(value, _)| value == "b 2"), "{bad:?}");
    }
}
