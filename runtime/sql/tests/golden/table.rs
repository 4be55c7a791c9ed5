//! The table that the expressions are over: its contract, and its rows as a batch.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, Int32Array, RecordBatch, StringArray, StructArray, new_null_array,
};
use arrow::compute::concat;
use arrow::datatypes::DataType as Arrow;
use headworks_plan::{Contract, Field};
use headworks_sql::types::DataType as T;
use headworks_sql::{Catalog, plan};

use crate::folder;

/// Name, Flink's type and one cell a row.
pub(crate) fn columns() -> Vec<(String, String, Vec<String>)> {
    let text = std::fs::read_to_string(folder().join("table.txt")).unwrap();
    text.lines()
        .filter(|l| !l.starts_with('#') && l.contains('|'))
        .map(|l| {
            let cells: Vec<String> = l.split('|').map(|c| c.trim().to_owned()).collect();
            (cells[0].clone(), cells[1].clone(), cells[2..].to_vec())
        })
        .collect()
}

fn ours(flink: &str) -> String {
    let text = flink
        .replace(
            "ROW<p STRING, q ROW<z INT>>",
            "struct<p string, q struct<z int>>",
        )
        .replace("MAP<STRING, INT>", "map<string,int>");
    if text.starts_with("struct") {
        text
    } else {
        text.to_lowercase()
            .replace("time(3)", "time")
            .replace(", ", ",")
    }
}

pub(crate) fn contract() -> Contract {
    let fields = columns().into_iter().map(|(name, flink, _)| {
        let nullable = name != "n";
        Field::new(name, ours(&flink), nullable)
    });
    Contract {
        fields: fields.collect(),
        ..Contract::default()
    }
}

pub(crate) fn base() -> RecordBatch {
    let schema = headworks_sql::schema::Schema::from_contract(&contract()).unwrap();
    let arrays =
        columns()
            .into_iter()
            .zip(&schema.columns)
            .map(|((name, flink, cells), column)| match name.as_str() {
                "n" => Arc::new(Int32Array::from(vec![1, 2, 3, 4])) as ArrayRef,
                "y" => Arc::new(BinaryArray::from(vec![
                    Some(&b"Hello"[..]),
                    Some(b""),
                    None,
                    Some(&[0xff, 0]),
                ])),
                "r" => row_column(&column.data_type.to_arrow()),
                _ => {
                    let parts: Vec<ArrayRef> = cells
                        .iter()
                        .map(|cell| constant(cell, &flink, &column.data_type))
                        .collect();
                    concat(&parts.iter().map(AsRef::as_ref).collect::<Vec<_>>()).unwrap()
                }
            });
    RecordBatch::try_new(schema.to_arrow(), arrays.collect()).unwrap()
}

fn row_column(data_type: &Arrow) -> ArrayRef {
    let Arrow::Struct(fields) = data_type else {
        panic!("a struct")
    };
    let Arrow::Struct(inner) = fields[1].data_type() else {
        panic!("a struct")
    };
    let z = Int32Array::from(vec![Some(5), None, None, Some(6)]);
    let q = StructArray::new(inner.clone(), vec![Arc::new(z)], None);
    let p = StringArray::from(vec![Some("in"), None, None, Some("y")]);
    Arc::new(StructArray::new(
        fields.clone(),
        vec![Arc::new(p), Arc::new(q)],
        Some(vec![true, true, false, true].into()),
    ))
}

/// A cell's value, read by the planner itself; Flink's answers for bare columns check that it is right.
fn constant(cell: &str, flink: &str, data_type: &T) -> ArrayRef {
    if cell == "NULL" {
        return new_null_array(&data_type.to_arrow(), 1);
    }
    let expression = if flink.starts_with("MAP") {
        cell.to_owned()
    } else {
        format!("CAST({cell} AS {flink})")
    };
    let one = Contract {
        fields: vec![Field::new("n", "int", false)],
        ..Contract::default()
    };
    let flow = plan(
        &format!("SELECT {expression} AS v FROM dual"),
        &Catalog::new().with("dual", one),
    )
    .unwrap_or_else(|e| panic!("{cell}: {}", e[0]));
    let batch = RecordBatch::try_new(
        flow.branches().next().unwrap().input_schema.clone(),
        vec![Arc::new(Int32Array::from(vec![1]))],
    )
    .unwrap();
    flow.branches()
        .next()
        .unwrap()
        .evaluate(&batch)
        .unwrap()
        .batch
        .column(0)
        .clone()
}
