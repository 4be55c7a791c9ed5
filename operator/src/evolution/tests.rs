use headworks_plan::{Field, Format};

use super::*;

fn of(fields: &[(&str, &str, bool)]) -> Contract {
    Contract {
        fields: fields
            .iter()
            .map(|(name, type_, nullable)| Field::new(*name, *type_, *nullable))
            .collect(),
        ..Contract::default()
    }
}

fn check(rule: Compatibility, old: &Contract, new: &Contract) -> Vec<String> {
    let earlier = [Earlier {
        version: 1,
        contract: old,
    }];
    let found = faults(rule, &earlier, new);
    found.into_iter().map(|f| f.field).collect()
}

#[test]
fn a_new_nullable_field_a_new_order_and_a_wider_type_are_fine_backward() {
    let old = of(&[("a", "string", false), ("b", "int", false)]);
    let new = of(&[
        ("b", "bigint", false),
        ("c", "string", true),
        ("a", "string", true),
    ]);
    assert!(check(Compatibility::Backward, &old, &new).is_empty());
    assert_eq!(check(Compatibility::Forward, &old, &new), ["a", "b"]);
    assert_eq!(check(Compatibility::Full, &old, &new), ["a", "b"]);
}

#[test]
fn every_field_that_breaks_is_named_with_its_remedy() {
    let old = of(&[
        ("gone", "string", false),
        ("typed", "bigint", false),
        ("loose", "int", true),
        ("deep", "array<struct<a int, b int>>", false),
    ]);
    let new = of(&[
        ("typed", "int", false),
        ("loose", "int", false),
        ("fresh", "string", false),
        ("deep", "array<struct<a int>>", false),
    ]);
    let earlier = [Earlier {
        version: 4,
        contract: &old,
    }];
    insta::assert_snapshot!(
        said(&faults(Compatibility::Backward, &earlier, &new)).replace("; ", "\n")
    );
    assert!(check(Compatibility::None, &old, &new).is_empty());
}

#[test]
fn forward_keeps_readers_of_the_contract_before() {
    let old = of(&[("a", "bigint", true), ("b", "string", false)]);
    let new = of(&[
        ("a", "int", false),
        ("b", "string", false),
        ("c", "string", false),
    ]);
    // Narrower, never null, and one more: old readers don't mind. The records before don't fit, though.
    assert!(check(Compatibility::Forward, &old, &new).is_empty());
    assert_eq!(unreadable(&old, &new), ["a", "c"]);
    assert_eq!(check(Compatibility::Full, &old, &new), ["a", "c"]);
}

#[test]
fn transitive_modes_look_at_every_contract_and_name_it() {
    let first = of(&[("a", "bigint", false)]);
    let second = of(&[("a", "string", false)]);
    let new = of(&[("a", "string", false), ("b", "int", true)]);
    let accepted = [
        Earlier {
            version: 2,
            contract: &second,
        },
        Earlier {
            version: 1,
            contract: &first,
        },
    ];
    assert!(faults(Compatibility::Backward, &accepted, &new).is_empty());
    let found = faults(Compatibility::BackwardTransitive, &accepted, &new);
    assert_eq!(found.len(), 1);
    assert!(found[0].message.ends_with("(contract 1)"), "{found:?}");
}

#[test]
fn key_and_format_never_change_but_by_permission() {
    let mut old = of(&[("a", "string", false)]);
    old.key = vec!["a".into()];
    let mut new = old.clone();
    new.key = vec![];
    new.format = Format::Avro;
    let earlier = [Earlier {
        version: 1,
        contract: &old,
    }];
    let text = said(&faults(Compatibility::Forward, &earlier, &new));
    assert!(text.contains("format changes from Json to Avro"), "{text}");
    assert!(text.contains("key changes from [a] to []"), "{text}");
    assert!(faults(Compatibility::None, &earlier, &new).is_empty());
}

#[test]
fn an_event_time_stays_in_every_mode_but_none() {
    let timed = |field: Option<&str>| Contract {
        event_time: field.map(|field| headworks_plan::EventTime {
            field: field.to_owned(),
            max_out_of_orderness_ms: 0,
            idle_timeout_ms: None,
        }),
        ..of(&[
            ("placed_at", "timestamp_ltz(3)", false),
            ("created_at", "timestamp_ltz(3)", false),
        ])
    };
    let say = |rule, old: Option<&str>, new: Option<&str>| {
        let (old, new) = (timed(old), timed(new));
        let earlier = [Earlier {
            version: 1,
            contract: &old,
        }];
        said(&faults(rule, &earlier, &new))
    };
    let (placed, created) = (Some("placed_at"), Some("created_at"));
    for rule in [
        Compatibility::Backward,
        Compatibility::ForwardTransitive,
        Compatibility::Full,
    ] {
        assert_eq!(
            say(rule, placed, created),
            "eventTime changes from placed_at to created_at, and windows over the stream go by placed_at: keep it"
        );
        assert!(say(rule, placed, None).starts_with("eventTime placed_at is removed"));
        assert_eq!(say(rule, None, placed), "");
        assert_eq!(say(rule, placed, placed), "");
    }
    assert_eq!(say(Compatibility::None, placed, None), "");
}

#[test]
fn what_was_changed_with_permission_is_not_held_against_later_contracts() {
    let mut first = of(&[("a", "string", false), ("b", "string", false)]);
    first.key = vec!["a".into()];
    let mut second = first.clone();
    second.key = vec!["b".into()];
    let accepted = [
        Earlier {
            version: 2,
            contract: &second,
        },
        Earlier {
            version: 1,
            contract: &first,
        },
    ];
    let mut third = second.clone();
    third.fields.push(Field::new("c", "int", true));
    assert!(faults(Compatibility::BackwardTransitive, &accepted, &third).is_empty());
}

#[test]
fn both_modes_permit_or_it_is_refused() {
    let old = of(&[("a", "int", false)]);
    let wider = of(&[("a", "bigint", false)]);
    let earlier = [Earlier {
        version: 1,
        contract: &old,
    }];
    for (accepted, wanted, faults) in [
        (Compatibility::Backward, Compatibility::Backward, 0),
        (Compatibility::Backward, Compatibility::None, 0),
        (Compatibility::Forward, Compatibility::None, 1),
        (Compatibility::None, Compatibility::Forward, 1),
        // One thing is told once.
        (Compatibility::Full, Compatibility::Forward, 1),
    ] {
        let rules = Rules { accepted, wanted };
        let found = rules.faults(&earlier, &wider);
        assert_eq!(found.len(), faults, "{rules}: {found:?}");
    }
}

#[test]
fn the_way_on_is_in_a_condition_however_many_are_hit() {
    let fields: Vec<(String, bool)> = (0..200).map(|n| (format!("field_{n}"), false)).collect();
    let fields: Vec<(&str, &str, bool)> = fields
        .iter()
        .map(|(n, null)| (n.as_str(), "string", *null))
        .collect();
    let old = of(&fields);
    let earlier = [Earlier {
        version: 7,
        contract: &old,
    }];
    let rules = Rules {
        accepted: Compatibility::FullTransitive,
        wanted: Compatibility::BackwardTransitive,
    };
    let new = of(&fields[..1]);
    let name = ("shop", "orders");
    let refusal = refusal(name, rules, &BTreeMap::new(), (&earlier, &[]), &new).expect("refused");
    for (most, shown) in [(crate::status::MAX_MESSAGE, true), (100, false)] {
        let list = |room: usize| "x".repeat(room.min(5_000));
        let text = refusal.message(most, list);
        assert!(text.contains(&refusal.change), "{text}");
        assert_eq!(text.contains("xxx"), shown, "{text}");
        assert!(text.len() <= most || !shown, "{}", text.len());
    }
}

/// What Protobuf's wire hasn't got is the type's default where the type has one. The decoder's test of the same table is
/// `a_new_required_field_is_its_types_default_or_missing` in the connectors.
#[test]
fn in_protobuf_a_new_required_field_passes_where_its_type_has_a_default() {
    let file = |fields: &str| {
        format!(
            "syntax = \"proto3\"; import \"google/protobuf/timestamp.proto\"; message X {{ int32 a = 1; }} message O {{ string a = 1; {fields} }}"
        )
    };
    let with = |type_: &str, field: &str| {
        let mut new = of(&[("a", "string", false), ("b", type_, false)]);
        new.format = Format::Protobuf;
        new.definition = Some(headworks_plan::Definition::of_message(file(field), "O"));
        new
    };
    let mut old = of(&[("a", "string", false)]);
    old.format = Format::Protobuf;
    old.definition = Some(headworks_plan::Definition::of_message(file(""), "O"));
    for (type_, field, passes) in [
        ("boolean", "bool b = 2;", true),
        ("int", "int32 b = 2;", true),
        ("bigint", "int64 b = 2;", true),
        ("float", "float b = 2;", true),
        ("double", "double b = 2;", true),
        ("string", "string b = 2;", true),
        ("bytes", "bytes b = 2;", true),
        ("array<int>", "repeated int32 b = 2;", true),
        ("map<string,int>", "map<string, int32> b = 2;", true),
        ("decimal(20,0)", "uint64 b = 2;", true),
        ("decimal(20,0)", "fixed64 b = 2;", true),
        ("decimal(20,0)", "string b = 2;", false),
        ("decimal(12,2)", "string b = 2;", false),
        ("date", "string b = 2;", false),
        ("time", "string b = 2;", false),
        ("timestamp(3)", "string b = 2;", false),
        (
            "timestamp_ltz(3)",
            "google.protobuf.Timestamp b = 2;",
            false,
        ),
        ("struct<a int>", "X b = 2;", false),
    ] {
        let found = check(Compatibility::Backward, &old, &with(type_, field));
        let expected: &[&str] = if passes { &[] } else { &["b"] };
        assert_eq!(found, expected, "{type_}: {field}");
    }
    // Within a message, too.
    let mut inner = with(
        "array<struct<a int, n decimal(20,0) not null, d date not null>>",
        "",
    );
    inner.definition = Some(headworks_plan::Definition::of_message(
        "syntax = \"proto3\"; message I { optional int32 a = 1; uint64 n = 2; string d = 3; } message O { string a = 1; repeated I b = 2; }",
        "O",
    ));
    let mut before = with("array<struct<a int>>", "");
    before.definition = Some(headworks_plan::Definition::of_message(
        "syntax = \"proto3\"; message I { optional int32 a = 1; } message O { string a = 1; repeated I b = 2; }",
        "O",
    ));
    assert_eq!(check(Compatibility::Backward, &before, &inner), ["b[].d"]);
}

#[test]
fn a_fingerprint_is_of_one_stream_and_one_change() {
    let orders = ("shop", "orders");
    let one = change(orders, "1", "2", &[]);
    assert_eq!(one.len(), 16);
    for other in [
        change(("shop", "order"), "1", "2", &[]),
        change(orders, "2", "1", &[]),
        change(orders, "2", "2", &[]),
    ] {
        assert_ne!(one, other);
    }
    // Never one that was used, and otherwise always the same.
    let second = change(orders, "1", "2", std::slice::from_ref(&one));
    let third = change(orders, "1", "2", &[second.clone(), one.clone()]);
    assert!(one != second && second != third && one != third);
    assert_eq!(change(orders, "1", "2", std::slice::from_ref(&third)), one);
    let annotations = BTreeMap::from([(ANNOTATION_ALLOW_BREAKING.to_owned(), format!(" {one} "))]);
    assert_eq!(permitted(&annotations), Some(one.as_str()));
    assert_eq!(permitted(&BTreeMap::new()), None);
}

#[test]
fn what_changes_is_told_column_by_column() {
    let mut old = of(&[
        ("a", "int", false),
        ("b", "string", true),
        ("c", "date", false),
    ]);
    let mut new = of(&[
        ("a", "bigint", true),
        ("b", "string", true),
        ("d", "date", true),
    ]);
    old.fields[1].labels = vec!["pii".into()];
    new.fields[1].labels = vec!["secret".into()];
    let told: Vec<String> = columns(&old, &new)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        told,
        [
            "a: int → bigint, may be null from now on",
            "b: gains label secret, loses label pii",
            "c: is removed",
            "d: is new (date, may be null)",
        ]
    );
}

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
