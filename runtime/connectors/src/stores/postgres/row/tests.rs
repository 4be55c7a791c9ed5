//! Rows as lines of `COPY`.

use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Float64Array, Int32Array, Int64Array, ListArray};
use headworks_sql::schema::{Column, Schema};

use super::*;

fn encoded(
    columns: Vec<(&str, DataType, ArrayRef)>,
    key: &[&str],
) -> Result<Vec<String>, StoreError> {
    let schema = Schema {
        columns: columns
            .iter()
            .map(|(name, data_type, _)| Column {
                name: (*name).into(),
                data_type: data_type.clone(),
                nullable: true,
                labels: Vec::new(),
            })
            .collect(),
    };
    let arrays = columns.into_iter().map(|(_, _, array)| array).collect();
    let batch = RecordBatch::try_new(schema.to_arrow(), arrays).unwrap();
    let key: Vec<String> = key.iter().map(|name| (*name).to_owned()).collect();
    let mut out = Vec::new();
    RowEncoder::new(&TableSchema::new(schema, &key)).encode(&batch, &mut out)?;
    let text = String::from_utf8(out).unwrap();
    Ok(text.split_inclusive('\n').map(str::to_owned).collect())
}

fn lines(columns: Vec<(&str, DataType, ArrayRef)>) -> Vec<String> {
    encoded(columns, &[]).unwrap()
}

#[test]
fn a_line_can_hold_anything() {
    let texts = StringArray::from(vec![Some("a\tb\\N\r\n\\."), None, Some("")]);
    let bytes = BinaryArray::from_opt_vec(vec![Some(&b"\x00\\\xff"[..]), Some(b""), None]);
    let numbers = Int32Array::from(vec![Some(i32::MIN), None, Some(0)]);
    assert_eq!(
        lines(vec![
            ("t", DataType::String, Arc::new(texts)),
            ("b", DataType::Bytes, Arc::new(bytes)),
            ("n", DataType::Int, Arc::new(numbers)),
        ]),
        [
            "a\\tb\\\\N\\r\\n\\\\.\t\\\\x005cff\t-2147483648\n",
            "\\N\t\\\\x\t\\N\n",
            "\t\\N\t0\n"
        ]
    );
}

#[test]
fn numbers_without_end_have_names() {
    let values = vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, -0.1];
    let found = lines(vec![(
        "x",
        DataType::Double,
        Arc::new(Float64Array::from(values)),
    )]);
    assert_eq!(
        found,
        ["NaN\n", "Infinity\n", "-Infinity\n", "1e300\n", "-1e-1\n"]
    );
}

#[test]
fn the_mark_of_deletes_stands_behind_the_columns_and_only_where_there_is_a_key() {
    let columns = || -> Vec<(&str, DataType, ArrayRef)> {
        vec![
            ("id", DataType::Int, Arc::new(Int32Array::from(vec![1, 2]))),
            (
                DELETED_COLUMN,
                DataType::Boolean,
                Arc::new(BooleanArray::from(vec![true, false])),
            ),
        ]
    };
    assert_eq!(encoded(columns(), &["id"]).unwrap(), ["1\tt\n", "2\tf\n"]);
    assert_eq!(lines(columns()), ["1\tt\n", "2\tf\n"]);
}

#[test]
fn every_row_with_a_value_that_has_no_text_is_named_with_its_first_such_field() {
    let days = Date32Array::from(vec![Some(0), Some(i32::MAX), None, Some(i32::MIN)]);
    let list = DataType::Array(Box::new(DataType::Double));
    let lists = ListArray::from_iter_primitive::<Float64Type, _, _>([
        Some(vec![Some(1.0)]),
        Some(vec![Some(f64::NAN)]),
        Some(vec![Some(0.5), Some(f64::NAN)]),
        None,
    ]);
    let answer = encoded(
        vec![
            ("day", DataType::Date, Arc::new(days)),
            ("list", list, Arc::new(lists)),
        ],
        &[],
    );
    let Err(StoreError::Unfit { rows }) = answer else {
        panic!("{answer:?}")
    };
    let named: Vec<(usize, &str)> = rows
        .iter()
        .map(|unfit| (unfit.row, unfit.message.as_str()))
        .collect();
    let years = "cannot write field day: is outside the years 0001 to 9999";
    assert_eq!(
        named,
        [
            (1, years),
            (
                2,
                "cannot write field list[1]: is NaN or infinite, which JSON cannot say"
            ),
            (3, years),
        ]
    );
}

#[test]
fn a_batch_of_other_columns_is_a_bug_and_no_rows_fault() {
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let one = |data_type| {
        let column = Column {
            name: "n".into(),
            data_type,
            nullable: true,
            labels: Vec::new(),
        };
        TableSchema::new(
            Schema {
                columns: vec![column],
            },
            &[],
        )
    };
    let batch = RecordBatch::try_from_iter([("n", numbers)]).unwrap();
    let mut wrong = RowEncoder::new(&one(DataType::String));
    let answer = wrong.encode(&batch, &mut Vec::new());
    assert!(matches!(answer, Err(StoreError::Broken { .. })));
    let mut right = RowEncoder::new(&one(DataType::BigInt));
    let none = batch.project(&[]).unwrap();
    let answer = right.encode(&none, &mut Vec::new());
    assert!(matches!(answer, Err(StoreError::Broken { .. })));
    right.encode(&batch, &mut Vec::new()).unwrap();
}
