//! Unions of several types, maps of other keys, JSON in Protobuf, messages without fields.

use headworks_crds::Compatibility;
use headworks_plan::{Contract, Definition, Format, ReferencedSchema};

use super::super::{Earlier, faults};

fn avro(type_: &str) -> Contract {
    let schema =
        format!(r#"{{"type":"record","name":"R","fields":[{{"name":"f","type":{type_}}}]}}"#);
    Contract {
        fields: headworks_schema::avro::to_fields(&schema).unwrap(),
        format: Format::Avro,
        definition: Some(Definition::new(schema)),
        ..Contract::default()
    }
}

fn protobuf(type_: &str) -> Contract {
    let schema = format!(
        "syntax = \"proto3\"; import \"google/protobuf/struct.proto\"; import \"google/protobuf/wrappers.proto\"; import \"google/protobuf/empty.proto\"; message A {{ {type_} f = 1; }} message B {{ }} message C {{ int32 x = 1; }}"
    );
    let (fields, message) = headworks_schema::protobuf::to_fields(&schema, None).unwrap();
    Contract {
        fields,
        format: Format::Protobuf,
        definition: Some(Definition::of_message(schema, message)),
        ..Contract::default()
    }
}

fn fields(rule: Compatibility, old: &Contract, new: &Contract) -> Vec<String> {
    let earlier = [Earlier {
        version: 1,
        contract: old,
    }];
    let found = faults(rule, &earlier, new).into_iter();
    found.map(|fault| fault.field).collect()
}

#[test]
fn a_union_gets_types_and_never_loses_one() {
    use Compatibility::{Backward, Forward, Full};
    let two = avro(r#"["int","string"]"#);
    let other_order = avro(r#"["string","int"]"#);
    let three = avro(r#"["int","string","boolean"]"#);
    let null = avro(r#"["null","int","string"]"#);
    assert!(fields(Full, &two, &other_order).is_empty());
    assert!(fields(Backward, &two, &three).is_empty());
    assert_eq!(fields(Forward, &two, &three), ["f"]);
    assert!(!fields(Backward, &three, &two).is_empty());
    assert!(fields(Backward, &two, &null).is_empty());
    assert_eq!(fields(Forward, &two, &null), ["f"]);
    // A type of it may become wider, and none changes its unit.
    let wide = avro(r#"["long","string"]"#);
    assert!(
        !fields(Backward, &two, &wide).is_empty(),
        "its field's name is its type"
    );
    let fixed = |size: u32| {
        avro(&format!(
            r#"["int",{{"type":"fixed","name":"F","size":{size}}}]"#
        ))
    };
    assert_eq!(fields(Backward, &fixed(2), &fixed(3)), ["f.F"]);
    let unit = |unit: &str| {
        avro(&format!(
            r#"["int",{{"type":"long","logicalType":"timestamp-{unit}"}}]"#
        ))
    };
    assert_eq!(
        fields(Backward, &unit("micros"), &unit("nanos")),
        ["f.long"]
    );
    let symbols = |symbols: &str| {
        avro(&format!(
            r#"["int",{{"type":"enum","name":"E","symbols":[{symbols}]}}]"#
        ))
    };
    assert_eq!(
        fields(Backward, &symbols(r#""X","Y""#), &symbols(r#""X""#)),
        ["f.E"]
    );
}

/// Both are the same struct, and no reader resolves the one to the other.
#[test]
fn a_union_is_no_record() {
    let union = avro(r#"["int","string"]"#);
    let record = avro(
        r#"{"type":"record","name":"S","fields":[{"name":"int","type":["null","int"]},{"name":"string","type":["null","string"]}]}"#,
    );
    assert_eq!(union.fields, record.fields);
    for (old, new) in [(&union, &record), (&record, &union)] {
        assert_eq!(fields(Compatibility::Backward, old, new), ["f"]);
    }
}

#[test]
fn what_is_one_sql_type_and_another_message_is_kept() {
    let all = [
        "google.protobuf.Struct",
        "google.protobuf.Value",
        "google.protobuf.ListValue",
        "google.protobuf.StringValue",
        "optional string",
    ];
    let booleans = [
        "google.protobuf.Empty",
        "google.protobuf.BoolValue",
        "optional bool",
    ];
    let keys = [
        "map<string, int32>",
        "map<int32, int32>",
        "map<sint32, int32>",
        "map<bool, int32>",
        "map<fixed64, int32>",
    ];
    for group in [&all[..], &booleans, &keys] {
        for one in group {
            for other in group {
                let found = fields(Compatibility::Backward, &protobuf(one), &protobuf(other));
                assert_eq!(
                    found.is_empty(),
                    one == other,
                    "{one} to {other}: {found:?}"
                );
            }
        }
    }
    // Wider keys are the same text, and a message without fields may be another one without.
    for (old, new) in [
        ("map<int32, int32>", "map<int64, int32>"),
        ("map<uint32, int32>", "map<uint64, int32>"),
        ("google.protobuf.Empty", "B"),
    ] {
        let found = fields(Compatibility::Backward, &protobuf(old), &protobuf(new));
        assert!(found.is_empty(), "{old} to {new}: {found:?}");
    }
    for (old, new) in [("B", "C"), ("C", "B")] {
        let found = fields(Compatibility::Backward, &protobuf(old), &protobuf(new));
        assert!(!found.is_empty(), "{old} to {new}");
    }
}

/// proto2 may require a message, and of none there is a default, be it a boolean or a string here.
#[test]
fn a_required_message_has_no_default() {
    let file = |more: &str| {
        let schema = format!(
            "syntax = \"proto2\"; import \"google/protobuf/struct.proto\"; import \"google/protobuf/wrappers.proto\"; message A {{ required int32 x = 1; {more} }} message B {{ }}"
        );
        let (fields, message) = headworks_schema::protobuf::to_fields(&schema, None).unwrap();
        Contract {
            fields,
            format: Format::Protobuf,
            definition: Some(Definition::of_message(schema, message)),
            ..Contract::default()
        }
    };
    for (more, passes) in [
        ("required B f = 2;", false),
        ("required google.protobuf.Struct f = 2;", false),
        ("required google.protobuf.StringValue f = 2;", false),
        ("required bool f = 2;", true),
        ("required string f = 2;", true),
        ("repeated B f = 2;", true),
        ("optional B f = 2;", true),
    ] {
        let found = fields(Compatibility::Backward, &file(""), &file(more));
        assert_eq!(found.is_empty(), passes, "{more}: {found:?}");
    }
}

#[test]
fn a_text_that_a_definition_needs_is_judged_as_its_own() {
    use Compatibility::{Backward, Full};
    let paid = |money: &str| {
        let file = "syntax = \"proto3\"; import \"m.proto\"; message A { Money f = 1; }";
        let definition = Definition::of_message(file, "A").with(vec![ReferencedSchema {
            name: "m.proto".into(),
            text: format!("syntax = \"proto3\"; message Money {{ string currency = 1; {money} }}"),
        }]);
        let (fields, _) = headworks_schema::protobuf::to_fields(&definition, Some("A")).unwrap();
        Contract {
            fields,
            format: Format::Protobuf,
            definition: Some(definition),
            ..Contract::default()
        }
    };
    let units = paid("int64 units = 2;");
    assert!(
        fields(
            Backward,
            &units,
            &paid("int64 units = 2; optional string note = 3;")
        )
        .is_empty()
    );
    // The SQL types are the same, the numbers aren't.
    assert_eq!(fields(Full, &units, &paid("int64 units = 3;")), ["f.units"]);
    assert!(!fields(Backward, &units, &paid("string units = 2;")).is_empty());
}

/// What a definition is written in doesn't matter, what it says does.
#[test]
fn proto3_becomes_the_edition_that_says_the_same() {
    use Compatibility::{Backward, Full};
    let file = |text: &str| {
        let (fields, message) = headworks_schema::protobuf::to_fields(text, None).unwrap();
        Contract {
            fields,
            format: Format::Protobuf,
            definition: Some(Definition::of_message(text, message)),
            ..Contract::default()
        }
    };
    let rest = "B c = 3; repeated E d = 4; oneof o { int32 e = 5; } enum E { Z = 0; } message B { optional int32 x = 1; } }";
    let proto3 = file(&format!(
        "syntax = \"proto3\"; message A {{ int32 a = 1; optional string b = 2; {rest}"
    ));
    let implicit = file(&format!(
        "edition = \"2023\"; option features.field_presence = IMPLICIT; message A {{ int32 a = 1; string b = 2 [features.field_presence = EXPLICIT]; {}",
        rest.replace(
            "optional int32 x = 1",
            "int32 x = 1 [features.field_presence = EXPLICIT]"
        )
    ));
    assert_eq!(proto3.fields, implicit.fields);
    assert!(fields(Full, &proto3, &implicit).is_empty());
    assert!(fields(Full, &implicit, &proto3).is_empty());
    // With the edition's own defaults a field that was never null may be.
    let explicit = file(&format!(
        "edition = \"2023\"; message A {{ int32 a = 1; string b = 2; {}",
        rest.replace("optional ", "")
    ));
    assert!(fields(Backward, &proto3, &explicit).is_empty());
    assert_eq!(fields(Full, &proto3, &explicit), ["a"]);
    // Numbers are compared as in any other definition.
    let moved = file(&format!(
        "edition = \"2023\"; message A {{ int32 a = 7; string b = 2; {}",
        rest.replace("optional ", "")
    ));
    assert_eq!(fields(Backward, &explicit, &moved), ["a"]);
}
