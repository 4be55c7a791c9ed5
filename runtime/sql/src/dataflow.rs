//! What a query becomes: branches over streams, what is done with their rows by state, and what the result is.

use std::collections::BTreeSet;

use crate::branch::Branch;
use crate::error::SqlError;
use crate::keyed::{Changes, Keyed};
use crate::schema::Schema;

/// A checked query.
#[derive(Debug)]
pub struct Dataflow {
    /// One for each SELECT that `UNION ALL` puts together, in order. They give the output, or, if `keyed`
    /// is there, its rows.
    pub branches: Vec<Branch>,
    /// What is done with the branches' rows by state, if anything.
    pub keyed: Option<Keyed>,
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

impl Dataflow {
    /// What readers of the output must know.
    pub fn changes(&self) -> Changes {
        match &self.keyed {
            Some(keyed) if !keyed.unique.is_empty() => Changes::Upsert {
                key: keyed.unique.clone(),
            },
            _ => Changes::Append,
        }
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
