//! Rows become several: the elements of an array, or the entries of a map, each with the row's other columns.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int32Array, RecordBatch, RecordBatchOptions,
    UInt32Array,
};
use arrow::compute::take;
use arrow::datatypes::{DataType as Arrow, Field, Schema as ArrowSchema};
use arrow::error::ArrowError;

use super::{Computed, slots};
use crate::error::Place;
use crate::eval::lazy::take_rows;
use crate::eval::{EvaluationError, NodeRef, Rows, internal};
use crate::schema::Schema;

/// Most rows that the rows of a batch become. A batch that would give more is halved by whoever evaluates it; a single record that
/// would can't be used.
const MAX_ROWS: usize = 1 << 18;
/// Most bytes of the columns that are repeated with each element.
const MAX_BYTES: usize = 64 << 20;

/// What UNNEST does to the rows, in terms of the columns of the stream and those that were made before.
pub(crate) struct Expansion<'a> {
    /// Where in the query it stands.
    pub place: Place,
    /// What a row must satisfy before.
    pub filter: Option<Computed<'a>>,
    pub argument: Computed<'a>,
    /// True: a row of which no element is left stays, with nulls.
    pub outer: bool,
    /// True: the last of `columns` is the element's number, from 1.
    pub ordinality: bool,
    /// What an element must satisfy, if that isn't nothing.
    pub on: Option<Computed<'a>>,
    /// The places of the columns that it makes.
    pub columns: Range<usize>,
    /// How many of the columns before it may be read.
    pub own: usize,
}

impl Expansion<'_> {
    /// The columns that must be there before, if these must be there after.
    pub(super) fn needs(&self, after: &BTreeSet<usize>) -> BTreeSet<usize> {
        let read = self.filter.iter().chain([&self.argument]).chain(&self.on);
        let mut needed: BTreeSet<usize> = read.flat_map(|one| one.reads).copied().collect();
        needed.extend(after);
        needed.retain(|column| !self.columns.contains(column));
        needed
    }
}

/// The same, ready to be evaluated.
pub(super) struct Unnest {
    place: Place,
    filter: Option<NodeRef>,
    argument: NodeRef,
    outer: bool,
    ordinality: bool,
    on: Option<NodeRef>,
    /// Where the columns are before.
    before: Vec<Option<usize>>,
    /// Of the columns that are there before, those that are needed after.
    carried: Vec<usize>,
    /// Of the columns that it makes, those that are needed, and their types.
    made: Vec<(usize, Arrow)>,
    /// Where the columns are after.
    after: Vec<Option<usize>>,
}

impl Unnest {
    /// `before` and `after`: the columns that are there before it, and that are needed after it. Gives those that are there then.
    pub(super) fn new(
        of: &Expansion<'_>,
        schema: &Schema,
        before: &BTreeSet<usize>,
        after: &BTreeSet<usize>,
    ) -> (Unnest, BTreeSet<usize>) {
        let width = schema.columns.len();
        let mut kept = after.clone();
        kept.extend(of.on.iter().flat_map(|on| on.reads));
        let carried = before.iter().enumerate();
        let carried = carried.filter(|(_, column)| kept.contains(column));
        let made = of.columns.clone().filter(|column| kept.contains(column));
        let data_type = |column: usize| {
            let column = schema.columns.get(column);
            column.map_or(Arrow::Null, |column| column.data_type.to_arrow())
        };
        // The columns that it makes come last, as their places do.
        let mut there = kept.clone();
        there.retain(|column| before.contains(column) || of.columns.contains(column));
        let unnest = Unnest {
            place: of.place,
            filter: of.filter.map(|filter| filter.node.clone()),
            argument: of.argument.node.clone(),
            outer: of.outer,
            ordinality: of.ordinality,
            on: of.on.map(|on| on.node.clone()),
            before: slots(before, width),
            carried: carried.map(|(slot, _)| slot).collect(),
            made: made
                .map(|column| (column - of.columns.start, data_type(column)))
                .collect(),
            after: slots(&there, width),
        };
        (unnest, there)
    }

    /// The rows that the rows of `batch` become, and for each the row of the input that it comes from: `rows` says that of `batch`'s.
    pub(super) fn run(
        &self,
        mut batch: RecordBatch,
        mut rows: UInt32Array,
    ) -> Result<(RecordBatch, UInt32Array), EvaluationError> {
        if let Some(filter) = &self.filter
            && let Some(kept) = holding(filter, &batch, &self.before)?
        {
            batch = take_rows(&batch, &kept)?;
            rows = picked(&rows, &kept);
        }
        let view = Rows {
            batch: batch.clone(),
            slots: &self.before,
        };
        let count = batch.num_rows();
        let argument = if count == 0 {
            None
        } else {
            Some(self.argument.evaluate(&view)?.into_array(count)?)
        };
        let carried = batch
            .project(&self.carried)
            .map_err(|e| internal(&e.to_string()))?;
        let elements = Elements::of(argument.as_ref(), count)?;
        let mut lines = elements.lines(self.outer && self.on.is_none());
        bounded(&carried, &lines, self.place)?;
        let mut made = self.columns(&carried, &elements, &lines)?;
        if let Some(on) = &self.on
            && let Some(kept) = holding(on, &made, &self.after)?
        {
            lines = lines.kept(&kept, self.outer.then_some(count));
            made = self.columns(&carried, &elements, &lines)?;
        } else if self.outer && self.on.is_some() {
            let all: UInt32Array = (0..lines.parents.len() as u32).collect();
            lines = lines.kept(&all, Some(count));
            made = self.columns(&carried, &elements, &lines)?;
        }
        Ok((made, picked(&rows, &lines.parents)))
    }

    /// The columns after it.
    fn columns(
        &self,
        carried: &RecordBatch,
        elements: &Elements,
        lines: &Lines,
    ) -> Result<RecordBatch, EvaluationError> {
        let said = |error: ArrowError| internal(&error.to_string());
        let mut columns = Vec::with_capacity(self.carried.len() + self.made.len());
        let mut fields: Vec<Arc<Field>> = carried.schema().fields().iter().cloned().collect();
        for column in carried.columns() {
            columns.push(take(column, &lines.parents, None).map_err(said)?);
        }
        for (index, data_type) in &self.made {
            let column: ArrayRef = match elements.columns.get(*index) {
                Some(values) => take(values, &lines.elements, None).map_err(said)?,
                None if self.ordinality => Arc::new(lines.numbers.clone()),
                None => arrow::array::new_null_array(data_type, lines.parents.len()),
            };
            fields.push(Arc::new(Field::new(
                format!("unnest.{index}"),
                column.data_type().clone(),
                true,
            )));
            columns.push(column);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(lines.parents.len()));
        // A column that was never null stays so: its own rows are repeated.
        RecordBatch::try_new_with_options(Arc::new(ArrowSchema::new(fields)), columns, &options)
            .map_err(said)
    }
}

/// The elements of each row.
struct Elements {
    /// For each row the range of its elements in `columns`.
    ranges: Vec<Range<usize>>,
    /// What the elements are made of: themselves, the fields of a struct, key and value of a map.
    columns: Vec<ArrayRef>,
    /// The elements that are rows: of an array of structs not the null ones.
    present: Option<BooleanArray>,
}

impl Elements {
    fn of(argument: Option<&ArrayRef>, rows: usize) -> Result<Elements, EvaluationError> {
        let Some(argument) = argument else {
            return Ok(Elements {
                ranges: vec![0..0; rows],
                columns: Vec::new(),
                present: None,
            });
        };
        let (offsets, values) = match argument.data_type() {
            Arrow::List(_) => {
                let list = argument.as_list::<i32>();
                (list.offsets().clone(), list.values().clone())
            }
            Arrow::Map(..) => {
                let map = argument.as_map();
                let entries: ArrayRef = Arc::new(map.entries().clone());
                (map.offsets().clone(), entries)
            }
            other => return Err(internal(&format!("UNNEST of {other}"))),
        };
        let range = |row: usize| {
            if argument.is_null(row) {
                return 0..0;
            }
            offsets[row] as usize..offsets[row + 1] as usize
        };
        let present = |values: &ArrayRef| {
            let nulls = values.nulls()?;
            Some(BooleanArray::new(nulls.inner().clone(), None))
        };
        let (columns, present) = match values.as_struct_opt() {
            Some(fields) => (fields.columns().to_vec(), present(&values)),
            None => (vec![values.clone()], None),
        };
        Ok(Elements {
            ranges: (0..argument.len()).map(range).collect(),
            columns,
            present,
        })
    }

    /// All rows to be. `pads`: one for each row without elements, too.
    fn lines(&self, pads: bool) -> Lines {
        let mut lines = Building::default();
        for (row, range) in self.ranges.iter().enumerate() {
            let before = lines.parents.len();
            for (number, element) in range.clone().enumerate() {
                let is_row = self.present.as_ref().is_none_or(|p| p.value(element));
                if is_row {
                    lines.push(row as u32, Some((element as u32, number as i32 + 1)));
                }
                // What is refused needn't be listed whole.
                if lines.parents.len() > MAX_ROWS {
                    return lines.done();
                }
            }
            if pads && lines.parents.len() == before {
                lines.push(row as u32, None);
            }
        }
        lines.done()
    }
}

/// Rows to be.
struct Lines {
    /// For each the row that it comes from; ascending.
    parents: UInt32Array,
    /// Its element; null where there is none.
    elements: UInt32Array,
    /// That one's number, from 1.
    numbers: Int32Array,
}

#[derive(Default)]
struct Building {
    parents: Vec<u32>,
    elements: Vec<Option<u32>>,
    numbers: Vec<Option<i32>>,
}

impl Building {
    fn push(&mut self, parent: u32, element: Option<(u32, i32)>) {
        self.parents.push(parent);
        self.elements.push(element.map(|(element, _)| element));
        self.numbers.push(element.map(|(_, number)| number));
    }

    fn done(self) -> Lines {
        Lines {
            parents: self.parents.into(),
            elements: self.elements.into(),
            numbers: self.numbers.into(),
        }
    }
}

impl Lines {
    /// Those of these places, and, where `rows` is given, one without an element for each of so many rows that has none.
    fn kept(&self, kept: &UInt32Array, rows: Option<usize>) -> Lines {
        let mut lines = Building::default();
        let mut next = 0;
        let pad = |lines: &mut Building, to: u32, next: &mut u32| {
            while rows.is_some() && *next < to {
                lines.push(*next, None);
                *next += 1;
            }
        };
        for at in kept.values() {
            let at = *at as usize;
            let parent = self.parents.value(at);
            pad(&mut lines, parent, &mut next);
            next = parent + 1;
            lines.push(
                parent,
                Some((self.elements.value(at), self.numbers.value(at))),
            );
        }
        pad(&mut lines, rows.unwrap_or(0) as u32, &mut next);
        lines.done()
    }
}

/// The rows of which the condition is true, if it isn't true of all.
pub(super) fn holding(
    condition: &NodeRef,
    batch: &RecordBatch,
    slots: &[Option<usize>],
) -> Result<Option<UInt32Array>, EvaluationError> {
    let count = batch.num_rows();
    if count == 0 {
        return Ok(None);
    }
    let rows = Rows {
        batch: batch.clone(),
        slots,
    };
    let holds = condition.evaluate(&rows)?.into_array(count)?;
    let holds = holds.as_boolean();
    let kept = (0..count).filter(|i| holds.is_valid(*i) && holds.value(*i));
    let kept: UInt32Array = kept.map(|i| Some(i as u32)).collect();
    Ok(Some(kept).filter(|kept| kept.len() < count))
}

/// Of `rows` those of these places.
pub(super) fn picked(rows: &UInt32Array, at: &UInt32Array) -> UInt32Array {
    at.values()
        .iter()
        .map(|at| Some(rows.value(*at as usize)))
        .collect()
}

/// Refuses what would take too much memory.
fn bounded(carried: &RecordBatch, lines: &Lines, place: Place) -> Result<(), EvaluationError> {
    let refused = |message: String| Err(EvaluationError { place, message });
    let parents = lines.parents.values();
    if parents.len() > MAX_ROWS {
        return refused(format!(
            "UNNEST would give more than {MAX_ROWS} rows; send the elements in several records"
        ));
    }
    let mut bytes = 0_usize;
    let mut at = 0;
    while at < parents.len() {
        let parent = parents[at];
        let count = parents[at..].iter().take_while(|p| **p == parent).count();
        at += count;
        if count > 1 {
            let columns = carried.columns().iter();
            let row: usize = columns.map(|c| size(c.as_ref(), parent as usize)).sum();
            bytes = bytes.saturating_add(row.saturating_mul(count));
        }
    }
    if bytes > MAX_BYTES {
        return refused(format!(
            "UNNEST would repeat the record's other columns with each element, which are more than {} MiB; take fewer columns or send the elements in several records",
            MAX_BYTES >> 20
        ));
    }
    Ok(())
}

/// About how many bytes a value has.
fn size(array: &dyn Array, row: usize) -> usize {
    if array.is_null(row) {
        return 1;
    }
    match array.data_type() {
        Arrow::Utf8 => array.as_string::<i32>().value_length(row) as usize + 4,
        Arrow::Binary => array.as_binary::<i32>().value_length(row) as usize + 4,
        Arrow::List(_) => {
            let list = array.as_list::<i32>();
            let range = list.offsets()[row] as usize..list.offsets()[row + 1] as usize;
            4 + range
                .map(|at| size(list.values().as_ref(), at))
                .sum::<usize>()
        }
        Arrow::Map(..) => {
            let map = array.as_map();
            let range = map.offsets()[row] as usize..map.offsets()[row + 1] as usize;
            4 + range.map(|at| size(map.entries(), at)).sum::<usize>()
        }
        Arrow::Struct(_) => {
            let columns = array.as_struct().columns().iter();
            1 + columns
                .map(|column| size(column.as_ref(), row))
                .sum::<usize>()
        }
        other => other.primitive_width().unwrap_or(1),
    }
}
