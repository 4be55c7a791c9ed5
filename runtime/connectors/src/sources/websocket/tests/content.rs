//! What messages hold: envelopes, and records that break a rule.

use futures::SinkExt;
use headworks_plan::{Check, Phase, Rule, RuleAction, WebsocketSource};
use tokio_tungstenite::tungstenite::Message as Frame;

use super::{client, feed, judged, listener, run, until};
use crate::sources::kafka::Target;

#[tokio::test(flavor = "multi_thread")]
async fn an_envelope_is_opened_at_its_path() {
    let (listener, address) = listener().await;
    let running = run(WebsocketSource {
        items_path: Some("data".into()),
        ..feed(&address)
    });
    let mut client = client(&listener).await;
    for message in [
        r#"{"type":"subscribed"}"#,
        r#"{"data":[{"id":1},{"id":2}]}"#,
        "no JSON",
    ] {
        client.send(Frame::text(message)).await.unwrap();
    }
    running.has_written(3).await;
    let kafka = running.kafka.clone();
    assert!(running.stop().await);
    assert_eq!(kafka.of(Target::Stream), [r#"{"id":1}"#, r#"{"id":2}"#]);
    assert_eq!(kafka.of(Target::DeadLetters), ["no JSON"]);
}

fn rule(action: RuleAction, expression: &str) -> Vec<Rule> {
    vec![Rule {
        name: "sane".into(),
        generation: 1,
        filter: None,
        checks: vec![Check {
            name: "positive".into(),
            expression: expression.into(),
            field: None,
            action,
        }],
    }]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_a_rule_is_a_dead_letter() {
    let (listener, address) = listener().await;
    let running = judged(feed(&address), rule(RuleAction::DeadLetter, "id > 0"));
    let mut client = client(&listener).await;
    let message = r#"[{"id":1},{"id":-2},{"id":3}]"#;
    client.send(Frame::text(message)).await.unwrap();
    running.has_written(3).await;
    let (kafka, status) = (running.kafka.clone(), running.status.clone());
    assert!(running.stop().await);
    assert_eq!(kafka.of(Target::Stream), [r#"{"id":1}"#, r#"{"id":3}"#]);
    assert_eq!(kafka.of(Target::DeadLetters), [r#"{"id":-2}"#]);
    let figures = status.report().figures;
    assert_eq!((figures.rules[0].checked, figures.rules[0].failed), (3, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_stops_lets_what_came_before_be_written_and_nothing_after() {
    let (listener, address) = listener().await;
    let running = judged(feed(&address), rule(RuleAction::Stop, "id > 0"));
    let mut client = client(&listener).await;
    for message in [r#"[{"id":1},{"id":-2},{"id":3}]"#, r#"{"id":4}"#] {
        client.send(Frame::text(message)).await.unwrap();
    }
    let problem = running.told("RuleBroken", "check positive: id > 0").await;
    assert!(problem.fatal);
    until(|| (running.status.phase() == Phase::Stalled).then_some(())).await;
    running.has_written(1).await;
    let kafka = running.kafka.clone();
    assert!(running.stop().await, "it ends when it is told to");
    assert_eq!(kafka.of(Target::Stream), [r#"{"id":1}"#]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_cannot_be_compiled_lets_nothing_be_heard() {
    let (_listener, address) = listener().await;
    let running = judged(feed(&address), rule(RuleAction::Alert, "nothing > 0"));
    let problem = running.told("RuleInvalid", "unknown column").await;
    assert!(problem.fatal);
    assert_eq!(running.status.phase(), Phase::Stalled);
    assert!(running.stop().await);
}
