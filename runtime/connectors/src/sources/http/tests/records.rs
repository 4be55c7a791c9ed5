//! What is taken, what breaks the contract, and where each goes.

use std::sync::atomic::Ordering;

use headworks_plan::UnknownFields;

use super::{Config, JSON, LINES, config, dead_letters, error, source};

#[tokio::test]
async fn records_in_every_layout_are_written_by_the_contract() {
    let source = source(config());
    let one = source
        .post(JSON, r#"{"amount": 1.5, "id": "a", "colour": "red"}"#)
        .await;
    assert_eq!(
        (one.code, one.body.to_string().as_str()),
        (202, r#"{"accepted":1,"deadLettered":0}"#)
    );
    let many = source
        .post(
            "Application/JSON; charset=UTF-8",
            r#"[{"id":"b","amount":2},{"id":"c","amount":"3.00","note":"x"}]"#,
        )
        .await;
    assert_eq!((many.code, &many.body["accepted"]), (202, &2.into()));
    let lines = source
        .post(
            LINES,
            "{\"id\":\"d\",\"amount\":4}\n\n{\"id\":\"e\",\"amount\":5}\r\n",
        )
        .await;
    assert_eq!((lines.code, &lines.body["accepted"]), (202, &2.into()));
    assert_eq!(
        source.kept(),
        [
            r#"a = {"id":"a","amount":"1.50","note":null}"#,
            r#"b = {"id":"b","amount":"2.00","note":null}"#,
            r#"c = {"id":"c","amount":"3.00","note":"x"}"#,
            r#"d = {"id":"d","amount":"4.00","note":null}"#,
            r#"e = {"id":"e","amount":"5.00","note":null}"#,
        ]
    );
    let figures = source.status.report().figures;
    assert_eq!(
        (
            figures.records_in,
            figures.records_out,
            figures.dead_letters
        ),
        (5, 5, 0)
    );
    assert!(figures.last_commit_ms.is_some());
}

#[tokio::test]
async fn no_records_are_taken_without_asking_kafka() {
    let source = source(config());
    for (content_type, body) in [(JSON, "[]"), (LINES, ""), (LINES, "\n\n")] {
        let answer = source.post(content_type, body).await;
        assert_eq!(
            (answer.code, answer.body.to_string().as_str()),
            (202, r#"{"accepted":0,"deadLettered":0}"#)
        );
    }
    assert_eq!(source.kafka.calls.load(Ordering::SeqCst), 0);
    assert_eq!(source.post(JSON, "").await.code, 400);
}

#[tokio::test]
async fn an_envelope_is_opened_at_items_path() {
    let mut config = config();
    config.http.items_path = Some("items".into());
    let source = source(config);
    let list = source
        .post(JSON, r#"{"kind":"List","items":[{"id":"a","amount":1}]}"#)
        .await;
    assert_eq!((list.code, &list.body["accepted"]), (202, &1.into()));
    let bare = source.post(JSON, r#"{"id":"a","amount":1}"#).await;
    assert_eq!(
        (bare.code, error(&bare)),
        (
            400,
            r#"the body has no array at itemsPath "items": "items" is missing"#
        )
    );
}

#[tokio::test]
async fn under_reject_one_bad_record_refuses_the_request() {
    let source = source(config());
    let answer = source.post(JSON, r#"[{"id":"a","amount":1},{"id":"b","amount":1.005},{"amount":2},7,{"id":"c","amount":3}]"#).await;
    assert_eq!(answer.code, 400);
    insta::assert_json_snapshot!(answer.body, @r#"
    {
      "error": "3 of 5 records break the contract of stream orders; nothing was written",
      "invalid": 3,
      "records": [
        {
          "field": "amount",
          "index": 1,
          "message": "has more digits after the point than the 2 of decimal(12,2)"
        },
        {
          "field": "id",
          "index": 2,
          "message": "is missing; string is required"
        },
        {
          "index": 3,
          "message": "a record is a JSON object, found a number"
        }
      ]
    }
    "#);
    assert!(source.kept().is_empty());
    let many = source.post(LINES, "x\n".repeat(100)).await;
    assert_eq!(
        (
            many.code,
            &many.body["invalid"],
            many.body["records"].as_array().unwrap().len()
        ),
        (400, &100.into(), 20)
    );
    assert_eq!(source.status.report().figures.records_in, 105);
}

#[tokio::test]
async fn under_dead_letter_the_good_go_in_and_the_bad_keep_their_bytes() {
    let source = source(dead_letters());
    let answer = source
        .post(
            JSON,
            r#"[{"id":"a","amount":1}, {"id": "b" ,"amount":1.005}, {"id":"c","amount":3}]"#,
        )
        .await;
    assert_eq!(
        (answer.code, answer.body.to_string().as_str()),
        (202, r#"{"accepted":2,"deadLettered":1}"#)
    );
    let lines = source
        .post(LINES, "{\"id\":\"d\",\"amount\":4}\nnot json\n")
        .await;
    assert_eq!(
        (lines.code, lines.body.to_string().as_str()),
        (202, r#"{"accepted":1,"deadLettered":1}"#)
    );
    assert_eq!(
        source.kept(),
        [
            r#"a = {"id":"a","amount":"1.00","note":null}"#,
            r#"c = {"id":"c","amount":"3.00","note":null}"#,
            r#"dead: {"id": "b" ,"amount":1.005}"#,
            r#"d = {"id":"d","amount":"4.00","note":null}"#,
            "dead: not json",
        ]
    );
    let headers = source.kafka.kept.lock().unwrap()[2].headers.clone();
    assert_eq!(
        headers[..3],
        [
            (
                "headworks.error",
                "field amount: has more digits after the point than the 2 of decimal(12,2)"
                    .to_owned()
            ),
            ("headworks.reason", "Contract".to_owned()),
            ("headworks.source", "shop/orders-http".to_owned()),
        ]
    );
    assert_eq!(headers[3].0, "headworks.time");
    headers[3].1.parse::<jiff::Timestamp>().unwrap();
    assert_eq!(source.kafka.kept.lock().unwrap()[4].headers[1].1, "Decode");
    let figures = source.status.report().figures;
    assert_eq!(
        (
            figures.records_in,
            figures.records_out,
            figures.dead_letters
        ),
        (5, 3, 2)
    );
}

/// Kafka would refuse it, and the client be told to try again for ever.
#[tokio::test]
async fn a_record_without_a_key_is_refused_where_the_stream_keeps_the_last_of_each() {
    let compacted = |mut config: Config| {
        config.plan.into.contract.key = vec!["note".into()];
        config.plan.into.contract.compacted = true;
        config
    };
    let body = r#"[{"id":"a","amount":1,"note":"n"}, {"id":"b","amount":2}]"#;
    let strict = source(compacted(config()));
    let answer = strict.post(JSON, body).await;
    assert_eq!(
        (answer.code, answer.body["records"].to_string().as_str()),
        (
            400,
            r#"[{"index":1,"message":"the key is null, and a compacted stream has a row for each key"}]"#
        )
    );
    let lenient = source(compacted(dead_letters()));
    assert_eq!(lenient.post(JSON, body).await.code, 202);
    assert_eq!(
        lenient.kept(),
        [
            r#"n = {"id":"a","amount":"1.00","note":"n"}"#,
            r#"dead: {"id":"b","amount":2}"#,
        ]
    );
    let dead_letter = lenient.kafka.kept.lock().unwrap()[1].headers.clone();
    assert_eq!(dead_letter[1], ("headworks.reason", "Contract".to_owned()));
}

#[tokio::test]
async fn a_body_that_is_not_json_at_all_is_refused_also_under_dead_letter() {
    let source = source(dead_letters());
    for body in [
        "",
        "{",
        "[{\"id\":\"a\",\"amount\":1},",
        "{\"id\":\"a\"} {\"id\":\"b\"}",
        "hello",
    ] {
        let answer = source.post(JSON, body).await;
        assert_eq!(answer.code, 400, "{body}");
        assert!(
            error(&answer).starts_with("the body is"),
            "{}",
            error(&answer)
        );
    }
    assert_eq!(source.post(JSON, vec![b'"', 0xff, b'"']).await.code, 400);
    assert!(source.kept().is_empty());
}

#[tokio::test]
async fn unknown_fields_are_refused_where_the_plan_says_so() {
    let mut config = config();
    config.plan.unknown_fields = UnknownFields::Reject;
    let answer = source(config)
        .post(JSON, r#"{"id":"a","amount":1,"colour":"red"}"#)
        .await;
    assert_eq!(
        (answer.code, &answer.body["records"][0]["field"]),
        (400, &"colour".into())
    );
}

#[tokio::test]
async fn a_record_too_large_for_the_topic_is_invalid() {
    let large = format!(r#"{{"id":"a","amount":1,"note":"{}"}}"#, "x".repeat(1_900));
    let rejecting = source(config());
    let answer = rejecting.post(JSON, large.clone()).await;
    assert_eq!(answer.code, 400);
    assert!(
        answer.body["records"][0]["message"]
            .as_str()
            .unwrap()
            .contains("max.message.bytes) is 2000")
    );
    // The text that came fits no dead letter either, so nobody may say that it was kept.
    let dead = source(dead_letters());
    let answer = dead
        .post(JSON, format!(r#"[{{"id":"b","amount":2}},{large}]"#))
        .await;
    assert_eq!(
        (answer.code, &answer.body["records"][0]["index"]),
        (413, &1.into())
    );
    assert!(dead.kept().is_empty());
    // Only what the contract carries counts.
    let padded = format!(
        r#"{{"id":"a","amount":1,"unknown":"{}"}}"#,
        "x".repeat(5_000)
    );
    assert_eq!(dead.post(JSON, padded).await.code, 202);
}
