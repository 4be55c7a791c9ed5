//! What a query becomes: stages, each with where its rows come from, what is done with them by state, and what leaves it.

use std::collections::BTreeSet;

use crate::branch::Branch;
use crate::error::SqlError;
use crate::keyed::{Changes, Keyed, KeyedRows};
use crate::schema::Schema;

/// A checked query.
#[derive(Debug)]
pub struct Dataflow {
    /// In the order in which rows pass them; what the last one gives is the result. Never empty.
    pub stages: Vec<Stage>,
    /// The columns of the result.
    pub output: Schema,
    /// For each output column, in order, which stream columns its values are computed from.
    pub lineage: Vec<ColumnLineage>,
    /// Equal for queries that are equal but for spaces and comments, over inputs with the same types, in
    /// this version's semantics: hexadecimal SHA-256.
    pub fingerprint: String,
    /// What is right and may not be meant, with its place: where a number may become NULL without a word.
    pub notes: Vec<SqlError>,
}

/// A part of a query with no exchange in it: what one process does with the rows that it is given.
#[derive(Debug)]
pub struct Stage {
    /// Where its rows come from, in order. All are rows of streams, or all of stages before it.
    pub inputs: Vec<Edge>,
    /// What is done with the rows by state, if anything, and what is computed after it.
    pub keyed: Option<Keyed>,
    /// What kind of change leaves it.
    pub changes: Changes,
}

/// Rows that come into a stage.
#[derive(Debug)]
pub enum Edge {
    /// Of a stream: one SELECT of those that `UNION ALL` puts together.
    Stream(Branch),
    /// Of a stage before it, brought together by key.
    Exchange(Exchange),
}

/// Rows with equal keys, brought together.
#[derive(Debug)]
pub struct Exchange {
    /// The stage that gives them, by its place.
    pub from: usize,
    /// What they are.
    pub rows: KeyedRows,
}

impl Dataflow {
    /// What readers of the output must know.
    pub fn changes(&self) -> Changes {
        let last = self.stages.last();
        last.map_or(Changes::Append, |stage| stage.changes.clone())
    }

    /// What is read of streams, in the query's order.
    pub fn branches(&self) -> impl Iterator<Item = &Branch> {
        self.stages.iter().flat_map(Stage::branches)
    }

    /// The stages that keep state, each with the rows that it does that with.
    pub fn stateful(&self) -> impl Iterator<Item = (&KeyedRows, &Keyed)> {
        self.stages.iter().filter_map(Stage::stateful)
    }

    /// True: the query keeps state.
    pub fn keeps_state(&self) -> bool {
        self.stateful().next().is_some()
    }

    /// Equal for queries that can go on with each other's state; none for a query without.
    pub fn state_fingerprint(&self) -> Option<&str> {
        let mut all = self.stateful();
        all.next().map(|(_, keyed)| keyed.fingerprint.as_str())
    }
}

impl Stage {
    /// What it reads of streams.
    pub fn branches(&self) -> impl Iterator<Item = &Branch> {
        self.inputs.iter().filter_map(|edge| match edge {
            Edge::Stream(branch) => Some(branch),
            Edge::Exchange(_) => None,
        })
    }

    /// The same, to be run.
    pub fn into_branches(self) -> Vec<Branch> {
        let inputs = self.inputs.into_iter();
        inputs
            .filter_map(|edge| match edge {
                Edge::Stream(branch) => Some(branch),
                Edge::Exchange(_) => None,
            })
            .collect()
    }

    /// The exchanges that it reads.
    pub fn exchanges(&self) -> impl Iterator<Item = &Exchange> {
        self.inputs.iter().filter_map(|edge| match edge {
            Edge::Stream(_) => None,
            Edge::Exchange(exchange) => Some(exchange),
        })
    }

    /// What it does by state, with the rows that it does that with.
    pub fn stateful(&self) -> Option<(&KeyedRows, &Keyed)> {
        let exchange = self.exchanges().next()?;
        Some((&exchange.rows, self.keyed.as_ref()?))
    }
}

/// Where an output column's values come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnLineage {
    /// The output column.
    pub column: String,
    /// Stream columns, sorted.
    pub sources: BTreeSet<Source>,
}

/// A column of a stream.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    /// The stream's name.
    pub stream: String,
    /// The top-level column's name.
    pub column: String,
}
