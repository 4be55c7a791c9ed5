//! Unions of several types, maps of other keys, JSON in Protobuf and messages without fields: what is refused, what
//! records of other definitions mean, and what no bytes may do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use arrow::array::RecordBatch;
use headworks_engine::format::Formats as _;
use headworks_plan::{
    Contract, Definition, Format, KnownSchema, Registered, RegistryConnection, UnknownFields,
};
use headworks_schema::{avro, protobuf};
use prost_reflect::DynamicMessage;
use prost_reflect::prost::Message as _;
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};

use super::json::{JsonDecoder, JsonEncoder};
use super::{FormatRegistry, encoder};

fn in_avro(schema: &str, known: &[(u32, &str)]) -> Contract {
    let known = known.iter().map(|(id, schema)| KnownSchema {
        id: *id,
        schema: (*schema).to_owned(),
        references: Vec::new(),
    });
    Contract {
        fields: avro::to_fields(schema).unwrap(),
        format: Format::Avro,
        definition: Some(Definition::new(schema)),
        registered: Some(Registered {
            subject: "s".into(),
            id: 1,
            known: known.collect(),
        }),
        ..Contract::default()
    }
}

fn in_protobuf(schema: &str, known: &[(u32, &str)]) -> Contract {
    let (fields, message) = protobuf::to_fields(schema, None).unwrap();
    let definition = Definition::of_message(schema, message);
    Contract {
        fields,
        format: Format::Protobuf,
        definition: Some(definition),
        ..in_avro(
            r#"{"type":"record","name":"R","fields":[{"name":"x","type":"int"}]}"#,
            known,
        )
    }
}

/// What becomes of a record, as JSON or as why not.
fn read(contract: &Contract, record: &[u8]) -> String {
    let names: Vec<String> = contract.fields.iter().map(|f| f.name.clone()).collect();
    let mut decoder = FormatRegistry::default().decoder(contract, &names).unwrap();
    if let Err(error) = decoder.decode(record) {
        assert_eq!(decoder.rows(), 0);
        let error = error.refused().unwrap();
        return format!("{} {error}", error.reason);
    }
    let batch = decoder.finish().unwrap();
    let mut out = Vec::new();
    let mut json = JsonEncoder::new(contract).unwrap();
    headworks_engine::format::Encoder::encode(&mut json, &batch, 0, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn batch(contract: &Contract, json: &str) -> RecordBatch {
    use headworks_engine::format::Decoder as _;
    let mut decoder = JsonDecoder::whole(contract, UnknownFields::Reject).unwrap();
    decoder.decode(json.as_bytes()).unwrap();
    decoder.finish().unwrap()
}

/// The bytes, or why there are none.
fn written(contract: &Contract, json: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    encoder(contract)
        .unwrap()
        .encode(&batch(contract, json), 0, &mut out)
        .map(|()| out)
        .map_err(|error| error.to_string())
}

const UNION: &str = r#"{"type":"record","name":"R","fields":[
  {"name":"a","type":["null","long","string",{"type":"record","name":"n.P","fields":[{"name":"x","type":"int"},{"name":"y","type":"int","default":7}]}],"default":null},
  {"name":"b","type":["int","string"],"default":0}]}"#;

#[test]
fn of_a_union_exactly_one_type_is_written() {
    let contract = in_avro(UNION, &[]);
    assert_eq!(
        written(&contract, r#"{"a":{"string":"x"},"b":{"int":1}}"#).unwrap(),
        [0, 0, 0, 0, 1, 4, 2, b'x', 0, 2]
    );
    let said: Vec<String> = [
        r#"{"a":{"long":5,"string":"x"},"b":{"int":1}}"#,
        r#"{"a":{},"b":{"int":1}}"#,
        r#"{"b":{"int":1,"string":""}}"#,
    ]
    .iter()
    .map(|json| written(&contract, json).unwrap_err())
    .collect();
    insta::assert_snapshot!(said.join("\n"));
}

/// By its kind and name, else by what takes it (Avro, "Schema Resolution"); what nothing takes is refused with its place.
#[test]
fn another_definitions_types_are_resolved_against_a_union() {
    let field = |name: &str, type_: &str| {
        format!(r#"{{"type":"record","name":"R","fields":[{{"name":"{name}","type":{type_}}}]}}"#)
    };
    let others = [
        // No union: the first type that takes it.
        field("a", r#""int""#),
        field("a", r#""string""#),
        // In another order, with one that the contract hasn't got, and one that is promoted.
        field("a", r#"["boolean","string","int","null"]"#),
        // A record of the same simple name.
        field(
            "a",
            r#"{"type":"record","name":"m.P","fields":[{"name":"x","type":"int"}]}"#,
        ),
        field("a", r#"{"type":"map","values":"int"}"#),
        field("z", r#""int""#),
    ];
    let known: Vec<(u32, &str)> = (10..).zip(others.iter().map(String::as_str)).collect();
    let contract = in_avro(UNION, &known);
    let mut said = Vec::new();
    for (id, body) in [
        (10, &[10][..]),
        (11, &[2, b'x']),
        (12, &[0, 1]),
        (12, &[2, 2, b'y']),
        (12, &[4, 10]),
        (12, &[6]),
        (12, &[8]),
        (13, &[3]),
        (14, &[0]),
        (15, &[2]),
        (1, &[8, 0, 0]),
    ] {
        let record = [&[0, 0, 0, 0, id], body].concat();
        said.push(read(&contract, &record));
    }
    insta::assert_snapshot!(said.join("\n"));
}

const MESSAGE: &str = "syntax = \"proto3\";
import \"google/protobuf/struct.proto\";
message A { map<sint32, int32> m = 1; map<bool, int32> t = 2; google.protobuf.Struct s = 3; google.protobuf.ListValue l = 4;
  google.protobuf.Value v = 5; B b = 6; map<uint64, google.protobuf.Value> w = 7; }
message B {}";

#[test]
fn what_protobuf_has_no_key_or_json_for_is_refused() {
    let contract = in_protobuf(MESSAGE, &[]);
    let said: Vec<String> = [
        r#"{"m":{"x":1},"t":{},"w":{}}"#,
        r#"{"m":{"07":1},"t":{},"w":{}}"#,
        r#"{"m":{"+7":1},"t":{},"w":{}}"#,
        r#"{"m":{"2147483648":1},"t":{},"w":{}}"#,
        r#"{"m":{},"t":{"True":1},"w":{}}"#,
        r#"{"m":{},"t":{},"w":{"-1":"1"}}"#,
        r#"{"m":{},"t":{},"w":{},"s":"[]"}"#,
        r#"{"m":{},"t":{},"w":{},"l":"{}"}"#,
        r#"{"m":{},"t":{},"w":{},"v":"{a}"}"#,
        r#"{"m":{},"t":{},"w":{},"v":""}"#,
        r#"{"m":{},"t":{},"w":{},"v":"1e400"}"#,
        r#"{"m":{},"t":{},"w":{},"b":false}"#,
    ]
    .iter()
    .map(|json| written(&contract, json).unwrap_err())
    .collect();
    insta::assert_snapshot!(said.join("\n"));
    // As deep as JSON's reader goes, and no deeper.
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    for (levels, good) in [(90, true), (500, false), (30_000, false)] {
        let json = format!(r#"{{"m":{{}},"t":{{}},"w":{{}},"v":"{}"}}"#, deep(levels));
        assert_eq!(written(&contract, &json).is_ok(), good, "{levels}");
    }
}

#[test]
fn odd_bytes_of_protobuf_mean_what_they_mean_to_others() {
    let contract = in_protobuf(MESSAGE, &[]);
    let head = [0, 0, 0, 0, 1, 0];
    let mut said = Vec::new();
    for body in [
        // An entry without key and value; of equal keys the last counts; a key of another wire type is none.
        &[0x0a, 0][..],
        &[0x0a, 4, 8, 1, 16, 5, 0x0a, 4, 8, 1, 16, 6],
        &[0x0a, 5, 0x0a, 1, b'x', 16, 5],
        // Any varint is true.
        &[0x12, 4, 8, 2, 16, 1],
        // A Value without a value, of two the last, NaN, and text that is no UTF-8.
        &[0x2a, 0],
        &[0x2a, 4, 0x08, 0, 0x20, 1],
        &[0x2a, 9, 0x11, 0, 0, 0, 0, 0, 0, 0xf8, 0x7f],
        &[0x2a, 9, 0x11, 0, 0, 0, 0, 0, 0, 0, 0x80],
        &[0x2a, 3, 0x1a, 1, 0xff],
        // A Struct in two parts is one, and an entry without a value is none.
        &[
            0x1a, 9, 0x0a, 7, 0x0a, 1, b'a', 0x12, 2, 0x08, 0, 0x1a, 9, 0x0a, 7, 0x0a, 1, b'b',
            0x12, 2, 0x20, 1,
        ],
        &[0x1a, 5, 0x0a, 3, 0x0a, 1, b'a'],
        // Fields of a message that has none.
        &[0x32, 2, 8, 5],
        &[0x30, 1],
    ] {
        said.push(read(&contract, &[&head, body].concat()));
    }
    insta::assert_snapshot!(said.join("\n"));
    // A list in a list in a list … has an end.
    let mut deep = vec![0x32, 0];
    for _ in 0..300 {
        let mut outer = vec![0x0a];
        super::protobuf::put_varint(deep.len() as u64, &mut outer);
        outer.extend_from_slice(&deep);
        deep = vec![0x32];
        super::protobuf::put_varint(outer.len() as u64, &mut deep);
        deep.extend_from_slice(&outer);
    }
    let mut record = [&head[..], &[0x2a]].concat();
    super::protobuf::put_varint(deep.len() as u64, &mut record);
    record.extend_from_slice(&deep);
    assert!(read(&contract, &record).contains("nested more than 100 levels deep"));
}

/// What an older definition said at the same numbers.
#[test]
fn older_messages_are_read_by_what_they_were_written_with() {
    let older = "syntax = \"proto3\"; message A { map<string, int32> m = 1; map<int32, int32> t = 2; string s = 3; B b = 6; } message B { int32 x = 1; }";
    let contract = in_protobuf(MESSAGE, &[(2, older)]);
    let said = [read(
        &contract,
        &[
            0, 0, 0, 0, 2, 0, 0x0a, 5, 0x0a, 1, b'k', 16, 5, 0x32, 2, 8, 5,
        ],
    )];
    insta::assert_snapshot!(said.join("\n"));
}

/// Any rows: what we write is read back equal, and another implementation reads it, and what that writes of it.
#[test]
fn what_is_written_reads_back_equal_and_others_read_it() {
    let mut rng = StdRng::seed_from_u64(5);
    let avro = in_avro(UNION, &[]);
    let schema = apache_avro::Schema::parse_str(UNION).unwrap();
    let protobuf = in_protobuf(MESSAGE, &[]);
    let file = protobuf::parse(MESSAGE).unwrap();
    let message = protobuf::message(&file, None).unwrap();
    for _ in 0..500 {
        let a = match rng.random_range(0..4) {
            0 => "null".to_owned(),
            1 => format!(
                r#"{{"long":{},"string":null,"P":null}}"#,
                rng.random::<i64>()
            ),
            2 => format!(
                r#"{{"long":null,"string":"{}","P":null}}"#,
                "é".repeat(rng.random_range(0..9))
            ),
            _ => format!(
                r#"{{"long":null,"string":null,"P":{{"x":{},"y":{}}}}}"#,
                rng.random::<i32>(),
                rng.random::<i32>()
            ),
        };
        let row = format!(
            r#"{{"a":{a},"b":{{"int":{},"string":null}}}}"#,
            rng.random::<i32>()
        );
        let bytes = written(&avro, &row).unwrap();
        assert_eq!(read(&avro, &bytes), row);
        let mut body = &bytes[5..];
        let value = apache_avro::from_avro_datum(&schema, &mut body, None).unwrap();
        assert!(body.is_empty(), "{row}");
        let theirs = apache_avro::to_avro_datum(&schema, value).unwrap();
        assert_eq!([&bytes[..5], &theirs].concat(), bytes, "{row}");

        let object = format!(r#"{{\"k\":[{},null,\"x\",{{}}]}}"#, rng.random::<i32>());
        let b = if rng.random() { "true" } else { "null" };
        let row = format!(
            r#"{{"m":{{"{}":{}}},"t":{{"{}":1}},"s":"{object}","l":"[]","v":"{}","b":{b},"w":{{"{}":"{object}"}}}}"#,
            rng.random::<i32>(),
            rng.random::<i32>(),
            rng.random::<bool>(),
            rng.random::<u32>(),
            rng.random::<u64>(),
        );
        let bytes = written(&protobuf, &row).unwrap();
        assert_eq!(read(&protobuf, &bytes), row);
        let dynamic = DynamicMessage::decode(message.clone(), &bytes[6..]).unwrap();
        assert_eq!(dynamic.unknown_fields().count(), 0, "{row}");
        let theirs = [&bytes[..6], &dynamic.encode_to_vec()].concat();
        assert_eq!(read(&protobuf, &theirs), row);
    }
}

#[test]
fn random_bytes_never_end_the_process() {
    let mut rng = StdRng::seed_from_u64(11);
    let contracts = [(in_avro(UNION, &[]), 5), (in_protobuf(MESSAGE, &[]), 6)];
    let mut taken = 0;
    for (contract, head) in &contracts {
        let names: Vec<String> = contract.fields.iter().map(|f| f.name.clone()).collect();
        let mut decoder = FormatRegistry::default().decoder(contract, &names).unwrap();
        for round in 0..20_000 {
            let mut bytes = vec![0; rng.random_range(0..60)];
            rng.fill_bytes(&mut bytes);
            // Small numbers are tags and lengths.
            for byte in &mut bytes {
                if rng.random::<bool>() {
                    *byte &= 0x3f;
                }
            }
            let mut record = vec![0, 0, 0, 0, 1, 0];
            record.truncate(*head);
            record.extend(bytes);
            taken += usize::from(decoder.decode(&record).is_ok());
            if round % 100 == 0 {
                decoder.finish().unwrap();
            }
        }
    }
    assert!(taken > 50, "{taken}");
}

/// A registry whose schemas refer to others.
fn serve(listener: TcpListener) {
    let answer = |request: &str| {
        Some(match request {
            r if r.contains("/schemas/ids/20 ") => {
                r#"{"schema":"{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"a\",\"type\":\"n.P\"}]}","references":[{"name":"n.P","subject":"p-value","version":3}]}"#
            }
            r if r.contains("/subjects/p-value/versions/3 ") => {
                r#"{"schema":"{\"type\":\"record\",\"name\":\"P\",\"namespace\":\"n\",\"fields\":[{\"name\":\"x\",\"type\":\"int\"}]}"}"#
            }
            r if r.contains("/schemas/ids/21 ") => {
                r#"{"schemaType":"PROTOBUF","schema":"syntax = \"proto3\"; import \"shop/p.proto\"; message A { map<sint32, shop.Number> m = 1; }","references":[{"name":"shop/p.proto","subject":"shop/p.proto","version":1}]}"#
            }
            r if r.contains("/subjects/shop%2Fp.proto/versions/1 ") => {
                r#"{"schemaType":"PROTOBUF","schema":"syntax = \"proto3\"; package shop; import \"google/protobuf/timestamp.proto\"; enum Number { ZERO = 0; ONE = 1; } message P { google.protobuf.Timestamp at = 1; }"}"#
            }
            r if r.contains("/schemas/ids/22 ") => {
                r#"{"schema":"\"int\"","references":[{"name":"gone","subject":"gone","version":1}]}"#
            }
            _ => return None,
        })
    };
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let read = stream.read(&mut request).unwrap();
            let request = String::from_utf8_lossy(&request[..read]).into_owned();
            let (status, body) = match answer(&request) {
                Some(body) => ("200 OK", body),
                None => (
                    "404 Not Found",
                    r#"{"error_code":40402,"message":"no version 1"}"#,
                ),
            };
            let length = body.len();
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}");
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
}

#[test]
fn a_registrys_schema_is_read_with_those_that_it_refers_to() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let known = FormatRegistry::with(Some(&RegistryConnection {
        url: format!("http://{}", listener.local_addr().unwrap()),
        ca_pem: None,
    }));
    serve(listener);
    let said = |contract: &Contract, record: &[u8]| {
        let name = contract.fields[0].name.clone();
        let mut decoder = known.decoder(contract, &[name]).unwrap();
        match decoder.decode(record) {
            Ok(()) => format!("{:?}", decoder.finish().unwrap().column(0)),
            Err(error) => {
                let error = error.refused().unwrap();
                format!("{} {error}", error.reason)
            }
        }
    };
    let contract = in_avro(UNION, &[]);
    let avro = said(&contract, &[0, 0, 0, 0, 20, 10]);
    assert!(
        avro.contains("StructArray") && avro.contains(" 5,"),
        "{avro}"
    );
    let lost = said(&contract, &[0, 0, 0, 0, 22, 10]);
    assert!(
        lost.starts_with("Decode") && lost.contains("gone, version 1, isn't there"),
        "{lost}"
    );
    let contract = in_protobuf(
        "syntax = \"proto3\"; message A { map<sint32, string> m = 1; }",
        &[],
    );
    let protobuf = said(&contract, &[0, 0, 0, 0, 21, 0, 0x0a, 4, 8, 1, 16, 1]);
    assert!(
        protobuf.contains("\"-1\"") && protobuf.contains("\"ONE\""),
        "{protobuf}"
    );
}
