//! What is evaluated: batches of a stream through a filter and a projection become batches of the output.

mod unnest;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::datatypes::{Schema as ArrowSchema, SchemaRef};

use crate::eval::lazy::take_rows;
use crate::eval::{EvaluationError, NodeRef, Rows, internal};
use crate::schema::{Column, Schema};
pub(crate) use unnest::Expansion;
use unnest::{Unnest, holding, picked};

/// What a branch takes of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reads {
    /// Its records.
    #[default]
    Records,
    /// The records of a compacted stream, each of which is valid from its event time until the next one of its key. All of them are needed,
    /// whenever the query began.
    Versions,
    /// Of such a stream the records without a value, by which a key is deleted: a row of them has the key's columns, and as event
    /// time the record's Kafka timestamp.
    Tombstones,
}

/// One SELECT over one stream: what becomes several rows, a filter, then a projection.
pub struct Branch {
    /// The stream it reads; empty if it reads the results of state.
    pub input: String,
    /// What it takes of it.
    pub reads: Reads,
    /// The stream's columns it needs, in the order of the contract. Never empty.
    pub columns: Vec<String>,
    /// The Arrow schema of the batches it takes: `columns`, in that order.
    pub input_schema: SchemaRef,
    /// The Arrow schema of the batches it gives.
    pub output_schema: SchemaRef,
    unnests: Vec<Unnest>,
    /// Where the filter finds the columns that are there then.
    slots: Vec<Option<usize>>,
    /// Of those that are there then, those that the projection needs: only they are copied for the rows that are kept.
    projected: Vec<usize>,
    /// Where the projection finds them.
    projected_slots: Vec<Option<usize>>,
    filter: Option<NodeRef>,
    projection: Vec<NodeRef>,
}

/// What computes a column, and the columns of the input that it reads.
#[derive(Clone, Copy)]
pub(crate) struct Computed<'a> {
    pub node: &'a NodeRef,
    pub reads: &'a BTreeSet<usize>,
}

/// The result of a batch.
#[derive(Debug)]
pub struct Evaluated {
    /// Rows that satisfy the filter, projected.
    pub batch: RecordBatch,
    /// For each row of `batch`, the row of the input that it comes from; ascending. Several rows may come from one.
    pub rows: UInt32Array,
}

impl fmt::Debug for Branch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Branch")
            .field("input", &self.input)
            .field("columns", &self.columns)
            .field("filtered", &self.filter.is_some())
            .finish_non_exhaustive()
    }
}

impl Branch {
    /// A branch over `stream`, whose columns are `schema`'s, up to those that the first of `expansions` makes.
    pub(crate) fn new(
        stream: &str,
        schema: &Schema,
        expansions: &[Expansion<'_>],
        filter: Option<Computed<'_>>,
        projection: &[Computed<'_>],
        output_schema: SchemaRef,
    ) -> Self {
        let shown: BTreeSet<usize> = projection
            .iter()
            .flat_map(|column| column.reads.iter().copied())
            .collect();
        let mut used = shown.clone();
        used.extend(
            filter
                .iter()
                .flat_map(|filter| filter.reads.iter().copied()),
        );
        let mut after = Vec::with_capacity(expansions.len());
        for expansion in expansions.iter().rev() {
            let before = expansion.needs(&used);
            after.push(std::mem::replace(&mut used, before));
        }
        let width = schema.columns.len();
        if used.is_empty() {
            // A batch without columns would not know how many rows it has.
            let own = expansions.first().map_or(width, |one| one.own);
            used.insert(cheapest(&schema.columns[..own]));
        }
        let mut there = used.clone();
        let mut unnests = Vec::with_capacity(expansions.len());
        for (expansion, after) in expansions.iter().zip(after.iter().rev()) {
            let (unnest, next) = Unnest::new(expansion, schema, &there, after);
            unnests.push(unnest);
            there = next;
        }
        let projected = there
            .iter()
            .enumerate()
            .filter(|(_, i)| shown.contains(i))
            .map(|(slot, _)| slot);
        let full = schema.to_arrow();
        let fields: Vec<_> = used
            .iter()
            .filter_map(|i| full.fields().get(*i).cloned())
            .collect();
        Self {
            input: stream.to_owned(),
            reads: Reads::Records,
            columns: fields.iter().map(|f| f.name().clone()).collect(),
            input_schema: Arc::new(ArrowSchema::new(fields)),
            output_schema,
            unnests,
            slots: slots(&there, width),
            projected: projected.collect(),
            projected_slots: slots(&shown, width),
            filter: filter.map(|filter| filter.node.clone()),
            projection: projection.iter().map(|c| c.node.clone()).collect(),
        }
    }

    /// True: one row of the input may give several (UNNEST, GROUPING SETS).
    pub fn multiplies(&self) -> bool {
        !self.unnests.is_empty()
    }

    /// Filters and projects a batch of [`Self::input_schema`].
    ///
    /// An error says nothing about which row failed: the caller halves the batch until it has the row.
    pub fn evaluate(&self, batch: &RecordBatch) -> Result<Evaluated, EvaluationError> {
        let mut unnested = None;
        for unnest in &self.unnests {
            let all = || (0..batch.num_rows() as u32).collect();
            let (before, rows) = unnested.take().unwrap_or_else(|| (batch.clone(), all()));
            unnested = Some(unnest.run(before, rows)?);
        }
        let (batch, from) = match &unnested {
            None => (batch, None),
            Some((batch, from)) => (batch, Some(from)),
        };
        let count = batch.num_rows();
        let kept = match &self.filter {
            None => None,
            Some(filter) => holding(filter, batch, &self.slots)?,
        };
        let shown = batch
            .project(&self.projected)
            .map_err(|e| internal(&e.to_string()))?;
        let shown = match &kept {
            None => shown,
            Some(kept) => take_rows(&shown, kept)?,
        };
        let kept = kept.unwrap_or_else(|| (0..count as u32).collect());
        let rows = Rows {
            batch: shown,
            slots: &self.projected_slots,
        };
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.projection.len());
        for node in &self.projection {
            // Constants, too, have as many values as there are rows; nothing is evaluated for no rows.
            columns.push(if kept.is_empty() {
                arrow::array::new_empty_array(self.output_schema.field(columns.len()).data_type())
            } else {
                node.evaluate(&rows)?.into_array(kept.len())?
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(kept.len()));
        let batch =
            RecordBatch::try_new_with_options(self.output_schema.clone(), columns, &options)
                .map_err(|e| internal(&e.to_string()))?;
        let rows = match from {
            None => kept,
            Some(from) => picked(from, &kept),
        };
        Ok(Evaluated { batch, rows })
    }
}

/// For each of `width` columns, its position among those in use.
fn slots(used: &BTreeSet<usize>, width: usize) -> Vec<Option<usize>> {
    (0..width)
        .map(|index| used.iter().position(|i| *i == index))
        .collect()
}

/// The column that costs least to read.
fn cheapest(columns: &[Column]) -> usize {
    let cost = |width: Option<usize>| width.unwrap_or(usize::MAX);
    columns
        .iter()
        .enumerate()
        .min_by_key(|(_, c)| cost(c.data_type.to_arrow().primitive_width()))
        .map_or(0, |(i, _)| i)
}

/// A compiled condition over one schema.
pub struct Condition {
    node: NodeRef,
    slots: Vec<Option<usize>>,
    /// The indexes of `columns` among the schema's.
    sources: Vec<usize>,
    /// The columns it reads.
    pub columns: Vec<String>,
    /// The labels of the columns that it reads, sorted.
    pub labels: Vec<String>,
    /// True: it may fail for what a row holds, such as by a division by zero.
    pub fallible: bool,
}

impl Condition {
    /// What `computed` says of a row of `schema`.
    pub(crate) fn new(computed: Computed<'_>, fallible: bool, schema: &Schema) -> Condition {
        let of = |i: &usize| schema.columns.get(*i);
        let read = || computed.reads.iter().filter_map(of);
        let labels: BTreeSet<&String> = read().flat_map(|column| &column.labels).collect();
        Condition {
            node: computed.node.clone(),
            slots: (0..schema.columns.len()).map(Some).collect(),
            sources: computed.reads.iter().copied().collect(),
            columns: read().map(|column| column.name.clone()).collect(),
            labels: labels.into_iter().cloned().collect(),
            fallible,
        }
    }

    /// The same over batches that have these columns alone, in this order. Those that it reads must be among them.
    #[must_use]
    pub fn among(mut self, columns: &[String]) -> Condition {
        self.slots.fill(None);
        for (source, name) in self.sources.iter().zip(&self.columns) {
            self.slots[*source] = columns.iter().position(|column| column == name);
        }
        self
    }

    /// Evaluates a batch whose columns are the schema's, all of them and in order, or those of [`Condition::among`]: true,
    /// false or unknown a row.
    ///
    /// # Errors
    /// It can't be evaluated for some row; which one isn't said.
    pub fn evaluate(
        &self,
        batch: &RecordBatch,
    ) -> Result<arrow::array::BooleanArray, EvaluationError> {
        let rows = Rows {
            batch: batch.clone(),
            slots: &self.slots,
        };
        let value = self.node.evaluate(&rows)?.into_array(batch.num_rows())?;
        Ok(value.as_boolean().clone())
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condition")
            .field("columns", &self.columns)
            .finish_non_exhaustive()
    }
}
