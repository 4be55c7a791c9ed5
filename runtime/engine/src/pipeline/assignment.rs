//! What the group gives and takes back, and where reading begins.

use headworks_plan::StartFrom;

use super::owned::Owned;
use super::{ATTEMPTS, Pipeline, StageOperator, start};
use crate::log::{Event, Log, LogError, Partition};

impl<L: Log> Pipeline<L> {
    pub(super) fn heed(&mut self, event: Event) -> Result<(), LogError> {
        match event {
            Event::Assigned(partitions) => {
                let open = self.in_transaction;
                self.give_up();
                if open {
                    self.log.abort()?;
                }
                self.owned = Owned::default();
                self.assigned.clone_from(&partitions);
                self.read_from_commits(&partitions)
            }
            Event::Revoked { lost } => {
                let committed = if lost {
                    let aborted = if self.in_transaction {
                        self.log.abort()
                    } else {
                        Ok(())
                    };
                    self.give_up();
                    aborted
                } else if self.read_since.is_some() && !self.rewind_owed {
                    self.commit().or_else(|error| self.recover(error))
                } else {
                    Ok(())
                };
                self.owned = Owned::default();
                self.assigned.clear();
                self.give_up();
                self.rewind_owed = false;
                committed.and_then(|()| self.log.unassign())
            }
            Event::Passed(offsets) => {
                for (partition, offset) in offsets {
                    if !self.rewind_owed && self.owned.pass(partition, offset) {
                        self.passed_since = self.passed_since.or(Some(self.log.now()));
                    }
                }
                Ok(())
            }
        }
    }

    /// Takes `partitions` and reads them from the group's commits on. The partitions count as owned
    /// only once this succeeds.
    pub(super) fn read_from_commits(&mut self, partitions: &[Partition]) -> Result<(), LogError> {
        let mut attempt = 0;
        let (stateless, start_from) = (&self.stateless, self.settings.start_from);
        let from = |partition: Partition| {
            // Of versions the last one of a key may be the first record of all.
            if stateless.reads_all(partition.topic) {
                StartFrom::Earliest
            } else {
                start_from
            }
        };
        let mut start = loop {
            let accepted = self.settings.accept_data_loss.as_deref();
            match start::resolve(&mut self.log, &self.topics, partitions, from, accepted) {
                Err(LogError::Retriable { message }) if attempt < ATTEMPTS => {
                    tracing::info!(message, "the group's commits can't be read yet");
                    attempt += 1;
                }
                answer => break answer?,
            }
        };
        let counts_begin = self.take_up_counts(&mut start)?;
        self.owned = Owned::new(&start.positions);
        self.tell_of_counts();
        // An error from here on leads back here.
        self.rewind_owed = true;
        match &self.operator {
            StageOperator::Stateless => {}
            StageOperator::Exchange(_) => self.assign_exchange()?,
            StageOperator::Keyed(_) => self.assign_keyed(&start)?,
        }
        if start.fresh || counts_begin {
            self.commit()?;
        }
        let offsets: Vec<(Partition, i64)> = start
            .positions
            .iter()
            .map(|(partition, position)| (*partition, position.offset))
            .collect();
        self.log.assign(&offsets)?;
        self.rewind_owed = false;
        self.reading_again();
        self.figures_at = None;
        tracing::info!(partitions = offsets.len(), "reading");
        Ok(())
    }
}
