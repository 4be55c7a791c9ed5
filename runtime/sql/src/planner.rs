//! The entry: a query's text and a catalog become a dataflow.

use std::collections::BTreeSet;
use std::rc::Rc;

use arrow::datatypes::SchemaRef;
use sha2::{Digest, Sha256};

use crate::analyze::bound_expr::BoundExpr;
use crate::analyze::{self, BoundSelect, Input, StatefulNode, Unnested};
use crate::branch::{Branch, Computed, Condition, Expansion};
use crate::catalog::Catalog;
use crate::dataflow::{ColumnLineage, Dataflow, Edge, Exchange, Source, Stage};
use crate::error::SqlError;
use crate::keyed::{Changes, Keyed, KeyedRows};
use crate::schema::{Column, Schema};
use crate::syntax;

/// Raised when the same query over the same inputs gives other results than before.
const SEMANTICS: u32 = 2;

/// Checks a query and compiles it. The errors (at most ten) are in the order of their places.
pub fn plan(sql: &str, catalog: &Catalog) -> Result<Dataflow, Vec<SqlError>> {
    let query = syntax::parse(sql).map_err(|e| vec![e])?;
    let (checked, notes) = analyze::query(&query, catalog)?;
    if let [one] = checked.as_slice()
        && let Some(stateful) = one.stateful()
    {
        let flow = keyed(sql, one.clone(), stateful)?;
        return Ok(Dataflow { notes, ..flow });
    }
    let output = output(&checked);
    let arrow = output.to_arrow();
    let fingerprint = fingerprint(sql, &checked).map_err(|e| vec![e])?;
    let lineage = lineage(&checked, &output);
    Ok(Dataflow {
        stages: vec![of_streams(&checked, &arrow)],
        output,
        lineage,
        fingerprint,
        notes,
    })
}

/// A checked SELECT, ready to be evaluated.
fn branch(checked: &BoundSelect, output_schema: SchemaRef) -> Branch {
    let columns = checked.columns.iter();
    let projection: Vec<Computed> = columns.map(|(_, typed)| typed.computed()).collect();
    let expansions: Vec<Expansion> = checked.unnested.iter().map(Unnested::expansion).collect();
    let mut branch = Branch::new(
        checked.stream(),
        &checked.schema,
        &expansions,
        checked.filter.as_ref().map(BoundExpr::computed),
        &projection,
        output_schema,
    );
    if let Input::Stream(stream) = &checked.input {
        branch.reads = stream.reads;
    }
    branch
}

/// The stage that reads streams.
fn of_streams(checked: &[BoundSelect], output_schema: &SchemaRef) -> Stage {
    let branches = checked.iter().map(|c| branch(c, output_schema.clone()));
    Stage {
        inputs: branches.map(Edge::Stream).collect(),
        keyed: None,
        changes: Changes::Append,
    }
}

/// A query whose results come from state: a stage that gives rows by key, and one that keeps state for them.
fn keyed(
    sql: &str,
    mut finish: BoundSelect,
    stateful: &Rc<StatefulNode>,
) -> Result<Dataflow, Vec<SqlError>> {
    let used: BTreeSet<usize> = finish
        .columns
        .iter()
        .map(|(_, typed)| typed)
        .chain(&finish.filter)
        .flat_map(|typed| typed.sources.iter().copied())
        .collect();
    let mut used = finish.of_stream(&used);
    used.extend(finish.read_by_unnest());
    // Lineage goes by the columns' numbers before those that nobody asks for are left out.
    finish.schema = finish.with_unnested(stateful.labelled());
    let lineage = finish
        .columns
        .iter()
        .map(|(name, typed)| ColumnLineage {
            column: name.clone(),
            sources: finish
                .of_stream(&typed.sources)
                .into_iter()
                .flat_map(|result| sources_of_result(stateful, result))
                .collect(),
        })
        .collect();
    let unique = analyze::unique(&finish, stateful)?;
    let pruned = stateful.pruned(&used);
    let rows = output(&pruned.rows);
    let mut output_schema = output(std::slice::from_ref(&finish));
    for (key, column) in unique.iter().enumerate() {
        // Whatever HAVING lets through, state has the other keys, too, and they are deleted.
        if let (Some(row), Some(column)) = (
            rows.columns.get(key),
            output_schema.columns.get_mut(*column),
        ) {
            column.nullable = row.nullable;
        }
    }
    let first = of_streams(&pruned.rows, &rows.to_arrow());
    let fingerprint = fingerprint(sql, &pruned.rows).map_err(|e| vec![e])?;
    let changes = match unique.as_slice() {
        [] => Changes::Append,
        key => Changes::Upsert { key: key.to_vec() },
    };
    let keyed = Keyed {
        window: pruned.window,
        finish: branch(&finish, output_schema.to_arrow()),
        unique,
        fingerprint: pruned.fingerprint(&rows),
        results: pruned.labelled(),
        operator: pruned.operator,
    };
    let exchange = Exchange {
        from: 0,
        rows: KeyedRows {
            schema: rows,
            keys: pruned.keys,
            time: pruned.time,
        },
    };
    let second = Stage {
        inputs: vec![Edge::Exchange(exchange)],
        keyed: Some(keyed),
        changes,
    };
    Ok(Dataflow {
        stages: vec![first, second],
        fingerprint,
        lineage,
        output: output_schema,
        notes: Vec::new(),
    })
}

/// The stream columns that a column of the results is computed from, in all branches that give it.
fn sources_of_result(stateful: &StatefulNode, result: usize) -> BTreeSet<Source> {
    let rows = stateful.from.get(result).into_iter().flatten();
    let branches = stateful.branches_of(result);
    rows.flat_map(|row| branches.iter().flat_map(|branch| sources(branch, *row)))
        .collect()
}

/// The streams that a query reads, each once, in order; needs no catalog.
pub fn inputs(sql: &str) -> Result<Vec<String>, SqlError> {
    let query = syntax::parse(sql)?;
    Ok(syntax::inputs(&query)
        .into_iter()
        .map(|name| name.text.clone())
        .collect())
}

/// Reads a condition without looking at its names and types; needs no schema.
///
/// # Errors
/// What is no expression, with line and column within the text.
pub fn parse_condition(sql: &str) -> Result<(), SqlError> {
    syntax::parse_expression(sql).map(drop)
}

/// Checks and compiles a condition over a schema's columns, such as `amount > 0`. It looks at one row: aggregates and sub-queries
/// are refused. A number with more digits than its decimal type has makes it fail for that row; NULL would pass for unknown.
///
/// # Errors
/// What is wrong, with line and column within the text.
pub fn expression(sql: &str, schema: &Schema) -> Result<Condition, Vec<SqlError>> {
    let expr = syntax::parse_expression(sql).map_err(|e| vec![e])?;
    let typed = analyze::condition(&expr, schema)?;
    Ok(Condition::new(typed.computed(), typed.fallible, schema))
}

/// The output columns of all branches: nullable if one branch's is, with the labels of all.
fn output(checked: &[BoundSelect]) -> Schema {
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

/// The stream columns that a column is computed from.
fn sources(checked: &BoundSelect, index: usize) -> impl Iterator<Item = Source> + '_ {
    let typed = checked.columns.get(index).map(|(_, t)| t);
    typed
        .into_iter()
        .flat_map(|t| checked.of_stream(&t.sources))
        .filter_map(|i| {
            checked.schema.columns.get(i).map(|column| Source {
                stream: checked.stream().to_owned(),
                column: column.name.clone(),
            })
        })
}

fn lineage(checked: &[BoundSelect], output: &Schema) -> Vec<ColumnLineage> {
    output
        .columns
        .iter()
        .enumerate()
        .map(|(i, c)| ColumnLineage {
            column: c.name.clone(),
            sources: checked.iter().flat_map(|c| sources(c, i)).collect(),
        })
        .collect()
}

fn fingerprint(sql: &str, checked: &[BoundSelect]) -> Result<String, SqlError> {
    let mut hash = Sha256::new();
    hash.update(format!(
        "headworks.sql/{SEMANTICS}\n{}\n",
        syntax::normal_form(sql)?
    ));
    for branch in checked {
        hash.update(format!("{}\n", branch.stream()));
        for column in &branch.schema.columns {
            hash.update(format!(
                "{:?} {} {}\n",
                column.name, column.data_type, column.nullable
            ));
        }
    }
    Ok(crate::eval::hash::hex(&hash.finalize()))
}
