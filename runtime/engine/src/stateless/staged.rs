//! What a batch gave, before any of it is written: records or rows, and the records that are bad.

use std::ops::Range;

use arrow::array::{Array, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::{interleave_record_batch, take};
use headworks_plan::{DeadLetterReason, RuleAction};

use super::ResultForm;
use crate::judge::rules::{Broken, Judgement, Refused, Rules};
use crate::log::{Batch, TableRows};

/// What a batch gave.
#[derive(Debug, Default)]
pub(crate) struct Staged {
    pub(super) bytes: Vec<u8>,
    /// In the order of the input rows.
    pub(crate) records: Vec<StagedRecord>,
    /// At most one for a row, in the order of the input rows.
    pub(crate) bad: Vec<Bad>,
    pub(crate) max_event_time_ms: Option<i64>,
    /// What the branches of a stage gave whose results stay columns; also of bad records.
    pub(crate) rows: Vec<StagedRows>,
    /// For [`ResultForm::Rows`]: the event time of each of the batch's rows that has one.
    pub(crate) times: Vec<Option<i64>>,
    /// Rows that a quality rule drops, in order.
    pub(crate) dropped: Vec<usize>,
    /// Rows that a quality rule stops before, in order, and what each breaks.
    pub(crate) halts: Vec<(usize, Broken)>,
    /// What the rules said of the rows of each input; only of a stage that tells of bad records.
    pub(crate) judged: Vec<Judged>,
    /// Rows of the batch of which nothing is to be done, in order.
    forgotten: Vec<usize>,
    pub(super) results: ResultForm,
}

/// What the rules of an input said of its rows.
#[derive(Debug)]
pub(crate) struct Judged {
    /// The input's index.
    pub(crate) input: usize,
    /// The batch's rows that were judged, in order.
    pub(crate) rows: Vec<usize>,
    pub(crate) judgement: Judgement,
}

/// Rows that a branch gave.
#[derive(Debug)]
pub(crate) struct StagedRows {
    pub(crate) rows: RecordBatch,
    /// For each the batch's row that it came from; ascending.
    pub(crate) from: Vec<u32>,
}

/// A record to be written.
#[derive(Debug)]
pub(crate) struct StagedRecord {
    /// The batch's row that it came from.
    pub(crate) row: usize,
    /// Index of the output.
    pub(crate) output: usize,
    /// That row's Kafka timestamp.
    pub(crate) timestamp_ms: Option<i64>,
    pub(super) key: Option<Range<usize>>,
    pub(super) value: Range<usize>,
}

/// A record that could not be read, evaluated or stored, or that breaks a rule; and why.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Bad {
    pub(crate) row: usize,
    pub(crate) reason: DeadLetterReason,
    pub(crate) message: String,
    /// Of one that breaks a rule: which.
    pub(crate) broken: Option<Box<Broken>>,
}

impl Bad {
    /// One that breaks no rule.
    pub(crate) fn new(row: usize, reason: DeadLetterReason, message: String) -> Bad {
        Bad {
            row,
            reason,
            message,
            broken: None,
        }
    }

    /// True if the rule that it breaks says what becomes of it, and not `onBadRecord`.
    pub(crate) fn is_by_rule(&self) -> bool {
        self.reason == DeadLetterReason::Quality
    }
}

impl Staged {
    pub(crate) fn key(&self, record: &StagedRecord) -> Option<&[u8]> {
        record.key.clone().map(|range| &self.bytes[range])
    }

    pub(crate) fn value(&self, record: &StagedRecord) -> &[u8] {
        &self.bytes[record.value.clone()]
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.records.clear();
        self.bad.clear();
        self.max_event_time_ms = None;
        self.rows.clear();
        self.times.clear();
        self.dropped.clear();
        self.halts.clear();
        self.judged.clear();
        self.forgotten.clear();
    }

    /// True for a row that is bad. For settled results.
    pub(crate) fn is_bad(&self, row: usize) -> bool {
        !self.bad.is_empty() && self.bad.binary_search_by_key(&row, |bad| bad.row).is_ok()
    }

    /// Rows without the event time that the query needs make their records bad.
    pub(crate) fn refuse_timeless(&mut self, time: Option<usize>) {
        let Some(time) = time else { return };
        let mut bad = Vec::new();
        for piece in &self.rows {
            if let Some(column) = piece
                .rows
                .columns()
                .get(time)
                .filter(|c| c.null_count() > 0)
            {
                let nulls = piece
                    .from
                    .iter()
                    .enumerate()
                    .filter(|(row, _)| column.is_null(*row));
                bad.extend(nulls.map(|(_, from)| *from as usize));
            }
        }
        if !bad.is_empty() {
            for row in bad {
                self.refuse(
                    row,
                    DeadLetterReason::Contract,
                    "the event time of its row is null".to_owned(),
                );
            }
            self.settle();
        }
    }

    /// The rows, without those of records that are bad or forgotten, and of those that `batch` doesn't hold any more; with
    /// each the batch's row that it came from. A piece is what a branch gave: of several each is in order, and all together
    /// aren't ([`in_order`]).
    ///
    /// # Errors
    /// Arrow refused the columns: a bug.
    pub(crate) fn good_rows(&self, batch: &Batch) -> Result<Vec<(RecordBatch, Vec<u32>)>, String> {
        let stays = |from: &u32| self.stays(*from as usize, batch.len());
        let good = |piece: &StagedRows| {
            if piece.from.iter().all(stays) {
                return Ok((piece.rows.clone(), piece.from.clone()));
            }
            let kept: Vec<u32> = (0..piece.from.len() as u32)
                .filter(|row| stays(&piece.from[*row as usize]))
                .collect();
            let from = kept.iter().map(|row| piece.from[*row as usize]).collect();
            Ok((taken(&piece.rows, kept)?, from))
        };
        self.rows
            .iter()
            .filter(|piece| !piece.from.is_empty())
            .map(good)
            .collect()
    }

    /// The rows of a table, in the order of their records: those of [`Staged::good_rows`]. None, where there are none.
    ///
    /// # Errors
    /// Arrow refused the columns: a bug.
    pub(crate) fn table_rows(&self, batch: &Batch) -> Result<Option<TableRows>, String> {
        let mut pieces = self.good_rows(batch)?;
        let (rows, from) = if pieces.len() > 1 {
            let order = in_order(&pieces);
            let batches: Vec<&RecordBatch> = pieces.iter().map(|(rows, _)| rows).collect();
            let rows =
                interleave_record_batch(&batches, &order).map_err(|error| error.to_string())?;
            let from = order.iter().map(|(piece, row)| pieces[*piece].1[*row]);
            (rows, from.collect())
        } else {
            match pieces.pop() {
                Some(only) => only,
                None => return Ok(None),
            }
        };
        let rows = TableRows::new(rows, from).map_err(|error| error.to_string())?;
        Ok(Some(rows).filter(|rows| !rows.is_empty()))
    }

    pub(crate) fn refuse(&mut self, row: usize, reason: DeadLetterReason, message: String) {
        self.bad.push(Bad::new(row, reason, message));
    }

    /// The rows of the batch that are forgotten, in order.
    pub(crate) fn forgotten(&self, batch: &Batch) -> &[usize] {
        let end = self.forgotten.partition_point(|row| *row < batch.len());
        &self.forgotten[..end]
    }

    /// The batch's row of each row that stays a column and is neither bad nor forgotten. For settled results.
    pub(crate) fn good_origins(&self, batch: &Batch) -> impl Iterator<Item = usize> {
        let all = self.rows.iter().flat_map(|piece| &piece.from);
        let rows = batch.len();
        all.map(|from| *from as usize)
            .filter(move |from| self.stays(*from, rows))
    }

    fn stays(&self, row: usize, rows: usize) -> bool {
        row < rows && !self.is_bad(row) && self.forgotten.binary_search(&row).is_err()
    }

    /// What becomes of a row of the batch that a rule refuses.
    pub(super) fn take_out(
        &mut self,
        rules: &Rules,
        judgement: &Judgement,
        refused: &Refused,
        row: usize,
    ) {
        let broken = || rules.broken(judgement, refused);
        match refused.action {
            RuleAction::Alert => {}
            RuleAction::Drop => self.dropped.push(row),
            RuleAction::DeadLetter => {
                let broken = broken();
                self.bad.push(Bad {
                    row,
                    reason: DeadLetterReason::Quality,
                    message: broken.message.clone(),
                    broken: Some(Box::new(broken)),
                });
            }
            RuleAction::Stop => self.halts.push((row, broken())),
        }
    }

    /// Forgets everything about these rows, which are in order.
    pub(crate) fn forget(&mut self, rows: &[usize]) {
        self.records
            .retain(|record| rows.binary_search(&record.row).is_err());
        self.bad.retain(|bad| rows.binary_search(&bad.row).is_err());
        self.dropped.retain(|row| rows.binary_search(row).is_err());
        self.halts
            .retain(|(row, _)| rows.binary_search(row).is_err());
        self.forgotten = rows.to_vec();
    }

    /// Forgets everything about the rows from `row` on.
    pub(crate) fn truncate(&mut self, row: usize) {
        self.records.retain(|record| record.row < row);
        self.bad.retain(|bad| bad.row < row);
        self.dropped.retain(|dropped| *dropped < row);
        self.halts.clear();
    }

    /// Takes back what bad rows gave, and restores the order of rows.
    pub(crate) fn settle(&mut self) {
        self.bad.sort_by_key(|bad| bad.row);
        self.bad.dedup_by_key(|bad| bad.row);
        self.dropped.sort_unstable();
        self.dropped.dedup();
        self.halts.sort_by_key(|(row, _)| *row);
        if !self.dropped.is_empty() {
            let dropped = &self.dropped;
            self.records
                .retain(|record| dropped.binary_search(&record.row).is_err());
        }
        if !self.bad.is_empty() {
            let bad = &self.bad;
            self.records.retain(|record| {
                bad.binary_search_by_key(&record.row, |bad| bad.row)
                    .is_err()
            });
        }
        if !self.records.is_sorted_by_key(|record| record.row) {
            self.records.sort_by_key(|record| record.row);
        }
    }
}

/// All rows of some pieces in the order of their records, as piece and row. Of one record those of an earlier piece come first.
pub(crate) fn in_order(pieces: &[(RecordBatch, Vec<u32>)]) -> Vec<(usize, usize)> {
    let rows = |(piece, (_, from)): (usize, &(RecordBatch, Vec<u32>))| {
        let rows = from.iter().enumerate();
        let rows = rows.map(move |(row, from)| (*from, (piece, row)));
        rows.collect::<Vec<_>>()
    };
    let mut order: Vec<(u32, (usize, usize))> = pieces.iter().enumerate().flat_map(rows).collect();
    // It leaves what is equal as it is, and is fast where much is in order already.
    order.sort_by_key(|(from, _)| *from);
    order.into_iter().map(|(_, place)| place).collect()
}

/// Rows of these indexes.
pub(crate) fn taken(rows: &RecordBatch, indexes: Vec<u32>) -> Result<RecordBatch, String> {
    let count = indexes.len();
    let indexes = UInt32Array::from(indexes);
    let columns = rows
        .columns()
        .iter()
        .map(|column| take(column.as_ref(), &indexes, None))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| error.to_string())?;
    let options = RecordBatchOptions::new().with_row_count(Some(count));
    RecordBatch::try_new_with_options(rows.schema(), columns, &options)
        .map_err(|error| error.to_string())
}
