//! Rows on their way into the repartition topic: gathered until a commit, then written as one record for
//! each partition that has any.
//!
//! The records' watermarks speak of everything that the transaction holds: whoever reads them has the rows
//! before them. A partition without rows gets a record of watermarks alone, if they changed, and not too often.

mod size;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use headworks_plan::InternalTopic;

use super::hash;
use super::watermarks::PartitionWatermark;
use super::wire::{Origin, Original, Outgoing, Writer};
use crate::judge::RECORD_OVERHEAD;
use crate::log::{Batch, LogError};
use crate::stateless::{Staged, in_order, taken};
use size::{largest, size};

/// Rows of about so many bytes are written before the commit.
const FLUSH_BYTES: usize = 4 * 1024 * 1024;
/// How often a partition gets watermarks alone.
const WATERMARKS_EVERY: Duration = Duration::from_millis(200);

/// Writes a record to a partition of the repartition topic.
pub(crate) type Produce<'a> = &'a mut dyn FnMut(i32, &[u8]) -> Result<(), LogError>;

/// What is known of a record of the batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowSource {
    /// Index of its partition among the owned ones.
    pub(crate) source: u32,
    /// True: its rows may be late.
    pub(crate) suspect: bool,
}

/// Rows of one transaction.
#[derive(Debug)]
pub(crate) struct ExchangeWriter {
    topic: InternalTopic,
    schema: SchemaRef,
    keys: usize,
    writer: Writer,
    rows: Vec<RecordBatch>,
    /// One a row.
    targets: Vec<u32>,
    origins: Vec<Origin>,
    /// Ascending.
    originals: Vec<Original>,
    /// The rows in the order of their records. What the branches of a union gave lies one after the other, and whether a row of a
    /// session is late depends on what came before it.
    sequence: Vec<u32>,
    bytes: usize,
    /// The watermarks that were last written to any partition, and how often they have changed.
    watermarks: (u64, Vec<PartitionWatermark>),
    /// For each partition the watermarks it was last given, and when; what the open transaction holds apart.
    told: Vec<Option<(u64, Duration)>>,
    telling: Vec<Option<(u64, Duration)>>,
}

impl ExchangeWriter {
    pub(crate) fn new(topic: &InternalTopic, schema: &SchemaRef, keys: usize) -> ExchangeWriter {
        let partitions = usize::try_from(topic.partitions).unwrap_or(0).max(1);
        ExchangeWriter {
            topic: topic.clone(),
            schema: schema.clone(),
            keys,
            writer: Writer::new(schema),
            rows: Vec::new(),
            targets: Vec::new(),
            origins: Vec::new(),
            originals: Vec::new(),
            sequence: Vec::new(),
            bytes: 0,
            watermarks: (0, Vec::new()),
            told: vec![None; partitions],
            telling: vec![None; partitions],
        }
    }

    /// The repartition topic.
    pub(crate) fn topic(&self) -> &str {
        &self.topic.topic
    }

    /// True: so much is gathered that it should be written.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes > FLUSH_BYTES
    }

    /// Rows that would make a record too large even alone, of a batch of rows.
    pub(crate) fn too_large(&mut self, rows: &RecordBatch) -> Vec<usize> {
        let limit = self.limit();
        let bytes: usize = rows
            .columns()
            .iter()
            .map(|column| size(column.as_ref()))
            .sum();
        // No row is larger than all of them.
        if bytes + 1_024 < limit {
            return Vec::new();
        }
        let largest: usize = rows
            .columns()
            .iter()
            .map(|column| largest(column.as_ref()))
            .sum();
        if largest + 1_024 < limit {
            return Vec::new();
        }
        (0..rows.num_rows())
            .filter(|row| {
                let one = Outgoing {
                    rows: &rows.slice(*row, 1),
                    origins: &[Origin {
                        source: 0,
                        offset: 0,
                    }],
                    originals: &[],
                    first: 0,
                    more: false,
                };
                self.writer
                    .write(&self.watermarks.1, Some(one))
                    .is_ok_and(|record| record.len() + 512 > limit)
            })
            .collect()
    }

    /// The largest value of a record.
    fn limit(&self) -> usize {
        usize::try_from(self.topic.max_message_bytes.saturating_sub(RECORD_OVERHEAD))
            .unwrap_or(usize::MAX)
    }

    /// Takes the rows that a batch gave, but for those of bad records and of those that `batch` doesn't
    /// hold any more.
    ///
    /// # Errors
    /// Arrow refused the columns: a bug.
    pub(crate) fn append(
        &mut self,
        staged: &Staged,
        batch: &Batch,
        sources: &[RowSource],
    ) -> Result<(), String> {
        let pieces = staged.good_rows(batch)?;
        let mut begins = vec![self.origins.len()];
        for (_, from) in &pieces {
            begins.push(begins[begins.len() - 1] + from.len());
        }
        let at = |(piece, row): (usize, usize)| (begins[piece] + row) as u32;
        match pieces.as_slice() {
            [(_, from)] => self
                .sequence
                .extend((0..from.len()).map(|row| at((0, row)))),
            _ => self.sequence.extend(in_order(&pieces).into_iter().map(at)),
        }
        for (rows, from) in pieces {
            if from.is_empty() {
                continue;
            }
            let count = self.told.len() as u32;
            hash::partitions(
                &rows.columns()[..self.keys],
                from.len(),
                count,
                &mut self.targets,
            );
            let first = self.origins.len();
            let mut before = None;
            for (row, from) in from.iter().enumerate() {
                let (_, offset) = batch.place(*from as usize);
                let RowSource { source, suspect } = sources[*from as usize];
                self.origins.push(Origin { source, offset });
                if !suspect {
                    continue;
                }
                // The rows of a record share it.
                let original = match before.take() {
                    Some((of, original)) if of == from => original,
                    _ => {
                        let record = batch.record(*from as usize);
                        let size = |part: Option<&[u8]>| part.map_or(0, <[u8]>::len);
                        self.bytes += size(record.key) + size(record.value);
                        Original {
                            row: 0,
                            timestamp_ms: record.timestamp_ms,
                            key: record.key.map(Arc::from),
                            value: record.value.map(Arc::from),
                        }
                    }
                };
                self.originals.push(Original {
                    row: (first + row) as u32,
                    ..original.clone()
                });
                before = Some((from, original));
            }
            self.bytes += rows
                .columns()
                .iter()
                .map(|column| size(column.as_ref()))
                .sum::<usize>();
            self.rows.push(rows);
        }
        Ok(())
    }

    /// Writes what is gathered.
    ///
    /// # Errors
    /// What `produce` says; `Broken`, where Arrow refuses the columns: a bug.
    pub(crate) fn flush(
        &mut self,
        watermarks: Vec<PartitionWatermark>,
        now: Duration,
        produce: Produce<'_>,
    ) -> Result<(), LogError> {
        if watermarks != self.watermarks.1 {
            self.watermarks = (self.watermarks.0 + 1, watermarks);
        }
        if self.targets.is_empty() {
            return Ok(());
        }
        let broken = |message: String| LogError::Broken { message };
        let rows = match self.rows.as_slice() {
            [one] => one.clone(),
            several => concat_batches(&self.schema, several).map_err(|e| broken(e.to_string()))?,
        };
        // A counting sort: rows of one partition are in the order of their records.
        let mut starts = vec![0_usize; self.told.len() + 1];
        for target in &self.targets {
            starts[*target as usize + 1] += 1;
        }
        for partition in 0..self.told.len() {
            starts[partition + 1] += starts[partition];
        }
        let mut next = starts.clone();
        let mut order = vec![0_u32; self.targets.len()];
        for row in &self.sequence {
            let at = &mut next[self.targets[*row as usize] as usize];
            order[*at] = *row;
            *at += 1;
        }
        let origins: Vec<Origin> = order
            .iter()
            .map(|row| self.origins[*row as usize])
            .collect();
        let mut originals = std::mem::take(&mut self.originals);
        if !originals.is_empty() {
            let mut place = vec![0_u32; order.len()];
            for (at, row) in order.iter().enumerate() {
                place[*row as usize] = at as u32;
            }
            for original in &mut originals {
                original.row = place[original.row as usize];
            }
            originals.sort_by_key(|original| original.row);
        }
        let sorted = if order.is_sorted() {
            rows
        } else {
            taken(&rows, order).map_err(broken)?
        };
        for partition in 0..self.told.len() {
            let (from, to) = (starts[partition], starts[partition + 1]);
            if from < to {
                let sent = Sorted {
                    rows: &sorted,
                    origins: &origins,
                    originals: &originals,
                };
                self.write(partition, sent, from..to, false, produce)?;
                self.telling[partition] = Some((self.watermarks.0, now));
            }
        }
        self.clear();
        Ok(())
    }

    /// Writes a range of rows, as one record if it fits. `more`: others follow.
    fn write(
        &mut self,
        partition: usize,
        sorted: Sorted<'_>,
        range: std::ops::Range<usize>,
        more: bool,
        produce: Produce<'_>,
    ) -> Result<(), LogError> {
        let limit = self.limit();
        let begins = |at: usize| {
            sorted
                .originals
                .partition_point(|original| (original.row as usize) < at)
        };
        let rows = sorted.rows.slice(range.start, range.len());
        // Of each record once, at the first of its rows that go here.
        let mut originals = sorted.originals[begins(range.start)..begins(range.end)].to_vec();
        let record = |one: &Original| sorted.origins.get(one.row as usize);
        originals.dedup_by(|one, before| record(one) == record(before));
        let mut outgoing = Outgoing {
            rows: &rows,
            origins: &sorted.origins[range.clone()],
            originals: &originals,
            first: range.start as u32,
            more,
        };
        let length = |part: &Option<Arc<[u8]>>| part.as_ref().map_or(0, |part| part.len());
        let raw = |one: &Original| length(&one.key) + length(&one.value);
        let bytes = rows
            .columns()
            .iter()
            .map(|column| size(column.as_ref()))
            .sum::<usize>()
            + outgoing.originals.iter().map(raw).sum::<usize>();
        let broken = |message: String| LogError::Broken { message };
        if range.len() == 1 || bytes < limit {
            let mut record = self
                .writer
                .write(&self.watermarks.1, Some(outgoing))
                .map_err(broken)?;
            if record.len() > limit && range.len() == 1 {
                // Without the original its dead letter, if it is late, has no value, but it goes on.
                outgoing.originals = &[];
                record = self
                    .writer
                    .write(&self.watermarks.1, Some(outgoing))
                    .map_err(broken)?;
            }
            if record.len() <= limit || range.len() == 1 {
                return produce(partition as i32, &record);
            }
        }
        let middle = range.start + range.len() / 2;
        self.write(partition, sorted, range.start..middle, true, produce)?;
        self.write(partition, sorted, middle..range.end, more, produce)
    }

    /// Before a commit: tells the watermarks to partitions that don't know them. Gives when those may be told
    /// that it is too early for.
    ///
    /// # Errors
    /// As [`ExchangeWriter::flush`].
    pub(crate) fn emit_watermarks(
        &mut self,
        now: Duration,
        produce: Produce<'_>,
    ) -> Result<Option<Duration>, LogError> {
        let known =
            |watermark: &PartitionWatermark| watermark.watermark_ms.is_some() || watermark.idle;
        if !self.watermarks.1.iter().any(known) {
            return Ok(None);
        }
        let mut record = None;
        let mut later = None;
        for partition in 0..self.told.len() {
            match self.telling[partition].or(self.told[partition]) {
                Some((watermarks, _)) if watermarks == self.watermarks.0 => {}
                Some((_, at)) if now < at + WATERMARKS_EVERY => {
                    let due = at + WATERMARKS_EVERY;
                    later = Some(later.map_or(due, |later: Duration| later.min(due)));
                }
                _ => {
                    let record = match &record {
                        Some(record) => record,
                        None => record.insert(
                            self.writer
                                .write(&self.watermarks.1, None)
                                .map_err(|message| LogError::Broken { message })?,
                        ),
                    };
                    produce(partition as i32, record)?;
                    self.telling[partition] = Some((self.watermarks.0, now));
                }
            }
        }
        Ok(later)
    }

    /// The transaction is committed.
    pub(crate) fn committed(&mut self) {
        for (told, telling) in self.told.iter_mut().zip(&mut self.telling) {
            if let Some(telling) = telling.take() {
                *told = Some(telling);
            }
        }
    }

    /// The transaction is void.
    pub(crate) fn aborted(&mut self) {
        self.clear();
        self.telling.fill(None);
    }

    /// Other partitions are owned now.
    pub(crate) fn assigned(&mut self) {
        self.aborted();
        self.told.fill(None);
    }

    fn clear(&mut self) {
        self.rows.clear();
        self.targets.clear();
        self.origins.clear();
        self.originals.clear();
        self.sequence.clear();
        self.bytes = 0;
    }
}

/// Gathered rows, those of one partition together.
#[derive(Clone, Copy, Debug)]
struct Sorted<'a> {
    rows: &'a RecordBatch,
    origins: &'a [Origin],
    originals: &'a [Original],
}
