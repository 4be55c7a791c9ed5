#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod evolution;
mod refusals;

use std::sync::Arc;

use apache_avro::types::Value;
use apache_avro::{Schema, from_avro_datum, to_avro_datum};
use arrow::array::RecordBatch;
use headworks_engine::format::{DecodeError, Decoder, Encoder};
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
        references: Vec::new(),
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

fn record_of(fields: &str) -> String {
    format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#)
}

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
    let error = decoder.decode(bytes).unwrap_err();
    assert_eq!(decoder.rows(), rows);
    match error {
        DecodeError::Refused { error } => {
            format!("{} [{}] {}", error.reason, error.path, error.message)
        }
        DecodeError::Waits { message } => format!("Waits [] {message}"),
    }
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
