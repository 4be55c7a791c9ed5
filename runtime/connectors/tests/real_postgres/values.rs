//! What is in the table is what was in the rows.

use std::sync::Arc;

use arrow::array::{
    BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array,
    Int32Array, Int64Array, ListArray, StringArray, Time64MicrosecondArray,
    TimestampMicrosecondArray, TimestampMillisecondArray,
};
use arrow::datatypes::Int32Type;
use headworks_sql::types::DataType;

use crate::place::{Session, columns, numbers, place, words};

#[test]
fn every_type_comes_back_as_it_went() {
    let Some(place) = place() else { return };
    let decimal = DataType::Decimal {
        precision: 12,
        scale: 2,
    };
    let schema = columns(&[
        ("truth", DataType::Boolean),
        ("small", DataType::Int),
        ("big", DataType::BigInt),
        ("single", DataType::Float),
        ("double", DataType::Double),
        ("amount", decimal),
        ("text", DataType::String),
        ("raw", DataType::Bytes),
        ("day", DataType::Date),
        ("clock", DataType::Time),
        ("local", DataType::Timestamp(3)),
        ("instant", DataType::TimestampLtz(6)),
        ("list", DataType::Array(Box::new(DataType::Int))),
    ]);
    let table = place.table("every \"type\"", &[]);
    let mut session = Session::open(&table, schema);
    let awkward = "\\N\t\"é\u{1F600}\r\n\\.";
    let amounts = Decimal128Array::from(vec![Some(-123_456), None])
        .with_precision_and_scale(12, 2)
        .unwrap();
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None]), None]);
    session.store(vec![
        Arc::new(BooleanArray::from(vec![Some(true), None])),
        Arc::new(Int32Array::from(vec![Some(i32::MIN), None])),
        Arc::new(Int64Array::from(vec![Some(i64::MAX), None])),
        Arc::new(Float32Array::from(vec![Some(0.1), None])),
        Arc::new(Float64Array::from(vec![Some(f64::NAN), None])),
        Arc::new(amounts),
        Arc::new(StringArray::from(vec![Some(awkward), None])),
        Arc::new(BinaryArray::from_opt_vec(vec![
            Some(&b"\x00\\\xff"[..]),
            None,
        ])),
        Arc::new(Date32Array::from(vec![Some(-719_162), None])),
        Arc::new(Time64MicrosecondArray::from(vec![
            Some(86_399_999_999),
            None,
        ])),
        Arc::new(TimestampMillisecondArray::from(vec![Some(1_500), None])),
        Arc::new(TimestampMicrosecondArray::from(vec![Some(1), None]).with_timezone("UTC")),
        Arc::new(list),
    ]);
    place.execute("SET TimeZone = 'UTC'; SET bytea_output = 'hex'");
    let from = "FROM SCHEMA_.\"every \"\"type\"\"\" ORDER BY truth NULLS LAST";
    for (column, wanted) in [
        ("truth", "true"),
        ("small", "-2147483648"),
        ("big", "9223372036854775807"),
        ("single", "0.1"),
        ("double", "NaN"),
        ("amount", "-1234.56"),
        ("text", awkward),
        ("raw", "\\x005cff"),
        ("day", "0001-01-01"),
        ("clock", "23:59:59.999999"),
        ("local", "1970-01-01 00:00:01.5"),
        ("instant", "1970-01-01 00:00:00.000001+00"),
        ("list", "[1, null]"),
    ] {
        let found = place.texts(&format!("SELECT \"{column}\"::text {from}"));
        assert_eq!(found, [Some(wanted.to_owned()), None], "{column}");
    }
    let made = place.texts(
        "SELECT string_agg(data_type, ' ' ORDER BY ordinal_position) FROM information_schema.columns \
         WHERE table_schema = 'SCHEMA_' AND table_name LIKE 'every%'",
    );
    assert_eq!(
        made[0].as_deref(),
        Some(
            "boolean integer bigint real double precision numeric text bytea date \
             time without time zone timestamp without time zone timestamp with time zone jsonb"
        )
    );
}

#[test]
fn the_last_row_of_a_key_wins_within_a_batch_and_after_it() {
    let Some(place) = place() else { return };
    let schema = columns(&[
        ("eu", DataType::String),
        ("id", DataType::BigInt),
        ("v", DataType::String),
    ]);
    let table = place.table("latest", &["id", "eu"]);
    let mut session = Session::open(&table, schema);
    session.store(vec![
        words(&["a", "b", "a", "a"]),
        numbers(&[1, 1, 1, 2]),
        words(&["first", "other", "second", "third"]),
    ]);
    session.store(vec![words(&["a"]), numbers(&[2]), words(&["fourth"])]);
    assert_eq!(
        place.texts("SELECT eu || id || v FROM SCHEMA_.latest ORDER BY 1"),
        ["a1second", "a2fourth", "b1other"].map(|row| Some(row.to_owned()))
    );

    let keys_only = columns(&[("id", DataType::BigInt)]);
    let mut session = Session::open(&place.table("ids", &["id"]), keys_only);
    session.store(vec![numbers(&[1, 1, 2])]);
    session.store(vec![numbers(&[2, 3])]);
    assert_eq!(place.texts("SELECT id::text FROM SCHEMA_.ids").len(), 3);
}
