//! Whole queries: what they read and give, and what a bad one is told.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where it fails"
)]

mod batches;
mod nulls;
mod overflow;
mod plans;
mod refusals;
mod unnest;

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, Int32Array, Int64Array, RecordBatch, StringArray, UInt32Array,
};
use arrow::datatypes::{Int32Type, Int64Type};
use headworks_plan::{Contract, Field};
use headworks_sql::schema::Schema;
use headworks_sql::types::DataType;
use headworks_sql::{Catalog, Dataflow, expression, inputs, plan};

fn field(name: &str, type_: &str) -> Field {
    let (nullable, type_) = type_
        .strip_suffix('?')
        .map_or((false, type_), |t| (true, t));
    Field {
        name: name.into(),
        type_: type_.into(),
        nullable,
        labels: if name == "email" {
            vec!["pii".into()]
        } else {
            vec![]
        },
    }
}

fn contract(fields: &[(&str, &str)]) -> Contract {
    Contract {
        fields: fields.iter().map(|(n, t)| field(n, t)).collect(),
        ..Contract::default()
    }
}

fn catalog() -> Catalog {
    let orders = [
        ("order_id", "string"),
        ("user_id", "bigint"),
        ("amount", "decimal(12,2)"),
        ("email", "string?"),
        (
            "customer",
            "struct<name string, address struct<city string not null>>?",
        ),
        ("items", "array<struct<sku string, qty int>>"),
        ("tags", "map<string,string>"),
        ("placed_at", "timestamp_ltz(3)"),
        ("value", "int?"),
    ];
    Catalog::new().with("orders", contract(&orders)).with(
        "refunds",
        contract(&[
            ("id", "string"),
            ("user_id", "int"),
            ("amount", "decimal(9,2)"),
        ]),
    )
}

fn good(sql: &str) -> Dataflow {
    plan(sql, &catalog()).unwrap_or_else(|errors| {
        panic!(
            "{sql}\n{}",
            errors
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("\n")
        )
    })
}

/// All errors, one a line.
fn errors(sql: &str) -> String {
    match plan(sql, &catalog()) {
        Ok(_) => panic!("accepted: {sql}"),
        Err(errors) => errors
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n"),
    }
}

fn columns(flow: &Dataflow) -> Vec<String> {
    flow.output
        .columns
        .iter()
        .map(|c| {
            format!(
                "{} {}{}",
                c.name,
                c.data_type,
                if c.nullable { "?" } else { "" }
            )
        })
        .collect()
}

fn numbers() -> RecordBatch {
    let contract = contract(&[("a", "int"), ("b", "int"), ("s", "string?")]);
    let schema = Schema::from_contract(&contract).unwrap().to_arrow();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int32Array::from(vec![10, 20, 30, 40])),
        Arc::new(Int32Array::from(vec![2, 0, 5, 0])),
        Arc::new(StringArray::from(vec![
            Some("x"),
            None,
            Some("y"),
            Some("7"),
        ])),
    ];
    RecordBatch::try_new(schema, columns).unwrap()
}
