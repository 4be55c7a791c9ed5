//! What is refused: bad records, numbers that don't fit.

use super::*;

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
