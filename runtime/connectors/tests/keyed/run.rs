//! A query over the streams, without the engine: the planner's branches, the state, and the finish.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use headworks_connectors::formats::json::{JsonDecoder, JsonEncoder};
use headworks_engine::format::{Decoder, Encoder};
use headworks_plan::{Contract, Field};
use headworks_sql::keyed::{Keyed, KeyedRows};
use headworks_sql::schema::Schema;
use headworks_sql::types::DataType;
use headworks_sql::{Branch, Dataflow, Reads, plan};
use headworks_state::{Change, EpochOutput, Pool, Spec, StatePartition};
use serde_json::Value;

use crate::golden::Answer;
use crate::streams::{Stream, Streams};

/// How records go through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// All in one epoch.
    AtOnce,
    /// Each in an epoch of its own; after every third the state is lost, and restored from what is left of
    /// its compacted changelog.
    Epochs,
}

/// After how many epochs the state is lost.
const LOST_AFTER: usize = 3;

/// What we answer.
pub fn answer(sql: &str, streams: &Streams, way: Way) -> Answer {
    let flow = match plan(sql, &streams.catalog()) {
        Ok(flow) => flow,
        Err(errors) => {
            let said: Vec<String> = errors.iter().map(ToString::to_string).collect();
            return Answer::Refused(said.join("; "));
        }
    };
    let mut rows = Rows::new(&flow.output);
    match flow.stateful().next() {
        Some((by, keyed)) => State::new(by, keyed, way).run(&flow, streams, &mut rows),
        None => {
            for branch in flow.branches() {
                let stream = streams.get(&branch.input);
                for row in rows.encoded(&evaluated(branch, stream, &stream.records)) {
                    rows.appended.push(row);
                }
            }
        }
    }
    Answer::Rows {
        columns: described(&flow.output),
        rows: rows.left(),
    }
}

/// Columns and types in Flink's words.
pub fn described(columns: &Schema) -> String {
    let column = |column: &headworks_sql::schema::Column| {
        format!("{} {}", column.name, kind(&column.data_type))
    };
    let all: Vec<String> = columns.columns.iter().map(column).collect();
    all.join(", ")
}

/// A type in Flink's words.
fn kind(data_type: &DataType) -> String {
    match data_type {
        DataType::Array(element) => format!("ARRAY<{}>", kind(element)),
        DataType::Map(value) => format!("MAP<STRING, {}>", kind(value)),
        DataType::Struct(fields) => {
            let fields = fields.iter();
            let fields = fields.map(|field| format!("`{}` {}", field.name, kind(&field.data_type)));
            format!("ROW<{}>", fields.collect::<Vec<_>>().join(", "))
        }
        single => single.to_string().to_uppercase().replace(',', ", "),
    }
}

/// What a branch gives for these records.
fn evaluated(branch: &Branch, stream: &Stream, records: &[Value]) -> RecordBatch {
    let mut decoder = JsonDecoder::pruned(&stream.contract, &branch.columns).unwrap();
    for record in records {
        decoder.decode(record.to_string().as_bytes()).unwrap();
    }
    branch.evaluate(&decoder.finish().unwrap()).unwrap().batch
}

/// The output, as JSON.
struct Rows {
    columns: Vec<String>,
    encoder: JsonEncoder,
    appended: Vec<Value>,
    /// Rows that replace each other, by key.
    kept: BTreeMap<String, Value>,
}

impl Rows {
    fn new(columns: &Schema) -> Rows {
        let contract = contract(columns);
        Rows {
            columns: contract
                .fields
                .iter()
                .map(|field| field.name.clone())
                .collect(),
            encoder: JsonEncoder::new(&contract).unwrap(),
            appended: Vec::new(),
            kept: BTreeMap::new(),
        }
    }

    /// Each row of a batch as an array. One that can't be written would be a dead letter.
    fn encoded(&mut self, batch: &RecordBatch) -> Vec<Value> {
        let encoded = |row| {
            let mut json = Vec::new();
            match self.encoder.encode(batch, row, &mut json) {
                Ok(()) => {
                    let mut object: Value = serde_json::from_slice(&json).unwrap();
                    self.columns
                        .iter()
                        .map(|name| object[name].take())
                        .collect()
                }
                Err(_) => dead_letter(),
            }
        };
        (0..batch.num_rows()).map(encoded).collect()
    }

    fn left(self) -> Vec<Value> {
        self.appended
            .into_iter()
            .chain(self.kept.into_values())
            .collect()
    }
}

/// Stands for a row that can't be written.
pub fn dead_letter() -> Value {
    "a dead letter".into()
}

/// A stream of these columns.
pub fn contract(columns: &Schema) -> Contract {
    let fields = columns.columns.iter().map(|column| Field {
        name: column.name.clone(),
        type_: column.data_type.to_string(),
        nullable: column.nullable,
        labels: vec![],
    });
    Contract {
        fields: fields.collect(),
        ..Contract::default()
    }
}

struct State<'a> {
    by: &'a KeyedRows,
    keyed: &'a Keyed,
    way: Way,
    spec: Arc<Spec>,
    pool: Pool,
    shard: StatePartition,
    changelog: Vec<Change>,
    watermark_ms: Option<i64>,
    epochs: usize,
    /// Writes keys, if there are any.
    keys: Option<Rows>,
}

impl State<'_> {
    fn new<'a>(by: &'a KeyedRows, keyed: &'a Keyed, way: Way) -> State<'a> {
        let spec = Arc::new(Spec::new(by, keyed, 0, None));
        let pool = Pool::open(64 << 20, None).unwrap();
        State {
            shard: StatePartition::new(spec.clone(), pool.clone()),
            keys: (by.keys > 0).then(|| {
                Rows::new(&Schema {
                    columns: keyed.results.columns[..by.keys].to_vec(),
                })
            }),
            changelog: Vec::new(),
            watermark_ms: None,
            epochs: 0,
            by,
            keyed,
            way,
            spec,
            pool,
        }
    }

    fn run(&mut self, flow: &Dataflow, streams: &Streams, rows: &mut Rows) {
        // The greatest event time of each input, as far as it was read.
        let mut greatest: BTreeMap<&str, Option<i64>> = flow
            .branches()
            .map(|branch| (branch.input.as_str(), None))
            .collect();
        let most = greatest
            .keys()
            .map(|input| streams.get(input).records.len())
            .max();
        for at in 0..most.unwrap_or(0) {
            for (input, greatest) in &mut greatest {
                let stream = streams.get(input);
                let Some(record) = stream.records.get(at) else {
                    continue;
                };
                let time = stream.event_time_ms(record);
                *greatest = (*greatest).max(Some(time - stream.disorder_ms));
                // No record is one without a value.
                let reads =
                    |branch: &&Branch| branch.input == *input && branch.reads != Reads::Tombstones;
                for branch in flow.branches().filter(reads) {
                    let batch = evaluated(branch, stream, std::slice::from_ref(record));
                    let late = self.shard.add(&batch, 0).unwrap();
                    assert_eq!(late, Vec::<u32>::new(), "no record is late");
                }
            }
            if self.way == Way::Epochs {
                // None until every input was heard of.
                let watermark = greatest.values().copied().min().flatten();
                self.end(watermark, rows);
            }
        }
        self.end(Some(i64::MAX), rows);
    }

    fn end(&mut self, watermark_ms: Option<i64>, rows: &mut Rows) {
        let sealed = self.shard.prepare_commit(watermark_ms, 0).unwrap();
        self.take(&sealed, rows);
        self.changelog.extend(sealed.changelog);
        self.shard.commit().unwrap();
        self.watermark_ms = self.watermark_ms.max(watermark_ms);
        self.epochs += 1;
        if self.epochs.is_multiple_of(LOST_AFTER) {
            self.restore();
        }
    }

    fn restore(&mut self) {
        let mut last = BTreeMap::new();
        for (at, change) in self.changelog.iter().enumerate() {
            last.insert(&change.key, at);
        }
        let mut left: Vec<usize> = last.into_values().collect();
        left.sort_unstable();
        self.changelog = left
            .into_iter()
            .map(|at| self.changelog[at].clone())
            .collect();
        self.shard = StatePartition::new(self.spec.clone(), self.pool.clone());
        for change in &self.changelog {
            self.shard
                .restore(&change.key, change.value.as_deref())
                .unwrap();
        }
        self.shard.restored(self.watermark_ms).unwrap();
    }

    fn take(&mut self, sealed: &EpochOutput, rows: &mut Rows) {
        let upserts = !self.keyed.by_event_time();
        for results in &sealed.results {
            let (output, from) = self.finished(results);
            let output = rows.encoded(&output);
            if !upserts {
                rows.appended.extend(output);
                continue;
            }
            let keys = self.keys(results);
            for key in &keys {
                rows.kept.remove(key);
            }
            for (row, from) in output.into_iter().zip(from) {
                rows.kept.insert(keys[from as usize].clone(), row);
            }
        }
        for gone in &sealed.gone {
            for key in self.keys(gone) {
                rows.kept.remove(&key);
            }
        }
    }

    /// The key of each row, as text.
    fn keys(&mut self, results: &RecordBatch) -> Vec<String> {
        let Some(encoder) = &mut self.keys else {
            return vec![String::new(); results.num_rows()];
        };
        let columns: Vec<usize> = (0..self.by.keys).collect();
        let keys = results.project(&columns).unwrap();
        encoder
            .encoded(&keys)
            .iter()
            .map(Value::to_string)
            .collect()
    }

    /// The output that is made of results, and from which.
    fn finished(&self, results: &RecordBatch) -> (RecordBatch, Vec<u32>) {
        let finish = &self.keyed.finish;
        let schema = results.schema();
        let columns: Vec<usize> = finish
            .columns
            .iter()
            .map(|name| schema.index_of(name).unwrap())
            .collect();
        let evaluated = finish
            .evaluate(&results.project(&columns).unwrap())
            .unwrap();
        (evaluated.batch, evaluated.rows.values().to_vec())
    }
}
