//! Lines of records: what is decoded, what is masked, and what can't be read.

use headworks_plan::{Contract, Definition, Field, Format, PEEK_VERSION, Stream};

use super::*;

fn plan(fields: &[(&str, &str)], masked: &[&str]) -> PeekPlan {
    let field = |(name, type_): &(&str, &str)| Field {
        name: (*name).into(),
        type_: (*type_).into(),
        nullable: false,
        labels: Vec::new(),
    };
    PeekPlan {
        version: PEEK_VERSION,
        kafka: headworks_plan::KafkaConnection::default(),
        registry: None,
        stream: Stream {
            name: "orders".into(),
            topic: "shop.orders".into(),
            dead_letter_topic: "shop.orders.dlq".into(),
            contract: Contract {
                fields: fields.iter().map(field).collect(),
                key: vec!["id".into()],
                ..Contract::default()
            },
            max_message_bytes: 1_048_588,
            rules: Vec::new(),
        },
        group: "g".into(),
        masked: masked.iter().map(|m| (*m).to_owned()).collect(),
        task: PeekTask::Records,
        select: headworks_plan::PeekSelection::default(),
    }
}

const FIELDS: [(&str, &str); 4] = [
    ("id", "string"),
    ("n", "bigint"),
    ("price", "decimal(5,2)"),
    ("email", "struct<at string>"),
];

fn found(value: Option<&[u8]>) -> Found {
    Found {
        partition: 1,
        offset: 12,
        timestamp: Some(1_767_225_600_123),
        key: Some(b"o-1".to_vec()),
        value: value.map(<[u8]>::to_vec),
        headers: Vec::new(),
    }
}

fn line(plan: &PeekPlan, value: &[u8]) -> String {
    Renderer::new(plan).unwrap().line(&found(Some(value)))
}

const GOOD: &[u8] =
    br#"{"email":{"at":"a@b.c"},"price":1.5,"n":9007199254740993,"id":"o-1","more":1}"#;

#[test]
fn fields_come_in_the_contract_s_order_with_every_digit() {
    assert_eq!(
        line(&plan(&FIELDS, &[]), GOOD),
        r#"{"partition":1,"offset":12,"timestamp":"2026-01-01T00:00:00.123Z","key":"o-1","value":{"id":"o-1","n":9007199254740993,"price":"1.50","email":{"at":"a@b.c"}}}"#
    );
}

#[test]
fn a_masked_value_is_shown_nowhere() {
    let masked = plan(&FIELDS, &["email"]);
    let text = line(&masked, GOOD);
    assert!(
        text.contains(r#""key":"o-1""#) && text.contains(r#""email":"***""#),
        "{text}"
    );
    for bad in [
        &br#"{"id":"o-1","n":1,"price":1,"email":{"at":5}}"#[..],
        br#"{"id":"o-1","n":1,"price":1,"email":"a@b.c"}"#,
        br#"{"email":{"at":"a@b.c"},"#,
        br#"{"id":"o-1","n":1,"price":"dear","email":{"at":"a@b.c"}}"#,
        b"a@b.c",
        b"\xff a@b.c",
    ] {
        let text = line(&masked, bad);
        assert!(text.contains(r#""error":"#), "{text}");
        assert!(!text.contains("a@b.c"), "{text}");
        assert!(
            !text.contains(r#""raw":"#) && text.contains(r#""bytes":"#),
            "{text}"
        );
    }
    let text = line(&masked, br#"{"id":"o-1","n":1,"price":1,"email":{"at":5}}"#);
    assert!(
        text.contains("field email: the message may quote a masked field"),
        "{text}"
    );
    // What is wrong with another field is said.
    let text = line(
        &masked,
        br#"{"id":"o-1","n":"x","price":1,"email":{"at":"a"}}"#,
    );
    assert!(text.contains("field n: "), "{text}");
}

#[test]
fn a_key_with_a_masked_field_or_of_unknown_making_is_masked() {
    assert!(line(&plan(&FIELDS, &["id"]), GOOD).contains(r#""key":"***""#));
    let mut keyless = plan(&FIELDS, &["email"]);
    keyless.stream.contract.key.clear();
    assert!(line(&keyless, GOOD).contains(r#""key":"***""#));
    keyless.masked.clear();
    assert!(line(&keyless, GOOD).contains(r#""key":"o-1""#));
}

#[test]
fn what_is_not_decoded_is_shown_with_its_reason_and_its_first_bytes() {
    let open = plan(&FIELDS, &[]);
    let text = line(&open, b"nonsense");
    assert!(
        text.contains(r#""error":{"reason":"Decode","message":"not JSON"#)
            && text.ends_with(r#""raw":"bm9uc2Vuc2U=","bytes":8}"#)
            && !text.contains(r#""value""#),
        "{text}"
    );
    let long = vec![b'x'; 5_000];
    let text = line(&open, &long);
    assert!(
        text.len() < 2_000 && text.ends_with(r#""bytes":5000}"#),
        "{text}"
    );
    // The next record is none the worse for it.
    let mut renderer = Renderer::new(&open).unwrap();
    renderer.line(&found(Some(b"nonsense")));
    assert!(
        renderer
            .line(&found(Some(GOOD)))
            .contains(r#""n":9007199254740993"#)
    );
}

#[test]
fn a_record_whose_line_is_too_long_is_told_by_its_place_and_size() {
    let renderer = Renderer::new(&plan(&FIELDS, &[])).unwrap();
    assert_eq!(
        renderer.too_long(&found(Some(GOOD)), 9_000_000),
        format!(
            r#"{{"partition":1,"offset":12,"timestamp":"2026-01-01T00:00:00.123Z","key":null,"error":{{"reason":"TooLong","message":"it would be a line of 9000000 bytes, and isn't shown"}},"bytes":{}}}"#,
            GOOD.len()
        )
    );
}

#[test]
fn a_record_without_a_value_is_a_deletion_where_the_stream_is_compacted() {
    let mut plan = plan(&FIELDS, &["email"]);
    let text = Renderer::new(&plan).unwrap().line(&found(None));
    assert!(text.contains(r#""error":"#), "{text}");
    plan.stream.contract.compacted = true;
    let mut deleted = found(None);
    deleted.key = Some(vec![0xff, 0]);
    deleted.timestamp = None;
    assert_eq!(
        Renderer::new(&plan).unwrap().line(&deleted),
        r#"{"partition":1,"offset":12,"timestamp":null,"key":{"base64":"/wA="},"value":null}"#
    );
}

#[test]
fn avro_is_shown_as_its_readers_get_it() {
    let schema = r#"{"type":"record","name":"R","fields":[{"name":"id","type":"string"},{"name":"ratio","type":"double"}]}"#;
    let mut plan = plan(&[("id", "string"), ("ratio", "double")], &[]);
    plan.stream.contract.format = Format::Avro;
    plan.stream.contract.definition = Some(Definition::new(schema));
    plan.stream.contract.registered = Some(headworks_plan::Registered {
        subject: "s".into(),
        id: 7,
        known: Vec::new(),
    });
    let mut record = vec![0, 0, 0, 0, 7, 2, b'x'];
    record.extend(f64::NAN.to_le_bytes());
    let text = line(&plan, &record);
    assert!(
        text.contains(r#""value":{"id":"x","ratio":"NaN"}"#),
        "{text}"
    );
}

/// A dead letter with these headers.
fn letter(value: &[u8], headers: &[(&str, &str)]) -> Found {
    let headers = headers.iter();
    Found {
        headers: headers
            .map(|(name, text)| (format!("headworks.{name}"), text.as_bytes().to_vec()))
            .collect(),
        ..found(Some(value))
    }
}

fn letter_line(masked: &[&str], task: PeekTask, letter: &Found) -> String {
    let plan = PeekPlan {
        task,
        ..plan(&FIELDS, masked)
    };
    Renderer::new(&plan).unwrap().line(letter)
}

fn shown() -> PeekTask {
    PeekTask::Show(headworks_plan::DeadLetterFilter::default())
}

#[test]
fn a_dead_letter_says_what_its_headers_say_and_is_decoded_where_it_can_be() {
    let quality = letter(
        GOOD,
        &[
            ("error", "rule sane, check positive: n > 0 is false"),
            ("reason", "Quality"),
            ("rule", "sane"),
            ("rule.generation", "3"),
            ("check", "positive"),
            ("field", "n"),
            ("origin.topic", "shop.orders"),
            ("origin.partition", "3"),
            ("origin.offset", "42"),
            ("pipeline", "shop/p"),
            ("time", "2026-01-01T00:00:05Z"),
        ],
    );
    let text = letter_line(&["email"], shown(), &quality);
    assert_eq!(
        text,
        r#"{"partition":1,"offset":12,"timestamp":"2026-01-01T00:00:00.123Z","deadLetter":{"time":"2026-01-01T00:00:05Z","reason":"Quality","error":"rule sane, check positive: n > 0 is false","rule":"sane","ruleGeneration":"3","check":"positive","field":"n","pipeline":"shop/p","origin":{"topic":"shop.orders","partition":"3","offset":"42"}},"key":"o-1","value":{"id":"o-1","n":9007199254740993,"price":"1.50","email":"***"}}"#
    );
    // A list has neither key nor value.
    let list = PeekTask::List(headworks_plan::DeadLetterFilter::default());
    let text = letter_line(&[], list, &quality);
    assert!(text.ends_with(r#""offset":"42"}}}"#), "{text}");
}

#[test]
fn words_and_bytes_of_a_dead_letter_that_may_hold_a_masked_value_are_hidden() {
    let broken = br#"{"email":{"at":"a@b.c"},"#;
    let export = || PeekTask::Export(headworks_plan::DeadLetterFilter::default());
    for (reason, error) in [
        ("Decode", "not JSON: a@b.c"),
        ("Contract", "field email.at: \"a@b.c\" is no number"),
        ("Evaluation", "field n: \"a@b.c\" is no number"),
        ("StoreRefused", "a@b.c is there already"),
        ("Evil", "a@b.c"),
    ] {
        let letter = letter(broken, &[("reason", reason), ("error", error)]);
        for task in [shown(), export()] {
            let text = letter_line(&["email"], task, &letter);
            assert!(!text.contains("a@b.c"), "{text}");
            assert!(text.contains("--unmask shows it"), "{text}");
            assert!(
                !text.contains(r#""raw""#) && text.contains(r#""bytes":24"#),
                "{text}"
            );
        }
        let text = letter_line(&[], shown(), &letter);
        assert!(
            text.contains("a@b.c") && text.contains(r#""raw""#),
            "{text}"
        );
    }
    // What is wrong with another field is said.
    let other = letter(
        broken,
        &[("reason", "Contract"), ("error", "field n: no number")],
    );
    let text = letter_line(&["email"], shown(), &other);
    assert!(text.contains("field n: no number"), "{text}");
}

#[test]
fn an_export_has_all_bytes_and_a_look_the_first_ones() {
    let long = letter(&vec![b'x'; 5_000], &[("reason", "Decode")]);
    let export = PeekTask::Export(headworks_plan::DeadLetterFilter::default());
    let raw = |text: &str| {
        let line: serde_json::Value = serde_json::from_str(text).unwrap();
        let raw = STANDARD.decode(line["raw"].as_str().unwrap()).unwrap();
        (raw.len(), line["bytes"].as_u64().unwrap())
    };
    assert_eq!(
        raw(&letter_line(&[], export.clone(), &long)),
        (5_000, 5_000)
    );
    assert_eq!(raw(&letter_line(&[], shown(), &long)), (RAW_BYTES, 5_000));
    // Of one that is decoded, too; but not where something is masked.
    let good = letter(GOOD, &[("reason", "Late")]);
    let text = letter_line(&[], export.clone(), &good);
    assert_eq!(raw(&text).0, GOOD.len());
    assert!(text.contains(r#""value":{"id":"o-1""#), "{text}");
    let text = letter_line(&["email"], export, &good);
    assert!(
        !text.contains(r#""raw""#) && !text.contains("a@b.c"),
        "{text}"
    );
}
