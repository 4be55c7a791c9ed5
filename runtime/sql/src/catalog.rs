//! The entry: a query and the streams it may read.

use std::collections::BTreeMap;

use headworks_plan::Contract;
use sha2::{Digest, Sha256};

use crate::check::{self, Checked};
use crate::dataflow::{Branch, ColumnLineage, Condition, Dataflow, Source};
use crate::error::SqlError;
use crate::schema::{Column, Schema};
use crate::syntax;

/// Raised when the same query over the same inputs gives other results than before.
const SEMANTICS: u32 = 1;

/// The streams that a query may name, with their contracts.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    streams: BTreeMap<String, Contract>,
}

impl Catalog {
    /// A catalog without streams.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a stream, or replaces it.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, contract: Contract) -> Self {
        self.streams.insert(name.into(), contract);
        self
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Contract> {
        self.streams.get(name)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.streams.keys().map(String::as_str)
    }
}

/// Checks a query and compiles it. The errors (at most ten) are in the order of their places.
pub fn plan(sql: &str, catalog: &Catalog) -> Result<Dataflow, Vec<SqlError>> {
    let query = syntax::parse(sql).map_err(|e| vec![e])?;
    let checked = check::query(&query, catalog)?;
    let output = output(&checked);
    let arrow = output.to_arrow();
    let fingerprint = fingerprint(sql, &checked).map_err(|e| vec![e])?;
    let lineage = lineage(&checked, &output);
    let branches = checked
        .iter()
        .map(|c| Branch::new(c, arrow.clone()))
        .collect();
    Ok(Dataflow {
        branches,
        keyed: None,
        output,
        lineage,
        fingerprint,
    })
}

/// The streams that a query reads, each once, in order; needs no catalog.
pub fn inputs(sql: &str) -> Result<Vec<String>, SqlError> {
    let query = syntax::parse(sql)?;
    Ok(syntax::inputs(&query)
        .into_iter()
        .map(|name| name.text.clone())
        .collect())
}

/// Checks and compiles a condition over a schema's columns, such as `amount > 0`.
pub fn expression(sql: &str, schema: &Schema) -> Result<Condition, Vec<SqlError>> {
    let expr = syntax::parse_expression(sql).map_err(|e| vec![e])?;
    let typed = check::condition(&expr, schema)?;
    let columns = typed
        .sources
        .iter()
        .filter_map(|i| schema.columns.get(*i))
        .map(|c| c.name.clone())
        .collect();
    Ok(Condition {
        node: typed.node,
        slots: (0..schema.columns.len()).map(Some).collect(),
        columns,
    })
}

/// The output columns of all branches: nullable if one branch's is, with the labels of all.
fn output(checked: &[Checked]) -> Schema {
    let count = checked.first().map_or(0, |c| c.columns.len());
    let columns = (0..count).filter_map(|index| {
        checked
            .iter()
            .filter_map(|c| c.output(index))
            .reduce(|mut all, next: Column| {
                all.nullable |= next.nullable;
                all.labels.extend(next.labels);
                all.labels.sort();
                all.labels.dedup();
                all
            })
    });
    Schema {
        columns: columns.collect(),
    }
}

fn lineage(checked: &[Checked], output: &Schema) -> Vec<ColumnLineage> {
    let sources = |index: usize| {
        checked.iter().flat_map(move |c| {
            let typed = c.columns.get(index).map(|(_, t)| t);
            typed
                .into_iter()
                .flat_map(|t| t.sources.iter())
                .filter_map(|i| {
                    c.schema.columns.get(*i).map(|column| Source {
                        stream: c.input.clone(),
                        column: column.name.clone(),
                    })
                })
        })
    };
    output
        .columns
        .iter()
        .enumerate()
        .map(|(i, c)| ColumnLineage {
            column: c.name.clone(),
            sources: sources(i).collect(),
        })
        .collect()
}

fn fingerprint(sql: &str, checked: &[Checked]) -> Result<String, SqlError> {
    let mut hash = Sha256::new();
    hash.update(format!(
        "headworks.sql/{SEMANTICS}\n{}\n",
        syntax::normal_form(sql)?
    ));
    for branch in checked {
        hash.update(format!("{}\n", branch.input));
        for column in &branch.schema.columns {
            hash.update(format!(
                "{:?} {} {}\n",
                column.name, column.data_type, column.nullable
            ));
        }
    }
    Ok(crate::eval::hash::hex(&hash.finalize()))
}
