//! Files in a folder of the test's own.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use headworks_engine::format::Encoder;
use headworks_engine::log::Reason;
use headworks_engine::store::{StoreError, Stores, TableSink, Writer};
use headworks_plan::{FileConnection, Store, StoreConnection, TableOutput};
use headworks_sql::schema::{Column, Schema};
use headworks_sql::types::DataType;

use crate::stores::{StoreRegistry, probe};

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A folder that goes with the test.
struct Place(PathBuf);

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Place {
    fn new() -> Place {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("headworks-files-{}-{number}", std::process::id());
        Place(std::env::temp_dir().join(name))
    }

    fn table(&self) -> TableOutput {
        TableOutput {
            store: Store {
                name: "dump".into(),
                connection: StoreConnection::File(FileConnection {
                    folder: self.0.join("debug").display().to_string(),
                }),
            },
            table: "shop.orders".into(),
            key: Vec::new(),
            create: false,
            group: "g".into(),
        }
    }

    fn path(&self) -> PathBuf {
        self.0.join("debug/shop.orders-p-0.ndjson")
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.path()).unwrap()
    }
}

fn columns(columns: &[(&str, DataType)]) -> Schema {
    let column = |(name, data_type): &(&str, DataType)| Column {
        name: (*name).into(),
        data_type: data_type.clone(),
        nullable: true,
        labels: Vec::new(),
    };
    Schema {
        columns: columns.iter().map(column).collect(),
    }
}

fn two() -> Schema {
    columns(&[("id", DataType::BigInt), ("na\"me", DataType::String)])
}

/// A session and the encoder of its rows.
struct Session {
    writer: Box<dyn Writer>,
    encoder: Box<dyn Encoder>,
    columns: Schema,
}

fn open(table: &TableOutput, columns: Schema) -> Session {
    let registry = StoreRegistry::of_pod("p-0".into());
    let writer = match registry.sink(table, &columns) {
        TableSink::AtLeastOnce(open) => open(),
        other => panic!("{:?}", other.guarantee()),
    };
    Session {
        writer,
        encoder: registry.encoder(table, &columns).unwrap(),
        columns,
    }
}

impl Session {
    fn write(&mut self, arrays: Vec<ArrayRef>) -> Result<(), StoreError> {
        let batch = RecordBatch::try_new(self.columns.to_arrow(), arrays).unwrap();
        let rows: Vec<Vec<u8>> = (0..batch.num_rows())
            .map(|row| {
                let mut out = Vec::new();
                self.encoder.encode(&batch, row, &mut out).unwrap();
                out
            })
            .collect();
        let rows: Vec<&[u8]> = rows.iter().map(Vec::as_slice).collect();
        self.writer.write(&rows)
    }
}

fn of(ids: &[i64]) -> Vec<ArrayRef> {
    let names: Vec<Option<String>> = ids
        .iter()
        .map(|id| (*id != 2).then(|| format!("n\"{id}")))
        .collect();
    vec![
        Arc::new(Int64Array::from(ids.to_vec())),
        Arc::new(StringArray::from(names)),
    ]
}

const ONE: &str = "{\"id\":1,\"na\\\"me\":\"n\\\"1\"}\n";
const TWO: &str = "{\"id\":2,\"na\\\"me\":null}\n";

#[test]
fn rows_are_lines_and_are_there_once_they_are_flushed() {
    let place = Place::new();
    let table = place.table();
    let mut session = open(&table, two());
    session.write(of(&[1, 2])).unwrap();
    assert_eq!(place.text(), "");
    session.writer.flush().unwrap();
    assert_eq!(place.text(), [ONE, TWO].concat());
    drop(session);
    // The next session goes on behind them.
    let mut session = open(&table, two());
    session.write(of(&[1])).unwrap();
    session.writer.flush().unwrap();
    session.writer.flush().unwrap();
    assert_eq!(place.text(), [ONE, TWO, ONE].concat());
    for line in place.text().lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
}

#[test]
fn what_is_given_up_is_cut_off_and_so_is_half_a_line() {
    let place = Place::new();
    let table = place.table();
    let mut session = open(&table, two());
    session.write(of(&[1])).unwrap();
    session.writer.flush().unwrap();
    // More than is kept in memory.
    let many: Vec<i64> = (0..60_000).collect();
    session.write(of(&many)).unwrap();
    assert!(place.text().len() > 1 << 20);
    session.writer.discard();
    session.write(of(&[2])).unwrap();
    session.writer.discard();
    session.write(of(&[2])).unwrap();
    session.writer.flush().unwrap();
    assert_eq!(place.text(), [ONE, TWO].concat());
    drop(session);
    // A process died in the midst of a long line.
    let half = format!(
        "{}{{\"id\":3,\"name\":\"{}",
        place.text(),
        "x".repeat(200_000)
    );
    std::fs::write(place.path(), half).unwrap();
    let mut session = open(&table, two());
    session.write(of(&[1])).unwrap();
    session.writer.flush().unwrap();
    assert_eq!(place.text(), [ONE, TWO, ONE].concat());
    drop(session);
    std::fs::write(place.path(), "no line at all").unwrap();
    let mut session = open(&table, two());
    session.write(of(&[1])).unwrap();
    session.writer.flush().unwrap();
    assert_eq!(place.text(), ONE);
}

#[test]
fn a_row_that_json_has_no_word_for_is_named() {
    let place = Place::new();
    let table = place.table();
    let mut session = open(&table, columns(&[("x", DataType::Double)]));
    let values: Vec<ArrayRef> = vec![Arc::new(Float64Array::from(vec![f64::NAN]))];
    let batch = RecordBatch::try_new(session.columns.to_arrow(), values).unwrap();
    let refused = session.encoder.encode(&batch, 0, &mut Vec::new());
    assert!(refused.unwrap_err().to_string().contains('x'));
}

#[test]
fn two_never_write_one_file_at_once() {
    let place = Place::new();
    let table = place.table();
    let (mut one, mut other) = (open(&table, two()), open(&table, two()));
    one.write(of(&[1])).unwrap();
    let StoreError::Held { reason, message } = other.write(of(&[2])).unwrap_err() else {
        panic!("it writes")
    };
    assert!(
        reason == Reason::StoreUnavailable && message.contains("another writes"),
        "{message}"
    );
    one.writer.flush().unwrap();
    drop(one);
    other.write(of(&[2])).unwrap();
    other.writer.flush().unwrap();
    assert_eq!(place.text(), [ONE, TWO].concat());
}

#[tokio::test]
async fn a_probe_says_whether_files_can_be_written_and_leaves_none() {
    let place = Place::new();
    let table = place.table();
    assert_eq!(probe(&table.store).check().await, Ok(None));
    let folder = place.0.join("debug");
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
    // Something else is where the folder should be.
    std::fs::remove_dir(&folder).unwrap();
    std::fs::write(&folder, "x").unwrap();
    let fault = probe(&table.store).check().await.unwrap_err();
    assert!(fault.message.contains("DataStore dump"), "{fault:?}");
    let mut session = open(&table, two());
    assert!(matches!(
        session.write(of(&[1])),
        Err(StoreError::Held { .. })
    ));
}
