//! The tests that the pipelines of `examples/` bring along: their records through the decoder, the
//! query and the encoder, and the rows beside those expected.

// All of this is test: a helper may fail it as well.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::path::Path;

use headworks_connectors::formats::json::{JsonDecoder, JsonEncoder};
use headworks_engine::format::{Decoder, Encoder};
use headworks_plan::{Contract, Field};
use headworks_sql::{Catalog, Dataflow, plan};
use serde_json::Value;

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn contract(spec: &Value) -> Contract {
    let fields = spec["schema"].as_array().unwrap().iter().map(|f| Field {
        name: text(&f["name"]),
        type_: text(&f["type"]),
        nullable: f["nullable"] == true,
        labels: vec![],
    });
    Contract {
        fields: fields.collect(),
        ..Contract::default()
    }
}

/// What the query gives, as JSON.
fn rows(flow: &Dataflow, streams: &BTreeMap<String, Contract>, given: &Value) -> Vec<Value> {
    let output = Contract {
        fields: flow
            .output
            .columns
            .iter()
            .map(|c| Field {
                name: c.name.clone(),
                type_: c.data_type.to_string(),
                nullable: c.nullable,
                labels: vec![],
            })
            .collect(),
        ..Contract::default()
    };
    let mut rows = Vec::new();
    for branch in &flow.branches {
        let records = given[&branch.input].as_array().cloned().unwrap_or_default();
        let contract = &streams[&branch.input];
        let mut decoder = JsonDecoder::pruned(contract, &branch.columns).unwrap();
        for record in records {
            decoder.decode(record.to_string().as_bytes()).unwrap();
        }
        let result = branch.evaluate(&decoder.finish().unwrap()).unwrap().batch;
        let mut encoder = JsonEncoder::new(&output).unwrap();
        for row in 0..result.num_rows() {
            let mut json = Vec::new();
            encoder.encode(&result, row, &mut json).unwrap();
            rows.push(serde_json::from_slice(&json).unwrap());
        }
    }
    rows
}

/// The first expected row that isn't there, or a row too many.
fn differs(mut rows: Vec<Value>, expected: &[Value]) -> Option<String> {
    for wanted in expected {
        let fields = wanted.as_object().unwrap();
        let found = rows.iter().position(|row| {
            fields
                .iter()
                .all(|(name, value)| row.get(name) == Some(value))
        });
        match found {
            Some(at) => drop(rows.swap_remove(at)),
            None => return Some(format!("no row is like {wanted}; left are {rows:?}")),
        }
    }
    rows.first().map(|row| format!("{row} wasn't expected"))
}

#[test]
fn the_examples_own_tests_hold() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut tests = 0;
    for example in std::fs::read_dir(folder).unwrap() {
        let (mut streams, mut pipelines) = (BTreeMap::new(), Vec::new());
        for file in std::fs::read_dir(example.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_none_or(|e| e != "yaml") {
                continue;
            }
            let yaml = std::fs::read_to_string(&path).unwrap();
            for object in serde_saphyr::from_multiple::<Value>(&yaml).unwrap() {
                match object["kind"].as_str() {
                    Some("DataStream") => {
                        let name = text(&object["metadata"]["name"]);
                        streams.insert(name, contract(&object["spec"]));
                    }
                    Some("Pipeline") => pipelines.push(object),
                    _ => {}
                }
            }
        }
        let catalog = streams
            .iter()
            .fold(Catalog::new(), |c, (name, s)| c.with(name, s.clone()));
        for pipeline in pipelines {
            let spec = &pipeline["spec"];
            let flow = plan(&text(&spec["sql"]), &catalog).unwrap();
            for test in spec["tests"].as_array().into_iter().flatten() {
                let rows = rows(&flow, &streams, &test["given"]);
                let difference = differs(rows, test["expect"].as_array().unwrap());
                let place = format!("{}, {}", pipeline["metadata"]["name"], test["name"]);
                assert_eq!(difference, None, "{place}");
                tests += 1;
            }
        }
    }
    assert!(tests >= 5, "{tests}");
}

#[test]
fn a_row_that_is_missing_or_too_many_is_seen() {
    let row = |n: i64| serde_json::json!({"n": n, "m": 0});
    let wanted = |n: i64| serde_json::json!({"n": n});
    assert_eq!(differs(vec![row(1), row(2)], &[wanted(2), wanted(1)]), None);
    assert!(differs(vec![row(1)], &[wanted(1), wanted(1)]).is_some());
    assert!(differs(vec![row(1), row(1)], &[wanted(1)]).is_some());
}
