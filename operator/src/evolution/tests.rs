use headworks_plan::{Field, Format};

use super::*;

mod written;

fn of(fields: &[(&str, &str, bool)]) -> Contract {
    Contract {
        fields: fields
            .iter()
            .map(|(name, type_, nullable)| Field {
                name: (*name).into(),
                type_: (*type_).into(),
                nullable: *nullable,
                labels: vec![],
            })
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
    third.fields.push(Field {
        name: "c".into(),
        type_: "int".into(),
        nullable: true,
        labels: vec![],
    });
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
