#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod others;

use headworks_plan::{Definition, ReferencedSchema};
use prost_reflect::Kind;

use super::rewrite;
use crate::protobuf::{from_contract, is_packed, message, parse, parse_strictly, to_fields};

/// A file of edition 2023, on a line of its own.
fn edition(text: &str) -> String {
    format!("edition = \"2023\";\n{text}")
}

/// The contract's fields: `name type` or `name type null`.
fn columns(text: &str) -> Vec<String> {
    let (fields, _) = to_fields(text, None).unwrap_or_else(|error| panic!("{error}: {text}"));
    let columns = fields.iter().map(|field| {
        let null = if field.nullable { " null" } else { "" };
        format!("{} {}{null}", field.name, field.type_)
    });
    columns.collect()
}

fn refused(text: &str) -> String {
    to_fields(text, None).expect_err(text).to_string()
}

const SHOP: &str = r#"
package shop; import "google/protobuf/timestamp.proto";
message Order {
  string id = 1; State state = 2; google.protobuf.Timestamp at = 3; repeated int32 sizes = 4; map<string, Item> items = 5;
  oneof payment { string card = 6; Item voucher = 7; }
  message Item { uint32 count = 1; }
  enum State { UNKNOWN = 0; PAID = 1; }
}"#;

#[test]
fn an_edition_says_what_proto3_says_with_optional() {
    let proto3 = format!("syntax = \"proto3\";\n{SHOP}")
        .replace("string id", "optional string id")
        .replace("State state", "optional State state")
        .replace("uint32 count", "optional uint32 count");
    assert_eq!(columns(&edition(SHOP)), columns(&proto3));
    // With proto3's default it is proto3 as it stands.
    let implicit = edition(&format!("option features.field_presence = IMPLICIT;{SHOP}"));
    let plain = format!("syntax = \"proto3\";\n{SHOP}");
    assert_eq!(columns(&implicit), columns(&plain));
    assert_ne!(columns(&plain), columns(&proto3));
}

#[test]
fn presence_says_what_may_be_null() {
    let text = edition(
        "message A { int32 a = 1; int32 b = 2 [features.field_presence = IMPLICIT]; B c = 3; repeated int32 d = 4; oneof o { int32 e = 5; } message B { int32 x = 1; } }",
    );
    let found = [
        "a int null",
        "b int",
        "c struct<x int> null",
        "d array<int>",
        "e int null",
    ];
    assert_eq!(columns(&text), found);
    // The nearer one counts.
    let text = edition(
        "option features.field_presence = IMPLICIT; message A { int32 a = 1; int32 b = 2 [features.field_presence = EXPLICIT, deprecated = true]; B c = 3; oneof o { int32 e = 5; } message B { int32 x = 1; } }",
    );
    let found = [
        "a int",
        "b int null",
        "c struct<x int not null> null",
        "e int null",
    ];
    assert_eq!(columns(&text), found);
    let text = edition(
        "message A { int32 a = 1 [features.field_presence = LEGACY_REQUIRED]; B b = 2 [features.field_presence = LEGACY_REQUIRED]; message B { int32 x = 1; } }",
    );
    assert_eq!(columns(&text), ["a int", "b struct<x int>"]);
    // All of them in one, as text format has it.
    let text =
        edition("option features = { field_presence: IMPLICIT }; message A { int32 a = 1; }");
    assert_eq!(columns(&text), ["a int"]);
}

#[test]
fn lists_are_packed_unless_they_are_expanded() {
    let packed = |text: &str| -> Vec<bool> {
        let file = parse(&edition(text)).unwrap();
        let message = message(&file, None).unwrap();
        message.fields().map(|field| is_packed(&field)).collect()
    };
    let fields = "repeated int32 a = 1; repeated E b = 2 [features.repeated_field_encoding = EXPANDED]; repeated bool c = 3 [features.repeated_field_encoding = PACKED]; enum E { Z = 0; }";
    assert_eq!(
        packed(&format!("message A {{ {fields} }}")),
        [true, false, true]
    );
    let file = "option features.repeated_field_encoding = EXPANDED;";
    assert_eq!(
        packed(&format!("{file} message A {{ {fields} }}")),
        [false, false, true]
    );
    // Both ways to say presence come with both ways to write lists.
    let implicit = "option features.field_presence = IMPLICIT;";
    let with_single = format!("message A {{ {fields} int32 d = 4; }}");
    assert_eq!(
        packed(&format!("{implicit} {with_single}")),
        [true, false, true, true]
    );
    assert_eq!(
        packed(&format!("{implicit} {file} {with_single}")),
        [false, false, true, true]
    );
}

#[test]
fn enums_defaults_extensions_and_reserved_names_are_read() {
    let text = edition(
        r"message A {
  E a = 1; int32 b = 2 [default = 5]; repeated E c = 3; reserved old, to; reserved 5 to 9;
  extensions 100 to 199; extend A { int32 y = 100; repeated string z = 101; }
  enum E { option features.enum_type = CLOSED; X = 7; reserved gone; }
}",
    );
    assert_eq!(
        columns(&text),
        ["a string null", "b int null", "c array<string>"]
    );
    let file = parse(&text).unwrap();
    let message = message(&file, None).unwrap();
    let names: Vec<&str> = message.reserved_names().collect();
    assert_eq!(names, ["old", "to"]);
    let Kind::Enum(values) = message.get_field(1).unwrap().kind() else {
        panic!("{message:?}");
    };
    assert_eq!(values.reserved_names().collect::<Vec<_>>(), ["gone"]);
    assert_eq!(message.child_extensions().count(), 2);
}

#[test]
fn features_of_single_languages_say_nothing() {
    let text = edition(
        r#"import "google/protobuf/cpp_features.proto";
import "google/protobuf/java_features.proto"; option features.(pb.cpp).string_type = VIEW;
message A {
  string a = 1 [features.(pb.cpp).string_type = VIEW];
  string b = 2 [features.(pb.java).utf8_validation = DEFAULT, features.field_presence = IMPLICIT, features.(pb.cpp).string_type = VIEW];
  string c = 3 [deprecated = true, features.(pb.java).utf8_validation = DEFAULT]; Strin d = 4;
}"#,
    );
    assert!(
        refused(&text).starts_with("line 7, column 83: name 'Strin'"),
        "{}",
        refused(&text)
    );
    let text = text.replace("Strin d", "string d");
    assert_eq!(
        columns(&text),
        [
            "a string null",
            "b string",
            "c string null",
            "d string null"
        ]
    );
}

/// Lines and columns are those of the text as it was written, however much stands there in the parser's.
#[test]
#[allow(clippy::too_many_lines, reason = "a table")]
fn what_is_wrong_has_its_place_in_the_text_as_it_was_written() {
    let (rewritten, shifts) = rewrite(
        "edition=\"2023\";message A{int32 x=1;string y=2;reserved z,w;}",
        |_| false,
    )
    .unwrap()
    .unwrap();
    assert_eq!(
        rewritten,
        "syntax =\"proto2\";message A{optional int32 x=1;optional string y=2;reserved \"z\",\"w\";}"
    );
    for (word, at) in [
        ("message", 15),
        ("x=", 31),
        ("optional string", 35),
        ("y=", 42),
        ("reserved", 46),
        ("\"w", 57),
    ] {
        assert_eq!(
            shifts.original(0, rewritten.find(word).unwrap()),
            at,
            "{word}"
        );
    }
    let cases = [
        (
            "message A { int32 a = 1; Strin b = 2; }",
            "line 2, column 26: name 'Strin' is not defined",
        ),
        (
            "message A { int32 a = 1; string b = ; }",
            "line 2, column 37: expected an integer",
        ),
        (
            "message A {\n  int32 a = 1; int32 b = 1;\n}",
            "line 3, column ",
        ),
        (
            "message A { int32 a = 1; int32 b = 19000; }",
            "line 2, column 36: invalid field number",
        ),
        (
            "message A { int32 a = 1; A b = 2; }",
            "line 2, column 26, field b: the message holds itself",
        ),
        (
            "message A { int32 a = 1; optional int32 b = 2; }",
            "line 2, column 26: an edition has no optional",
        ),
        (
            "message A { int32 a = 1; required int32 b = 2; }",
            "line 2, column 26: an edition has no required",
        ),
        (
            "message A { int32 a = 1; repeated group G = 2 { int32 b = 1; } }",
            "line 2, column 35: an edition has no groups",
        ),
        (
            "message A { int32 a = 1; oneof o { group G = 2 { int32 b = 1; } } }",
            "line 2, column 36: an edition has no groups",
        ),
        (
            "message A { int32 a = 1; reserved \"b\"; }",
            "line 2, column 35: in an edition reserved names have no quotes: reserved b;",
        ),
        (
            "message A { int32 a = 1; reserved 2 to 1; }",
            "line 2, column 35: 2 to 1 is no range",
        ),
        (
            "message A { int32 a = 1; B b = 2 [features.message_encoding = DELIMITED]; message B { int32 x = 1; } }",
            "line 2, column 26, field b: a group is no column",
        ),
        (
            "message A { int32 a = 1; int32 b = 2 [features.field_presence = MAYBE]; }",
            "line 2, column 39: ",
        ),
        (
            "message A { int32 a = 1; oneof o { int32 b = 2 [features.field_presence = EXPLICIT]; } }",
            "line 2, column 49: a member of a oneof may always be absent",
        ),
        (
            "message A { int32 a = 1; option features.field_presence = IMPLICIT; }",
            "line 2, column 26: features.field_presence is set for a file or a field",
        ),
        (
            "message A { int32 a = 1; repeated int32 b = 2 [packed = true]; }",
            "line 2, column 26: an edition has no [packed]",
        ),
        (
            "message A { int32 a = 1; E b = 2; enum E { X = 1; } }",
            "line 2, column 44: the first number of an enum is 0",
        ),
        (
            "option features.field_presence = IMPLICIT; message A { int32 a = 1; int32 b = 2 [features.field_presence = LEGACY_REQUIRED]; }",
            "line 2, column 82: a required field can't stand in one file",
        ),
        (
            "option features.field_presence = IMPLICIT; message A { int32 a = 1; repeated E b = 2; enum E { option features.enum_type = CLOSED; X = 1; } }",
            "line 2, column 136: an enum whose first number isn't 0",
        ),
    ];
    for (text, expected) in cases {
        let found = refused(&edition(text));
        assert!(found.starts_with(expected), "{text}: {found}");
    }
    // In a file of several lines, and where a character has several bytes.
    let text = edition("// ä\nmessage A {\n  int32 a = 1; /* ä */ Strin b = 2;\n}");
    assert!(
        refused(&text).starts_with("line 4, column 25: name 'Strin'"),
        "{}",
        refused(&text)
    );
}

#[test]
fn other_editions_are_refused_by_name() {
    for other in ["2024", "2022", "proto3"] {
        let text = format!("// An order.\nedition = \"{other}\"; message A {{ int32 a = 1; }}");
        let found = refused(&text);
        let expected =
            format!("line 2, column 11: edition \"{other}\" isn't read; editions that are: 2023.");
        assert!(found.starts_with(&expected), "{found}");
    }
    let text = "edition = 2023; message A { int32 a = 1; }";
    assert!(refused(text).starts_with("line 1, column 1: an edition is written"));
    // A word that begins a file is none.
    assert!(refused("editions = \"2023\";").starts_with("line 1, column 1: "));
}

fn beside(name: &str, text: &str) -> ReferencedSchema {
    ReferencedSchema {
        name: name.to_owned(),
        text: text.to_owned(),
    }
}

#[test]
fn each_file_is_read_by_its_own_header() {
    let main = edition(
        "import \"two.proto\"; import \"three.proto\"; import \"four.proto\"; message A { Two a = 1; Three b = 2; Four c = 3; int32 d = 4; }",
    );
    let files = || {
        vec![
            beside(
                "two.proto",
                "syntax = \"proto2\"; message Two { required int32 r = 1; optional int32 o = 2; }",
            ),
            beside(
                "three.proto",
                "syntax = \"proto3\"; import \"four.proto\"; message Three { int32 i = 1; optional int32 o = 2; Four f = 3; }",
            ),
            beside(
                "four.proto",
                "edition = \"2023\";\noption features.field_presence = IMPLICIT; message Four { int32 i = 1; int32 o = 2 [features.field_presence = EXPLICIT]; }",
            ),
        ]
    };
    let types = |main: &str, files: Vec<ReferencedSchema>| -> Vec<String> {
        let definition = Definition::of_message(main, "A").with(files);
        let (fields, _) = to_fields(&definition, Some("A")).unwrap();
        fields.into_iter().map(|field| field.type_).collect()
    };
    let found = types(&main, files());
    assert_eq!(
        found,
        [
            "struct<r int not null, o int>",
            "struct<i int not null, o int, f struct<i int not null, o int>>",
            "struct<i int not null, o int>",
            "int",
        ]
    );
    // And a file with a syntax may import one of an edition.
    let proto3 = main.replace("edition = \"2023\"", "syntax = \"proto3\"");
    assert_eq!(types(&proto3, files()), found);
    // What is wrong in one is said with its name, and its own place.
    let said = |text: &str| {
        let mut files = files();
        files[2].text = text.to_owned();
        let definition = Definition::of_message(main.as_str(), "A").with(files);
        parse_strictly(&definition).unwrap_err().to_string()
    };
    for (text, expected) in [
        (
            "edition = \"2024\"; message Four { int32 i = 1; }",
            "four.proto: line 1, column 11: edition \"2024\"",
        ),
        (
            "edition = \"2023\"; message Four { int32 i = 1; Strin s = 2; }",
            "four.proto: line 1, column 47: name 'Strin'",
        ),
        (
            "edition = \"2023\"; message Four { int32 i = 1; repeated E e = 2; enum E { X = 1; } }",
            "four.proto: line 1, column 74: the first number",
        ),
        (
            "edition = \"2023\"; message Four { int32 i = 1 [features.field_presence = IMPLICIT]; repeated E e = 2; enum E { option features.enum_type = CLOSED; X = 1; } }",
            "four.proto: line 1, column 151: an enum whose first number",
        ),
    ] {
        assert!(said(text).starts_with(expected), "{}", said(text));
    }
    // A closed enum of another file has no default, and one of proto2 is closed.
    let main =
        edition("import \"e.proto\"; message A { E e = 1 [features.field_presence = IMPLICIT]; }");
    for (text, closed) in [
        ("syntax = \"proto2\"; enum E { Z = 0; }", true),
        ("syntax = \"proto3\"; enum E { Z = 0; }", false),
        ("edition = \"2023\"; enum E { Z = 0; }", false),
        (
            "edition = \"2023\"; option features.enum_type = CLOSED; enum E { Z = 0; }",
            true,
        ),
    ] {
        let definition =
            Definition::of_message(main.as_str(), "A").with(vec![beside("e.proto", text)]);
        let found = to_fields(&definition, None);
        assert_eq!(found.is_err(), closed, "{text}: {found:?}");
    }
}

/// Fields that are taken away or changed get their numbers kept from an edition, too.
#[test]
fn a_definition_of_an_edition_may_be_the_one_before() {
    let before = Definition::of_message(
        edition("message A { string gone = 3; int32 a = 7; reserved 20; reserved old; }"),
        "A",
    );
    let contract = headworks_plan::Contract {
        fields: vec![
            headworks_plan::Field::new("a", "int", true),
            headworks_plan::Field::new("b", "string", true),
        ],
        ..headworks_plan::Contract::default()
    };
    let after = from_contract(&contract, "s.A", Some(&before)).unwrap();
    assert!(
        after.schema.contains("optional int32 a = 7;"),
        "{}",
        after.schema
    );
    assert!(after.schema.contains("reserved 3, 20;"), "{}", after.schema);
    assert!(
        after.schema.contains("reserved \"gone\", \"old\";"),
        "{}",
        after.schema
    );
    assert!(
        after.schema.contains("optional string b = 21;"),
        "{}",
        after.schema
    );
}
