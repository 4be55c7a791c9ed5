//! Keys, and values that JSON can't say.

use std::sync::Arc;

use arrow::array::{Float64Array, RecordBatch};
use headworks_engine::format::{Decoder, Encoder};
use headworks_plan::{Contract, UnknownFields};

use super::{JsonDecoder, JsonEncoder, contract, line, orders};

#[test]
fn a_key_is_the_bare_value_or_an_array_of_values() {
    let json = r#"{"order_id":"a\"b","user_id":7,"items":[],"amount":"1.5","placed_at":"2026-01-01T00:00:00Z"}"#;
    for (key, expected) in [
        (vec![], None),
        (vec!["user_id"], Some("7")),
        (vec!["order_id"], Some("a\"b")),
        (vec!["amount"], Some("1.50")),
        (vec!["placed_at"], Some("2026-01-01T00:00:00.000Z")),
        (vec!["coupon"], None),
        (
            vec!["order_id", "user_id", "coupon"],
            Some(r#"["a\"b",7,null]"#),
        ),
    ] {
        let contract = Contract {
            key: key.iter().map(|k| (*k).to_owned()).collect(),
            ..orders()
        };
        let mut decoder = JsonDecoder::whole(&contract, UnknownFields::Ignore).unwrap();
        decoder.decode(json.as_bytes()).unwrap();
        let mut out = Vec::new();
        let there = JsonEncoder::new(&contract)
            .unwrap()
            .key(&decoder.finish().unwrap(), 0, &mut out)
            .unwrap();
        assert_eq!(
            there.then(|| String::from_utf8(out).unwrap()).as_deref(),
            expected,
            "{key:?}"
        );
    }
    let nested = Contract {
        key: vec!["who.id".into()],
        ..contract("who struct<id int> null")
    };
    let mut decoder = JsonDecoder::whole(&nested, UnknownFields::Ignore).unwrap();
    decoder.decode(br#"{"who":{"id":5}}"#).unwrap();
    decoder.decode(br#"{"who":null}"#).unwrap();
    let batch = decoder.finish().unwrap();
    let mut encoder = JsonEncoder::new(&nested).unwrap();
    let mut out = Vec::new();
    assert!(encoder.key(&batch, 0, &mut out).unwrap() && out == b"5");
    assert!(!encoder.key(&batch, 1, &mut Vec::new()).unwrap());
}

#[test]
fn a_value_that_json_cannot_say_is_refused() {
    let contract = contract("x double");
    let schema = headworks_sql::schema::Schema::from_contract(&contract)
        .unwrap()
        .to_arrow();
    let batch = RecordBatch::try_new(
        schema,
        vec![Arc::new(Float64Array::from(vec![f64::NAN, 1.0]))],
    )
    .unwrap();
    let mut encoder = JsonEncoder::new(&contract).unwrap();
    assert_eq!(
        encoder
            .encode(&batch, 0, &mut Vec::new())
            .unwrap_err()
            .to_string(),
        "cannot write field x: is NaN or infinite, which JSON cannot say"
    );
    assert_eq!(line(&mut encoder, &batch, 1), r#"{"x":1.0}"#);
}
