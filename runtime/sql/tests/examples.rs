//! The pipelines of `examples/` against their own streams: they plan, and their results fit.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where it fails"
)]

use std::collections::BTreeMap;
use std::path::Path;

use headworks_plan::{Contract, EventTime, Field};
use headworks_sql::schema::Schema;
use headworks_sql::types::DataType;
use headworks_sql::{Catalog, plan, target};
use serde_json::Value;

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn contract(spec: &Value) -> Contract {
    let listed = spec["schema"].as_array().into_iter().flatten();
    let mut fields: Vec<Field> = listed
        .map(|f| Field {
            name: text(&f["name"]),
            type_: text(&f["type"]),
            nullable: f["nullable"].as_bool().unwrap_or(false),
            labels: f["labels"]
                .as_array()
                .map_or(vec![], |l| l.iter().map(text).collect()),
        })
        .collect();
    if let Some(definition) = spec["avro"].as_str() {
        fields = headworks_schema::avro::to_fields(definition).unwrap();
    }
    if let Some(definition) = spec["protobuf"]["schema"].as_str() {
        let message = spec["protobuf"]["message"].as_str();
        fields = headworks_schema::protobuf::to_fields(definition, message)
            .unwrap()
            .0;
    }
    let key = spec["key"]
        .as_array()
        .map_or(vec![], |k| k.iter().map(text).collect());
    let event_time = spec["eventTime"]["field"].as_str().map(|field| EventTime {
        field: field.to_owned(),
        max_out_of_orderness_ms: 0,
        idle_timeout_ms: None,
    });
    Contract {
        fields,
        key,
        compacted: spec["compacted"].as_bool().unwrap_or(false),
        event_time,
        ..Contract::default()
    }
}

/// A row is replaced by its key, which is therefore never null; a table that is made has plain columns.
fn table(pipeline: &str, target: &Value, output: &Schema) {
    for key in target["key"].as_array().into_iter().flatten().map(text) {
        let column = output.column(&key);
        let column = column.unwrap_or_else(|| panic!("{pipeline}: no column {key} for the key"));
        assert!(!column.nullable, "{pipeline}: key {key} may be null");
    }
    for column in &output.columns {
        let nested = matches!(
            column.data_type,
            DataType::Array(_) | DataType::Map(_) | DataType::Struct(_)
        );
        assert!(!nested, "{pipeline}: {} is nested", column.name);
    }
}

#[test]
fn every_pipeline_of_the_examples_plans_and_fits_its_streams() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut pipelines = 0;
    for example in std::fs::read_dir(folder).unwrap() {
        let (mut streams, mut queries) = (BTreeMap::new(), Vec::new());
        for file in std::fs::read_dir(example.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_none_or(|e| e != "yaml") {
                continue;
            }
            let yaml = std::fs::read_to_string(&path).unwrap();
            for object in serde_saphyr::from_multiple::<Value>(&yaml).unwrap() {
                let name = object["metadata"]["name"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned();
                match object["kind"].as_str() {
                    Some("DataStream") => drop(streams.insert(name, contract(&object["spec"]))),
                    Some("Pipeline") => queries.push((name, object["spec"].clone())),
                    _ => {}
                }
            }
        }
        let catalog = streams
            .iter()
            .fold(Catalog::new(), |c, (name, s)| c.with(name, s.clone()));
        for (name, spec) in queries {
            let flow =
                plan(&text(&spec["sql"]), &catalog).unwrap_or_else(|e| panic!("{name}: {}", e[0]));
            for to in spec["to"].as_array().unwrap() {
                let Some(stream) = to["stream"].as_str() else {
                    table(&name, &to["table"], &flow.output);
                    continue;
                };
                target::check(&flow.output, &streams[stream])
                    .unwrap_or_else(|m| panic!("{name}: {}", m[0]));
            }
            pipelines += 1;
        }
    }
    assert!(pipelines > 0, "no example has a pipeline");
}
