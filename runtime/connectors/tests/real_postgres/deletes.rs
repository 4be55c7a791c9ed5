//! Rows that are marked as deletes, in tables with a key.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, StringArray};
use headworks_engine::store::StoreError;
use headworks_plan::{DELETED_COLUMN, StoreReason};
use headworks_sql::schema::Schema;
use headworks_sql::types::DataType;

use crate::place::{Place, Session, columns, held, numbers, place};

fn schema() -> Schema {
    columns(&[
        ("id", DataType::BigInt),
        ("v", DataType::String),
        (DELETED_COLUMN, DataType::Boolean),
    ])
}

/// A row of each: its key, and the value, or none for a delete.
fn rows(rows: &[(i64, Option<&str>)]) -> Vec<ArrayRef> {
    let ids: Vec<i64> = rows.iter().map(|(id, _)| *id).collect();
    let values: StringArray = rows.iter().map(|(_, value)| *value).collect();
    let marks: BooleanArray = rows
        .iter()
        .map(|(_, value)| Some(value.is_none()))
        .collect();
    vec![numbers(&ids), Arc::new(values), Arc::new(marks)]
}

fn there(place: &Place, table: &str) -> Vec<String> {
    place
        .texts(&format!("SELECT id || v FROM SCHEMA_.{table} ORDER BY 1"))
        .into_iter()
        .flatten()
        .collect()
}

#[test]
fn a_marked_row_takes_the_row_of_its_key_away() {
    let Some(place) = place() else { return };
    let mut session = Session::open(&place.table("gone", &["id"]), schema());
    session.store(rows(&[(1, Some("a")), (2, Some("b")), (3, Some("c"))]));
    assert_eq!(
        place.texts(
            "SELECT string_agg(column_name, ' ' ORDER BY ordinal_position)::text FROM information_schema.columns \
             WHERE table_schema = 'SCHEMA_' AND table_name = 'gone'",
        ),
        [Some("id v".to_owned())],
        "the mark is no column of the table"
    );
    session.store(rows(&[(1, None), (2, Some("B")), (9, None)]));
    assert_eq!(there(&place, "gone"), ["2B", "3c"]);
    // Nobody deletes here: a batch of upserts alone.
    session.store(rows(&[(1, Some("again"))]));
    assert_eq!(there(&place, "gone"), ["1again", "2B", "3c"]);
}

#[test]
fn the_last_of_a_key_wins_within_a_batch_and_within_a_commit() {
    let Some(place) = place() else { return };
    let mut session = Session::open(&place.table("last", &["id"]), schema());
    session.store(rows(&[(1, Some("a")), (2, Some("b")), (3, Some("c"))]));
    session.store(rows(&[
        (1, None),
        (1, Some("back")),
        (2, Some("B")),
        (2, None),
        (4, Some("d")),
        (4, None),
    ]));
    assert_eq!(there(&place, "last"), ["1back", "3c"]);
    let at = session.claim().unwrap();
    session.store.begin().unwrap();
    session.write(rows(&[(1, None), (5, Some("e"))])).unwrap();
    session.write(rows(&[(1, Some("A")), (5, None)])).unwrap();
    session.write(rows(&[(3, None)])).unwrap();
    session.commit(at, 3).unwrap();
    assert_eq!(there(&place, "last"), ["1A"]);
    // What isn't committed isn't deleted.
    session.store.begin().unwrap();
    session.write(rows(&[(1, None)])).unwrap();
    session.store.rollback();
    assert_eq!(there(&place, "last"), ["1A"]);
}

#[test]
fn what_a_deleted_row_held_of_another_index_is_free() {
    let Some(place) = place() else { return };
    place.execute("CREATE TABLE SCHEMA_.seats (id bigint PRIMARY KEY, v text NOT NULL UNIQUE)");
    let mut session = Session::open(&place.table("seats", &["id"]), schema());
    session.store(rows(&[(1, Some("window"))]));
    session.store(rows(&[(1, None), (2, Some("window"))]));
    assert_eq!(there(&place, "seats"), ["2window"]);
}

#[test]
fn a_key_of_several_columns_and_nothing_else() {
    let Some(place) = place() else { return };
    let schema = columns(&[
        ("a \"b\"", DataType::BigInt),
        ("eu", DataType::String),
        (DELETED_COLUMN, DataType::Boolean),
    ]);
    let row = |id: i64, eu: &str, gone: bool| -> Vec<ArrayRef> {
        vec![
            Arc::new(Int64Array::from(vec![id])),
            Arc::new(StringArray::from(vec![eu])),
            Arc::new(BooleanArray::from(vec![gone])),
        ]
    };
    let mut session = Session::open(&place.table("pairs", &["eu", "a \"b\""]), schema);
    session.store(row(1, "x", false));
    session.store(row(1, "y", false));
    session.store(row(1, "x", true));
    assert_eq!(
        place.texts("SELECT eu FROM SCHEMA_.pairs"),
        [Some("y".to_owned())]
    );
}

#[test]
fn a_delete_that_the_server_refuses_is_found_and_the_others_go_on() {
    let Some(place) = place() else { return };
    place.execute(
        "CREATE TABLE SCHEMA_.customers (id bigint PRIMARY KEY, v text); \
         CREATE TABLE SCHEMA_.orders (customer bigint REFERENCES SCHEMA_.customers)",
    );
    let mut session = Session::open(&place.table("customers", &["id"]), schema());
    session.store(rows(&[(1, Some("a")), (2, Some("b"))]));
    place.execute("INSERT INTO SCHEMA_.orders VALUES (1)");
    let at = session.claim().unwrap();
    session.store.begin().unwrap();
    let Err(StoreError::Refused { message }) = session.write(rows(&[(1, None), (2, None)])) else {
        panic!("a row of another table needs it")
    };
    assert!(message.contains("23503"), "{message}");
    session.write(rows(&[(2, None)])).unwrap();
    session.commit(at, 2).unwrap();
    assert_eq!(there(&place, "customers"), ["1a"]);
}

#[test]
fn the_right_to_delete_is_asked_for_when_it_is_needed() {
    let Some(mut place) = place() else { return };
    let user = format!("{}_deleter", place.schema);
    place.execute(&format!(
        "CREATE ROLE {user} LOGIN PASSWORD 'p'; GRANT USAGE, CREATE ON SCHEMA SCHEMA_ TO {user}; \
         CREATE TABLE SCHEMA_.kept (id bigint PRIMARY KEY, v text); \
         GRANT SELECT, INSERT, UPDATE ON SCHEMA_.kept TO {user}"
    ));
    let mut table = place.table("kept", &["id"]);
    place.log_in(&mut table, &user, "p");
    let mut session = Session::open(&table, schema());
    session.store(rows(&[(1, Some("a"))]));
    let at = session.claim().unwrap();
    session.store.begin().unwrap();
    let (reason, message) = held(session.write(rows(&[(1, None)])));
    assert_eq!(reason, StoreReason::StorePermissionDenied, "{message}");
    place.execute(&format!("GRANT DELETE ON SCHEMA_.kept TO {user}"));
    assert_eq!(session.claim().unwrap(), at);
    session.store(rows(&[(1, None)]));
    assert_eq!(there(&place, "kept"), Vec::<String>::new());
    place.execute(&format!("DROP OWNED BY {user} CASCADE; DROP ROLE {user}"));
}
