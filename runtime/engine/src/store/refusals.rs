//! Rows that a store refuses for what they hold: which of a batch they are, found by halving.

use std::time::Duration;

use super::StoreError;
use crate::log::{LogError, Reason, Refusal, Row};

/// Longest search within one batch.
const SEARCH: Duration = Duration::from_secs(15);

/// Writes rows all or none.
type Write<'a> = &'a mut dyn FnMut(&[&[u8]]) -> Result<(), StoreError>;

/// Writes rows, but for those of records that the store refuses; gives these, in order.
pub(super) fn insert(
    rows: &[Row<'_>],
    first_only: bool,
    write: Write<'_>,
    now: &dyn Fn() -> Duration,
) -> Result<Vec<Refusal>, StoreError> {
    let mut search = Search {
        first_only,
        write,
        now,
        deadline: now() + SEARCH,
        refusals: Vec::new(),
    };
    search.run(rows)?;
    Ok(search.refusals)
}

struct Search<'a> {
    first_only: bool,
    write: Write<'a>,
    now: &'a dyn Fn() -> Duration,
    deadline: Duration,
    refusals: Vec<Refusal>,
}

impl Search<'_> {
    fn run(&mut self, rows: &[Row<'_>]) -> Result<(), StoreError> {
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
            return Ok(());
        };
        if (self.now)() > self.deadline {
            return Err(StoreError::Held {
                reason: Reason::StoreUnavailable,
                message: format!(
                    "the store was still busy with one batch of rows after {} s; it is written again in smaller ones",
                    SEARCH.as_secs()
                ),
            });
        }
        let bytes: Vec<&[u8]> = rows.iter().map(|row| row.bytes).collect();
        match (self.write)(&bytes) {
            Err(StoreError::Refused { message }) if first.record == last.record => {
                self.refusals.push(Refusal {
                    record: first.record,
                    message,
                });
                Ok(())
            }
            Err(StoreError::Refused { .. }) => {
                // A record goes in whole or not at all, so its rows stay together.
                let middle = rows[rows.len() / 2].record;
                let mut at = rows.partition_point(|row| row.record < middle);
                if at == 0 {
                    at = rows.partition_point(|row| row.record <= middle);
                }
                self.run(&rows[..at])?;
                if self.first_only && !self.refusals.is_empty() {
                    return Ok(());
                }
                self.run(&rows[at..])
            }
            other => other,
        }
    }
}

/// What a store's error means for the loop.
pub(super) fn said(error: StoreError) -> LogError {
    match error {
        StoreError::Refused { message } | StoreError::Broken { message } => {
            LogError::Broken { message }
        }
        StoreError::Conflict { message } | StoreError::Unknown { message } => {
            LogError::Abortable { message }
        }
        StoreError::Held { reason, message } => LogError::Held { reason, message },
    }
}
