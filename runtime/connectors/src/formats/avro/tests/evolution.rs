//! Records that were written with another definition than the contract's.

use super::*;

#[test]
fn records_of_several_definitions_are_read_in_one_batch() {
    let contract = registered(evolved(), 9, &[(4, OLD)]);
    let mut reading = decoder(&contract);
    let json = r#"{"who":{"age":1,"mail":"m"},"n":1.5,"f":2.0,"text":"t","after":"a","added":3,"level":"LOW"}"#;
    let new = encoded(&contract, &from_json(&contract, &[json.to_owned()])).remove(0);
    assert_eq!(new[..5], [0, 0, 0, 0, 9]);
    reading.decode(&framed(4, &old_record())).unwrap();
    reading.decode(&new).unwrap();
    reading.decode(&framed(4, &old_record())).unwrap();
    let old = r#"{"who":{"age":40,"mail":"-"},"n":-7.0,"f":0.5,"text":"é","after":"b","added":null,"level":"HIGH"}"#;
    assert_eq!(
        to_json(&contract, &reading.finish().unwrap()),
        [old, json, old]
    );
}

#[test]
fn without_a_registry_the_last_definitions_are_told_by_their_fingerprints() {
    let fingerprint = |text: &str| {
        headworks_schema::avro::Avro::parse(text)
            .unwrap()
            .fingerprint()
    };
    let old = [
        &[0xC3, 0x01][..],
        &fingerprint(OLD).to_le_bytes(),
        &old_record(),
    ]
    .concat();
    let mut contract = evolved();
    // Whoever wrote it may have a newer plan: it waits, though not for ever.
    let schemas = Arc::new(Schemas::default());
    let all: Vec<String> = contract.fields.iter().map(|f| f.name.clone()).collect();
    let mut early = AvroDecoder::pruned(&contract, &all, Arc::clone(&schemas)).unwrap();
    let waits = refusal(&mut early, &old);
    assert!(
        waits.starts_with("Waits [] written with a schema that nobody knows (fingerprint ")
            && waits.contains("waits 5 minutes"),
        "{waits}"
    );
    schemas.later(EARLY);
    let bad = refusal(&mut early, &old);
    assert!(bad.starts_with("Decode [] written with a schema that nobody knows"));
    contract.earlier = vec![Definition::new("no schema"), Definition::new(OLD)];
    let mut reading = decoder(&contract);
    reading.decode(&old).unwrap();
    assert_eq!(
        to_json(&contract, &reading.finish().unwrap()),
        [
            r#"{"who":{"age":40,"mail":"-"},"n":-7.0,"f":0.5,"text":"é","after":"b","added":null,"level":"HIGH"}"#
        ]
    );
}

/// What is equal by name goes before what an alias says, whether or not the other column is wanted.
#[test]
fn an_alias_never_takes_a_field_that_another_column_is_named_by() {
    let both = record_of(r#"{"name":"name","type":"string"},{"name":"full_name","type":"string"}"#);
    let contract = registered(
        defined(
            "full_name string",
            &record_of(r#"{"name":"full_name","type":"string","aliases":["name"]}"#),
        ),
        2,
        &[(1, &both)],
    );
    let mut reading = decoder(&contract);
    reading
        .decode(&framed(1, &[2, b'n', 4, b'f', b'n']))
        .unwrap();
    assert_eq!(
        to_json(&contract, &reading.finish().unwrap()),
        [r#"{"full_name":"fn"}"#]
    );
    let contract = registered(
        defined(
            "b string null\na string",
            &record_of(
                r#"{"name":"b","type":["null","string"],"default":null,"aliases":["a"]},{"name":"a","type":"string"}"#,
            ),
        ),
        2,
        &[(1, &record_of(r#"{"name":"a","type":"string"}"#))],
    );
    let json = r#"{"b":null,"a":"x"}"#;
    let own = encoded(&contract, &from_json(&contract, &[json.to_owned()])).remove(0);
    let mut reading = decoder(&contract);
    reading.decode(&own).unwrap();
    reading.decode(&framed(1, &[2, b'x'])).unwrap();
    assert_eq!(to_json(&contract, &reading.finish().unwrap()), [json, json]);
    for wanted in ["a", "b"] {
        let mut pruned =
            AvroDecoder::pruned(&contract, &[wanted.to_owned()], Arc::default()).unwrap();
        pruned.decode(&own).unwrap();
        pruned.decode(&framed(1, &[2, b'x'])).unwrap();
        let nulls = pruned.finish().unwrap().column(0).null_count();
        assert_eq!(nulls, if wanted == "a" { 0 } else { 2 }, "{wanted}");
    }
}

/// Avro 1.12, "Schema Resolution": a symbol that the reader's enum hasn't got is its default. Without one it is
/// handed on: whoever wrote it may know a newer contract already.
#[test]
fn a_symbol_that_the_contract_has_not_got_is_its_default_or_itself() {
    let of = |more: &str| {
        let kind = format!(r#"{{"type":"enum","name":"E","symbols":{more}}}"#);
        record_of(&format!(r#"{{"name":"e","type":["null",{kind}]}}"#))
    };
    let writer = of(r#"["C","A","B"]"#);
    let with = |more: &str| registered(defined("e string null", &of(more)), 2, &[(1, &writer)]);
    let contract = with(r#"["A","B"],"default":"A""#);
    let mut reading = decoder(&contract);
    for symbol in [0, 2, 4] {
        reading.decode(&framed(1, &[2, symbol])).unwrap();
    }
    assert_eq!(
        to_json(&contract, &reading.finish().unwrap()),
        [r#"{"e":"A"}"#, r#"{"e":"A"}"#, r#"{"e":"B"}"#]
    );
    let contract = with(r#"["A","B"]"#);
    let mut reading = decoder(&contract);
    reading.decode(&framed(1, &[2, 2])).unwrap();
    reading.decode(&framed(1, &[2, 0])).unwrap();
    assert_eq!(
        to_json(&contract, &reading.finish().unwrap()),
        [r#"{"e":"A"}"#, r#"{"e":"C"}"#]
    );
    // A contract that is plain text takes any.
    let plain = defined(
        "e string null",
        &record_of(r#"{"name":"e","type":["null","string"]}"#),
    );
    let plain = registered(plain, 2, &[(1, &writer)]);
    let mut reading = decoder(&plain);
    reading.decode(&framed(1, &[2, 0])).unwrap();
    assert_eq!(
        to_json(&plain, &reading.finish().unwrap()),
        [r#"{"e":"C"}"#]
    );
}

/// Ids that anybody makes up don't push out the definition in force.
#[test]
fn foreign_ids_leave_the_own_definition_where_it_is() {
    let other = record_of(r#"{"name":"m","type":"long"}"#);
    let known: Vec<(u32, &str)> = (2..1_100).map(|id| (id, other.as_str())).collect();
    let own = defined("n bigint", &record_of(r#"{"name":"n","type":"long"}"#));
    let mut reading = decoder(&registered(own, 1, &known));
    for (id, _) in known {
        assert!(refusal(&mut reading, &framed(id, &[2])).starts_with("Contract [n] is missing"));
    }
    reading.decode(&framed(1, &[2])).unwrap();
}

/// A fingerprint doesn't see what a number means; the definition in force is what is written now.
#[test]
fn of_equal_fingerprints_the_newest_definition_counts() {
    let at = |unit: &str| {
        record_of(&format!(
            r#"{{"name":"at","type":{{"type":"long","logicalType":"timestamp-{unit}"}}}}"#
        ))
    };
    let with = |unit: &str, more: &str| {
        at(unit).replace("]}", &format!(r#",{{"name":"x","type":"int"{more}}}]}}"#))
    };
    let mut contract = defined(
        "at timestamp_ltz(6)\nx int",
        &with("micros", r#","default":0"#),
    );
    let earlier = [at("micros"), at("millis"), with("nanos", "")];
    contract.earlier = earlier.map(Definition::new).to_vec();
    let own = r#"{"at":"2026-01-01T00:00:00.123456Z","x":1}"#;
    let own_bytes = encoded(&contract, &from_json(&contract, &[own.to_owned()])).remove(0);
    let before = Contract {
        definition: Some(Definition::new(at("micros"))),
        ..self::contract("at timestamp_ltz(6)")
    };
    let json = r#"{"at":"2026-01-01T00:00:00.123456Z"}"#;
    let old = encoded(&before, &from_json(&before, &[json.to_owned()])).remove(0);
    let mut reading = decoder(&contract);
    reading.decode(&own_bytes).unwrap();
    reading.decode(&old).unwrap();
    assert_eq!(
        to_json(&contract, &reading.finish().unwrap()),
        [own, &json.replace('}', r#","x":0}"#)]
    );
}

/// What evolution lets pass as readable is read: each type as each that it is promoted to.
#[test]
fn what_was_written_narrower_is_read() {
    for (old, new, sql, bytes, json) in [
        ("int", "long", "bigint", &[3][..], "-2"),
        ("int", "float", "float", &[3], "-2.0"),
        ("int", "double", "double", &[3], "-2.0"),
        ("long", "float", "float", &[3], "-2.0"),
        ("long", "double", "double", &[3], "-2.0"),
        ("float", "double", "double", &[0, 0, 0, 0x3f], "0.5"),
        ("string", "bytes", "bytes", &[2, b'a'], r#""YQ==""#),
        ("bytes", "string", "string", &[2, b'a'], r#""a""#),
    ] {
        let of = |kind: &str| record_of(&format!(r#"{{"name":"x","type":"{kind}"}}"#));
        let contract = registered(defined(&format!("x {sql}"), &of(new)), 2, &[(1, &of(old))]);
        let mut reading = decoder(&contract);
        reading
            .decode(&framed(1, bytes))
            .unwrap_or_else(|e| panic!("{old} as {new}: {e}"));
        assert_eq!(
            to_json(&contract, &reading.finish().unwrap()),
            [format!(r#"{{"x":{json}}}"#)],
            "{old} as {new}"
        );
    }
}
