#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use apache_avro::Schema;
use apache_avro::rabin::Rabin;
use headworks_plan::{Contract, Field, Format};

use super::{Avro, from_contract, to_fields};

fn field(name: &str, type_: &str, nullable: bool) -> Field {
    Field::new(name, type_, nullable)
}

fn contract(fields: Vec<Field>) -> Contract {
    Contract {
        fields,
        format: Format::Avro,
        ..Contract::default()
    }
}

fn everything() -> Contract {
    contract(vec![
        field("a", "boolean", false),
        field("b", "int", true),
        field("c", "bigint", false),
        field("d", "float", false),
        field("e", "double", false),
        field("f", "decimal(12,2)", true),
        field("g", "string", false),
        field("h", "bytes", false),
        field("i", "date", false),
        field("j", "time", false),
        field("k0", "timestamp(0)", false),
        field("k3", "timestamp(3)", false),
        field("k6", "timestamp(6)", false),
        field("l0", "timestamp_ltz(0)", false),
        field("l3", "timestamp_ltz(3)", true),
        field("l6", "timestamp_ltz(6)", false),
        field("m", "array<array<int>>", true),
        field("n", "map<string,bigint>", false),
        field(
            "o",
            "array<struct<sku string not null, at struct<x int>>>",
            false,
        ),
        field("o_at", "struct<x int>", true),
    ])
}

#[test]
fn a_contract_is_said_in_avro() {
    let definition = from_contract(&everything(), "my-shop.order-items").unwrap();
    insta::assert_snapshot!(definition.schema);
    // Another reader takes it, and finds the same; only that it doesn't bring primitives to their simple form where
    // they have a logical type, as the specification (and Java) does.
    let theirs = Schema::parse_str(&definition.schema)
        .unwrap()
        .canonical_form()
        .replace(r#","precision":12,"scale":2"#, "");
    let theirs = ["int", "long", "bytes"].iter().fold(theirs, |text, word| {
        text.replace(&format!(r#"{{"type":"{word}"}}"#), &format!("\"{word}\""))
    });
    let ours = Avro::parse(&definition.schema).unwrap();
    assert_eq!(ours.canonical(), theirs);
    assert_eq!(
        crate::record_name(&definition).unwrap(),
        "my_shop.OrderItems"
    );
}

#[test]
fn what_was_said_in_avro_is_read_back() {
    let mut expected = everything().fields;
    // Avro has no time stamps of whole seconds.
    for (name, type_) in [("k0", "timestamp(3)"), ("l0", "timestamp_ltz(3)")] {
        let field = expected.iter_mut().find(|f| f.name == name).unwrap();
        field.type_ = type_.into();
    }
    let definition = from_contract(&everything(), "orders").unwrap();
    assert_eq!(to_fields(&definition.schema).unwrap(), expected);
}

#[test]
fn a_schema_of_other_hands_is_read() {
    let text = r#"{"type":"record","name":"Order","namespace":"shop","doc":"x","fields":[
      {"name":"id","type":{"type":"string","logicalType":"uuid"}},
      {"name":"state","type":{"type":"enum","name":"State","symbols":["NEW","PAID"]},"default":"NEW"},
      {"name":"before","type":["State","null"]},
      {"name":"hash","type":{"type":"fixed","name":"Hash","size":4}},
      {"name":"price","type":{"type":"fixed","name":"Price","size":8,"logicalType":"decimal","precision":10,"scale":4}},
      {"name":"at","type":{"type":"long","logicalType":"timestamp-nanos"}},
      {"name":"of_day","type":{"type":"int","logicalType":"time-millis"}},
      {"name":"odd","type":{"type":"int","logicalType":"timestamp-millis"}},
      {"name":"who","type":{"type":"record","name":"Person","fields":[{"name":"name","type":["null","string"],"default":null}]}},
      {"name":"other","type":["null","shop.Person"],"default":null},
      {"name":"tags","type":{"type":"map","values":"string"}},
      {"name":"one","type":["double"]}
    ]}"#;
    let fields: Vec<String> = to_fields(text)
        .unwrap()
        .into_iter()
        .map(|f| {
            format!(
                "{} {}{}",
                f.name,
                f.type_,
                if f.nullable { " null" } else { "" }
            )
        })
        .collect();
    insta::assert_snapshot!(fields.join("\n"), @r"
    id string
    state string
    before string null
    hash bytes
    price decimal(10,4)
    at timestamp_ltz(6)
    of_day time
    odd int
    who struct<name string>
    other struct<name string> null
    tags map<string,string>
    one double
    ");
}

#[test]
fn a_union_of_several_types_is_a_struct_of_which_a_value_has_one_field() {
    let text = r#"{"type":"record","name":"R","namespace":"n","fields":[
      {"name":"a","type":["null","int","string",{"type":"long","logicalType":"timestamp-micros"}],"default":null},
      {"name":"b","type":[{"type":"record","name":"Card","fields":[{"name":"no","type":["null","string"]}]},
        {"type":"enum","name":"m.Kind","symbols":["X"]},{"type":"array","items":["null","n.Card"]},{"type":"map","values":["int","bytes"]}]},
      {"name":"c","type":["int",{"type":"fixed","name":"x.int","size":2},{"type":"fixed","name":"y.Z","size":2},{"type":"enum","name":"z.Z","symbols":["X"]}]}
    ]}"#;
    let fields = to_fields(text).unwrap().into_iter();
    let fields: Vec<String> = fields
        .map(|f| {
            format!(
                "{} {}{}",
                f.name,
                f.type_,
                if f.nullable { " null" } else { "" }
            )
        })
        .collect();
    insta::assert_snapshot!(fields.join("\n"));
}

/// What we make ourselves obeys what we ask of others.
#[test]
fn a_derived_schema_is_one_that_others_take() {
    let definition = from_contract(&everything(), "my-shop.order-items").unwrap();
    Avro::parse_strictly(&definition.schema).unwrap();
}

#[test]
fn what_is_no_contract_is_refused_with_its_place_and_a_remedy() {
    let deep = format!("{}\"int\"{}", "[".repeat(200), "]".repeat(200));
    let wide: Vec<String> = (0..300)
        .map(|i| format!(r#"{{"name":"f{i}","type":"int"}}"#))
        .collect();
    let doubling: String = {
        // Each record holds the one before a hundred times: a small text of 100^4 fields.
        let level = |name: &str, of: &str| {
            let fields: Vec<String> = (0..100)
                .map(|i| {
                    format!(
                        r#"{{"name":"f{i}","type":{}}}"#,
                        if i == 0 {
                            of.to_owned()
                        } else if of.starts_with('{') {
                            of[of.find("\"name\":\"").unwrap() + 8..]
                                .split('"')
                                .next()
                                .map(|n| format!("\"{n}\""))
                                .unwrap()
                        } else {
                            of.to_owned()
                        }
                    )
                })
                .collect();
            format!(
                r#"{{"name":"{name}","type":"record","fields":[{}]}}"#,
                fields.join(",")
            )
        };
        let a = level("A", "\"int\"");
        let b = level("B", &a);
        let c = level("C", &b);
        level("D", &c)
    };
    let many: Vec<String> = (0..65)
        .map(|i| format!(r#"{{"type":"fixed","name":"F{i}","size":{i}}}"#))
        .collect();
    let record = |fields: &str| format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#);
    let texts = [
        "{\"type\":\"record\",\n  \"name\": R}".to_owned(),
        "\"string\"".to_owned(),
        record(""),
        record(r#"{"name":"a","type":"varchar"}"#),
        record(r#"{"name":"a","type":"int","default":"5"}"#),
        record(
            r#"{"name":"a","type":{"type":"record","name":"S","fields":[{"name":"b","type":"string","default":null}]}}"#,
        ),
        record(r#"{"name":"a","type":{"type":"enum","name":"E","symbols":["X"],"default":"Y"}}"#),
        record(r#"{"name":"a","type":["int","string","int"]}"#),
        record(
            r#"{"name":"a","type":["int",{"type":"enum","name":"x.int","symbols":["A"]},{"type":"fixed","name":"x_int","size":1}]}"#,
        ),
        record(r#"{"name":"a","type":{"type":"enum","name":"E","symbols":["X","Y","X"]}}"#),
        record(r#"{"name":"a","type":{"type":"enum","name":"E","symbols":["X-Y"]}}"#),
        record(r#"{"name":"a","type":{"type":"enum","name":"int","symbols":["X"]}}"#),
        record(r#"{"name":"a","type":{"type":["null","int"]}}"#),
        record(r#"{"name":"a","type":{"type":"fixed","name":"F","namespace":"x-y","size":1}}"#),
        record(r#"{"name":"a","type":"int","aliases":"b"}"#),
        record(r#"{"name":"a","type":"int","order":"up"}"#),
        format!(
            r#"{{"type":"record","name":"R","fields":[{{"name":"a","type":[{}]}}]}}"#,
            many.join(",")
        ),
        record(r#"{"name":"a","type":"null"}"#),
        record(r#"{"name":"a","type":["null","R"]}"#),
        record(
            r#"{"name":"a","type":{"type":"array","items":{"type":"record","name":"S","fields":[]}}}"#,
        ),
        record(r#"{"name":"a-b","type":"int"}"#),
        record(r#"{"name":"a","type":"int"},{"name":"a","type":"int"}"#),
        record(
            r#"{"name":"a","type":{"type":"bytes","logicalType":"decimal","precision":50,"scale":2}}"#,
        ),
        record(r#"{"name":"a","type":{"type":"map"}}"#),
        record(r#"{"name":"a","type":{"type":"fixed","name":"F","size":-1}}"#),
        record(r#"{"name":"a","type":[["int"]]}"#),
        r#"{"type":"record","name":"1x","fields":[]}"#.to_owned(),
        record(&format!(r#"{{"name":"a","type":{deep}}}"#)),
        record(&wide.join(",")),
        doubling,
    ];
    let said: Vec<String> = texts
        .iter()
        .map(|text| to_fields(text).expect_err(text).to_string())
        .collect();
    insta::assert_snapshot!(said.join("\n"));
    let spaced = contract(vec![field("the name", "int", false)]);
    assert!(
        from_contract(&spaced, "x")
            .unwrap_err()
            .to_string()
            .starts_with("field the name: Avro names begin")
    );
}

/// The fingerprints of the specification's examples, as another implementation finds them.
#[test]
fn a_fingerprint_is_what_others_find() {
    // From the tests of Avro's own implementation.
    let int = Avro::parse("\"int\"").unwrap();
    assert_eq!(int.fingerprint(), 8_247_732_601_305_521_295);
    let mut plain = everything();
    plain.fields.retain(|field| {
        !field.type_.contains("ti") && !field.type_.contains("da") && !field.type_.contains("de")
    });
    assert!(plain.fields.len() > 8);
    let definition = from_contract(&plain, "orders").unwrap();
    let texts = [
        "\"int\"".to_owned(),
        "{\"type\":\"fixed\",\"name\":\"a.b\",\"size\":3}".to_owned(),
        definition.schema,
        r#"{"type":"record","name":"L","namespace":"n","fields":[{"name":"next","type":["null","L"],"doc":"d"},{"name":"e","type":{"type":"enum","name":"E","symbols":["A","B"]}}]}"#.to_owned(),
    ];
    for text in texts {
        let theirs = Schema::parse_str(&text).unwrap().fingerprint::<Rabin>();
        let ours = Avro::parse(&text).unwrap().fingerprint();
        assert_eq!(theirs.bytes, ours.to_le_bytes(), "{text}");
    }
}
