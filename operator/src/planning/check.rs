//! A Pipeline's query and targets against contracts.
//!
//! Pure, so that a mistake is found by the same words wherever somebody looks for it: the operator asks with
//! the contracts in force, the command line with those in files.

use std::collections::BTreeSet;

use headworks_crds::{Delivery, PipelineSpec, TableTarget};
use headworks_plan::{Contract, DELETED_COLUMN, Guarantee};
use headworks_sql::{Catalog, Dataflow, keyed::Changes, schema::Schema, suggest::nearest, target};

use super::{canary, query};
use crate::connectors::stores::TableRules;
use crate::reason::ConditionReason;
use crate::retry::Error;

/// Plans the query over its inputs (name and contract) and checks that every target takes its columns. An output
/// is the index in `spec.to`, the stream's name and its contract; tables are taken from the spec, and `rules` says what the
/// DataStore of a name asks of them.
///
/// # Errors
/// `InvalidSql`, `NotSupported`, `OutputMismatch` or `CanaryInvalid`, with the place in the spec and the remedy.
pub fn check(
    spec: &PipelineSpec,
    inputs: &[(&str, &Contract)],
    outputs: &[(usize, &str, &Contract)],
    rules: impl Fn(&str) -> &'static TableRules,
) -> Result<Dataflow, Error> {
    let catalog = inputs
        .iter()
        .fold(Catalog::new(), |catalog, (name, contract)| {
            catalog.with((*name).to_owned(), (*contract).clone())
        })
        .on_overflow(query::overflow(spec));
    let dataflow = headworks_sql::plan(&spec.sql, &catalog)
        .map_err(|errors| Error::stalled(ConditionReason::InvalidSql, query::places(&errors)))?;
    if let Some(fault) = delivery_fault(spec, &dataflow) {
        return Err(Error::stalled(ConditionReason::NotSupported, fault));
    }
    for (index, name, contract) in outputs {
        target::check(&dataflow.output, contract).map_err(|mismatches| {
            let list: Vec<String> = mismatches.iter().map(ToString::to_string).collect();
            Error::stalled(
                ConditionReason::OutputMismatch,
                format!(
                    "spec.to[{index}].stream: the query's columns don't fit DataStream {name}: {}",
                    list.join("; ")
                ),
            )
        })?;
        if let Some(fault) = stream_fault(&dataflow, name, contract) {
            let message = format!("spec.to[{index}].stream: {fault}");
            return Err(Error::stalled(ConditionReason::OutputMismatch, message));
        }
    }
    for (index, target) in spec.to.iter().enumerate() {
        let Some(table) = &target.table else { continue };
        let rules = rules(&table.store);
        let wrong = table_faults(&dataflow, table, rules);
        if !wrong.is_empty() {
            let only_the_key = column_faults(&dataflow, rules).is_empty();
            let field = if only_the_key { ".key" } else { "" };
            return Err(Error::stalled(
                ConditionReason::OutputMismatch,
                format!(
                    "spec.to[{index}].table{field}: the query's columns don't fit table {} of DataStore {}: {}",
                    table.name,
                    table.store,
                    wrong.join("; ")
                ),
            ));
        }
    }
    if let Some(fault) = canary::faults(spec, &dataflow.output).first() {
        let fault = fault.to_string();
        return Err(Error::stalled(ConditionReason::CanaryInvalid, fault));
    }
    Ok(dataflow)
}

/// State needs exactly once: what is counted twice stays wrong for ever.
pub fn delivery_fault(spec: &PipelineSpec, dataflow: &Dataflow) -> Option<String> {
    let refused = dataflow.keeps_state() && spec.delivery == Delivery::AtLeastOnce;
    refused.then(|| {
        "spec.delivery: AtLeastOnce isn't for a query with state (GROUP BY, ROW_NUMBER, OVER, JOIN), which would count a repeated record twice: leave delivery out, or set ExactlyOnce".to_owned()
    })
}

/// The names of the columns by which a result's rows replace each other; empty if every row is final.
pub fn unique_columns(dataflow: &Dataflow) -> Vec<&str> {
    let columns = &dataflow.output.columns;
    match dataflow.changes() {
        Changes::Append => Vec::new(),
        Changes::Upsert { key } => key
            .iter()
            .filter_map(|index| columns.get(*index))
            .map(|column| column.name.as_str())
            .collect(),
    }
}

fn same_columns(one: &[&str], other: &[String]) -> bool {
    one.iter().copied().collect::<BTreeSet<_>>()
        == other.iter().map(String::as_str).collect::<BTreeSet<_>>()
}

/// What keeps a result whose rows replace each other out of a stream. Neither `compacted` nor `key` of a stream can
/// change, so the remedy is mostly another stream.
pub fn stream_fault(dataflow: &Dataflow, name: &str, contract: &Contract) -> Option<String> {
    let fits = target::accepts(&dataflow.changes(), &dataflow.output, contract);
    fits.err()
        .map(|mismatch| format!("the query's results don't fit DataStream {name}: {mismatch}"))
}

/// What keeps the query's columns out of a table. Types don't: every store has a form for each.
pub fn table_faults(dataflow: &Dataflow, table: &TableTarget, rules: &TableRules) -> Vec<String> {
    let mut faults = column_faults(dataflow, rules);
    let of_key = key_faults(&dataflow.output, table);
    let unique = unique_columns(dataflow);
    if of_key.is_empty() && !unique.is_empty() && !same_columns(&unique, &table.key) {
        let key = unique.join(", ");
        faults.push(format!(
            "the result has a row for each ({key}) that is replaced when it changes: set key: [{key}], or group by a window too, whose results are final"
        ));
    }
    faults.extend(of_key);
    faults
}

/// What keeps a table out of its store by what the store guarantees.
pub fn guarantee_fault(
    dataflow: &Dataflow,
    table: &TableTarget,
    guarantee: Guarantee,
) -> Option<String> {
    let store = &table.store;
    let replace = !unique_columns(dataflow).is_empty();
    match guarantee {
        Guarantee::Transactional => None,
        Guarantee::IdempotentUpsert => table.key.is_empty().then(|| {
            format!(
                "DataStore {store} tells rows apart by their key alone, so that a row that is written again changes nothing (IdempotentUpsert), and the table has none: set key"
            )
        }),
        Guarantee::AtLeastOnce if replace => Some(format!(
            "DataStore {store} only adds rows (AtLeastOnce), and the result's replace each other: write it to a store that keeps rows by key, or group by a window too, whose results are final"
        )),
        Guarantee::AtLeastOnce => (!table.key.is_empty()).then(|| {
            format!(
                "DataStore {store} only adds rows (AtLeastOnce), and none replaces another: leave key out"
            )
        }),
    }
}

/// What a Pipeline's targets promise together: the least that one of them does. A table's rows are there once whatever `delivery` says,
/// where its store makes it so.
pub fn promise(spec: &PipelineSpec, tables: &[Guarantee]) -> Delivery {
    let to_streams = spec.to.iter().any(|target| target.stream.is_some());
    let repeats = (to_streams && spec.delivery == Delivery::AtLeastOnce)
        || tables.contains(&Guarantee::AtLeastOnce);
    if repeats {
        Delivery::AtLeastOnce
    } else {
        Delivery::ExactlyOnce
    }
}

fn column_faults(dataflow: &Dataflow, rules: &TableRules) -> Vec<String> {
    let mut faults = Vec::new();
    let upsert = !unique_columns(dataflow).is_empty();
    for column in &dataflow.output.columns {
        let name = &column.name;
        if let Some(most) = rules.max_column_bytes.filter(|most| name.len() > *most) {
            faults.push(format!(
                "column \"{name}\" has {} bytes and a table's may have {most}: name it shorter with AS",
                name.len()
            ));
        } else if rules.own_columns.contains(&name.as_str()) {
            faults.push(format!(
                "column \"{name}\" is one that {} keeps for itself: name it otherwise with AS",
                rules.called
            ));
        } else if upsert && name == DELETED_COLUMN {
            faults.push(format!(
                "column \"{name}\" is how Headworks marks rows that are gone: name it otherwise with AS"
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
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        connectors::stores::table_rules,
        planning::testing::{contract, keyed},
    };

    /// All stores are PostgreSQL.
    fn postgres(_: &str) -> &'static TableRules {
        let spec = json!({"postgres": {"url": "postgres://a/b", "secret": "s"}});
        table_rules(serde_json::from_value(spec).ok().as_ref())
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
        check(&spec, &[("a", &a)], &[], postgres)
            .err()
            .map(|error| {
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

    /// What is said of `a` grouped by `uid` into a stream and a table.
    fn grouped(stream: &Contract, key: &Value) -> Result<(), Error> {
        let sql = "SELECT uid, COUNT(*) AS n FROM a GROUP BY uid";
        let targets =
            json!([{"stream": "totals"}, {"table": {"store": "w", "name": "t", "key": key}}]);
        let spec = serde_json::from_value(json!({"sql": sql, "to": targets})).unwrap();
        let a = contract(&[("uid", "string", false)]);
        check(&spec, &[("a", &a)], &[(0, "totals", stream)], postgres).map(|_| ())
    }

    #[test]
    fn rows_that_replace_each_other_need_targets_with_their_key() {
        let stream = |compacted: bool, key: &[&str]| Contract {
            compacted,
            key: key.iter().map(|k| (*k).to_owned()).collect(),
            ..contract(&[("uid", "string", false), ("n", "bigint", false)])
        };
        let right = stream(true, &["uid"]);
        assert_eq!(grouped(&right, &json!(["uid"])), Ok(()));
        for (stream, key, words) in [
            (
                stream(false, &["uid"]),
                json!(["uid"]),
                vec!["to[0].stream", "totals", "compacted"],
            ),
            (
                stream(true, &["n"]),
                json!(["uid"]),
                vec!["to[0].stream", "(n)", "uid"],
            ),
            (
                right.clone(),
                json!([]),
                vec!["to[1].table.key", "key: [uid]"],
            ),
            (
                right.clone(),
                json!(["n"]),
                vec!["to[1].table.key", "key: [uid]"],
            ),
        ] {
            let error = grouped(&stream, &key).unwrap_err();
            assert_eq!(error.reason(), "OutputMismatch");
            for word in words {
                assert!(error.message().contains(word), "{word}: {error}");
            }
        }
    }

    #[test]
    fn a_store_takes_the_tables_that_its_guarantee_holds_for() {
        let a = contract(&[("uid", "string", false), ("n", "bigint", false)]);
        let replacing = keyed("SELECT uid FROM a", &a, &[0]);
        let append = keyed("SELECT uid FROM a", &a, &[]);
        let table = |key: &[&str]| -> TableTarget {
            serde_json::from_value(json!({"store": "w", "name": "t", "key": key})).unwrap()
        };
        let fault = |flow, key: &[&str], guarantee| guarantee_fault(flow, &table(key), guarantee);
        for key in [&[][..], &["uid"]] {
            assert_eq!(fault(&append, key, Guarantee::Transactional), None);
        }
        assert_eq!(fault(&append, &["uid"], Guarantee::IdempotentUpsert), None);
        let keyless = fault(&append, &[], Guarantee::IdempotentUpsert).unwrap();
        assert!(keyless.contains("DataStore w") && keyless.contains("set key"));
        assert_eq!(fault(&append, &[], Guarantee::AtLeastOnce), None);
        let with_key = fault(&append, &["uid"], Guarantee::AtLeastOnce).unwrap();
        assert!(with_key.contains("leave key out"), "{with_key}");
        let replaced = fault(&replacing, &["uid"], Guarantee::AtLeastOnce).unwrap();
        assert!(replaced.contains("replace each other"), "{replaced}");
        for guarantee in [Guarantee::Transactional, Guarantee::IdempotentUpsert] {
            assert_eq!(fault(&replacing, &["uid"], guarantee), None);
        }
    }

    #[test]
    fn the_least_promise_of_the_targets_is_the_pipelines() {
        let spec = |to: Value, delivery: &str| -> PipelineSpec {
            let spec = json!({"sql": "", "to": to, "delivery": delivery});
            serde_json::from_value(spec).unwrap()
        };
        let stream = || json!([{"stream": "s"}, {"table": {"store": "w", "name": "t"}}]);
        let table = || json!([{"table": {"store": "w", "name": "t"}}]);
        for (to, delivery, tables, promised) in [
            (
                stream(),
                "ExactlyOnce",
                Guarantee::Transactional,
                Delivery::ExactlyOnce,
            ),
            (
                stream(),
                "AtLeastOnce",
                Guarantee::Transactional,
                Delivery::AtLeastOnce,
            ),
            (
                table(),
                "AtLeastOnce",
                Guarantee::Transactional,
                Delivery::ExactlyOnce,
            ),
            (
                table(),
                "ExactlyOnce",
                Guarantee::IdempotentUpsert,
                Delivery::ExactlyOnce,
            ),
            (
                stream(),
                "ExactlyOnce",
                Guarantee::AtLeastOnce,
                Delivery::AtLeastOnce,
            ),
        ] {
            assert_eq!(promise(&spec(to, delivery), &[tables]), promised);
        }
    }

    #[test]
    fn a_repeated_record_must_not_be_counted_twice() {
        let a = contract(&[("uid", "string", false)]);
        let spec = json!({"sql": "", "to": [], "delivery": "AtLeastOnce"});
        let spec: PipelineSpec = serde_json::from_value(spec).unwrap();
        let stateful = keyed("SELECT uid FROM a", &a, &[]);
        assert!(delivery_fault(&spec, &stateful).is_some());
        let stages = stateful.stages.into_iter();
        let stateless = Dataflow {
            stages: stages.filter(|stage| stage.keyed.is_none()).collect(),
            ..stateful
        };
        assert_eq!(delivery_fault(&spec, &stateless), None);
    }
}
