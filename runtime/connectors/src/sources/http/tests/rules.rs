//! Quality rules: what a client hears of records that break one, and where they go.

use headworks_plan::{Check, OnInvalid, Rule, RuleAction};

use super::{Config, JSON, config, error, source};

/// A source whose stream has a rule of one check.
fn judged(action: RuleAction, expression: &str) -> Config {
    let mut config = config();
    config.plan.into.rules = vec![Rule {
        name: "orders-sane".into(),
        generation: 3,
        filter: None,
        checks: vec![Check {
            name: "positive".into(),
            expression: expression.into(),
            field: Some("amount".into()),
            action,
        }],
    }];
    config
}

const RECORDS: &str = r#"[{"id":"a","amount":1},{"id":"b","amount":-1},{"id":"c","amount":2}]"#;

#[tokio::test]
async fn what_breaks_a_rule_is_taken_and_becomes_what_the_rule_says() {
    let (a, b, c) = (
        r#"a = {"id":"a","amount":"1.00","note":null}"#,
        r#"b = {"id":"b","amount":"-1.00","note":null}"#,
        r#"c = {"id":"c","amount":"2.00","note":null}"#,
    );
    let dead = r#"dead: {"id":"b","amount":-1}"#;
    for (action, body, kept) in [
        (
            RuleAction::Alert,
            r#"{"accepted":3,"deadLettered":0}"#,
            &[a, b, c][..],
        ),
        (
            RuleAction::DeadLetter,
            r#"{"accepted":2,"deadLettered":1}"#,
            &[a, c, dead],
        ),
        (
            RuleAction::Drop,
            r#"{"accepted":2,"deadLettered":0,"dropped":1}"#,
            &[a, c],
        ),
    ] {
        // onInvalid is for what breaks the contract.
        for on_invalid in [OnInvalid::Reject, OnInvalid::DeadLetter] {
            let mut config = judged(action, "amount > 0");
            config.plan.on_invalid = on_invalid;
            let source = source(config);
            let answer = source.post(JSON, RECORDS).await;
            assert_eq!(
                (answer.code, answer.body.to_string().as_str()),
                (202, body),
                "{action:?}"
            );
            assert_eq!(source.kept(), kept, "{action:?}");
            let figures = source.status.report().figures;
            let [rule] = &figures.rules[..] else {
                panic!("one rule: {:?}", figures.rules)
            };
            assert_eq!((rule.checked, rule.failed), (3, 1), "{action:?}");
            assert_eq!(rule.checks[0].last_failure_place, None);
            assert_eq!(figures.records_in, 3);
        }
    }
}

#[tokio::test]
async fn a_dead_letter_by_a_rule_is_the_clients_own_text_and_names_the_rule() {
    let source = source(judged(RuleAction::DeadLetter, "amount > 0"));
    source.post(JSON, RECORDS).await;
    let kept = source.kafka.kept.lock().unwrap();
    let headers = &kept.last().unwrap().headers;
    let headers: Vec<String> = headers
        .iter()
        .filter(|(name, _)| *name != "headworks.time")
        .map(|(name, text)| format!("{name}: {text}"))
        .collect();
    assert_eq!(
        headers,
        [
            "headworks.error: rule orders-sane, check positive: amount > 0 is false",
            "headworks.reason: Quality",
            "headworks.source: shop/orders-http",
            "headworks.rule: orders-sane",
            "headworks.rule.generation: 3",
            "headworks.check: positive",
            "headworks.field: amount",
        ]
    );
}

#[tokio::test]
async fn where_a_rule_stops_nothing_of_the_request_is_written() {
    let source = source(judged(RuleAction::Stop, "amount > 0"));
    let refused = source.post(JSON, RECORDS).await;
    assert_eq!(refused.code, 503);
    assert_eq!(refused.retry_after.as_deref(), Some("30"));
    let said = "record 1: rule orders-sane, check positive: amount > 0 is false (stream orders); nothing was written";
    assert!(error(&refused).starts_with(said), "{}", error(&refused));
    assert!(source.kept().is_empty());
    let problems = source.service.problems();
    assert!(
        problems[0].reason == "RuleBroken" && !problems[0].fatal,
        "{problems:?}"
    );
    // Others are served.
    let good = source.post(JSON, r#"{"id":"a","amount":1}"#).await;
    assert_eq!(good.code, 202);
    let figures = source.status.report().figures;
    assert_eq!(
        figures.rules[0].checked, 1,
        "what isn't written isn't counted"
    );
}

#[tokio::test]
async fn what_breaks_the_contract_refuses_the_request_and_no_rule_is_asked() {
    let source = source(judged(RuleAction::DeadLetter, "amount > 0"));
    let body = r#"[{"id":"a","amount":-1},{"id":"b"}]"#;
    let refused = source.post(JSON, body).await;
    assert_eq!(refused.code, 400);
    assert_eq!(refused.body["invalid"], 1);
    assert_eq!(refused.body["records"][0]["index"], 1);
    assert!(error(&refused).starts_with("1 of 2 records break the contract"));
    assert!(source.kept().is_empty());
}

#[tokio::test]
async fn a_rule_that_cannot_be_compiled_lets_nothing_in() {
    let source = source(judged(RuleAction::Alert, "amont > 0"));
    let refused = source.post(JSON, RECORDS).await;
    assert_eq!(refused.code, 503);
    assert!(
        error(&refused).contains("RuleInvalid"),
        "{}",
        error(&refused)
    );
    let problem = &source.service.problems()[0];
    assert!(problem.fatal && problem.reason == "RuleInvalid");
    assert!(
        problem
            .message
            .contains("rule orders-sane of stream orders, check positive: line 1, column 1"),
        "{}",
        problem.message
    );
    assert!(source.kept().is_empty());
}
