//! Runs of small queries in memory.

use headworks_plan::{Check, Contract, Delivery, Field, Rule, RuleAction, StartFrom, Stream};

use super::*;
use crate::testing::fixture_format::WordFormats;

#[derive(Default)]
struct Kept(Vec<String>);

impl Sink for Kept {
    fn row(&mut self, row: Row<'_>) -> io::Result<()> {
        self.0.push(String::from_utf8_lossy(row.value).into_owned());
        Ok(())
    }

    fn bad(&mut self, bad: BadRecord<'_>) -> io::Result<()> {
        let value = String::from_utf8_lossy(bad.value);
        let number = bad.number.map_or(-1, |number| number as i64);
        self.0.push(format!("#{number} {value} {}", bad.reason));
        Ok(())
    }
}

fn plan(on_bad_record: OnBadRecord) -> PipelinePlan {
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
        sql: "SELECT id, 40 / n AS n FROM words WHERE n < 20".into(),
        inputs: vec![stream("words")],
        outputs: vec![stream("out")],
        delivery: Delivery::ExactlyOnce,
        commit_interval_ms: 10,
        start_from: StartFrom::Earliest,
        on_bad_record,
        on_overflow: headworks_plan::OnOverflow::SetNull,
        stages: Vec::new(),
        accept_data_loss: None,
        verdicts: None,
    }
}

fn run(on_bad_record: OnBadRecord, values: &[&str]) -> (Vec<String>, Result<(), LocalError>) {
    let mut kept = Kept::default();
    let mut local = Local::new(&plan(on_bad_record), &WordFormats).unwrap();
    let pushed = values
        .iter()
        .try_for_each(|value| local.push(0, value.as_bytes(), &mut kept));
    let ended = pushed.and_then(|()| local.flush(&mut kept));
    (kept.0, ended)
}

#[test]
fn rows_and_bad_records_come_in_the_order_of_the_input() {
    let values = ["a 1", "b 0", "nonsense", "d 30", "e 5"];
    let (kept, ended) = run(OnBadRecord::DeadLetter, &values);
    assert_eq!(kept[0], "a=40");
    assert_eq!(kept[1], "#1 b 0 Evaluation");
    assert!(kept[2].starts_with("#2 nonsense"), "{kept:?}");
    assert_eq!(kept[3..], ["e=8"]);
    ended.unwrap();
}

#[test]
fn a_query_with_state_gives_its_rows_when_the_input_is_over() {
    let mut plan = plan(OnBadRecord::DeadLetter);
    plan.sql =
        "SELECT id, COUNT(*) AS n FROM words WHERE n < 20 GROUP BY id HAVING COUNT(*) > 1".into();
    let mut kept = Kept::default();
    let mut local = Local::new(&plan, &WordFormats).unwrap();
    for value in ["a 1", "b 0", "a 2", "nonsense", "b 30", "c 3", "b 5"] {
        local.push(0, value.as_bytes(), &mut kept).unwrap();
    }
    local.flush(&mut kept).unwrap();
    assert_eq!(kept.0.len(), 1, "{:?}: only the bad record", kept.0);
    local.finish(&mut kept).unwrap();
    kept.0[1..].sort();
    assert_eq!(kept.0[1..], ["a=2", "b=2"]);
}

#[test]
fn stop_ends_before_the_bad_record_and_after_what_came_before_it() {
    let (kept, ended) = run(OnBadRecord::Stop, &["a 1", "b 0", "c 2"]);
    assert_eq!(kept, ["a=40"]);
    assert!(ended.unwrap_err().to_string().starts_with("record 1: "));
}

#[test]
fn more_records_than_a_batch_holds_keep_their_numbers() {
    let mut values = vec!["a 1"; BATCH.rows + 1];
    values.push("b 0");
    let (kept, _) = run(OnBadRecord::DeadLetter, &values);
    assert_eq!(kept.len(), BATCH.rows + 2);
    assert_eq!(
        kept.last().unwrap(),
        &format!("#{} b 0 Evaluation", BATCH.rows + 1)
    );
}

fn judged(action: RuleAction, on_bad_record: OnBadRecord) -> (Vec<String>, Result<(), LocalError>) {
    let mut plan = plan(on_bad_record);
    plan.inputs[0].rules = vec![Rule {
        name: "sane".into(),
        generation: 1,
        filter: None,
        checks: vec![Check {
            name: "positive".into(),
            expression: "n > 0".into(),
            field: None,
            action,
        }],
    }];
    let mut kept = Kept::default();
    let mut local = Local::new(&plan, &WordFormats).unwrap();
    for value in ["a 1", "b -1", "c 2"] {
        local.push(0, value.as_bytes(), &mut kept).unwrap();
    }
    let ended = local.flush(&mut kept);
    (kept.0, ended)
}

#[test]
fn a_rule_says_what_becomes_of_a_record_whatever_is_done_with_bad_ones() {
    for on_bad_record in [OnBadRecord::DeadLetter, OnBadRecord::Stop] {
        let (kept, ended) = judged(RuleAction::DeadLetter, on_bad_record);
        assert_eq!(kept, ["a=40", "#1 b -1 Quality", "c=20"]);
        ended.unwrap();
        let (kept, _) = judged(RuleAction::Drop, on_bad_record);
        assert_eq!(kept, ["a=40", "c=20"]);
        let (kept, _) = judged(RuleAction::Alert, on_bad_record);
        assert_eq!(kept, ["a=40", "b=-40", "c=20"]);
        let (kept, ended) = judged(RuleAction::Stop, on_bad_record);
        assert_eq!(kept, ["a=40"]);
        let said = ended.unwrap_err().to_string();
        let begins = "record 1: rule sane, check positive: n > 0 is false (Quality); correct the producer or the rule";
        assert!(said.starts_with(begins), "{said}");
    }
}
