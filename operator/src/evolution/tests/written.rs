//! Contracts whose definitions are written by hand: what their formats add to the rules.

use super::*;

fn defined(format: Format, fields: &[(&str, &str, bool)], text: &str) -> Contract {
    let mut contract = of(fields);
    contract.format = format;
    contract.definition = Some(headworks_plan::Definition::new(text));
    contract
}

#[test]
fn avro_s_own_defaults_and_symbols_count() {
    let avro = |more: &str| {
        format!(
            r#"{{"type":"record","name":"O","fields":[{{"name":"a","type":{{"type":"enum","name":"E","symbols":["X","Y"]}}}}{more}]}}"#
        )
    };
    let old = defined(Format::Avro, &[("a", "string", false)], &avro(""));
    let more = r#",{"name":"b","type":"int","default":7}"#;
    let with_default = defined(
        Format::Avro,
        &[("a", "string", false), ("b", "int", false)],
        &avro(more),
    );
    assert!(check(Compatibility::Full, &old, &with_default).is_empty());
    let without = defined(
        Format::Avro,
        &[("a", "string", false), ("b", "int", false)],
        &avro(r#",{"name":"b","type":"int"}"#),
    );
    assert_eq!(check(Compatibility::Backward, &old, &without), ["b"]);
    let fewer = defined(
        Format::Avro,
        &[("a", "string", false)],
        &avro("").replace(r#""X","Y""#, r#""X""#),
    );
    assert_eq!(check(Compatibility::Backward, &old, &fewer), ["a"]);
    assert!(check(Compatibility::Forward, &old, &fewer).is_empty());
}

/// 64 KiB can put one enum with thousands of symbols in thousands of places.
#[test]
fn an_enum_in_thousands_of_places_is_compared_once() {
    let fields = |count: usize, type_: &str, first: &str| -> String {
        let mut all: Vec<String> = (1..count)
            .map(|i| format!(r#"{{"name":"f{i}","type":"{type_}"}}"#))
            .collect();
        all.insert(0, format!(r#"{{"name":"f0","type":{first}}}"#));
        all.join(",")
    };
    let avro = |head: &str| {
        let symbols: Vec<String> = (0..7_000).map(|i| format!("\"{head}{i:x}\"")).collect();
        let symbols = symbols.join(",");
        let e = format!(r#"{{"type":"enum","name":"E","symbols":[{symbols}]}}"#);
        let r = format!(
            r#"{{"type":"record","name":"R","fields":[{}]}}"#,
            fields(15, "E", &e)
        );
        let text = format!(
            r#"{{"type":"record","name":"O","fields":[{}]}}"#,
            fields(256, "R", &r)
        );
        assert!(text.len() < 64 * 1024, "{}", text.len());
        defined(Format::Avro, &[], &text)
    };
    let protobuf = |head: &str| {
        let values: Vec<String> = (0..4_000).map(|i| format!("{head}{i:x}={i};")).collect();
        let values = values.concat();
        let fields = |count: usize, type_: &str| -> String {
            let all: Vec<String> = (1..=count).map(|i| format!("{type_} f{i}={i};")).collect();
            all.concat()
        };
        let text = format!(
            "syntax=\"proto3\"; message O {{ {} }} message R {{ {} }} enum E {{ {values} }}",
            fields(256, "R"),
            fields(15, "E")
        );
        assert!(text.len() < 64 * 1024, "{}", text.len());
        let mut contract = defined(Format::Protobuf, &[], &text);
        contract.definition.as_mut().unwrap().message = Some("O".to_owned());
        contract
    };
    for (old, new, says) in [
        (avro("a"), avro("b"), "a0, a1, a2, a3, a4 and 6995 more"),
        (protobuf("a"), protobuf("b"), "number 0 of the enum is a0"),
    ] {
        let begun = std::time::Instant::now();
        let found = definitions::faults(&old, &new);
        let took = begun.elapsed();
        assert_eq!(found.len(), 256 * 15);
        assert!(found[0].message.contains(says), "{}", found[0].message);
        assert!(took.as_secs() < 1, "{took:?}");
    }
}

#[test]
fn protobuf_s_numbers_and_encodings_count() {
    let file = |fields: &str| format!("syntax = \"proto3\"; message O {{ {fields} }}");
    let sql = [("a", "int", false), ("b", "string", false)];
    let old = defined(Format::Protobuf, &sql, &file("int32 a = 1; string b = 2;"));
    for (fields, wrong) in [
        ("int32 a = 1; string b = 2;", None),
        ("int32 a = 3; string b = 2;", Some("a")),
        ("sint32 a = 1; string b = 2;", Some("a")),
    ] {
        let new = defined(Format::Protobuf, &sql, &file(fields));
        let found = check(Compatibility::Full, &old, &new);
        assert_eq!(found.first().map(String::as_str), wrong, "{fields}");
    }
    // A number that is used again reads the bytes of another field.
    let used = [
        ("a", "int", false),
        ("b", "string", false),
        ("c", "string", false),
    ];
    let new = defined(
        Format::Protobuf,
        &used,
        &file("int32 a = 1; string b = 4; string c = 2;"),
    );
    assert_eq!(check(Compatibility::Backward, &old, &new), ["c", "b"]);
}

/// A record of another unit has the same bytes and, without a registry, the same fingerprint.
#[test]
fn avro_s_units_change_in_no_mode() {
    let of = |type_: &str, sql: &str| {
        defined(
            Format::Avro,
            &[("a", sql, false)],
            &format!(r#"{{"type":"record","name":"O","fields":[{{"name":"a","type":{type_}}}]}}"#),
        )
    };
    let time = |unit: &str, digits: u8| {
        of(
            &format!(r#"{{"type":"long","logicalType":"timestamp-{unit}"}}"#),
            &format!("timestamp_ltz({digits})"),
        )
    };
    let decimal = |precision: u8, scale: u8| {
        of(
            &format!(
                r#"{{"type":"bytes","logicalType":"decimal","precision":{precision},"scale":{scale}}}"#
            ),
            &format!("decimal({precision},{scale})"),
        )
    };
    let plain = of("\"long\"", "bigint");
    for (old, new) in [
        (time("micros", 6), time("nanos", 6)),
        (time("millis", 3), time("micros", 6)),
        (decimal(12, 2), decimal(12, 3)),
        (plain.clone(), time("millis", 3)),
    ] {
        for rule in [
            Compatibility::None,
            Compatibility::Backward,
            Compatibility::Forward,
        ] {
            assert_eq!(check(rule, &old, &new), ["a"], "{rule:?}: {new:?}");
        }
        let judged = |versions: &[&Contract], wanted: &Contract| -> usize {
            let accepted: Vec<Earlier<'_>> = (1..)
                .zip(versions)
                .map(|(version, contract)| Earlier { version, contract })
                .collect();
            let newest_first: Vec<Earlier<'_>> = accepted.into_iter().rev().collect();
            faults(Compatibility::None, &newest_first, wanted).len()
        };
        // It was changed with permission: what goes on from there is no change of the unit, and the way back is one.
        assert_eq!(judged(&[&old, &new], &new), 0, "{new:?}");
        assert_eq!(judged(&[&old, &new], &old), 1, "{new:?}");
        // One that was a while ago counts, where no newer one is written alike.
        let other = of("\"string\"", "string");
        assert_eq!(judged(&[&old, &other], &new), 1, "{new:?}");
        assert_eq!(judged(&[&old, &new, &other], &new), 0, "{new:?}");
    }
    assert!(check(Compatibility::None, &decimal(12, 2), &decimal(14, 2)).is_empty());
    // Another field beside it makes another fingerprint.
    let more = defined(
        Format::Avro,
        &[("a", "bigint", false), ("b", "timestamp_ltz(3)", true)],
        r#"{"type":"record","name":"O","fields":[{"name":"a","type":"long"},{"name":"b","type":["null",{"type":"long","logicalType":"timestamp-millis"}],"default":null}]}"#,
    );
    assert!(check(Compatibility::Full, &plain, &more).is_empty());
}

/// SQL's types are fewer than Avro's, and Avro's readers resolve Avro's.
#[test]
fn avro_s_kinds_change_as_avro_resolves_them() {
    let of = |type_: &str, sql: &str| {
        defined(
            Format::Avro,
            &[("a", sql, false)],
            &format!(r#"{{"type":"record","name":"O","fields":[{{"name":"a","type":{type_}}}]}}"#),
        )
    };
    let fixed = of(r#"{"type":"fixed","name":"F","size":4}"#, "bytes");
    let symbols = of(
        r#"{"type":"enum","name":"E","symbols":["X","Y"]}"#,
        "string",
    );
    let (text, bytes) = (of("\"string\"", "string"), of("\"bytes\"", "bytes"));
    for (old, new, passes) in [
        (&fixed, &text, false),
        (&fixed, &bytes, false),
        (&symbols, &text, false),
        (&symbols, &bytes, false),
        (&text, &symbols, false),
        (&text, &bytes, true),
        (&bytes, &text, true),
        (
            &symbols,
            &of(
                r#"{"type":"enum","name":"E","symbols":["X"],"default":"X"}"#,
                "string",
            ),
            true,
        ),
        (
            &text,
            &of(r#"{"type":"string","logicalType":"uuid"}"#, "string"),
            true,
        ),
    ] {
        let found = check(Compatibility::Backward, old, new);
        let expected: &[&str] = if passes { &[] } else { &["a"] };
        assert_eq!(found, expected, "{old:?} to {new:?}");
    }
}

#[test]
fn protobuf_s_enums_and_widths_keep_their_numbers() {
    let file = |text: &str, sql: &str| {
        defined(
            Format::Protobuf,
            &[("a", sql, false)],
            &format!("syntax = \"proto3\"; message O {{ {text} a = 1; }}"),
        )
    };
    let symbols = |values: &str| file(&format!("enum E {{ {values} }} E"), "string");
    let paid = symbols("U = 0; PAID = 1;");
    for (values, passes) in [
        ("U = 0; PAID = 1; LOST = 2;", true),
        ("U = 0; NEW = 1; PAID = 2;", false),
        ("U = 0; SETTLED = 1;", false),
        ("U = 0; LOST = 1; PAID = 3;", false),
        (
            "option allow_alias = true; U = 0; SETTLED = 1; PAID = 1;",
            true,
        ),
    ] {
        let found = check(Compatibility::Backward, &paid, &symbols(values));
        assert_eq!(found.is_empty(), passes, "{values}: {found:?}");
    }
    // As the decoder's test `what_was_written_narrower_is_read` in the connectors has it.
    for ((was, was_sql), (now, sql), passes) in [
        (("bool", "boolean"), ("int32", "int"), true),
        (("bool", "boolean"), ("int64", "bigint"), true),
        (("bool", "boolean"), ("uint32", "bigint"), true),
        (("bool", "boolean"), ("sint32", "int"), false),
        (("int32", "int"), ("int64", "bigint"), true),
        (("int32", "int"), ("uint32", "bigint"), false),
        (("sint32", "int"), ("sint64", "bigint"), true),
        (("sint32", "int"), ("int64", "bigint"), false),
        (("uint32", "bigint"), ("int64", "bigint"), true),
        (("int64", "bigint"), ("uint32", "bigint"), false),
        (("int64", "bigint"), ("sint64", "bigint"), false),
        (("sfixed32", "int"), ("fixed32", "bigint"), false),
        (("string", "string"), ("bytes", "bytes"), true),
    ] {
        let found = check(
            Compatibility::Backward,
            &file(was, was_sql),
            &file(now, sql),
        );
        assert_eq!(found.is_empty(), passes, "{was} to {now}: {found:?}");
    }
}

/// What the types' table lets pass, the definitions that are made of the types let pass, too: numbers are kept.
#[test]
fn a_wider_type_is_one_in_derived_definitions() {
    let pairs: [(Format, &[(&str, &str)]); 2] = [
        (
            Format::Protobuf,
            &[
                ("boolean", "int"),
                ("boolean", "bigint"),
                ("int", "bigint"),
                ("string", "bytes"),
                ("array<boolean>", "array<int>"),
                ("map<string,int>", "map<string,bigint>"),
                ("struct<x int not null>", "struct<x bigint not null>"),
            ],
        ),
        (
            Format::Avro,
            &[
                ("int", "bigint"),
                ("int", "float"),
                ("bigint", "double"),
                ("float", "double"),
                ("string", "bytes"),
                ("bytes", "string"),
                ("map<string,int>", "map<string,bigint>"),
                ("struct<x int not null>", "struct<x bigint not null>"),
            ],
        ),
    ];
    for (format, pairs) in pairs {
        for (was, now) in pairs {
            let made = |type_: &str, before: Option<&Contract>| {
                let mut contract = of(&[("a", type_, false)]);
                contract.format = format;
                let before = before.and_then(|before| before.definition.as_ref());
                let definition = match format {
                    Format::Avro => headworks_schema::avro::from_contract(&contract, "s.r"),
                    _ => headworks_schema::protobuf::from_contract(&contract, "s.r", before),
                };
                contract.definition = Some(definition.unwrap());
                contract
            };
            let old = made(was, None);
            let new = made(now, Some(&old));
            let earlier = [Earlier {
                version: 1,
                contract: &old,
            }];
            let found = faults(Compatibility::Backward, &earlier, &new);
            assert!(found.is_empty(), "{format:?}: {was} to {now}: {found:?}");
        }
    }
}
