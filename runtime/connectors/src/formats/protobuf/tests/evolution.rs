//! Records that were written with another definition than the contract's.

use super::*;

#[test]
fn records_of_several_definitions_are_read_in_one_batch() {
    let old = "syntax = \"proto3\"; package shop; message Other { int32 z = 1; } message R { message Deep { int32 n = 1; string gone = 2; int32 both = 4; } }";
    let contract = defined(
        "n bigint\nadded string null\nboth bigint",
        "message R { int64 n = 1; optional string added = 3; sint64 both = 4; }",
        "R",
    );
    let contract = Contract {
        registered: Some(Registered {
            subject: "s".into(),
            id: 2,
            known: vec![KnownSchema {
                id: 1,
                references: Vec::new(),
                schema: old.into(),
            }],
        }),
        ..contract
    };
    let json = r#"{"n":7,"added":"x","both":-1}"#;
    let new = encoded(&contract, &from_json(&contract, &[json.to_owned()])).remove(0);
    assert_eq!(new[..6], [0, 0, 0, 0, 2, 0]);
    let mut reading = decoder(&contract);
    // R.Deep of the old file: indexes 1, 0. What it wrote as int32 is read as that.
    let ancient = [0, 0, 0, 0, 1, 4, 2, 0, 8, 5, 0x12, 1, b'g', 0x20, 3];
    reading.decode(&ancient).unwrap();
    reading.decode(&new).unwrap();
    assert_eq!(
        to_json(&contract, &reading.finish().unwrap()),
        [r#"{"n":5,"added":null,"both":3}"#, json]
    );
    let refused = |bytes: &[u8]| decoder(&contract).decode(bytes).unwrap_err().to_string();
    assert!(refused(&[0, 0, 0, 0, 1, 2, 8]).contains("no such message"));
    assert!(
        refused(&[0, 0, 0, 0, 9, 0])
            .contains("schema 9 is needed to read a record: the Platform names no schema registry")
    );
    assert!(refused(&[8, 1]).contains("doesn't begin with a schema registry's id"));
}

fn after(old: &str, contract: Contract) -> Contract {
    Contract {
        registered: Some(Registered {
            subject: "s".into(),
            id: 2,
            known: vec![KnownSchema {
                id: 1,
                references: Vec::new(),
                schema: format!("syntax = \"proto3\"; {old}"),
            }],
        }),
        ..contract
    }
}

/// A change of type gives a field another number. What old records have under the old one isn't nothing.
#[test]
fn a_field_whose_type_changed_is_no_default_in_old_records() {
    for (lines, optional) in [
        ("d double\nn int", ""),
        ("d double null\nn int", "optional"),
    ] {
        let schema = format!("message R {{ {optional} double d = 2; int32 n = 3; }}");
        let contract = after("message R { float d = 1; }", defined(lines, &schema, "R"));
        let old = [0, 0, 0, 0, 1, 0, 0x0d, 0, 0, 0x80, 0x3f];
        let said = refusal(&mut decoder(&contract), &old);
        assert!(
            said.starts_with("Contract [d] has number 1 in the definition that the record was written with, and 2 in the contract's"),
            "{said}"
        );
        // One that the old definition didn't have at all is its type's default.
        let mut new = ProtobufDecoder::pruned(&contract, &["n".into()], Arc::default()).unwrap();
        new.decode(&old).unwrap();
        assert_eq!(new.finish().unwrap().column(0).null_count(), 0);
    }
}

/// What evolution lets pass as readable is read: each type as each wider one.
#[test]
fn what_was_written_narrower_is_read() {
    for (old, new, sql, value, json) in [
        ("bool", "int32", "int", &[1][..], "1"),
        ("bool", "int64", "bigint", &[1], "1"),
        ("bool", "uint32", "bigint", &[1], "1"),
        ("int32", "int64", "bigint", &[5], "5"),
        ("sint32", "sint64", "bigint", &[3], "-2"),
        ("uint32", "int64", "bigint", &[5], "5"),
        ("string", "bytes", "bytes", &[1, b'a'], r#""YQ==""#),
    ] {
        let wire = if sql == "bytes" { 0x0a } else { 0x08 };
        let bytes = [&[wire], value].concat();
        let contract = defined(
            &format!("x {sql}"),
            &format!("message R {{ {new} x = 1; }}"),
            "R",
        );
        let known = after(&format!("message R {{ {old} x = 1; }}"), contract.clone());
        let expected = format!(r#"{{"x":{json}}}"#);
        for (contract, bytes) in [
            (&contract, bytes.clone()),
            (&known, [&[0, 0, 0, 0, 1, 0], bytes.as_slice()].concat()),
        ] {
            let mut reading = decoder(contract);
            reading
                .decode(&bytes)
                .unwrap_or_else(|e| panic!("{old} as {new}: {e}"));
            assert_eq!(
                to_json(contract, &reading.finish().unwrap()),
                [expected.as_str()],
                "{old} as {new}"
            );
        }
    }
}

/// What evolution says of a new required field is what a record without it is.
#[test]
fn a_new_required_field_is_its_types_default_or_missing() {
    for (type_, field, json) in [
        ("boolean", "bool", Some("false")),
        ("int", "int32", Some("0")),
        ("bigint", "int64", Some("0")),
        ("float", "float", Some("0.0")),
        ("double", "double", Some("0.0")),
        ("string", "string", Some(r#""""#)),
        ("bytes", "bytes", Some(r#""""#)),
        ("array<int>", "repeated int32", Some("[]")),
        ("map<string,int>", "map<string, int32>", Some("{}")),
        ("decimal(20,0)", "uint64", Some(r#""0""#)),
        ("decimal(20,0)", "fixed64", Some(r#""0""#)),
        ("decimal(20,0)", "string", None),
        ("decimal(12,2)", "string", None),
        ("date", "string", None),
        ("time", "string", None),
        ("timestamp(3)", "string", None),
        ("timestamp_ltz(3)", "google.protobuf.Timestamp", None),
        ("struct<a int not null>", "X", None),
    ] {
        let schema =
            format!("message X {{ int32 a = 1; }} message R {{ int32 a = 1; {field} b = 2; }}");
        let bare = defined(&format!("a int\nb {type_}"), &schema, "R");
        let known = after("message R { int32 a = 1; }", bare.clone());
        for (contract, head) in [(&bare, &[][..]), (&known, &[0, 0, 0, 0, 1, 0])] {
            let mut reading = decoder(contract);
            let bytes = [head, &[8, 7]].concat();
            match json {
                Some(json) => {
                    reading.decode(&bytes).unwrap();
                    assert_eq!(
                        to_json(contract, &reading.finish().unwrap()),
                        [format!(r#"{{"a":7,"b":{json}}}"#)],
                        "{type_}"
                    );
                }
                None => assert_eq!(
                    refusal(&mut reading, &bytes),
                    format!("Contract [b] is missing; {type_} is required")
                ),
            }
        }
    }
}
