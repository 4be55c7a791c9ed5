#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod evolution;
mod oneof;
mod refusals;

use std::sync::Arc;

use arrow::array::RecordBatch;
use headworks_engine::format::{Decoder, Encoder};
use headworks_plan::{Contract, Definition, Format, KnownSchema, Registered, UnknownFields};
use headworks_schema::protobuf::from_contract;
use prost_reflect::DynamicMessage;
use prost_reflect::prost::Message as _;
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};
use serde_json::Value;

use super::super::json::tests::random::random_record;
use super::super::json::tests::{contract, everything};
use super::super::json::{JsonDecoder, JsonEncoder};
use super::{ProtobufDecoder, ProtobufEncoder, definition};

fn in_protobuf(contract: Contract) -> Contract {
    let definition = from_contract(&contract, "shop.orders", None).unwrap();
    Contract {
        format: Format::Protobuf,
        definition: Some(definition),
        key: vec![],
        ..contract
    }
}

fn defined(lines: &str, schema: &str, message: &str) -> Contract {
    Contract {
        format: Format::Protobuf,
        definition: Some(Definition::of_message(
            format!(
                "syntax = \"proto3\";\nimport \"google/protobuf/timestamp.proto\";\nimport \"google/protobuf/wrappers.proto\";\n{schema}"
            ),
            message,
        )),
        ..contract(lines)
    }
}

fn decoder(contract: &Contract) -> ProtobufDecoder {
    let all: Vec<String> = contract.fields.iter().map(|f| f.name.clone()).collect();
    ProtobufDecoder::pruned(contract, &all, Arc::default()).unwrap()
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
    let mut encoder = ProtobufEncoder::new(contract).unwrap();
    let rows = (0..batch.num_rows()).map(|row| {
        let mut out = Vec::new();
        encoder.encode(batch, row, &mut out).unwrap();
        out
    });
    rows.collect()
}

/// Takes out what Protobuf can't say: null in lists and maps, and lists and maps that are null.
fn sayable(record: &str) -> String {
    fn without_null(value: &mut Value) {
        match value {
            Value::Array(items) => {
                items.retain(|item| !item.is_null());
                items.iter_mut().for_each(without_null);
            }
            Value::Object(members) => {
                members.retain(|_, member| !member.is_null());
                members.values_mut().for_each(without_null);
            }
            _ => {}
        }
    }
    let mut value: Value = serde_json::from_str(record).unwrap();
    without_null(&mut value);
    let object = value.as_object_mut().unwrap();
    object.entry("m").or_insert(Value::Array(vec![]));
    object
        .entry("n")
        .or_insert_with(|| Value::Object(serde_json::Map::new()));
    value.to_string()
}

/// As strings where serde_json's own numbers would lose digits.
fn sayable_record(rng: &mut StdRng) -> String {
    sayable(&random_record(rng))
}

/// Any value of any type: what we write another implementation reads, and what it writes of that we read back.
#[test]
fn what_is_written_reads_back_equal_and_others_read_it() {
    let contract = in_protobuf(everything());
    let message = definition(&contract).unwrap();
    for seed in 0..200 {
        let mut rng = StdRng::seed_from_u64(seed);
        let records: Vec<String> = (0..rng.random_range(1..12))
            .map(|_| sayable_record(&mut rng))
            .collect();
        let batch = from_json(&contract, &records);
        let (mut ours, mut theirs) = (decoder(&contract), decoder(&contract));
        for bytes in encoded(&contract, &batch) {
            ours.decode(&bytes)
                .unwrap_or_else(|e| panic!("seed {seed}: {e}"));
            let dynamic = DynamicMessage::decode(message.clone(), bytes.as_slice()).unwrap();
            assert_eq!(dynamic.unknown_fields().count(), 0, "seed {seed}");
            theirs
                .decode(&dynamic.encode_to_vec())
                .unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        }
        assert_eq!(ours.finish().unwrap(), batch, "seed {seed}");
        // Their maps have no order.
        let values = |batch: &RecordBatch| -> Vec<Value> {
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

const ORDER: &str = "
  package shop;
  enum State { UNKNOWN = 0; PAID = 1; }
  message Unused { string x = 1; }
  message Outer { message Order {
    string id = 1;
    State state = 2;
    optional sint32 s = 3;
    uint64 u = 4;
    fixed32 f = 5;
    sfixed64 g = 300;
    google.protobuf.StringValue note = 7;
    google.protobuf.Timestamp at = 8;
    repeated sint64 numbers = 9;
    map<string, Unused> named = 10;
    oneof how { string card = 11; Unused invoice = 12; }
    bool yes = 13;
    string price = 14;
  } }";

fn order() -> Contract {
    defined(
        "id string\nstate string\ns int null\nu decimal(20,0)\nf bigint\ng bigint\nnote string null\nat timestamp_ltz(6) null\nnumbers array<bigint>\nnamed map<string,struct<x string not null>>\ncard string null\ninvoice struct<x string not null> null\nyes boolean\nprice decimal(12,2) null",
        ORDER,
        "shop.Outer.Order",
    )
}

#[test]
fn another_implementations_values_mean_the_same_here() {
    let contract = order();
    let json = r#"{"id":"a","state":"PAID","s":-3,"u":"18446744073709551615","f":4294967295,"g":-5,"note":"","at":"1969-12-31T23:59:59.000001Z","numbers":[-1,0,300],"named":{"k":{"x":""}},"card":null,"invoice":{"x":"i"},"yes":true,"price":"-0.50"}"#;
    let bytes = encoded(&contract, &from_json(&contract, &[json.to_owned()])).remove(0);
    let message = definition(&contract).unwrap();
    let dynamic = DynamicMessage::decode(message, bytes.as_slice()).unwrap();
    let said = |name: &str| format!("{:?}", dynamic.get_field_by_name(name).unwrap());
    assert_eq!(said("state"), "EnumNumber(1)");
    assert_eq!(said("s"), "I32(-3)");
    assert_eq!(said("u"), "U64(18446744073709551615)");
    assert_eq!(said("g"), "I64(-5)");
    assert_eq!(said("numbers"), "List([I64(-1), I64(0), I64(300)])");
    let mut reading = decoder(&contract);
    reading.decode(&bytes).unwrap();
    // Nothing at all: what isn't there is null where the definition can tell, and else the type's default.
    reading.decode(&[]).unwrap();
    let empty = r#"{"id":"","state":"UNKNOWN","s":null,"u":"0","f":0,"g":0,"note":null,"at":null,"numbers":[],"named":{},"card":null,"invoice":null,"yes":false,"price":null}"#;
    assert_eq!(
        to_json(&contract, &reading.finish().unwrap()),
        [json, empty]
    );
    // The default isn't written.
    let batch = from_json(&contract, &[empty.to_owned()]);
    assert_eq!(encoded(&contract, &batch), [Vec::<u8>::new()]);
}

#[test]
fn fields_may_come_in_any_order_more_than_once_and_unpacked() {
    let contract = defined(
        "a int\nlist array<int>\nwho struct<x int, y int> null\nstate string",
        "enum E { ZERO = 0; } message W { optional int32 x = 1; optional int32 y = 2; } message R { int32 a = 1; repeated int32 list = 2; W who = 3; E state = 4; }",
        "R",
    );
    let mut reading = decoder(&contract);
    // list unpacked, unknown field 9 of each wire type, who in two halves, list packed, a twice, an enum nobody knows.
    reading
        .decode(&[
            0x10, 5, 0x48, 1, 0x49, 1, 2, 3, 4, 5, 6, 7, 8, 0x4a, 1, 0, 0x4d, 1, 2, 3, 4, 0x4b,
            0x48, 1, 0x4c, 0x1a, 2, 8, 1, 0x12, 2, 6, 7, 0x08, 1, 0x1a, 2, 16, 2, 0x10, 8, 0x08, 3,
            0x20, 6,
        ])
        .unwrap();
    assert_eq!(
        to_json(&contract, &reading.finish().unwrap()),
        [r#"{"a":3,"list":[5,6,7,8],"who":{"x":1,"y":2},"state":"6"}"#]
    );
}

fn refusal(decoder: &mut ProtobufDecoder, bytes: &[u8]) -> String {
    let rows = decoder.rows();
    let error = decoder.decode(bytes).unwrap_err().refused().unwrap();
    assert_eq!(decoder.rows(), rows);
    format!("{} [{}] {}", error.reason, error.path, error.message)
}

fn write(contract: &Contract, json: &str) -> Result<Vec<u8>, String> {
    let batch = from_json(contract, &[json.to_owned()]);
    let mut out = Vec::new();
    let written = ProtobufEncoder::new(contract)
        .unwrap()
        .encode(&batch, 0, &mut out);
    written.map(|()| out).map_err(|error| error.to_string())
}

#[test]
fn only_the_columns_that_are_asked_for_are_built() {
    let contract = order();
    let wanted = ["yes".to_owned(), "state".to_owned()];
    let mut reading = ProtobufDecoder::pruned(&contract, &wanted, Arc::default()).unwrap();
    // A price that is none, and an id that is no UTF-8: nobody asked.
    reading
        .decode(b"\x0a\x01\xff\x10\x01\x68\x01\x72\x01x")
        .unwrap();
    let batch = reading.finish().unwrap();
    let schema = batch.schema();
    let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    assert_eq!(names, ["yes", "state"]);
    assert_eq!(batch.num_rows(), 1);
}
