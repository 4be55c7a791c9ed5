//! Rows that the server refuses.

use std::sync::Arc;

use arrow::array::{ArrayRef, Decimal128Array, StringArray};
use headworks_engine::store::StoreError;
use headworks_plan::StoreReason;
use headworks_sql::types::DataType;

use crate::place::{Session, columns, held, numbers, place};

#[test]
fn a_refusal_names_the_column_and_does_not_repeat_the_value() {
    let Some(place) = place() else { return };
    place.execute("CREATE TABLE SCHEMA_.quoted (id smallint PRIMARY KEY, u uuid)");
    let schema = columns(&[("id", DataType::BigInt), ("u", DataType::String)]);
    for key in [&[][..], &["id"][..]] {
        let mut session = Session::open(&place.table("quoted", key), schema.clone());
        session.claim().unwrap();
        session.store.begin().unwrap();
        for (id, u, code, column) in [
            (1, "se\"cret", "22P02", "u"),
            (4_111_111, "", "22003", "id"),
        ] {
            let row: Vec<ArrayRef> = vec![numbers(&[id]), Arc::new(StringArray::from(vec![u]))];
            let Err(StoreError::Refused { message }) = session.write(row) else {
                panic!("{code}")
            };
            assert!(
                message.contains(code) && message.contains(&format!("column \"{column}\"")),
                "{message}"
            );
            assert!(
                !message.contains("cret") && !message.contains("4111111"),
                "{message}"
            );
        }
    }
}

#[test]
fn rows_that_the_server_refuses_leave_no_trace_and_the_others_go_on() {
    let Some(place) = place() else { return };
    place.execute(
        "CREATE TABLE SCHEMA_.strict (id bigint PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, v varchar(3) NOT NULL CHECK (v <> 'bad'), n numeric(4,2))",
    );
    let amount = DataType::Decimal {
        precision: 12,
        scale: 2,
    };
    let schema = columns(&[
        ("id", DataType::BigInt),
        ("v", DataType::String),
        ("n", amount),
    ]);
    let mut session = Session::open(&place.table("strict", &[]), schema);
    assert_eq!(session.claim().unwrap(), None);
    session.store.begin().unwrap();
    let row = |id: i64, v: Option<&str>, n: i128| -> Vec<ArrayRef> {
        let n = Decimal128Array::from(vec![n])
            .with_precision_and_scale(12, 2)
            .unwrap();
        vec![
            numbers(&[id]),
            Arc::new(StringArray::from(vec![v])),
            Arc::new(n),
        ]
    };
    session.write(row(1, Some("a"), 1)).unwrap();
    for (refused, why) in [
        (row(2, None, 1), "23502"),
        (row(3, Some("long"), 1), "22001"),
        (row(4, Some("bad"), 1), "23514"),
        (row(5, Some("a\0"), 1), "22021"),
        (row(6, Some("a"), 1_000_000), "22003"),
        (row(1, Some("a"), 1), "23505"),
    ] {
        match session.write(refused) {
            Err(StoreError::Refused { message }) => assert!(message.contains(why), "{message}"),
            other => panic!("{why}: {other:?}"),
        }
    }
    session.write(row(7, Some("b"), 1)).unwrap();
    session.commit(None, 9).unwrap();
    assert_eq!(
        place.texts("SELECT id::text FROM SCHEMA_.strict ORDER BY id"),
        [Some("1".to_owned()), Some("7".to_owned())]
    );
    // Many rows and one that is bad, far above what a message buffer holds.
    assert_eq!(session.claim().unwrap(), Some(9));
    session.store.begin().unwrap();
    let many: Vec<i64> = (100..60_100).collect();
    let texts: StringArray = many
        .iter()
        .map(|id| Some(if *id == 200 { "bad" } else { "a" }))
        .collect();
    let ns = Decimal128Array::from(vec![1; many.len()])
        .with_precision_and_scale(12, 2)
        .unwrap();
    let written = session.write(vec![numbers(&many), Arc::new(texts), Arc::new(ns)]);
    assert!(
        matches!(written, Err(StoreError::Refused { .. })),
        "{written:?}"
    );
    session.write(row(8, Some("c"), 1)).unwrap();
    session.commit(Some(9), 10).unwrap();
    assert_eq!(place.texts("SELECT id::text FROM SCHEMA_.strict").len(), 3);

    // A column that comes later isn't the rows' fault.
    place.execute("ALTER TABLE SCHEMA_.strict ADD COLUMN later int; UPDATE SCHEMA_.strict SET later = 1; ALTER TABLE SCHEMA_.strict ALTER COLUMN later SET NOT NULL");
    session.store.begin().unwrap();
    let (reason, message) = held(session.write(row(9, Some("d"), 1)));
    assert_eq!(reason, StoreReason::TableMismatch, "{message}");
    let (reason, message) = held(session.claim());
    assert!(
        reason == StoreReason::TableMismatch
            && message.contains("\"later\": the table requires a value"),
        "{message}"
    );
    place.execute("ALTER TABLE SCHEMA_.strict ALTER COLUMN later SET DEFAULT 0");
    assert_eq!(session.claim().unwrap(), Some(10), "mended");
}
