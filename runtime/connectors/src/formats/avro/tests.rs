#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;

use apache_avro::types::Value;
use apache_avro::{Schema, from_avro_datum, to_avro_datum};
use arrow::array::RecordBatch;
use headworks_engine::format::{Decoder, Encoder, RowError};
use headworks_plan::{Contract, Definition, Format, KnownSchema, Registered, UnknownFields};
use headworks_schema::avro::from_contract;
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};

use super::super::json::tests::random::random_record;
use super::super::json::tests::{contract, everything};
use super::super::json::{JsonDecoder, JsonEncoder};
use super::super::schemas::{EARLY, Schemas};
use super::{AvroDecoder, AvroEncoder};

fn in_avro(contract: Contract) -> Contract {
    let definition = from_contract(&contract, "shop.orders").unwrap();
    Contract {
        format: Format::Avro,
        definition: Some(definition),
        key: vec![],
        ..contract
    }
}

/// Read by a definition that others wrote.
fn defined(lines: &str, schema: &str) -> Contract {
    Contract {
        format: Format::Avro,
        definition: Some(Definition::new(schema)),
        ..contract(lines)
    }
}

fn registered(contract: Contract, id: u32, known: &[(u32, &str)]) -> Contract {
    let known = known.iter().map(|(id, schema)| KnownSchema {
        id: *id,
        schema: (*schema).to_owned(),
    });
    Contract {
        registered: Some(Registered {
            subject: "s".into(),
            id,
            known: known.collect(),
        }),
        ..contract
    }
}

fn decoder(contract: &Contract) -> AvroDecoder {
    let all: Vec<String> = contract.fields.iter().map(|f| f.name.clone()).collect();
    AvroDecoder::pruned(contract, &all, Arc::default()).unwrap()
}

fn from_json(contract: &Contract, records: &[String]) -> RecordBatch {
    let mut decoder = JsonDecoder::whole(contract, UnknownFields::Ignore).unwrap();
    for record in records {
        decoder.decode(record.as_bytes()).unwrap();
    }
    decoder.finish().unwrap()
}

fn to_json(contract: &Contract, batch: &RecordBatch) -> Vec<String> {
    let mut encoder = JsonEncoder::new(contract).unwrap();
    let rows = (0..batch.num_rows()).map(|row| {
        let mut out = Vec::new();
        encoder.encode(batch, row, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    });
    rows.collect()
}

fn encoded(contract: &Contract, batch: &RecordBatch) -> Vec<Vec<u8>> {
    let mut encoder = AvroEncoder::new(contract).unwrap();
    let rows = (0..batch.num_rows()).map(|row| {
        let mut out = Vec::new();
        encoder.encode(batch, row, &mut out).unwrap();
        out
    });
    rows.collect()
}

fn framed(id: u32, body: &[u8]) -> Vec<u8> {
    let mut record = vec![0];
    record.extend_from_slice(&id.to_be_bytes());
    record.extend_from_slice(body);
    record
}

/// Any value of any type: what we write another implementation reads, and what it writes of that we read back.
#[test]
fn what_is_written_reads_back_equal_and_others_read_it() {
    let contract = in_avro(everything());
    let text = contract.definition.clone().unwrap().schema;
    let schema = Schema::parse_str(&text).unwrap();
    for seed in 0..200 {
        let mut rng = StdRng::seed_from_u64(seed);
        let records: Vec<String> = (0..rng.random_range(1..12))
            .map(|_| random_record(&mut rng))
            .collect();
        // Whole seconds go as milliseconds and come back as they were.
        let batch = from_json(&contract, &records);
        let (mut ours, mut theirs) = (decoder(&contract), decoder(&contract));
        for bytes in encoded(&contract, &batch) {
            ours.decode(&bytes)
                .unwrap_or_else(|e| panic!("seed {seed}: {e}"));
            let (head, mut body) = bytes.split_at(10);
            let value = from_avro_datum(&schema, &mut body, None)
                .unwrap_or_else(|e| panic!("seed {seed}: {e}"));
            assert!(body.is_empty(), "seed {seed}");
            let mut again = head.to_vec();
            again.extend(to_avro_datum(&schema, value).unwrap());
            theirs
                .decode(&again)
                .unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        }
        assert_eq!(ours.finish().unwrap(), batch, "seed {seed}");
        // Their maps have no order.
        let values = |batch: &RecordBatch| -> Vec<serde_json::Value> {
            let lines = to_json(&contract, batch).into_iter();
            lines
                .map(|line| serde_json::from_str(&line).unwrap())
                .collect()
        };
        assert_eq!(
            values(&theirs.finish().unwrap()),
            values(&batch),
            "seed {seed}"
        );
    }
}

#[test]
fn another_implementations_values_mean_the_same_here() {
    let schema = r#"{"type":"record","name":"R","fields":[
      {"name":"state","type":{"type":"enum","name":"S","symbols":["NEW","PAID"]}},
      {"name":"price","type":{"type":"fixed","name":"P","size":6,"logicalType":"decimal","precision":12,"scale":2}},
      {"name":"cost","type":{"type":"bytes","logicalType":"decimal","precision":12,"scale":2}},
      {"name":"at","type":{"type":"long","logicalType":"timestamp-nanos"}},
      {"name":"of_day","type":{"type":"int","logicalType":"time-millis"}},
      {"name":"day","type":{"type":"int","logicalType":"date"}},
      {"name":"note","type":["string","null"]},
      {"name":"tags","type":{"type":"map","values":"int"}},
      {"name":"lines","type":{"type":"array","items":"string"}}
    ]}"#;
    let contract = defined(
        "state string\nprice decimal(12,2)\ncost decimal(12,2)\nat timestamp_ltz(6)\nof_day time\nday date\nnote string null\ntags map<string,int>\nlines array<string>",
        schema,
    );
    let json = r#"{"state":"PAID","price":"-12.34","cost":"-0.01","at":"2026-01-01T00:00:00.123456Z","of_day":"23:59:59.999","day":"1969-12-31","note":null,"tags":{"a":-1},"lines":["x",""]}"#;
    let batch = from_json(&contract, &[json.to_owned()]);
    let bytes = encoded(&contract, &batch).remove(0);
    let mut body = &bytes[10..];
    let value = from_avro_datum(&Schema::parse_str(schema).unwrap(), &mut body, None).unwrap();
    let Value::Record(fields) = &value else {
        panic!("{value:?}")
    };
    let field = |name: &str| &fields.iter().find(|(n, _)| n == name).unwrap().1;
    assert_eq!(field("state"), &Value::Enum(1, "PAID".into()));
    assert_eq!(
        field("at"),
        &Value::TimestampNanos(1_767_225_600_123_456_000)
    );
    assert_eq!(field("of_day"), &Value::TimeMillis(86_399_999));
    assert_eq!(field("day"), &Value::Date(-1));
    assert_eq!(field("note"), &Value::Union(1, Box::new(Value::Null)));
    let mut decoder = decoder(&contract);
    decoder.decode(&bytes).unwrap();
    assert_eq!(to_json(&contract, &decoder.finish().unwrap()), [json]);
    // What the definition can't hold is refused by its place.
    for (from, to, said) in [
        ("PAID", "LOST", "field state: is none of the enum's symbols"),
        (
            r#"["x",""]"#,
            "[null]",
            "field lines[0]: is null; string is required by the definition",
        ),
    ] {
        let batch = from_json(&contract, &[json.replace(from, to)]);
        let refused = AvroEncoder::new(&contract)
            .unwrap()
            .encode(&batch, 0, &mut Vec::new())
            .unwrap_err();
        assert!(
            refused
                .to_string()
                .contains(said.split_once(": ").unwrap().1),
            "{refused}"
        );
    }
}

const OLD: &str = r#"{"type":"record","name":"R","fields":[
  {"name":"gone","type":{"type":"array","items":{"type":"record","name":"G","fields":[{"name":"g","type":["null","G"]}]}}},
  {"name":"n","type":"int"},
  {"name":"f","type":"float"},
  {"name":"text","type":"bytes"},
  {"name":"before","type":"string"},
  {"name":"who","type":{"type":"record","name":"W","fields":[{"name":"first","type":"string"},{"name":"age","type":"int"}]}}
]}"#;

const NEW: &str = r#"{"type":"record","name":"R","fields":[
  {"name":"who","type":{"type":"record","name":"W","fields":[{"name":"age","type":"long"},{"name":"mail","type":"string","default":"-"}]}},
  {"name":"n","type":["null","double"],"default":null},
  {"name":"f","type":"double"},
  {"name":"text","type":"string"},
  {"name":"after","aliases":["before"],"type":"string"},
  {"name":"added","type":["null","int"],"default":null},
  {"name":"level","type":{"type":"enum","name":"L","symbols":["LOW","HIGH"]},"default":"HIGH"}
]}"#;

fn evolved() -> Contract {
    defined(
        "who struct<age bigint not null, mail string not null>\nn double null\nf double\ntext string\nafter string\nadded int null\nlevel string",
        NEW,
    )
}

fn old_record() -> Vec<u8> {
    let schema = Schema::parse_str(OLD).unwrap();
    let inner = Value::Record(vec![(
        "g".into(),
        Value::Union(
            1,
            Box::new(Value::Record(vec![(
                "g".into(),
                Value::Union(0, Box::new(Value::Null)),
            )])),
        ),
    )]);
    let value = Value::Record(vec![
        ("gone".into(), Value::Array(vec![inner.clone(), inner])),
        ("n".into(), Value::Int(-7)),
        ("f".into(), Value::Float(0.5)),
        ("text".into(), Value::Bytes("é".into())),
        ("before".into(), Value::String("b".into())),
        (
            "who".into(),
            Value::Record(vec![
                ("first".into(), Value::String("x".into())),
                ("age".into(), Value::Int(40)),
            ]),
        ),
    ]);
    to_avro_datum(&schema, value).unwrap()
}

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
    contract.earlier = vec!["no schema".into(), OLD.into()];
    let mut reading = decoder(&contract);
    reading.decode(&old).unwrap();
    assert_eq!(
        to_json(&contract, &reading.finish().unwrap()),
        [
            r#"{"who":{"age":40,"mail":"-"},"n":-7.0,"f":0.5,"text":"é","after":"b","added":null,"level":"HIGH"}"#
        ]
    );
}

#[test]
fn only_the_columns_that_are_asked_for_are_built() {
    let contract = registered(evolved(), 9, &[(4, OLD)]);
    let wanted = ["level".to_owned(), "f".to_owned()];
    let mut reading = AvroDecoder::pruned(&contract, &wanted, Arc::default()).unwrap();
    reading.decode(&framed(4, &old_record())).unwrap();
    let batch = reading.finish().unwrap();
    let schema = batch.schema();
    let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    assert_eq!(names, ["level", "f"]);
    assert_eq!(batch.num_rows(), 1);
}

fn refusal(decoder: &mut AvroDecoder, bytes: &[u8]) -> String {
    let rows = decoder.rows();
    let RowError {
        reason,
        path,
        message,
    } = decoder.decode(bytes).unwrap_err();
    assert_eq!(decoder.rows(), rows);
    format!("{reason} [{path}] {message}")
}

#[test]
fn a_bad_record_is_refused_with_its_place_and_leaves_no_trace() {
    let other = r#"{"type":"record","name":"R","fields":[{"name":"n","type":"string"}]}"#;
    let contract = registered(
        defined(
            "n bigint\nitems array<struct<sku string not null, qty int>>",
            r#"{"type":"record","name":"R","fields":[{"name":"n","type":"long"},{"name":"items","type":{"type":"array","items":{"type":"record","name":"I","fields":[{"name":"sku","type":["null","string"]},{"name":"qty","type":"int"}]}}}]}"#,
        ),
        1,
        &[
            (2, other),
            (3, "{}"),
            (
                4,
                r#"{"type":"record","name":"R","fields":[{"name":"n","type":"long"}]}"#,
            ),
        ],
    );
    let mut reading = decoder(&contract);
    let good = framed(1, &[2, 2, 2, 2, b'x', 4, 0]);
    let cases: Vec<Vec<u8>> = vec![
        vec![],
        vec![0, 0, 0, 0],
        b"{\"n\":1}".to_vec(),
        framed(1, &[]),
        framed(1, &[2]),
        framed(1, &[2, 2, 2, 20, b'x']),
        framed(1, &[2, 2, 6, 0]),
        // A null sku, a sku that is no UTF-8, bytes left over.
        framed(1, &[2, 4, 2, 2, b'x', 4, 0, 4, 0]),
        framed(1, &[2, 2, 2, 2, 0xff, 4, 0]),
        framed(1, &[2, 0, 0]),
        // Two thousand million items.
        framed(1, &[2, 0xfe, 0xff, 0xff, 0xff, 0x0f, 0]),
        framed(2, &[2, b'x']),
        framed(3, &[]),
        framed(4, &[2]),
        framed(77, &[2]),
    ];
    reading.decode(&good).unwrap();
    let said: Vec<String> = cases
        .iter()
        .map(|case| refusal(&mut reading, case))
        .collect();
    reading.decode(&good).unwrap();
    insta::assert_snapshot!(said.join("\n"));
    let row = r#"{"n":1,"items":[{"sku":"x","qty":2}]}"#;
    assert_eq!(to_json(&contract, &reading.finish().unwrap()), [row, row]);
    // Without a registry a record names its schema by its fingerprint.
    let alone = in_avro(self::contract("n bigint"));
    let batch = from_json(&alone, &[r#"{"n":5}"#.to_owned()]);
    let mut bytes = encoded(&alone, &batch).remove(0);
    let mut reading = decoder(&alone);
    reading.decode(&bytes).unwrap();
    bytes[5] ^= 1;
    assert!(refusal(&mut reading, &bytes).contains("schema that nobody knows"));
    assert!(refusal(&mut reading, &bytes[..9]).contains("single-object encoding"));
}

#[test]
fn random_bytes_and_damaged_records_never_panic() {
    let contract = in_avro(everything());
    let mut rng = StdRng::seed_from_u64(11);
    let mut reading = decoder(&contract);
    let mut taken = 0;
    for round in 0..10_000 {
        let record = random_record(&mut rng);
        let batch = from_json(&contract, &[record]);
        let mut bytes = encoded(&contract, &batch).remove(0);
        if round % 5 == 0 {
            rng.fill_bytes(&mut bytes[10..]);
        }
        for _ in 0..rng.random_range(0..4) {
            let at = rng.random_range(10..bytes.len());
            match rng.random_range(0..3) {
                0 => bytes[at] = rng.random(),
                1 => bytes.truncate(at + 1),
                _ => bytes.insert(at, rng.random()),
            }
        }
        taken += usize::from(reading.decode(&bytes).is_ok());
        if round % 500 == 0 {
            to_json_or_refused(&contract, &reading.finish().unwrap());
        }
    }
    assert!(
        taken > 1_000,
        "the damage must leave some records whole: {taken}"
    );
}

/// NaN can be in Avro and not in JSON; all else can be written.
fn to_json_or_refused(contract: &Contract, batch: &RecordBatch) {
    let mut encoder = JsonEncoder::new(contract).unwrap();
    for row in 0..batch.num_rows() {
        if let Err(error) = encoder.encode(batch, row, &mut Vec::new()) {
            assert!(error.to_string().contains("NaN"), "{error}");
        }
    }
}

#[test]
fn a_definition_that_is_not_the_contracts_is_refused() {
    let wrong = defined(
        "n bigint\nm int",
        r#"{"type":"record","name":"R","fields":[{"name":"n","type":"string"},{"name":"m","type":"int"}]}"#,
    );
    let said = AvroEncoder::new(&wrong).err().unwrap().to_string();
    assert!(
        said.contains("is bigint in the contract, and string in the definition"),
        "{said}"
    );
    let lacks = defined(
        "n bigint\nm int",
        r#"{"type":"record","name":"R","fields":[{"name":"n","type":"long"}]}"#,
    );
    let said = AvroEncoder::new(&lacks).err().unwrap().to_string();
    assert!(
        said.contains("field m: the definition doesn't have it"),
        "{said}"
    );
    let _: Arc<Schemas> = Arc::default();
}

/// Sixteen bytes, which the other implementation doesn't read.
#[test]
fn a_uuid_is_text() {
    let contract = defined(
        "id string",
        r#"{"type":"record","name":"R","fields":[{"name":"id","type":{"type":"fixed","name":"Id","size":16,"logicalType":"uuid"}}]}"#,
    );
    let json = r#"{"id":"12345678-9abc-def0-1234-56789abcdef0"}"#;
    let bytes = encoded(&contract, &from_json(&contract, &[json.to_owned()])).remove(0);
    assert_eq!(bytes[10..14], [0x12, 0x34, 0x56, 0x78]);
    let mut reading = decoder(&contract);
    reading.decode(&bytes).unwrap();
    assert_eq!(to_json(&contract, &reading.finish().unwrap()), [json]);
    let batch = from_json(&contract, &[json.replace('8', "x")]);
    let refused = AvroEncoder::new(&contract)
        .unwrap()
        .encode(&batch, 0, &mut Vec::new())
        .unwrap_err();
    assert!(
        refused.to_string().contains("field id: is no UUID"),
        "{refused}"
    );
}

fn record_of(fields: &str) -> String {
    format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#)
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

/// A writer's schema is anybody's who may write to the registry.
#[test]
fn no_schema_makes_a_short_record_a_long_work() {
    // Each record holds fifty of the next, the last holds nothing: fifty to the tenth values, and not a byte.
    let mut empties = r#"{"type":"record","name":"R10","fields":[]}"#.to_owned();
    for level in (0..10).rev() {
        let more: Vec<String> = (1..50)
            .map(|i| format!(r#",{{"name":"f{i}","type":"R{}"}}"#, level + 1))
            .collect();
        let more = more.concat();
        empties = format!(
            r#"{{"type":"record","name":"R{level}","fields":[{{"name":"f0","type":{empties}}}{more}]}}"#
        );
    }
    // Four records to choose from, at each of twelve levels.
    let mut forks = r#""int""#.to_owned();
    for level in 0..12 {
        let kind = |kind: &str, of: &str| {
            format!(
                r#"{{"type":"record","name":"{kind}{level}","fields":[{{"name":"s","type":{of}}}]}}"#
            )
        };
        // A name is declared once.
        let again = if level == 0 {
            r#""int""#.to_owned()
        } else {
            let names = ["a", "b", "c", "d"].map(|kind| format!(r#""{kind}{}""#, level - 1));
            format!("[{}]", names.join(","))
        };
        let others = ["b", "c", "d"].map(|name| kind(name, &again));
        forks = format!("[{},{}]", kind("a", &forks), others.join(","));
    }
    let nulls = record_of(r#"{"name":"x","type":{"type":"array","items":"null"}}"#);
    let mut deep = "int".to_owned();
    for _ in 0..12 {
        deep = format!("struct<s {deep}>");
    }
    let kept = r#"{"name":"n","type":"int"}"#;
    let contract = registered(
        defined(&format!("n int\ns {deep} null"), &{
            let mut own = r#""int""#.to_owned();
            for level in 0..12 {
                own = format!(
                    r#"{{"type":"record","name":"S{level}","fields":[{{"name":"s","type":["null",{own}]}}]}}"#
                );
            }
            record_of(&format!(
                r#"{kept},{{"name":"s","type":["null",{own}],"default":null}}"#
            ))
        }),
        9,
        &[
            (
                1,
                &record_of(&format!(r#"{{"name":"x","type":{empties}}},{kept}"#)),
            ),
            (
                2,
                &record_of(&format!(r#"{{"name":"s","type":{forks}}},{kept}"#)),
            ),
            (3, &nulls),
        ],
    );
    let start = std::time::Instant::now();
    let mut reading = decoder(&contract);
    let said = [
        refusal(&mut reading, &framed(1, &[2])),
        refusal(&mut reading, &framed(2, &[2])),
        refusal(
            &mut reading,
            &framed(
                3,
                &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0],
            ),
        ),
    ];
    assert!(start.elapsed().as_secs() < 2, "{:?}", start.elapsed());
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn text_that_the_definition_calls_a_uuid_is_one() {
    let contract = defined(
        "id string",
        &record_of(r#"{"name":"id","type":{"type":"string","logicalType":"uuid"}}"#),
    );
    let write = |id: &str| {
        let batch = from_json(&contract, &[format!(r#"{{"id":"{id}"}}"#)]);
        let mut out = Vec::new();
        let written = AvroEncoder::new(&contract)
            .unwrap()
            .encode(&batch, 0, &mut out);
        written.map(|()| out[10..].to_vec())
    };
    let id = "12345678-9abc-def0-1234-56789abcdef0";
    assert_eq!(write(id).unwrap()[1..], *id.as_bytes());
    let refused = write("x").unwrap_err().to_string();
    assert!(refused.contains("field id: is no UUID"), "{refused}");
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
    contract.earlier = vec![at("micros"), at("millis"), with("nanos", "")];
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
