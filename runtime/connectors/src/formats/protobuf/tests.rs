#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;

use arrow::array::RecordBatch;
use headworks_engine::format::{Decoder, Encoder, RowError};
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

fn refusal(decoder: &mut ProtobufDecoder, bytes: &[u8]) -> String {
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
    let contract = defined(
        "price decimal(4,2)\nat timestamp_ltz(3)\nitems array<struct<sku string not null, day date>>\ntags map<string,int> null",
        "message R { string price = 1; google.protobuf.Timestamp at = 2; message I { string sku = 1; optional string day = 2; } repeated I items = 3; map<string, int32> tags = 4; }",
        "R",
    );
    let mut reading = decoder(&contract);
    let json = r#"{"price":"1.00","at":"1970-01-01T00:00:01.000Z","items":[{"sku":"x","day":"2026-01-01"}],"tags":{"k":1}}"#;
    let good = encoded(&contract, &from_json(&contract, &[json.to_owned()])).remove(0);
    reading.decode(&good).unwrap();
    let head = [&b"\x0a\x041.00\x12\x02\x08\x01"[..], &[]].concat();
    let with = |more: &[u8]| [head.as_slice(), more].concat();
    let cases: Vec<Vec<u8>> = vec![
        vec![],
        good[..good.len() - 1].to_vec(),
        b"\x0a\x041.00".to_vec(),
        b"\x0a\x05100.0\x12\x00".to_vec(),
        with(b"\x1a\x03\x0a\x01x\x1a\x04\x0a\x02\xff\xff"),
        with(b"\x1a\x06\x12\x04nope"),
        with(b"\x12\x0a\x08\xff\xff\xff\xff\xff\xff\xff\xff\x7f"),
        with(b"\x08\x01"),
        with(b"\x00"),
        with(b"\x0b\x0b\x0b"),
        b"{\"price\":1}".to_vec(),
    ];
    let said: Vec<String> = cases
        .iter()
        .map(|case| refusal(&mut reading, case))
        .collect();
    insta::assert_snapshot!(said.join("\n"));
    reading.decode(&good).unwrap();
    assert_eq!(to_json(&contract, &reading.finish().unwrap()), [json, json]);
    // What Protobuf can't say is refused by its place when it is written.
    let null = json.replace(r#""items":[{"#, r#""items":[null,{"#);
    let batch = from_json(&contract, &[null]);
    let refused = ProtobufEncoder::new(&contract)
        .unwrap()
        .encode(&batch, 0, &mut Vec::new())
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("items[0]: is null, and a list or map of Protobuf can't hold null"),
        "{refused}"
    );
}

#[test]
fn random_bytes_and_damaged_records_never_panic() {
    let contract = in_protobuf(everything());
    let mut rng = StdRng::seed_from_u64(13);
    let mut reading = decoder(&contract);
    let mut taken = 0;
    for round in 0..10_000 {
        let batch = from_json(&contract, &[sayable_record(&mut rng)]);
        let mut bytes = encoded(&contract, &batch).remove(0);
        if round % 5 == 0 {
            rng.fill_bytes(&mut bytes);
        }
        for _ in 0..rng.random_range(0..4) {
            if bytes.is_empty() {
                break;
            }
            let at = rng.random_range(0..bytes.len());
            match rng.random_range(0..3) {
                0 => bytes[at] = rng.random(),
                1 => bytes.truncate(at),
                _ => bytes.insert(at, rng.random()),
            }
        }
        taken += usize::from(reading.decode(&bytes).is_ok());
        if round % 500 == 0 {
            reading.finish().unwrap();
        }
    }
    assert!(
        taken > 1_000,
        "the damage must leave some records whole: {taken}"
    );
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
fn a_number_that_32_bits_without_a_sign_do_not_hold_is_refused() {
    let contract = defined(
        "n bigint\nf bigint\nw bigint null\nmany array<bigint>",
        "message R { uint32 n = 1; fixed32 f = 2; google.protobuf.UInt32Value w = 3; repeated fixed32 many = 4; }",
        "R",
    );
    let good = r#"{"n":4294967295,"f":4294967295,"w":4294967295,"many":[0,4294967295]}"#;
    let mut reading = decoder(&contract);
    reading.decode(&write(&contract, good).unwrap()).unwrap();
    assert_eq!(to_json(&contract, &reading.finish().unwrap()), [good]);
    for (field, path) in [("n", "n"), ("f", "f"), ("w", "w"), ("many", "many[1]")] {
        for number in ["-1", "4294967296", "5000000000"] {
            let value = if field == "many" {
                format!("[0,{number}]")
            } else {
                number.to_owned()
            };
            let mut json: Value = serde_json::from_str(good).unwrap();
            json[field] = serde_json::from_str(&value).unwrap();
            let refused = write(&contract, &json.to_string()).unwrap_err();
            assert!(
                refused.contains(&format!("field {path}"))
                    && refused.contains("doesn't fit the definition's uint32"),
                "{refused}"
            );
        }
    }
}

const PAYMENT: &str = "
  message Invoice { string x = 1; int32 y = 2; }
  message R {
    int32 n = 1;
    oneof how { string card = 2; Invoice invoice = 3; int32 cash = 4; }
    oneof other { string a = 5; string b = 6; }
    optional string plain = 7;
  }";

fn payment() -> Contract {
    defined(
        "n int\ncard string null\ninvoice struct<x string not null, y int not null> null\ncash int null\na string null\nb string null\nplain string null",
        PAYMENT,
        "R",
    )
}

/// Of a oneof's members the last on the wire is set, and no other, as another implementation has it.
#[test]
fn of_a_oneof_one_member_is_set() {
    let contract = payment();
    let message = definition(&contract).unwrap();
    let parts: [&[u8]; 8] = [
        &[0x08, 1],
        b"\x12\x01c",
        b"\x1a\x03\x0a\x01i",
        b"\x1a\x02\x10\x05",
        &[0x20, 0],
        b"\x2a\x00",
        b"\x32\x01b",
        b"\x3a\x01p",
    ];
    let names = ["card", "invoice", "cash", "a", "b", "plain"];
    let mut rng = StdRng::seed_from_u64(5);
    for _ in 0..500 {
        let bytes: Vec<u8> = (0..rng.random_range(0..7))
            .flat_map(|_| parts[rng.random_range(0..parts.len())].to_vec())
            .collect();
        let theirs = DynamicMessage::decode(message.clone(), bytes.as_slice()).unwrap();
        let mut reading = decoder(&contract);
        reading.decode(&bytes).unwrap();
        let json = to_json(&contract, &reading.finish().unwrap()).remove(0);
        let ours: Value = serde_json::from_str(&json).unwrap();
        for name in names {
            let set = theirs.has_field_by_name(name);
            assert_eq!(!ours[name].is_null(), set, "{name} of {bytes:?}");
            // Asked for alone, it is the same: the others count though nobody wants them.
            let mut alone =
                ProtobufDecoder::pruned(&contract, &[name.to_owned()], Arc::default()).unwrap();
            alone.decode(&bytes).unwrap();
            let nulls = alone.finish().unwrap().column(0).null_count();
            assert_eq!(nulls, usize::from(!set), "{name} of {bytes:?}");
        }
        // What is read can be written again, and means the same there.
        let again = write(&contract, &json).unwrap();
        let again = DynamicMessage::decode(message.clone(), again.as_slice()).unwrap();
        assert_eq!(again, theirs, "{bytes:?}");
    }
}

#[test]
fn a_row_with_two_members_of_a_oneof_is_refused() {
    let contract = payment();
    let refused = write(&contract, r#"{"n":1,"card":"c","cash":2}"#).unwrap_err();
    assert_eq!(
        refused,
        "cannot write field cash: is set, and so is card; of the definition's oneof how one can be set at most"
    );
    assert!(write(&contract, r#"{"n":1,"card":"c","b":"x","plain":"y"}"#).is_ok());
}

/// As another implementation has it: the last of equal keys, and messages that come twice as one.
#[test]
fn what_comes_twice_is_the_last_or_merged() {
    let contract = defined(
        "tags map<string,int>\nw bigint null\nlists array<array<int>>\nboth map<string,array<int>>",
        "message L { repeated int32 items = 1; } message R { map<string, int32> tags = 1; google.protobuf.Int64Value w = 2; repeated L lists = 3; map<string, L> both = 4; }",
        "R",
    );
    let bytes = [
        // k: 1, j: 3, k: 2; w: 7, then an empty one.
        &b"\x0a\x05\x0a\x01k\x10\x01\x0a\x05\x0a\x01j\x10\x03\x0a\x05\x0a\x01k\x10\x02"[..],
        b"\x12\x02\x08\x07\x12\x00",
        b"\x22\x07\x0a\x01k\x12\x02\x08\x01\x22\x07\x0a\x01k\x12\x02\x08\x02",
    ]
    .concat();
    let theirs = DynamicMessage::decode(definition(&contract).unwrap(), bytes.as_slice()).unwrap();
    let mut reading = decoder(&contract);
    reading.decode(&bytes).unwrap();
    // Another implementation writes what it understood.
    reading.decode(&theirs.encode_to_vec()).unwrap();
    let read = to_json(&contract, &reading.finish().unwrap());
    let values: Vec<Value> = read
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(values[0], values[1]);
    assert_eq!(
        values[0],
        serde_json::json!({"tags": {"k": 2, "j": 3}, "w": 7, "lists": [], "both": {"k": [2]}})
    );
    let lists = defined(
        "l array<array<int>> null",
        "message I { repeated int32 items = 1; } message O { repeated I items = 1; } message R { O l = 1; }",
        "R",
    );
    let mut reading = decoder(&lists);
    reading
        .decode(b"\x0a\x05\x0a\x03\x0a\x01\x01\x0a\x05\x0a\x03\x0a\x01\x02")
        .unwrap();
    assert_eq!(
        to_json(&lists, &reading.finish().unwrap()),
        [r#"{"l":[[1],[2]]}"#]
    );
}

fn after(old: &str, contract: Contract) -> Contract {
    Contract {
        registered: Some(Registered {
            subject: "s".into(),
            id: 2,
            known: vec![KnownSchema {
                id: 1,
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
