//! Each function by Flink's rules: seen at once, and in two states that are merged either way.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use arrow::array::{
    Array, BinaryArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int32Array,
    Int32Builder, Int64Array, ListArray, MapBuilder, StringArray, StringBuilder, StructArray,
    new_null_array,
};
use arrow::datatypes::{Field, Int32Type, Schema};
use headworks_sql::schema::{Column, Schema as SqlSchema};
use headworks_sql::types::DataType as Sql;

use super::*;

fn spec_of(batch: &RecordBatch) -> Spec {
    let none = SqlSchema {
        columns: Vec::<Column>::new(),
    };
    Spec {
        rows: batch.schema(),
        keys: 0,
        time: None,
        window: None,
        operator: Operator::Aggregate(Vec::new()),
        results: none.to_arrow(),
        allowed_lateness_ms: 0,
        ttl_ms: None,
    }
}

fn feed(accumulator: &mut dyn Accumulator, batch: &RecordBatch, from: usize, to: usize) {
    accumulator.resize(1);
    let input = Input {
        batch: &batch.slice(from, to - from),
        first: from as i64,
        now_ms: 0,
    };
    accumulator.update(&input, &vec![0; to - from]).unwrap();
}

fn result(accumulator: &dyn Accumulator) -> ArrayRef {
    accumulator.result(&[0]).unwrap().columns.remove(0)
}

/// The result of a function over a column, computed at once and in every two pieces.
fn run(function: Function, column: ArrayRef, data_type: Sql, distinct: bool) -> ArrayRef {
    let filter = BooleanArray::from(vec![true; column.len()]);
    run_filtered(function, column, filter, data_type, distinct)
}

fn run_filtered(
    function: Function,
    column: ArrayRef,
    filter: BooleanArray,
    data_type: Sql,
    distinct: bool,
) -> ArrayRef {
    let fields = vec![
        Field::new("x", column.data_type().clone(), true),
        Field::new("f", DataType::Boolean, true),
    ];
    let rows = column.len();
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(schema, vec![column, Arc::new(filter)]).unwrap();
    let aggregate = Aggregate {
        function,
        argument: Some(0),
        filter: Some(1),
        distinct,
        data_type,
    };
    let empty = accumulator(&aggregate, &spec_of(&batch));
    let mut whole = empty.fresh();
    feed(&mut *whole, &batch, 0, rows);
    let expected = result(&*whole);
    assert_eq!(expected.data_type(), &aggregate.data_type.to_arrow());
    for cut in 0..=rows {
        let (mut first, mut second) = (empty.fresh(), empty.fresh());
        feed(&mut *first, &batch, 0, cut);
        feed(&mut *second, &batch, cut, rows);
        let mut forth = first.copy();
        forth.merge(&second.state(&[0]).unwrap(), &[0]).unwrap();
        assert_eq!(&result(&*forth), &expected, "cut at {cut}");
        second.merge(&first.state(&[0]).unwrap(), &[0]).unwrap();
        assert_eq!(&result(&*second), &expected, "cut at {cut}, the other way");
        second.clear(&[0]);
        let mut new = empty.fresh();
        new.resize(1);
        assert_eq!(&result(&*second), &result(&*new), "nothing is left");
    }
    expected
}

fn decimal(precision: u8, scale: u8) -> Sql {
    Sql::Decimal { precision, scale }
}

fn decimals(values: &[Option<i128>], precision: u8, scale: i8) -> ArrayRef {
    Arc::new(
        Decimal128Array::from(values.to_vec())
            .with_precision_and_scale(precision, scale)
            .unwrap(),
    )
}

#[test]
fn sums_of_integers_wrap_in_the_width_of_the_result() {
    let ints = |values: &[Option<i32>]| -> ArrayRef { Arc::new(Int32Array::from(values.to_vec())) };
    let sum = |values| run(Function::Sum, ints(values), Sql::Int, false);
    assert_eq!(
        &sum(&[Some(i32::MAX), None, Some(1)]),
        &ints(&[Some(i32::MIN)])
    );
    assert_eq!(
        &sum(&[Some(i32::MAX), Some(i32::MAX), Some(3)]),
        &ints(&[Some(1)])
    );
    assert_eq!(&sum(&[None, None]), &ints(&[None]));
    let bigs: ArrayRef = Arc::new(Int64Array::from(vec![i64::MAX, 2]));
    let found = run(Function::Sum, bigs, Sql::BigInt, false);
    assert_eq!(
        &found,
        &(Arc::new(Int64Array::from(vec![i64::MIN + 1])) as ArrayRef)
    );
}

#[test]
fn sums_of_decimals_have_38_digits_and_are_null_beyond() {
    let sum = |values: &[Option<i128>]| {
        run(
            Function::Sum,
            decimals(values, 38, 2),
            decimal(38, 2),
            false,
        )
    };
    let most = 10i128.pow(38) - 1;
    assert_eq!(
        &sum(&[Some(1), Some(-3), None]),
        &decimals(&[Some(-2)], 38, 2)
    );
    assert_eq!(&sum(&[Some(most)]), &decimals(&[Some(most)], 38, 2));
    assert_eq!(&sum(&[Some(most), Some(1)]), &decimals(&[None], 38, 2));
    assert_eq!(
        &sum(&[Some(most), Some(most), Some(1)]),
        &decimals(&[None], 38, 2)
    );
    assert_eq!(&sum(&[None]), &decimals(&[None], 38, 2));
}

#[test]
fn means_of_integers_are_cut_towards_zero() {
    let mean = |values: &[i32]| {
        let column = Arc::new(Int32Array::from(values.to_vec()));
        run(Function::Avg, column, Sql::Int, false)
    };
    let is = |value: i32| -> ArrayRef { Arc::new(Int32Array::from(vec![value])) };
    assert_eq!(&mean(&[1, 2]), &is(1));
    assert_eq!(&mean(&[-1, -2]), &is(-1));
    // The sum doesn't wrap in 32 bits.
    assert_eq!(&mean(&[i32::MAX, i32::MAX]), &is(i32::MAX));
}

#[test]
fn means_of_decimals_are_rounded_half_up() {
    let mean = |values: &[Option<i128>]| {
        run(
            Function::Avg,
            decimals(values, 12, 2),
            decimal(38, 6),
            false,
        )
    };
    assert_eq!(
        &mean(&[Some(1), Some(1), Some(0)]),
        &decimals(&[Some(6667)], 38, 6)
    );
    assert_eq!(
        &mean(&[Some(-1), Some(-1), Some(0)]),
        &decimals(&[Some(-6667)], 38, 6)
    );
    assert_eq!(
        &mean(&[Some(1), Some(0), Some(0)]),
        &decimals(&[Some(3333)], 38, 6)
    );
    assert_eq!(&mean(&[None]), &decimals(&[None], 38, 6));
    // A result of fewer digits than the argument.
    let seven = decimals(&[Some(1), Some(0)], 38, 7);
    let found = run(Function::Avg, seven, decimal(38, 6), false);
    assert_eq!(&found, &decimals(&[Some(0)], 38, 6));
}

#[test]
fn means_and_sums_of_floats_are_taken_in_double_precision() {
    let column: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.5), None, Some(2.0)]));
    let is = |value: f64| -> ArrayRef { Arc::new(Float64Array::from(vec![value])) };
    let run = |function, column: &ArrayRef, t| run(function, column.clone(), t, false);
    assert_eq!(&run(Function::Sum, &column, Sql::Double), &is(3.5));
    assert_eq!(&run(Function::Avg, &column, Sql::Double), &is(1.75));
    let column: ArrayRef = Arc::new(Float32Array::from(vec![0.5, 0.25]));
    let is: ArrayRef = Arc::new(Float32Array::from(vec![0.375]));
    assert_eq!(&run(Function::Avg, &column, Sql::Float), &is);
}

#[test]
fn deviations_are_null_where_there_are_too_few_values() {
    let one: ArrayRef = Arc::new(Float64Array::from(vec![3.0]));
    let many: ArrayRef = Arc::new(Float64Array::from(vec![2.0, 4.0, 4.0, 6.0]));
    let of =
        |function: Function, column: &ArrayRef| run(function, column.clone(), Sql::Double, false);
    let is = |value: Option<f64>| -> ArrayRef { Arc::new(Float64Array::from(vec![value])) };
    assert_eq!(&of(Function::VarPop, &one), &is(Some(0.0)));
    assert_eq!(&of(Function::VarSamp, &one), &is(None));
    assert_eq!(&of(Function::StddevSamp, &one), &is(None));
    assert_eq!(&of(Function::VarPop, &many), &is(Some(2.0)));
    assert_eq!(&of(Function::StddevPop, &many), &is(Some(2f64.sqrt())));
    let ints: ArrayRef = Arc::new(Int32Array::from(vec![1, 2, 4]));
    let found = run(Function::VarPop, ints, Sql::Int, false);
    assert_eq!(&found, &(Arc::new(Int32Array::from(vec![1])) as ArrayRef));
}

#[test]
fn the_least_and_the_greatest_are_of_any_type_with_an_order() {
    let cases: Vec<(ArrayRef, Sql)> = vec![
        (
            Arc::new(Int32Array::from(vec![None, Some(1), Some(-1), Some(3)])),
            Sql::Int,
        ),
        (
            Arc::new(Float64Array::from(vec![
                None,
                Some(1.0),
                Some(-1.0),
                Some(f64::NAN),
            ])),
            Sql::Double,
        ),
        (
            Arc::new(StringArray::from(vec![
                None,
                Some("b"),
                Some(""),
                Some("bä"),
            ])),
            Sql::String,
        ),
        (
            Arc::new(BinaryArray::from(vec![
                None,
                Some(&b"a"[..]),
                Some(b""),
                Some(b"\xFF"),
            ])),
            Sql::Bytes,
        ),
        (
            Arc::new(Date32Array::from(vec![None, Some(5), Some(-5), Some(9)])),
            Sql::Date,
        ),
        (
            decimals(&[None, Some(5), Some(-5), Some(9)], 10, 2),
            decimal(10, 2),
        ),
        (
            Arc::new(BooleanArray::from(vec![
                None,
                Some(false),
                Some(false),
                Some(true),
            ])),
            Sql::Boolean,
        ),
    ];
    for (column, type_) in cases {
        let least = run(Function::Min, column.clone(), type_.clone(), false);
        let greatest = run(Function::Max, column.clone(), type_, false);
        // Data comes as the third and the fourth row.
        assert_eq!(&least, &column.slice(2, 1), "{column:?}");
        assert_eq!(format!("{greatest:?}"), format!("{:?}", column.slice(3, 1)));
        let nulls = new_null_array(column.data_type(), 1);
        assert_eq!(
            &run(Function::Min, nulls.clone(), type_of(&column), false),
            &nulls
        );
    }
}

fn type_of(column: &ArrayRef) -> Sql {
    match column.data_type() {
        DataType::Int32 => Sql::Int,
        DataType::Float64 => Sql::Double,
        DataType::Utf8 => Sql::String,
        DataType::Binary => Sql::Bytes,
        DataType::Date32 => Sql::Date,
        DataType::Boolean => Sql::Boolean,
        _ => decimal(10, 2),
    }
}

#[test]
fn first_and_last_values_are_those_that_arrived_so_nested_ones_too() {
    let lists = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![
        None,
        Some(vec![Some(1), None]),
        Some(vec![]),
        Some(vec![Some(2)]),
        None,
    ]);
    let numbers: ArrayRef = Arc::new(Int32Array::from(vec![None, Some(1), None, Some(2), None]));
    let struct_type = Sql::Struct(vec![headworks_sql::types::StructField {
        name: "n".into(),
        data_type: Sql::Int,
        nullable: true,
    }]);
    let DataType::Struct(fields) = struct_type.to_arrow() else {
        unreachable!()
    };
    let valid = NullBuffer::from(vec![false, true, true, true, false]);
    let struct_ = StructArray::new(fields, vec![numbers.clone()], Some(valid));
    let mut maps = MapBuilder::new(
        Some(arrow::array::MapFieldNames {
            entry: "entries".into(),
            key: "key".into(),
            value: "value".into(),
        }),
        StringBuilder::new(),
        Int32Builder::new(),
    );
    for row in 0..5 {
        if row > 0 && row < 4 {
            maps.keys().append_value(format!("k{row}"));
            maps.values().append_option((row != 3).then_some(row));
        }
        maps.append(row > 0 && row < 4).unwrap();
    }
    let cases: Vec<(ArrayRef, Sql)> = vec![
        (Arc::new(lists), Sql::Array(Box::new(Sql::Int))),
        (Arc::new(struct_), struct_type),
        (Arc::new(maps.finish()), Sql::Map(Box::new(Sql::Int))),
        (
            Arc::new(StringArray::from(vec![
                None,
                Some("a"),
                Some(""),
                Some("c"),
                None,
            ])),
            Sql::String,
        ),
    ];
    for (column, type_) in cases {
        let first = run(Function::FirstValue, column.clone(), type_.clone(), false);
        let last = run(Function::LastValue, column.clone(), type_.clone(), false);
        assert_eq!(&first, &column.slice(1, 1), "{type_}");
        assert_eq!(&last, &column.slice(3, 1), "{type_}");
        let none = run(Function::LastValue, column.slice(0, 1), type_, false);
        assert!(none.is_null(0));
    }
}

#[test]
fn distinct_values_count_once_and_only_where_the_filter_is_true() {
    let column: ArrayRef = Arc::new(Int64Array::from(vec![
        Some(2),
        Some(2),
        None,
        Some(3),
        Some(7),
    ]));
    let filter = BooleanArray::from(vec![None, Some(true), Some(true), Some(true), Some(false)]);
    let of = |function| {
        let (column, filter) = (column.clone(), filter.clone());
        run_filtered(function, column, filter, Sql::BigInt, true)
    };
    let is = |value: i64| -> ArrayRef { Arc::new(Int64Array::from(vec![value])) };
    assert_eq!(&of(Function::Count), &is(2));
    assert_eq!(&of(Function::Sum), &is(5));
    assert_eq!(&of(Function::Avg), &is(2));
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["b", "a", "b", "c", "a"]));
    let list = run(
        Function::ListAgg("; ".into()),
        texts.clone(),
        Sql::String,
        true,
    );
    assert_eq!(
        &list,
        &(Arc::new(StringArray::from(vec!["b; a; c"])) as ArrayRef)
    );
    let list = run(Function::ListAgg(String::new()), texts, Sql::String, false);
    assert_eq!(
        &list,
        &(Arc::new(StringArray::from(vec!["babca"])) as ArrayRef)
    );
}
