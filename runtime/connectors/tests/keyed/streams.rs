//! The streams that cases read.

use std::collections::BTreeMap;
use std::path::PathBuf;

use headworks_plan::{Contract, EventTime, Field};
use headworks_sql::Catalog;
use serde_json::Value;

/// Streams by name.
pub struct Streams(BTreeMap<String, Stream>);

/// A stream.
pub struct Stream {
    /// Its contract.
    pub contract: Contract,
    /// How far behind the greatest event time a record may be, in milliseconds.
    pub disorder_ms: i64,
    /// Its records, in order.
    pub records: Vec<Value>,
}

impl Streams {
    /// As a file beside this one has them.
    pub fn read(file: &str) -> Streams {
        let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/keyed");
        let path = beside.join(file);
        let text = std::fs::read_to_string(path).unwrap();
        let file: BTreeMap<String, Value> = serde_json::from_str(&text).unwrap();
        Streams(
            file.into_iter()
                .map(|(name, stream)| (name, Stream::read(&stream)))
                .collect(),
        )
    }

    /// One of them.
    pub fn get(&self, name: &str) -> &Stream {
        &self.0[name]
    }

    /// For the planner.
    pub fn catalog(&self) -> Catalog {
        self.0
            .iter()
            .fold(Catalog::new(), |catalog, (name, stream)| {
                catalog.with(name, stream.contract.clone())
            })
    }
}

impl Stream {
    fn read(stream: &Value) -> Stream {
        let time = stream["eventTime"].as_str().unwrap();
        let nullable = stream["nullable"].as_array();
        let disorder_ms = stream["outOfOrderness"].as_i64().unwrap() * 1_000;
        let fields = stream["fields"].as_array().unwrap().iter().map(|field| {
            let name = field[0].as_str().unwrap();
            Field {
                name: name.to_owned(),
                type_: field[1].as_str().unwrap().to_owned(),
                nullable: name != time
                    && nullable.is_none_or(|nullable| nullable.iter().any(|field| field == name)),
                labels: vec![],
            }
        });
        let key = stream["key"].as_array().into_iter().flatten();
        let key: Vec<String> = key.map(|key| key.as_str().unwrap().to_owned()).collect();
        let contract = Contract {
            fields: fields.collect(),
            compacted: !key.is_empty(),
            key,
            event_time: Some(EventTime {
                field: time.to_owned(),
                max_out_of_orderness_ms: disorder_ms.unsigned_abs(),
                idle_timeout_ms: None,
            }),
            ..Contract::default()
        };
        let record = |values: &Value| {
            let values = values.as_array().unwrap().iter().cloned();
            let names = contract.fields.iter().map(|field| field.name.clone());
            names.zip(values).collect()
        };
        let records = stream["rows"].as_array().unwrap().iter().map(record);
        Stream {
            disorder_ms,
            records: records.collect(),
            contract,
        }
    }

    /// A record's event time.
    pub fn event_time_ms(&self, record: &Value) -> i64 {
        let field = &self.contract.event_time.as_ref().unwrap().field;
        let time: jiff::Timestamp = record[field.as_str()].as_str().unwrap().parse().unwrap();
        time.as_millisecond()
    }
}
