//! Records of definitions that need other texts: written and read back.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use headworks_engine::format::{Decoder, Encoder, Formats};
use headworks_plan::{Contract, Definition, Format, ReferencedSchema, Registered, UnknownFields};
use headworks_schema::{avro, protobuf};

use super::FormatRegistry;
use super::json::{JsonDecoder, JsonEncoder};

const ROW: &str = r#"{"id":"o-1","to":{"city":"Graz","country":"AT"}}"#;

fn references(texts: &[(&str, &str)]) -> Vec<ReferencedSchema> {
    let texts = texts.iter().map(|(name, text)| ReferencedSchema {
        name: (*name).to_owned(),
        text: (*text).to_owned(),
    });
    texts.collect()
}

fn of_avro() -> Contract {
    let definition = Definition::new(
        r#"{"type": "record", "name": "shop.Order", "fields": [
            {"name": "id", "type": "string"}, {"name": "to", "type": "Address"}]}"#,
    );
    let definition = definition.with(references(&[
        (
            "shop.Address",
            r#"{"type": "record", "name": "Address", "namespace": "shop", "fields": [
                {"name": "city", "type": "string"}, {"name": "country", "type": "geo.Country"}]}"#,
        ),
        (
            "geo.Country",
            r#"{"type": "enum", "name": "geo.Country", "symbols": ["AT", "CH"]}"#,
        ),
    ]));
    Contract {
        fields: avro::to_fields(&definition).unwrap(),
        format: Format::Avro,
        definition: Some(definition),
        ..Contract::default()
    }
}

fn of_protobuf() -> Contract {
    let definition = Definition::of_message(
        "syntax = \"proto3\"; package shop; import \"shop/address.proto\"; message Order { string id = 1; Address to = 2; }",
        "shop.Order",
    );
    let definition = definition.with(references(&[
        (
            "shop/address.proto",
            "syntax = \"proto3\"; package shop; import \"geo/country.proto\"; message Address { string city = 1; geo.Country country = 2; }",
        ),
        (
            "geo/country.proto",
            "syntax = \"proto3\"; package geo; enum Country { NONE = 0; AT = 1; CH = 2; }",
        ),
    ]));
    let (fields, _) = protobuf::to_fields(&definition, definition.message.as_deref()).unwrap();
    Contract {
        fields,
        format: Format::Protobuf,
        definition: Some(definition),
        ..Contract::default()
    }
}

#[test]
fn a_record_of_a_definition_that_needs_other_texts_comes_back_as_it_was() {
    let registered = Registered {
        subject: "orders-value".to_owned(),
        id: 7,
        known: Vec::new(),
    };
    for contract in [of_avro(), of_protobuf()] {
        for registered in [None, Some(registered.clone())] {
            let contract = Contract {
                registered,
                ..contract.clone()
            };
            let mut json = JsonDecoder::whole(&contract, UnknownFields::Reject).unwrap();
            json.decode(ROW.as_bytes()).unwrap();
            let mut record = Vec::new();
            let mut encoder = super::encoder(&contract).unwrap();
            encoder
                .encode(&json.finish().unwrap(), 0, &mut record)
                .unwrap();
            let names: Vec<String> = contract.fields.iter().map(|f| f.name.clone()).collect();
            let mut decoder = FormatRegistry::default()
                .decoder(&contract, &names)
                .unwrap();
            decoder.decode(&record).unwrap();
            let mut back = Vec::new();
            JsonEncoder::new(&contract)
                .unwrap()
                .encode(&decoder.finish().unwrap(), 0, &mut back)
                .unwrap();
            assert_eq!(String::from_utf8(back).unwrap(), ROW);
        }
    }
}
