//! What became of records that were checked: those that are written, those that aren't, and what a quality rule says of them.

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use bytes::Bytes;
use headworks_engine::format::{FormatError, RowError};
use headworks_engine::judge::rules::{Broken, Rules};
use headworks_plan::{DeadLetterReason, RuleAction, RuleFigures};

use super::kafka::Outgoing;
use super::records::Records;

/// What became of a batch of records, each in the order of the batch.
#[derive(Default)]
pub(super) struct Checked {
    /// Those that obey the contract, encoded by it.
    pub(super) good: Vec<Outgoing>,
    /// Those that don't, and those that become dead letters by a rule: index, fault, original bytes.
    pub(super) bad: Vec<Bad>,
    /// How many a rule drops.
    pub(super) dropped: usize,
    /// The record that a rule stops at. Nothing of it and of what comes after it is among the others.
    pub(super) halt: Option<Halt>,
    /// What the rules counted.
    pub(super) rules: Vec<RuleFigures>,
}

impl Checked {
    pub(super) fn add(&mut self, more: Checked) {
        self.good.extend(more.good);
        self.bad.extend(more.bad);
        self.dropped += more.dropped;
        self.halt = self.halt.take().or(more.halt);
        RuleFigures::add_all(&mut self.rules, &more.rules);
    }
}

pub(super) struct Bad {
    pub(super) index: usize,
    pub(super) error: RowError,
    pub(super) original: Bytes,
    /// The rule that it breaks.
    pub(super) broken: Option<Broken>,
}

impl Bad {
    /// True if the rule that it breaks says what becomes of it, and not `onInvalid`.
    pub(super) fn is_by_rule(&self) -> bool {
        self.broken.is_some()
    }
}

/// A record that a rule stops at.
pub(super) struct Halt {
    pub(super) index: usize,
    /// What it breaks.
    pub(super) message: String,
}

/// The rows of a decoder's batch that go on, and what of the records doesn't.
pub(super) struct Judged {
    pub(super) batch: RecordBatch,
    /// The record of each row.
    pub(super) origins: Vec<usize>,
    pub(super) checked: Checked,
}

/// Takes out the rows that a rule refuses.
pub(super) fn judge(
    rules: Option<&Rules>,
    batch: RecordBatch,
    origins: Vec<usize>,
    records: &Records,
) -> Result<Judged, FormatError> {
    let mut checked = Checked::default();
    let Some(rules) = rules.filter(|_| batch.num_rows() > 0) else {
        return Ok(Judged {
            batch,
            origins,
            checked,
        });
    };
    let judgement = rules.judge(&batch)?;
    let mut end = batch.num_rows() as u32;
    for refused in &judgement.refused {
        let index = origins[refused.row as usize];
        match refused.action {
            RuleAction::Alert => {}
            RuleAction::Drop => checked.dropped += 1,
            RuleAction::DeadLetter => {
                let broken = rules.broken(&judgement, refused);
                checked.bad.push(Bad {
                    index,
                    error: RowError {
                        reason: DeadLetterReason::Quality,
                        path: broken.field.clone().unwrap_or_default(),
                        message: broken.message.clone(),
                    },
                    original: records.shared(index),
                    broken: Some(broken),
                });
            }
            RuleAction::Stop => {
                let message = rules.broken(&judgement, refused).message;
                checked.halt = Some(Halt { index, message });
                end = refused.row;
                break;
            }
        }
    }
    let now_ms = jiff::Timestamp::now().as_millisecond();
    checked.rules = rules.count(&judgement, end, now_ms, |_| None);
    if judgement.lets_all_through() {
        return Ok(Judged {
            batch,
            origins,
            checked,
        });
    }
    let mut kept = judgement.kept(batch.num_rows());
    kept.retain(|row| *row < end);
    Ok(Judged {
        origins: kept.iter().map(|row| origins[*row as usize]).collect(),
        batch: take_record_batch(&batch, &UInt32Array::from(kept))
            .map_err(|source| FormatError::Columns { source })?,
        checked,
    })
}
