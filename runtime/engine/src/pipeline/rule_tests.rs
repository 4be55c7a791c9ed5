//! Quality rules in the loop: what becomes of a record that breaks one, and what is counted.

use std::sync::Arc;
use std::time::Duration;

use headworks_plan::{
    Check, Delivery, OnBadRecord, OnOverflow, PipelinePlan, Rule, RuleAction, RuleFigures,
    StartFrom,
};

use super::{InputTopic, Pipeline, Settings, compile};
use crate::log::{LogError, Reason};
use crate::memory::{Faults, MemoryBroker, MemoryLog, Stored};
use crate::status::StatusHandle;
use crate::testing::fixture_format::{WordFormats, rules, words};

/// A rule of one check.
fn rule(action: RuleAction, expression: &str) -> Vec<Rule> {
    vec![Rule {
        name: "sane".into(),
        generation: 4,
        filter: None,
        checks: vec![Check {
            name: "positive".into(),
            expression: expression.into(),
            field: Some("n".into()),
            action,
        }],
    }]
}

struct World {
    plan: PipelinePlan,
    broker: MemoryBroker,
    status: StatusHandle,
}

impl World {
    /// The query reads the id alone: what rules need is decoded besides.
    fn new(rules: Vec<Rule>, values: &[&str]) -> World {
        let broker = MemoryBroker::new(1, Faults::default());
        for topic in ["words", "words.dlq", "out"] {
            broker.create(topic, 1);
        }
        for value in values {
            let record = Stored {
                value: Some(value.as_bytes().to_vec()),
                ..Stored::default()
            };
            broker.append("words", 0, record);
        }
        World {
            plan: PipelinePlan {
                sql: "SELECT id, CAST(1 AS BIGINT) AS n FROM words WHERE id <> 'left'".into(),
                inputs: vec![words("words", rules)],
                outputs: vec![words("out", Vec::new())],
                delivery: Delivery::ExactlyOnce,
                commit_interval_ms: 10,
                start_from: StartFrom::Earliest,
                on_bad_record: OnBadRecord::DeadLetter,
                on_overflow: OnOverflow::SetNull,
                stages: Vec::new(),
                accept_data_loss: None,
                verdicts: None,
            },
            broker,
            status: StatusHandle::new(),
        }
    }

    fn start(&self) -> Pipeline<MemoryLog> {
        let input = InputTopic::from(&self.plan.inputs[0]);
        let settings = Settings {
            pipeline: "shop/p".into(),
            inputs: vec![input],
            on_bad_record: self.plan.on_bad_record,
            start_from: self.plan.start_from,
            commit_interval: Duration::from_millis(self.plan.commit_interval_ms),
            accept_data_loss: None,
        };
        let log = self.broker.open("m", &["words"]).unwrap();
        let stateless = compile(&self.plan, &WordFormats).unwrap();
        Pipeline::new(log, stateless, Arc::new(settings), self.status.clone())
    }

    fn run(&self) -> Result<(), LogError> {
        let mut session = self.start();
        for _ in 0..100 {
            session.step()?;
        }
        Ok(())
    }

    fn of(&self, topic: &str) -> Vec<String> {
        let records = self.broker.committed(topic, 0);
        let texts = records.into_iter().map(|record| record.value.unwrap());
        texts.map(|text| String::from_utf8(text).unwrap()).collect()
    }

    fn figures(&self) -> Vec<RuleFigures> {
        self.status.report().figures.rules
    }
}

const VALUES: [&str; 5] = ["a 1", "b -1", "no-space", "left -2", "c 2"];

#[test]
fn what_breaks_a_rule_becomes_what_the_rule_says() {
    for (action, out, dead) in [
        (
            RuleAction::Alert,
            &["a=1", "b=1", "c=1"][..],
            &["no-space"][..],
        ),
        (RuleAction::Drop, &["a=1", "c=1"], &["no-space"]),
        (
            RuleAction::DeadLetter,
            &["a=1", "c=1"],
            &["b -1", "no-space", "left -2"],
        ),
    ] {
        let world = World::new(rule(action, "n > 0"), &VALUES);
        world.run().unwrap();
        assert_eq!(world.of("out"), out, "{action:?}");
        assert_eq!(world.of("words.dlq"), dead, "{action:?}");
        let figures = world.status.report().figures;
        assert_eq!(figures.records_in, 5);
        assert_eq!(figures.dead_letters, dead.len() as u64, "{action:?}");
        let dropped = if action == RuleAction::Drop { 2 } else { 0 };
        assert_eq!(figures.dropped, dropped, "{action:?}");
        let [rule] = &figures.rules[..] else {
            panic!("one rule: {:?}", figures.rules)
        };
        // What isn't read isn't judged.
        assert_eq!((rule.checked, rule.failed), (4, 2), "{action:?}");
        assert_eq!((rule.name.as_str(), rule.generation), ("sane", 4));
        let check = &rule.checks[0];
        assert_eq!((check.name.as_str(), check.failed), ("positive", 2));
        assert_eq!(check.last_failure_place.as_deref(), Some("words[0]@3"));
        assert!(check.last_failure_ms.is_some());
    }
}

#[test]
fn what_a_rule_makes_a_dead_letter_is_one_whatever_the_pipeline_does_with_bad_records() {
    for (on_bad_record, dead) in [
        (OnBadRecord::Drop, &["b -1", "left -2"][..]),
        (OnBadRecord::Stop, &["b -1"]),
    ] {
        let mut world = World::new(rule(RuleAction::DeadLetter, "n > 0"), &VALUES);
        world.plan.on_bad_record = on_bad_record;
        let ended = world.run();
        assert_eq!(ended.is_err(), on_bad_record == OnBadRecord::Stop);
        assert_eq!(world.of("words.dlq"), dead, "{on_bad_record:?}");
    }
}

#[test]
fn the_headers_of_a_dead_letter_name_the_rule_and_no_value() {
    let world = World::new(rule(RuleAction::DeadLetter, "n  >\n0"), &["b -1"]);
    world.run().unwrap();
    let records = world.broker.committed("words.dlq", 0);
    let headers: Vec<String> = records[0]
        .headers
        .iter()
        .filter(|(name, _)| name != "headworks.time")
        .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value)))
        .collect();
    assert_eq!(
        headers,
        [
            "headworks.error: rule sane, check positive: n > 0 is false",
            "headworks.reason: Quality",
            "headworks.origin.topic: words",
            "headworks.origin.partition: 0",
            "headworks.origin.offset: 0",
            "headworks.pipeline: shop/p",
            "headworks.rule: sane",
            "headworks.rule.generation: 4",
            "headworks.check: positive",
            "headworks.field: n",
        ]
    );
}

#[test]
fn a_rule_that_stops_lets_what_came_before_be_committed_and_nothing_after() {
    let values = ["a 1", "no-space", "b -1", "c 2", "d -2"];
    let mut world = World::new(rule(RuleAction::Stop, "n > 0"), &values);
    let error = world.run().unwrap_err();
    let LogError::NeedsPerson { reason, message } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(*reason, Reason::RuleBroken);
    let said = "words/0 offset 2: rule sane, check positive: n > 0 is false; correct the producer or the rule";
    assert!(message.starts_with(said), "{message}");
    assert_eq!(world.of("out"), ["a=1"]);
    assert_eq!(world.of("words.dlq"), ["no-space"]);
    let counted = |world: &World| {
        let figures = world.figures();
        (figures[0].checked, figures[0].failed)
    };
    assert_eq!(
        counted(&world),
        (1, 0),
        "what isn't committed isn't counted"
    );
    // The rule was taken back: it goes on where it stood.
    world.plan.inputs[0].rules.clear();
    world.run().unwrap();
    assert_eq!(world.of("out"), ["a=1", "b=1", "c=1", "d=1"]);
    // Where a bad record comes first, it is that which is said.
    let mut world = World::new(rule(RuleAction::Stop, "n > 0"), &values);
    world.plan.on_bad_record = OnBadRecord::Stop;
    let error = world.run().unwrap_err();
    assert!(matches!(
        error,
        LogError::NeedsPerson {
            reason: Reason::BadRecord,
            ..
        }
    ));
}

#[test]
fn of_several_checks_that_a_row_fails_the_strictest_decides_and_each_is_counted() {
    let world = World::new(rules(), &["a 6", "b 7", "c 8", "d 9", "e 11", "f 1"]);
    // They are shown before anything is judged.
    let session = world.start();
    let [sane, watched] = &world.figures()[..] else {
        panic!("two rules")
    };
    assert_eq!((sane.checked, sane.checks.len()), (0, 4));
    assert_eq!((watched.name.as_str(), watched.checked), ("watched", 0));
    drop(session);
    world.run().unwrap();
    assert_eq!(world.of("out"), ["a=1", "d=1", "f=1"]);
    assert_eq!(world.of("words.dlq"), ["b 7", "e 11"]);
    let failed = |rule: &RuleFigures| {
        let checks = rule.checks.iter();
        let checks = checks.map(|check| check.failed).collect::<Vec<_>>();
        (rule.checked, rule.failed, checks)
    };
    let figures = world.figures();
    // The filter leaves the 6 out.
    assert_eq!(failed(&figures[0]), (5, 3, vec![0, 1, 1, 1]));
    assert_eq!(failed(&figures[1]), (6, 2, vec![1, 1]));
    let error = |at: usize| {
        let record = &world.broker.committed("words.dlq", 0)[at];
        let mut headers = record.headers.iter();
        let error = headers.find(|(name, _)| name == "headworks.error");
        String::from_utf8(error.unwrap().1.clone()).unwrap()
    };
    assert!(error(1).ends_with("can't be evaluated"), "{}", error(1));
}

#[test]
fn a_rule_that_cannot_be_compiled_lets_nothing_through() {
    for (expression, said) in [
        ("m > 0", "line 1, column 1: unknown column \"m\""),
        ("n + 1", "a condition is a boolean"),
    ] {
        let world = World::new(rule(RuleAction::Drop, expression), &[]);
        let error = compile(&world.plan, &WordFormats).err().unwrap();
        assert_eq!(error.reason(), Reason::RuleInvalid);
        let message = error.to_string();
        let place = "rule sane of stream words, check positive: ";
        assert!(
            message.starts_with(place) && message.contains(said),
            "{message}"
        );
    }
}
