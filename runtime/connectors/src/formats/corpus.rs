//! Decoders and encoders against what others wrote down (`runtime/schema/corpus/*.py`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;

use headworks_engine::format::{Decoder, Encoder};
use headworks_plan::{
    Contract, Definition, Field, Format, ReferencedSchema, Registered, UnknownFields,
};
use headworks_schema::{avro, protobuf};
use prost_reflect::{DynamicMessage, MessageDescriptor};
use serde_json::Value;

use super::json::{JsonDecoder, JsonEncoder};
use super::{avro::AvroDecoder, protobuf::ProtobufDecoder};

const BYTES: &str = include_str!("../../../schema/corpus/bytes.json");
const VALUES: &str = include_str!("../../../schema/corpus/json_values.json");

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2)
        .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
        .collect()
}

fn values(contract: &Contract, batch: &arrow::array::RecordBatch) -> Value {
    let mut out = Vec::new();
    let mut encoder = JsonEncoder::new(contract).unwrap();
    encoder.encode(batch, 0, &mut out).unwrap();
    serde_json::from_slice(&out).unwrap()
}

/// Another library's bytes mean here what they meant there, and ours are the same.
fn both_ways(
    contract: &Contract,
    head: &[u8],
    decoder: &mut dyn Decoder,
    case: &Value,
    same: impl Fn(&[u8], &[u8]) -> bool,
) {
    for record in case["records"].as_array().unwrap() {
        let name = &case["name"];
        // As text, which keeps the order of a map's keys.
        let row = record["row"].as_str().unwrap();
        let expected: Value = serde_json::from_str(row).unwrap();
        let theirs = [head, &bytes(record["bytes"].as_str().unwrap())].concat();
        decoder
            .decode(&theirs)
            .unwrap_or_else(|error| panic!("{name}: {error}: {expected}"));
        assert_eq!(
            values(contract, &decoder.finish().unwrap()),
            expected,
            "{name}"
        );
        let mut json = JsonDecoder::whole(contract, UnknownFields::Reject).unwrap();
        json.decode(row.as_bytes()).unwrap();
        let mut out = Vec::new();
        let mut encoder = super::encoder(contract).unwrap();
        encoder
            .encode(&json.finish().unwrap(), 0, &mut out)
            .unwrap_or_else(|error| panic!("{name}: {error}: {expected}"));
        assert!(same(&out, &theirs), "{name}: {row}: {out:?}, {theirs:?}");
    }
}

#[test]
fn googles_own_library_writes_the_same_protobuf() {
    let corpus: Value = serde_json::from_str(BYTES).unwrap();
    let cases = corpus["protobuf"].as_array().unwrap();
    assert_eq!(cases.len(), 3);
    protobufs(cases, |ours, theirs, message| {
        // A map's entries stand in an order of each library's own.
        let dynamic = |bytes: &[u8]| DynamicMessage::decode(message.clone(), bytes).unwrap();
        ours.len() == theirs.len() && dynamic(ours) == dynamic(theirs)
    });
}

#[test]
fn googles_own_library_reads_and_writes_the_same_of_editions() {
    let corpus: Value = serde_json::from_str(BYTES).unwrap();
    let cases = corpus["editions"].as_array().unwrap();
    assert_eq!(cases.len(), 4);
    protobufs(cases, |ours, theirs, _| ours == theirs);
}

fn protobufs(cases: &[Value], same: impl Fn(&[u8], &[u8], &MessageDescriptor) -> bool) {
    for case in cases {
        let imports = case["imports"].as_object().into_iter().flatten();
        let imports = imports.map(|(name, text)| ReferencedSchema {
            name: name.clone(),
            text: text.as_str().unwrap().to_owned(),
        });
        let schema = case["schema"].as_str().unwrap().to_owned();
        let definition = Definition::new(schema).with(imports.collect());
        let (fields, message) = protobuf::to_fields(&definition, case["message"].as_str()).unwrap();
        let definition = Definition {
            message: Some(message),
            ..definition
        };
        let file = protobuf::parse(&definition).unwrap();
        let message = protobuf::message(&file, case["message"].as_str()).unwrap();
        let contract = Contract {
            fields,
            format: Format::Protobuf,
            definition: Some(definition),
            ..Contract::default()
        };
        let mut decoder =
            ProtobufDecoder::pruned(&contract, &names(&contract), Arc::default()).unwrap();
        both_ways(&contract, &[], &mut decoder, case, |ours, theirs| {
            same(ours, theirs, &message)
        });
    }
}

#[test]
fn fastavro_writes_the_same_avro() {
    let corpus: Value = serde_json::from_str(BYTES).unwrap();
    let cases = corpus["avro"].as_array().unwrap();
    assert_eq!(cases.len(), 1);
    for case in cases {
        let schema = case["schema"].as_str().unwrap().to_owned();
        let contract = Contract {
            fields: avro::to_fields(&schema).unwrap(),
            format: Format::Avro,
            definition: Some(Definition::new(schema)),
            registered: Some(Registered {
                subject: "s".into(),
                id: 7,
                known: vec![],
            }),
            ..Contract::default()
        };
        let mut decoder =
            AvroDecoder::pruned(&contract, &names(&contract), Arc::default()).unwrap();
        both_ways(
            &contract,
            &[0, 0, 0, 0, 7],
            &mut decoder,
            case,
            |ours, theirs| ours == theirs,
        );
    }
}

fn names(contract: &Contract) -> Vec<String> {
    contract.fields.iter().map(|f| f.name.clone()).collect()
}

/// What the decoder refuses although the printed JSON Schema takes it: the schema can't say it.
fn beyond_json_schema(type_: &str, message: &str) -> bool {
    let decimal = type_.starts_with("decimal") || type_.starts_with("struct");
    decimal
        && (message.contains("digits after the point") || message.contains("too large for decimal"))
        // Of February 30 it says only that a date is expected.
        || message.contains("expected a date") || message.contains("expected an RFC 3339 instant")
        || message.contains("outside the years 0001 to 9999 in UTC")
}

/// Another implementation of JSON Schema says of each value whether it obeys what a contract is printed as. The decoder
/// takes nothing that doesn't, and refuses of what does only what no JSON Schema can say.
#[test]
fn the_printed_json_schema_and_the_decoder_agree() {
    let corpus: Value = serde_json::from_str(VALUES).unwrap();
    let cases = corpus["cases"].as_array().unwrap();
    assert!(cases.len() > 1_000);
    let mut beyond = 0;
    for case in cases {
        let (type_, text) = (case[0].as_str().unwrap(), case[1].as_str().unwrap());
        let contract = Contract {
            fields: vec![Field {
                name: "v".into(),
                type_: type_.into(),
                nullable: true,
                labels: vec![],
            }],
            ..Contract::default()
        };
        let mut decoder = JsonDecoder::whole(&contract, UnknownFields::Ignore).unwrap();
        let read = decoder.decode(format!("{{\"v\":{text}}}").as_bytes());
        let read = read.map_err(|error| error.refused().unwrap());
        match (read, case[2].as_bool().unwrap()) {
            (Ok(()), true) => {}
            (Err(error), false) => assert_eq!(error.reason, "Contract", "{type_}: {text}"),
            (Ok(()), false) => panic!("{type_}: {text} is taken, and the schema doesn't say so"),
            (Err(error), true) => {
                assert!(
                    beyond_json_schema(type_, &error.message),
                    "{type_}: {text} obeys the schema, and is refused: {error}"
                );
                beyond += 1;
            }
        }
    }
    assert!(beyond * 10 < cases.len(), "{beyond}");
}
