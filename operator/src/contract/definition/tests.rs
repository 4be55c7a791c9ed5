use serde_json::json;

use super::*;

fn spec(value: &Value) -> DataStreamSpec {
    serde_json::from_value(value.clone()).unwrap()
}

const ORDER: &str = r#"{"type": "record", "name": "Order", "namespace": "shop", "doc": "One order.", "fields": [
  {"name": "id", "type": "string", "doc": "ULID"},
  {"name": "amount", "type": ["null", "long"], "default": null}
]}"#;

const FILE: &str = "syntax = \"proto3\";\npackage shop;\n// One order.\nmessage Order {\n  string id = 1;\n  optional int64 amount = 2; /* in cents */\n}\n";

#[test]
fn an_inline_avro_schema_becomes_the_contract_s_fields_with_labels() {
    let spec = spec(&json!({"format": "Avro", "avro": ORDER,
            "fieldLabels": [{"field": "id", "labels": ["pii", "key"]}]}));
    let (fields, definition) = read(&spec).unwrap();
    let said: Vec<_> = fields
        .iter()
        .map(|f| (f.name.as_str(), f.type_.as_str(), f.nullable))
        .collect();
    assert_eq!(said, [("id", "string", false), ("amount", "bigint", true)]);
    assert_eq!(fields[0].labels, ["key", "pii"]);
    assert_eq!(definition.unwrap().schema, ORDER);
}

#[test]
fn an_inline_protobuf_file_becomes_the_contract_s_fields() {
    let spec = spec(&json!({"format": "Protobuf", "protobuf": {"schema": FILE}}));
    let (fields, definition) = read(&spec).unwrap();
    assert_eq!(fields[0].name, "id");
    assert_eq!(
        (fields[1].type_.as_str(), fields[1].nullable),
        ("bigint", true)
    );
    assert_eq!(definition.unwrap().message.as_deref(), Some("shop.Order"));
}

#[test]
fn a_fault_in_a_text_is_said_with_its_field_and_line() {
    let broken = ORDER.replace("\"string\"", "\"strin\"");
    let fault = read(&spec(&json!({"format": "Avro", "avro": broken}))).unwrap_err();
    assert!(
        fault.to_string().starts_with("spec.avro line 2: field id"),
        "{fault}"
    );
    let fault = read(&spec(&json!({"format": "Avro", "avro": "{\n \"type\": }"}))).unwrap_err();
    assert!(
        fault.to_string().starts_with("spec.avro line 2: "),
        "{fault}"
    );
    let broken = FILE.replace("int64 amount", "int63 amount");
    let fault = read(&spec(
        &json!({"format": "Protobuf", "protobuf": {"schema": broken}}),
    ))
    .unwrap_err();
    assert!(
        fault.to_string().starts_with("spec.protobuf.schema line 6"),
        "{fault}"
    );
}

#[test]
fn a_label_of_a_field_that_is_not_there_is_named_with_those_that_are() {
    let spec = spec(&json!({"format": "Avro", "avro": ORDER,
            "fieldLabels": [{"field": "user", "labels": ["pii"]}]}));
    let fault = read(&spec).unwrap_err().to_string();
    for word in ["spec.fieldLabels[0].field", "\"user\"", "id, amount"] {
        assert!(fault.contains(word), "{word} in {fault}");
    }
}

fn derived(schema: &Value, before: Option<&Contract>, format: &str) -> Contract {
    let spec = spec(&json!({"format": format, "schema": schema}));
    let contract = super::super::read(&spec).unwrap();
    complete(contract, "shop", "web-orders", before).unwrap()
}

#[test]
fn a_derived_definition_stays_while_the_fields_do() {
    let id = json!([{"name": "id", "type": "string"}]);
    let labelled = json!([{"name": "id", "type": "string", "labels": ["pii"]}]);
    let more =
        json!([{"name": "id", "type": "string"}, {"name": "n", "type": "int", "nullable": true}]);
    for format in ["Avro", "Protobuf"] {
        let mut first = derived(&id, None, format);
        assert_eq!(
            headworks_schema::record_name(first.definition.as_ref().unwrap()).as_deref(),
            Ok("shop.WebOrders")
        );
        // As an earlier version of Headworks may have worded it.
        let text = &mut first.definition.as_mut().unwrap().schema;
        text.push('\n');
        assert_eq!(
            derived(&labelled, Some(&first), format).definition,
            first.definition
        );
        assert_ne!(
            derived(&more, Some(&first), format).definition,
            first.definition
        );
    }
    assert_eq!(derived(&id, None, "Json").definition, None);
}

#[test]
fn a_derived_protobuf_field_keeps_its_number() {
    let field = |name: &str| json!({"name": name, "type": "int", "nullable": true});
    let first = derived(&json!([field("a"), field("b")]), None, "Protobuf");
    let second = derived(&json!([field("c"), field("b")]), Some(&first), "Protobuf");
    let text = second.definition.unwrap().schema;
    assert!(text.contains("b = 2;"), "{text}");
    assert!(text.contains("c = 3;"), "{text}");
}

fn essence_of(text: &str, message: Option<&str>) -> String {
    essence(&Definition {
        message: message.map(Into::into),
        ..Definition::new(text)
    })
    .schema
}

#[test]
fn docs_comments_and_blanks_are_no_part_of_a_definition() {
    let undocumented = ORDER
        .replace("\"doc\": \"One order.\", ", "")
        .replace('\n', "  ");
    let undocumented = undocumented.replace(", \"doc\": \"ULID\"", "");
    assert_eq!(essence_of(ORDER, None), essence_of(&undocumented, None));
    assert_ne!(
        essence_of(ORDER, None),
        essence_of(&ORDER.replace("long", "int"), None)
    );
    // A default's own `doc`, and a field of that name, are data.
    let with_default = |doc: &str| {
        format!(
            r#"{{"type":"record","name":"R","fields":[{{"name":"doc","type":{{"type":"map","values":"string"}},"default":{{"doc":"{doc}"}}}}]}}"#
        )
    };
    assert_ne!(
        essence_of(&with_default("a"), None),
        essence_of(&with_default("b"), None)
    );
    let bare = "syntax=\"proto3\";package shop;message Order{string id=1;optional int64 amount=2;}";
    assert_eq!(essence_of(FILE, Some("shop.Order")), bare);
    assert_eq!(
        essence_of("a = \"x // y \\\" /* z\" ; // c", Some("m")),
        "a=\"x // y \\\" /* z\";"
    );
}
