//! What records say, by the contracts of examples/shop; and the loop, in front of a ledger that fails.

mod ledger;
mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

use headworks_engine::status::Progress;
use headworks_plan::{
    Contract, Definition, EventTime, Field, Format, GenerateSource, OnInvalid, ShopRecords,
    SourceConnection, SourcePlan, Stream, Template, UnknownFields,
};
use serde_json::Value;

use super::Config;
use super::record_factory::RecordFactory;
use super::run::Work;
use crate::sources::kafka::{Outgoing, Target};

const NOW: i64 = 1_767_225_600_000;
const SHOP: [(&str, ShopRecords); 4] = [
    ("clicks", ShopRecords::Clicks),
    ("orders", ShopRecords::Orders),
    ("inventory", ShopRecords::Inventory),
    ("feedback", ShopRecords::Feedback),
];

fn field(name: &str, type_: &str, nullable: bool) -> Field {
    Field {
        name: name.into(),
        type_: type_.into(),
        nullable,
        labels: vec![],
    }
}

fn event_time(field: &str) -> EventTime {
    EventTime {
        field: field.into(),
        max_out_of_orderness_ms: 0,
        idle_timeout_ms: None,
    }
}

/// The contract of a stream of examples/shop.
fn shop(stream: &str) -> Contract {
    let file = Path::new("../../examples/shop/streams.yaml");
    let objects: Vec<Value> =
        serde_saphyr::from_multiple(&std::fs::read_to_string(file).unwrap()).unwrap();
    let found = objects.iter().find(|o| o["metadata"]["name"] == stream);
    let spec = &found.unwrap()["spec"];
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let fields = spec["schema"].as_array().unwrap().iter();
    Contract {
        fields: fields
            .map(|f| field(&text(&f["name"]), &text(&f["type"]), f["nullable"] == true))
            .collect(),
        key: spec["key"].as_array().unwrap().iter().map(text).collect(),
        event_time: spec["eventTime"]["field"].as_str().map(event_time),
        ..Contract::default()
    }
}

/// Every type there is, nested as well.
fn everything() -> Contract {
    let types = [
        "boolean",
        "int",
        "bigint",
        "float",
        "double",
        "decimal(38,0)",
        "decimal(5,5)",
        "decimal(12,2)",
        "string",
        "bytes",
        "date",
        "time",
        "timestamp(0)",
        "timestamp(6)",
        "timestamp_ltz(3)",
        "array<int>",
        "map<string,decimal(4,1)>",
        "array<struct<sku string not null, sizes map<string,array<double>>>>",
    ];
    let mut fields: Vec<Field> = types
        .iter()
        .enumerate()
        .map(|(i, type_)| field(&format!("f{i}"), type_, i % 3 == 0))
        .collect();
    fields.push(field(
        "who",
        "struct<id string, born date, at timestamp_ltz(3)>",
        true,
    ));
    Contract {
        fields,
        key: vec!["who.id".into(), "f2".into()],
        event_time: Some(event_time("who.at")),
        ..Contract::default()
    }
}

fn config(contract: Contract, template: Option<Template>) -> Config {
    let generate = GenerateSource {
        records_per_second: 1_000,
        seed: 7,
        template,
        disorder_percent: 0,
        disorder_by_ms: 0,
        faulty_percent: 0,
        limit: None,
        group: "x.shop.orders-generated.source".into(),
    };
    Config {
        source: "shop/orders-generated".into(),
        plan: SourcePlan {
            into: Stream {
                name: "orders".into(),
                topic: "shop.orders".into(),
                dead_letter_topic: "shop.orders.dlq".into(),
                contract,
                max_message_bytes: 1_000_000,
                rules: Vec::new(),
            },
            connection: SourceConnection::Generate(generate.clone()),
            on_invalid: OnInvalid::DeadLetter,
            unknown_fields: UnknownFields::Reject,
        },
        generate,
    }
}

fn configs() -> Vec<(&'static str, Config)> {
    let shop =
        SHOP.map(|(name, records)| (name, config(shop(name), Some(Template::Shop(records)))));
    let mut all = shop.to_vec();
    all.push(("random", config(everything(), None)));
    all
}

fn batch(config: &Config, count: u64) -> (Vec<Outgoing>, Progress) {
    let work = Work::new(config).map_err(|p| p.message).unwrap();
    let batch = work.batch(0, count, NOW).unwrap();
    assert!(batch.halt.is_none() && batch.count == count);
    (batch.records, batch.progress)
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn the_first_records_of_a_sequence_are_what_they_always_were() {
    let mut shown = String::new();
    for (name, config) in configs() {
        for record in batch(&config, 3).0 {
            let key = record.key.as_deref().map(text).unwrap();
            writeln!(shown, "{name} {key} = {}", text(&record.value)).unwrap();
        }
    }
    insta::assert_snapshot!(shown);
}

#[test]
fn ten_thousand_records_of_each_kind_obey_their_contract() {
    for (name, config) in configs() {
        let (_, progress) = batch(&config, 10_000);
        assert_eq!(progress.records_out, 10_000, "{name}");
    }
}

#[test]
fn a_record_is_the_same_in_whatever_batch_it_is_made() {
    for (name, mut config) in configs() {
        config.generate.faulty_percent = 30;
        config.generate.disorder_percent = 30;
        config.generate.disorder_by_ms = 30_000;
        let factory = RecordFactory::new(&config.generate, &config.plan.into.contract).unwrap();
        let whole = factory.make(90, 20, NOW);
        for (i, at) in whole.records.iter().enumerate() {
            let alone = factory.make(90 + i as u64, 1, NOW).text;
            assert_eq!(alone, whole.text[at.clone()], "{name} {i}");
        }
        config.generate.seed = 8;
        let other = RecordFactory::new(&config.generate, &config.plan.into.contract).unwrap();
        assert_ne!(other.make(90, 20, NOW).text, whole.text, "{name}");
    }
}

#[test]
fn every_faulty_record_is_refused_and_they_are_refused_for_many_reasons() {
    for (name, mut config) in configs() {
        config.generate.faulty_percent = 100;
        let (dead_letters, progress) = batch(&config, 10_000);
        assert_eq!(progress.dead_letters, 10_000, "{name}");
        let mut reasons = BTreeSet::new();
        for dead_letter in &dead_letters {
            assert_eq!(dead_letter.target, Target::DeadLetters);
            let header = |name| {
                dead_letter
                    .headers
                    .iter()
                    .find(|(key, _)| *key == name)
                    .unwrap()
            };
            assert_eq!(header("headworks.source").1, "shop/orders-generated");
            assert_eq!(header("headworks.time").1, "2026-01-01T00:00:00Z");
            reasons.insert((&header("headworks.reason").1, &header("headworks.error").1));
        }
        assert!(reasons.len() > 8, "{name}: {reasons:?}");
        assert!(reasons.iter().any(|(reason, _)| *reason == "Decode"));
    }
}

#[test]
fn a_share_of_the_records_is_faulty_and_left_out_under_reject() {
    let (_, mut config) = configs().remove(1);
    config.generate.faulty_percent = 5;
    let (_, progress) = batch(&config, 10_000);
    assert!((400..600).contains(&progress.dead_letters), "{progress:?}");
    assert_eq!(progress.records_out + progress.dead_letters, 10_000);
    config.plan.on_invalid = OnInvalid::Reject;
    let (kept, rejected) = batch(&config, 10_000);
    assert_eq!(
        (rejected.dropped, rejected.dead_letters, kept.len() as u64),
        (progress.dead_letters, 0, progress.records_out)
    );
    assert_eq!(rejected.records_in, 10_000);
}

#[test]
fn a_dead_letter_that_is_too_large_for_its_topic_is_left_out() {
    let (_, mut config) = configs().remove(1);
    config.generate.faulty_percent = 50;
    config.plan.into.max_message_bytes = 420;
    let (kept, progress) = batch(&config, 1_000);
    assert!(
        progress.dropped > 0 && progress.dead_letters > 0,
        "{progress:?}"
    );
    assert_eq!(kept.len() as u64 + progress.dropped, 1_000);
}

#[test]
fn a_share_of_the_records_is_late_by_so_much_at_most() {
    let (_, mut config) = configs().remove(0);
    config.generate.disorder_percent = 5;
    config.generate.disorder_by_ms = 30_000;
    let factory = RecordFactory::new(&config.generate, &config.plan.into.contract).unwrap();
    let times: Vec<i64> = (0..10_000).map(|i| factory.happened(i, NOW)).collect();
    let late: Vec<i64> = times
        .iter()
        .map(|t| NOW - t)
        .filter(|by| *by != 0)
        .collect();
    assert!((400..600).contains(&late.len()), "{}", late.len());
    assert!(late.iter().all(|by| (1..=30_000).contains(by)));
    assert!(late.iter().any(|by| *by > 25_000) && late.iter().any(|by| *by < 5_000));
    let (records, _) = batch(&config, 10_000);
    let on_time = r#""clicked_at":"2026-01-01T00:00:00.000Z"}"#;
    let shown = records
        .iter()
        .filter(|r| !text(&r.value).ends_with(on_time));
    assert_eq!(shown.count(), late.len());
}

#[test]
fn feedback_speaks_of_an_order_that_was_placed_and_of_the_user_who_placed_it() {
    let records = |at: usize| batch(&configs().remove(at).1, 2_000).0;
    let values = |records: Vec<Outgoing>| -> Vec<Value> {
        records
            .iter()
            .map(|record| serde_json::from_slice(&record.value).unwrap())
            .collect()
    };
    let orders: BTreeMap<String, Value> = values(records(1))
        .into_iter()
        .map(|order| (order["order_id"].as_str().unwrap().to_owned(), order))
        .collect();
    assert_eq!(orders.len(), 2_000);
    for feedback in values(records(3)) {
        let order = &orders[feedback["order_id"].as_str().unwrap()];
        assert_eq!(feedback["user_id"], order["user_id"]);
    }
}

#[test]
fn random_keys_come_from_a_thousand() {
    let (records, _) = batch(&config(everything(), None), 10_000);
    let keys: BTreeSet<_> = records.iter().map(|r| r.key.clone().unwrap()).collect();
    assert!((900..=1_000).contains(&keys.len()), "{}", keys.len());
}

#[test]
fn a_template_that_does_not_fit_the_stream_is_named_by_field() {
    let refused = |config: &Config| {
        let problem = Work::new(config).err().unwrap();
        assert!(problem.fatal);
        format!("{}: {}\n", problem.reason, problem.message)
    };
    let orders = |change: fn(&mut Contract)| {
        let mut contract = shop("orders");
        change(&mut contract);
        let mut config = config(contract, Some(Template::Shop(ShopRecords::Orders)));
        // The first record is meant to be faulty, which says nothing of the template.
        config.generate.faulty_percent = 99;
        config
    };
    let mut shown = refused(&orders(|c| c.fields[3].type_ = "date".into()));
    shown += &refused(&orders(|c| c.fields.push(field("city", "string", false))));
    shown += &refused(&orders(|c| drop(c.fields.remove(4))));
    shown += &refused(&orders(|c| c.fields[0].type_ = "text".into()));
    insta::assert_snapshot!(shown);
}

/// A definition says more than SQL's types, and made-up records obey it.
#[test]
fn records_of_a_definition_of_other_hands_can_be_written() {
    let avro = r#"{"type":"record","name":"R","fields":[
      {"name":"state","type":["null",{"type":"enum","name":"S","symbols":["NEW","PAID"]}],"default":null},
      {"name":"hash","type":{"type":"fixed","name":"H","size":20}},
      {"name":"id","type":{"type":"fixed","name":"U","size":16,"logicalType":"uuid"}},
      {"name":"ref","type":{"type":"string","logicalType":"uuid"}},
      {"name":"lines","type":{"type":"array","items":{"type":"record","name":"L","fields":[{"name":"state","type":"S"}]}}},
      {"name":"any","type":["null","int","S",{"type":"map","values":["L","H"]}]}
    ]}"#;
    let proto = r#"syntax = "proto3"; import "google/protobuf/struct.proto"; message R {
      enum State { UNKNOWN = 0; PAID = 1; }
      State state = 1;
      repeated State past = 2;
      uint32 n = 3;
      fixed64 big = 4;
      oneof how { string card = 5; string cash = 6; Deep deep = 7; }
      map<sint64, string> numbered = 8;
      map<bool, Nothing> said = 9;
      google.protobuf.Struct object = 10;
      repeated google.protobuf.Value values = 11;
      google.protobuf.ListValue list = 12;
      message Nothing {}
      message Deep { map<string, State> states = 1; oneof x { int32 a = 2; int32 b = 3; } }
    }"#;
    let made = |format: Format, text: &str, fields: Vec<Field>| {
        let contract = Contract {
            fields,
            format,
            definition: Some(Definition::new(text)),
            key: vec![],
            ..Contract::default()
        };
        let config = config(contract, None);
        let (records, progress) = batch(&config, 500);
        assert_eq!(progress.records_out, 500, "{progress:?}");
        let factory = RecordFactory::new(&config.generate, &config.plan.into.contract).unwrap();
        assert!(factory.fits(&config.plan).unwrap().is_ok());
        assert_eq!(records.len(), 500);
        factory.make(0, 500, NOW).text
    };
    let fields = headworks_schema::avro::to_fields(avro).unwrap();
    let text = made(Format::Avro, avro, fields);
    assert!(text.contains(r#""state":"NEW""#) && text.contains(r#""state":"PAID""#));
    for member in [r#""any":{"int":null,"S":""#, r#""map":{""#, r#""H":null}"#] {
        assert!(text.contains(member), "{member}");
    }
    let (fields, _) = headworks_schema::protobuf::to_fields(proto, None).unwrap();
    let text = made(Format::Protobuf, proto, fields);
    for member in [
        r#""card":""#,
        r#""cash":""#,
        r#""deep":{"#,
        r#""numbered":{"0":"#,
        r#""said":{"false":true,"true":true}"#,
        r#""object":"{\"n\":"#,
        r#""list":"["#,
    ] {
        assert!(text.contains(member), "{member}");
    }
    // What can't be made up is told before anything is.
    let narrow = r#"{"type":"record","name":"R","fields":[{"name":"n","type":{"type":"fixed","name":"N","size":1,"logicalType":"decimal","precision":2,"scale":0}}]}"#;
    let contract = Contract {
        fields: vec![field("n", "decimal(9,0)", false)],
        format: Format::Avro,
        definition: Some(Definition::new(narrow)),
        ..Contract::default()
    };
    let problem = Work::new(&config(contract, None)).err().unwrap();
    assert!(
        problem
            .message
            .contains("doesn't fit the 1 bytes of the definition's fixed"),
        "{}",
        problem.message
    );
}
