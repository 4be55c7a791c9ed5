//! A Pipeline's query and targets against contracts.
//!
//! Pure, so that a mistake is found by the same words wherever somebody looks for it: the operator asks with
//! the contracts in force, the command line with those in files.

use std::collections::BTreeSet;

use headworks_crds::{PipelineSpec, TableTarget};
use headworks_plan::Contract;
use headworks_sql::{Catalog, Dataflow, schema::Schema, suggest::nearest};

use super::query;
use crate::retry::Error;

/// PostgreSQL cuts longer names off, in silence.
const MAX_COLUMN_BYTES: usize = 63;
/// Columns that every table of PostgreSQL has already.
const SYSTEM_COLUMNS: [&str; 6] = ["tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"];

/// Plans the query over its inputs (name and contract) and checks that every target takes its columns. An output
/// is the index in `spec.to`, the stream's name and its contract; tables are taken from the spec.
///
/// # Errors
/// `InvalidSql` or `OutputMismatch`, with the place in the spec and the remedy.
pub fn check(
    spec: &PipelineSpec,
    inputs: &[(&str, &Contract)],
    outputs: &[(usize, &str, &Contract)],
) -> Result<Dataflow, Error> {
    let catalog = inputs
        .iter()
        .fold(Catalog::new(), |catalog, (name, contract)| {
            catalog.with((*name).to_owned(), (*contract).clone())
        });
    let dataflow = headworks_sql::plan(&spec.sql, &catalog)
        .map_err(|errors| Error::stalled("InvalidSql", query::places(&errors)))?;
    for (index, name, contract) in outputs {
        headworks_sql::target::check(&dataflow.output, contract).map_err(|mismatches| {
            let list: Vec<String> = mismatches.iter().map(ToString::to_string).collect();
            Error::stalled(
                "OutputMismatch",
                format!(
                    "spec.to[{index}].stream: the query's columns don't fit DataStream {name}: {}",
                    list.join("; ")
                ),
            )
        })?;
    }
    for (index, target) in spec.to.iter().enumerate() {
        let Some(table) = &target.table else { continue };
        let wrong = table_faults(&dataflow.output, table);
        if !wrong.is_empty() {
            let only_the_key = column_faults(&dataflow.output).is_empty();
            let field = if only_the_key { ".key" } else { "" };
            return Err(Error::stalled(
                "OutputMismatch",
                format!(
                    "spec.to[{index}].table{field}: the query's columns don't fit table {} of DataStore {}: {}",
                    table.name,
                    table.store,
                    wrong.join("; ")
                ),
            ));
        }
    }
    Ok(dataflow)
}

/// What keeps the query's columns out of a table. Types don't: each has one of PostgreSQL's, and arrays, maps and
/// structs become jsonb.
pub fn table_faults(output: &Schema, table: &TableTarget) -> Vec<String> {
    let mut faults = column_faults(output);
    faults.extend(key_faults(output, table));
    faults
}

fn column_faults(output: &Schema) -> Vec<String> {
    let mut faults = Vec::new();
    for column in &output.columns {
        let name = &column.name;
        if name.len() > MAX_COLUMN_BYTES {
            faults.push(format!(
                "column \"{name}\" has {} bytes and a table's may have {MAX_COLUMN_BYTES}: name it shorter with AS",
                name.len()
            ));
        } else if SYSTEM_COLUMNS.contains(&name.as_str()) {
            faults.push(format!(
                "column \"{name}\" is one that PostgreSQL keeps for itself: name it otherwise with AS"
            ));
        }
    }
    faults
}

fn key_faults(output: &Schema, table: &TableTarget) -> Vec<String> {
    let mut faults = Vec::new();
    let mut seen = BTreeSet::new();
    for key in &table.key {
        if !seen.insert(key) {
            faults.push(format!("key column \"{key}\" is named twice: name it once"));
            continue;
        }
        match output.column(key) {
            None => {
                let hint = nearest(key, output.names())
                    .map(|near| format!("; did you mean \"{near}\"?"))
                    .unwrap_or_default();
                faults.push(format!(
                    "key column \"{key}\" isn't one of the query's: add it to the SELECT, or take it out of key{hint}"
                ));
            }
            Some(column) if column.nullable => faults.push(format!(
                "key column \"{key}\" may be null, and null is no key: use COALESCE(…) AS {key}, or leave such rows out with WHERE … IS NOT NULL"
            )),
            Some(_) => {}
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use headworks_plan::Field;
    use serde_json::{Value, json};

    use super::*;

    fn contract(fields: &[(&str, &str, bool)]) -> Contract {
        Contract {
            fields: fields
                .iter()
                .map(|(name, type_, nullable)| Field {
                    name: (*name).into(),
                    type_: (*type_).into(),
                    nullable: *nullable,
                    labels: vec![],
                })
                .collect(),
            ..Contract::default()
        }
    }

    /// The fault of a pipeline over stream `a` into one table.
    fn fault(sql: &str, table: &Value) -> Option<String> {
        let spec: PipelineSpec =
            serde_json::from_value(json!({"sql": sql, "to": [{"table": table}]})).unwrap();
        let a = contract(&[
            ("order_id", "string", false),
            ("coupon", "string", true),
            ("items", "array<struct<sku string>>", false),
        ]);
        check(&spec, &[("a", &a)], &[]).err().map(|error| {
            assert_eq!(error.reason(), "OutputMismatch", "{error}");
            error.message().to_owned()
        })
    }

    #[test]
    fn a_table_takes_every_type_and_a_key_that_is_never_null() {
        let table = json!({"store": "warehouse", "name": "orders", "key": ["order_id"]});
        assert_eq!(fault("SELECT order_id, coupon, items FROM a", &table), None);
    }

    #[test]
    fn what_keeps_columns_out_of_a_table_is_named_with_its_remedy() {
        let long = format!("SELECT order_id AS {} FROM a", "x".repeat(64));
        for (sql, key, words) in [
            (
                "SELECT order_id FROM a",
                json!(["orderid"]),
                vec![
                    "spec.to[0].table.key: ",
                    "warehouse",
                    "\"orderid\"",
                    "did you mean \"order_id\"",
                ],
            ),
            (
                "SELECT coupon FROM a",
                json!(["coupon"]),
                vec!["\"coupon\" may be null", "COALESCE"],
            ),
            (
                "SELECT order_id FROM a",
                json!(["order_id", "order_id"]),
                vec!["named twice"],
            ),
            (
                long.as_str(),
                json!([]),
                vec!["spec.to[0].table: ", "64 bytes", "AS"],
            ),
            (
                "SELECT order_id AS xmin FROM a",
                json!([]),
                vec!["\"xmin\"", "PostgreSQL"],
            ),
        ] {
            let table = json!({"store": "warehouse", "name": "orders", "key": key});
            let message = fault(sql, &table).unwrap_or_default();
            for word in words {
                assert!(message.contains(word), "{word} in {message}");
            }
        }
    }
}
