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
    assert_eq!(
        too_long(&found(Some(GOOD)), 9_000_000),
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
