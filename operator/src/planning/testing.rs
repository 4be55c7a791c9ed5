//! A query with state, as the planner gives it, for this room's tests.
#![allow(clippy::unwrap_used)]

use headworks_plan::{Contract, Field};
use headworks_sql::{
    Catalog, Dataflow,
    dataflow::{Edge, Exchange, Stage},
    keyed::{Changes, Keyed, KeyedRows, Operator},
    schema::Schema,
};

/// A stream's contract of these fields: name, type, nullable.
pub fn contract(fields: &[(&str, &str, bool)]) -> Contract {
    Contract {
        fields: fields
            .iter()
            .map(|(name, type_, nullable)| Field::new(*name, *type_, *nullable))
            .collect(),
        ..Contract::default()
    }
}

/// A query over stream `a` whose rows are replaced by these output columns, or final if there are none.
pub fn keyed(sql: &str, a: &Contract, unique: &[usize]) -> Dataflow {
    let catalog = || Catalog::new().with("a", a.clone());
    let mut dataflow = headworks_sql::plan(sql, &catalog()).unwrap();
    let finish = headworks_sql::plan(sql, &catalog()).unwrap();
    let mut finish = finish.stages.into_iter().flat_map(Stage::into_branches);
    let columns = || Schema {
        columns: dataflow.output.columns.clone(),
    };
    let exchange = Exchange {
        from: 0,
        rows: KeyedRows {
            schema: columns(),
            keys: unique.len(),
            time: None,
        },
    };
    let keyed = Keyed {
        window: None,
        operator: Operator::Aggregate(vec![]),
        results: columns(),
        finish: finish.next().unwrap(),
        unique: unique.to_vec(),
        fingerprint: "0123456789abcdef".repeat(4),
    };
    dataflow.stages.push(Stage {
        inputs: vec![Edge::Exchange(exchange)],
        keyed: Some(keyed),
        changes: match unique {
            [] => Changes::Append,
            key => Changes::Upsert { key: key.to_vec() },
        },
    });
    dataflow
}
