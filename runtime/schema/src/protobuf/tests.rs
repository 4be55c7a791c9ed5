#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use headworks_plan::{Contract, Definition, Field, Format, ReferencedSchema};

use super::{from_contract, message, parse, to_fields};

fn contract(lines: &str) -> Contract {
    let fields = lines.lines().map(str::trim).filter(|line| !line.is_empty());
    let fields = fields.map(|line| {
        let (name, type_) = line.split_once(' ').unwrap();
        let (type_, nullable) = type_
            .strip_suffix(" null")
            .map_or((type_, false), |type_| (type_, true));
        Field::new(name, type_, nullable)
    });
    Contract {
        fields: fields.collect(),
        format: Format::Protobuf,
        ..Contract::default()
    }
}

fn said(text: &str, message: Option<&str>) -> String {
    let (fields, name) = to_fields(text, message).unwrap();
    let fields: Vec<String> = fields
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
    format!("{name}\n{}", fields.join("\n"))
}

const EVERYTHING: &str = "
    a boolean
    b int null
    c bigint
    d float
    e double null
    f decimal(12,2)
    g string
    h bytes
    i date
    j time
    k timestamp(3)
    l timestamp_ltz(3)
    m array<array<int>> null
    n map<string,array<string>>
    o array<struct<sku string not null, at struct<x int>>>
    p struct<x int, l timestamp_ltz(6) not null>
    q map<string,bigint>";

#[test]
fn a_contract_is_said_in_protobuf() {
    let definition = from_contract(&contract(EVERYTHING), "my-shop.order-items", None).unwrap();
    assert_eq!(definition.message.as_deref(), Some("my_shop.OrderItems"));
    insta::assert_snapshot!(definition.schema);
    // Read back, what Protobuf has no type for is text, and messages may be absent.
    insta::assert_snapshot!(said(&definition.schema, definition.message.as_deref()));
}

#[test]
fn field_numbers_keep_their_meaning() {
    let first = from_contract(
        &contract("a string\nb int\nc struct<x int, y int>\nd string"),
        "s.r",
        None,
    )
    .unwrap();
    // b is wider, a and c.x go, d changes its type, two come.
    let second = from_contract(
        &contract("new double null\nd double\nc struct<y int, z int>\nb bigint"),
        "s.r",
        Some(&first),
    )
    .unwrap();
    insta::assert_snapshot!(second.schema);
    // One that went and comes again doesn't get its old number.
    let third = from_contract(
        &contract("a string\nnew double null\nc struct<x int>"),
        "s.r",
        Some(&second),
    )
    .unwrap();
    insta::assert_snapshot!(third.schema);
    // The same contract gives the same text.
    let again = from_contract(
        &contract("a string\nnew double null\nc struct<x int>"),
        "s.r",
        Some(&third),
    )
    .unwrap();
    assert_eq!(again, third);
}

#[test]
fn a_file_of_other_hands_is_read() {
    let text = r#"
      syntax = "proto3";
      package shop;
      import "google/protobuf/timestamp.proto";
      import "google/protobuf/wrappers.proto";
      message Other { string x = 1; }
      message Order {
        enum State { STATE_UNKNOWN = 0; PAID = 1; }
        string id = 1;
        State state = 2;
        optional State before = 3;
        uint32 u = 4;
        uint64 v = 5;
        google.protobuf.Timestamp at = 6;
        google.protobuf.StringValue note = 7;
        repeated Other others = 8;
        map<string, Other> by_name = 9;
        oneof payment { string card = 10; Other invoice = 11; }
        sfixed64 s = 12;
      }"#;
    insta::assert_snapshot!(said(text, Some("shop.Order")), @r"
    shop.Order
    id string
    state string
    before string null
    u bigint
    v decimal(20,0)
    at timestamp_ltz(6) null
    note string null
    others array<struct<x string not null>>
    by_name map<string,struct<x string not null>>
    card string null
    invoice struct<x string not null> null
    s bigint
    ");
    assert_eq!(said(text, None), "shop.Other\nx string");
    let file = parse(text).unwrap();
    assert!(
        message(&file, Some("shop.Orders"))
            .unwrap_err()
            .to_string()
            .contains("it has shop.Other, shop.Order")
    );
}

#[test]
fn maps_of_other_keys_json_and_messages_without_fields_are_columns() {
    let text = r#"
      syntax = "proto3";
      import "google/protobuf/struct.proto";
      import "google/protobuf/empty.proto";
      message A {
        map<int32, string> by_number = 1;
        map<bool, B> by_truth = 2;
        google.protobuf.Struct s = 3;
        google.protobuf.Value v = 4;
        repeated google.protobuf.ListValue l = 5;
        google.protobuf.Empty e = 6;
        oneof o { B b = 7; string c = 8; }
        google.protobuf.NullValue n = 9;
      }
      message B {}"#;
    insta::assert_snapshot!(said(text, Some("A")));
    let empty = "syntax = \"proto3\";\nmessage A {}";
    assert!(
        to_fields(empty, None)
            .unwrap_err()
            .to_string()
            .contains("has no fields")
    );
}

/// The descriptor's own flag doesn't see what stands in a text that was compiled here.
#[test]
fn lists_are_packed_as_the_definition_says() {
    let fields = "repeated int32 a = 1; repeated int32 b = 2 [packed = true]; repeated int32 c = 3 [packed = false];";
    for (syntax, expected) in [
        ("proto2", [false, true, false]),
        ("proto3", [true, true, false]),
    ] {
        let file = parse(format!("syntax = \"{syntax}\"; message A {{ {fields} }}").as_str());
        let message = message(&file.unwrap(), None).unwrap();
        let packed: Vec<bool> = message.fields().map(|f| super::is_packed(&f)).collect();
        assert_eq!(packed, expected, "{syntax}");
    }
}

/// What takes another text's place gets other numbers where the shapes are no longer what they were.
#[test]
fn a_number_of_another_shape_is_not_used_again() {
    let before = Definition::of_message(
        "syntax = \"proto3\";\nimport \"google/protobuf/struct.proto\";\nmessage A { map<int32, string> a = 1; google.protobuf.Struct b = 2; E c = 3; map<string, string> d = 4; message E {} }",
        "A",
    );
    let after = from_contract(
        &contract("a map<string,string>\nb struct<x int>\nc struct<x int>\nd map<string,string>"),
        "s.A",
        Some(&before),
    )
    .unwrap();
    insta::assert_snapshot!(after.schema);
}

/// What we make ourselves obeys what we ask of others.
#[test]
fn a_derived_file_is_one_that_protoc_takes() {
    let definition = from_contract(&contract(EVERYTHING), "my-shop.order-items", None).unwrap();
    super::parse_strictly(&definition.schema).unwrap();
}

#[test]
fn what_is_no_contract_is_refused_with_its_place_and_a_remedy() {
    let deep = format!(
        "syntax = \"proto3\";\n{}{}",
        "message A { /* } */ ".repeat(5000),
        "}".repeat(5000)
    );
    // The parser behind this ends such a comment later than one that doesn't count.
    let hidden = format!("syntax=\"proto3\";\n{}", "message A{/*/**/}*/".repeat(600));
    let slashes = format!("syntax=\"proto3\";\n{}", "message A{/*/}/**/".repeat(600));
    let lines = format!(
        "syntax=\"proto3\";\noption a=\"\\\n{}",
        ";message A{option b=\"\n\"\\\n".repeat(600)
    );
    let escapes =
        "syntax = \"proto3\";\nmessage A { string a = 1 [json_name = \"\\z\"]; }".to_owned();
    let texts = [
        lines,
        escapes,
        hidden,
        slashes,
        "syntax = \"proto3\";\nmessage A { string a = ; }".to_owned(),
        "syntax = \"proto3\";\nmessage A { Strin a = 1; }".to_owned(),
        "syntax = \"proto3\";\nimport \"shop/other.proto\";\nmessage A { string a = 1; }"
            .to_owned(),
        "syntax = \"proto3\";\nmessage A { A a = 1; }".to_owned(),
        "// a\n/* b */ edition = \"2024\";\nmessage A { int32 a = 1; }".to_owned(),
        "syntax = \"proto3\";\nmessage A {\n  int32 a = 1;\n  extensions 100 to 199;\n}".to_owned(),
        "syntax = \"proto3\";\nmessage A {\n  repeated string a = 1 [packed = true];\n}".to_owned(),
        "syntax = \"proto3\";\nmessage A {\n  int32 a = 3;\n  reserved 2 to 1;\n}".to_owned(),
        "syntax = \"proto3\";\nmessage A {\n  option message_set_wire_format = true;\n}".to_owned(),
        "syntax = \"proto3\";\nmessage A {\n  int32 a = 1;\n  message B { int32 b = 19000; }\n}"
            .to_owned(),
        "syntax = \"proto3\";\nmessage A {}".to_owned(),
        "syntax = \"proto3\";".to_owned(),
        String::new(),
        "syntax = \"proto2\";\nmessage A { repeated group B = 1 { optional int32 x = 1; } }"
            .to_owned(),
        deep,
    ];
    let said: Vec<String> = texts
        .iter()
        .map(|text| to_fields(text, None).expect_err(text).to_string())
        .collect();
    insta::assert_snapshot!(said.join("\n"));
    // What is none of these stays what it was.
    let sound = "syntax = 'proto3'; /* // \" { * / */ // /* {\nmessage A { string a = 1 [json_name = \"{\\x41\\\"\\'\"]; /**/ }";
    assert_eq!(self::said(sound, None), "A\na string");
    let refused = |lines: &str| {
        from_contract(&contract(lines), "x", None)
            .unwrap_err()
            .to_string()
    };
    assert!(refused("ä int").starts_with("field ä: Protobuf names begin"));
    // Equal in Protobuf's JSON; protoc refuses them, too.
    assert!(
        refused("user_id int\nuserId int").contains("userId"),
        "{}",
        refused("user_id int\nuserId int")
    );
}

fn order(texts: &[(&str, &str)]) -> Definition {
    let texts = texts.iter().map(|(name, text)| ReferencedSchema {
        name: (*name).to_owned(),
        text: (*text).to_owned(),
    });
    let order = Definition::of_message(
        "syntax = \"proto3\";\npackage shop;\nimport \"shop/address.proto\";\nmessage Order { string id = 1; Address to = 2; }",
        "shop.Order",
    );
    order.with(texts.collect())
}

#[test]
fn files_beside_are_imported() {
    let address = (
        "shop/address.proto",
        "syntax = \"proto3\"; package shop; import \"geo/country.proto\"; import \"google/protobuf/timestamp.proto\";\nmessage Address { geo.Country country = 1; google.protobuf.Timestamp since = 2; }",
    );
    let country = (
        "geo/country.proto",
        "syntax = \"proto3\"; package geo; enum Country { NONE = 0; AT = 1; }",
    );
    for texts in [[address, country], [country, address]] {
        let (fields, message) = to_fields(&order(&texts), Some("shop.Order")).unwrap();
        assert_eq!(message, "shop.Order");
        assert_eq!(
            fields[1].type_,
            "struct<country string not null, since timestamp_ltz(6)>"
        );
    }
    let said = |texts: &[(&str, &str)]| {
        let order = order(texts);
        to_fields(&order, None).unwrap_err().to_string()
    };
    assert_eq!(
        said(&[("address.proto", address.1), country]),
        "line 3, column 1: import 'shop/address.proto' not found; beside the definition there are address.proto, geo/country.proto, and Google's well-known types: add the file under the name that the import has"
    );
    assert_eq!(
        said(&[address]),
        "shop/address.proto: line 1, column 34: import 'geo/country.proto' not found; beside the definition there are shop/address.proto, and Google's well-known types: add the file under the name that the import has"
    );
    let broken = ("geo/country.proto", "syntax = \"proto3\";\nmessage {");
    assert!(said(&[address, broken]).starts_with("geo/country.proto: line 2, column 9: "));
    // What protoc refuses is refused in them, too.
    let range = (
        "geo/country.proto",
        "syntax = \"proto3\"; package geo; enum Country { NONE = 0; }\nmessage M { reserved 2 to 1; string a = 3; }",
    );
    assert!(said(&[address, range]).starts_with("geo/country.proto: line 2, column "));
    let itself = (
        "shop/address.proto",
        "syntax = \"proto3\"; package shop;\nmessage Address { Address in = 1; }",
    );
    assert!(
        said(&[itself]).starts_with("shop/address.proto: line 2, column "),
        "{}",
        said(&[itself])
    );
}
