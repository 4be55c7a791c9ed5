//! Files in a folder of the test's own.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{Field, Schema as ArrowSchema};
use headworks_engine::log::Reason;
use headworks_engine::store::{StoreError, Stores, TableRows, TableSchema, TableSink, Writer};
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

fn writer(table: &TableOutput, columns: Schema) -> Box<dyn Writer> {
    let registry = StoreRegistry::of_pod("p-0".into());
    let schema = TableSchema::new(columns, &table.key);
    match registry.sink(table, &schema) {
        TableSink::AtLeastOnce(open) => open(),
        other => panic!("{:?}", other.guarantee()),
    }
}

fn rows(columns: Vec<ArrayRef>) -> TableRows {
    let fields: Vec<Field> = columns
        .iter()
        .enumerate()
        .map(|(at, array)| Field::new(format!("c{at}"), array.data_type().clone(), true))
        .collect();
    let batch = RecordBatch::try_new(Arc::new(ArrowSchema::new(fields)), columns).unwrap();
    let records = (0..batch.num_rows() as u32).collect();
    TableRows::new(batch, records).unwrap()
}

fn of(ids: &[i64]) -> TableRows {
    let names: Vec<Option<String>> = ids
        .iter()
        .map(|id| (*id != 2).then(|| format!("n\"{id}")))
        .collect();
    rows(vec![
        Arc::new(Int64Array::from(ids.to_vec())),
        Arc::new(StringArray::from(names)),
    ])
}

const ONE: &str = "{\"id\":1,\"na\\\"me\":\"n\\\"1\"}\n";
const TWO: &str = "{\"id\":2,\"na\\\"me\":null}\n";

#[test]
fn rows_are_lines_and_are_there_once_they_are_flushed() {
    let place = Place::new();
    let table = place.table();
    let mut session = writer(&table, two());
    session.write(&of(&[1, 2])).unwrap();
    assert_eq!(place.text(), "");
    session.flush().unwrap();
    assert_eq!(place.text(), [ONE, TWO].concat());
    drop(session);
    // The next session goes on behind them.
    let mut session = writer(&table, two());
    session.write(&of(&[1])).unwrap();
    session.flush().unwrap();
    session.flush().unwrap();
    assert_eq!(place.text(), [ONE, TWO, ONE].concat());
    for line in place.text().lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
}

#[test]
fn what_is_given_up_is_cut_off_and_so_is_half_a_line() {
    let place = Place::new();
    let table = place.table();
    let mut session = writer(&table, two());
    session.write(&of(&[1])).unwrap();
    session.flush().unwrap();
    // More than is kept in memory.
    let many: Vec<i64> = (0..60_000).collect();
    session.write(&of(&many)).unwrap();
    assert!(place.text().len() > 1 << 20);
    session.discard();
    session.write(&of(&[2])).unwrap();
    session.discard();
    session.write(&of(&[2])).unwrap();
    session.flush().unwrap();
    assert_eq!(place.text(), [ONE, TWO].concat());
    drop(session);
    // A process died in the midst of a long line.
    let half = format!(
        "{}{{\"id\":3,\"name\":\"{}",
        place.text(),
        "x".repeat(200_000)
    );
    std::fs::write(place.path(), half).unwrap();
    let mut session = writer(&table, two());
    session.write(&of(&[1])).unwrap();
    session.flush().unwrap();
    assert_eq!(place.text(), [ONE, TWO, ONE].concat());
    drop(session);
    std::fs::write(place.path(), "no line at all").unwrap();
    let mut session = writer(&table, two());
    session.write(&of(&[1])).unwrap();
    session.flush().unwrap();
    assert_eq!(place.text(), ONE);
}

#[test]
fn a_file_that_is_taken_away_is_followed_by_a_new_one_and_deleted_rows_are_no_success() {
    let place = Place::new();
    let table = place.table();
    let mut session = writer(&table, two());
    session.write(&of(&[1])).unwrap();
    session.flush().unwrap();
    let handed_on = place.0.join("handed-on.ndjson");
    std::fs::rename(place.path(), &handed_on).unwrap();
    session.write(&of(&[2])).unwrap();
    session.flush().unwrap();
    assert_eq!(std::fs::read_to_string(handed_on).unwrap(), ONE);
    assert_eq!(place.text(), TWO);
    // Deleted between writing and flushing: what says that it is there isn't true.
    let many: Vec<i64> = (0..60_000).collect();
    session.write(&of(&many)).unwrap();
    std::fs::remove_file(place.path()).unwrap();
    let StoreError::Held { message, .. } = session.flush().unwrap_err() else {
        panic!("it is flushed")
    };
    assert!(message.contains("deleted"), "{message}");
    session.discard();
    session.write(&of(&[1])).unwrap();
    session.flush().unwrap();
    assert_eq!(place.text(), ONE);
}

#[test]
fn a_row_that_json_has_no_word_for_is_named_and_leaves_no_trace() {
    let place = Place::new();
    let table = place.table();
    let mut session = writer(&table, columns(&[("x", DataType::Double)]));
    let values = vec![1.5, f64::NAN, 2.5];
    let refused = session
        .write(&rows(vec![Arc::new(Float64Array::from(values))]))
        .unwrap_err();
    let StoreError::Unfit { rows: unfit } = refused else {
        panic!("{refused:?}")
    };
    assert!(unfit.len() == 1 && unfit[0].row == 1 && unfit[0].message.contains('x'));
    session
        .write(&rows(vec![Arc::new(Float64Array::from(vec![1.5, 2.5]))]))
        .unwrap();
    session.flush().unwrap();
    assert_eq!(place.text(), "{\"x\":1.5}\n{\"x\":2.5}\n");
}

#[test]
fn two_never_write_one_file_at_once() {
    let place = Place::new();
    let table = place.table();
    let (mut one, mut other) = (writer(&table, two()), writer(&table, two()));
    one.write(&of(&[1])).unwrap();
    let StoreError::Held { reason, message } = other.write(&of(&[2])).unwrap_err() else {
        panic!("it writes")
    };
    assert!(
        reason == Reason::StoreUnavailable && message.contains("another writes"),
        "{message}"
    );
    one.flush().unwrap();
    drop(one);
    other.write(&of(&[2])).unwrap();
    other.flush().unwrap();
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
    let mut session = writer(&table, two());
    assert!(matches!(
        session.write(&of(&[1])),
        Err(StoreError::Held { .. })
    ));
}
