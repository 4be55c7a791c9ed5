//! What a round does with the records it read: run the query, write results and dead letters.

use std::collections::HashMap;

use headworks_plan::OnBadRecord;

use super::Pipeline;
use super::dead_letter::{self, Origin};
use crate::log::{Log, LogError, Outgoing, Partition, Reason};

impl<L: Log> Pipeline<L> {
    pub(super) fn process(&mut self) -> Result<(), LogError> {
        let owned = &mut self.owned;
        self.batch
            .retain(|partition, offset| owned.wants(partition, offset));
        if self.batch.is_empty() {
            return Ok(());
        }
        self.stage
            .run(&self.batch, &mut self.staged)
            .map_err(|error| LogError::Broken {
                message: error.to_string(),
            })?;
        let stop = match self.settings.on_bad_record {
            OnBadRecord::Stop => self.stop_before_the_first_bad(),
            OnBadRecord::DeadLetter | OnBadRecord::Drop => None,
        };
        if !self.batch.is_empty() {
            self.write()?;
            self.owned.advance(&self.batch);
            self.pending.records_in += self.batch.len() as u64;
            self.pending.max_event_time_ms = self
                .pending
                .max_event_time_ms
                .max(self.staged.max_event_time_ms);
            self.read_since = self.read_since.or(Some(self.log.now()));
        }
        match stop {
            None => Ok(()),
            Some(problem) => {
                if self.read_since.is_some() {
                    self.commit()?;
                }
                Err(problem)
            }
        }
    }

    /// Keeps, of every partition, only what comes before its first bad record.
    fn stop_before_the_first_bad(&mut self) -> Option<LogError> {
        let first = self.staged.bad.first()?;
        let mut ends: HashMap<Partition, i64> = HashMap::new();
        for bad in &self.staged.bad {
            let record = self.batch.record(bad.row);
            ends.entry(record.partition).or_insert(record.offset);
        }
        let record = self.batch.record(first.row);
        let problem = LogError::NeedsPerson {
            reason: Reason::BadRecord,
            message: format!(
                "{}/{} offset {}: {} ({}); mend the query, or set onBadRecord to DeadLetter or Drop to go on without it",
                self.topics[usize::from(record.partition.topic)],
                record.partition.number,
                record.offset,
                first.message,
                first.reason
            ),
        };
        let goes = |partition: Partition, offset: i64| {
            ends.get(&partition).is_none_or(|end| offset < *end)
        };
        let batch = &self.batch;
        self.staged.records.retain(|staged| {
            let record = batch.record(staged.row);
            goes(record.partition, record.offset)
        });
        self.staged.bad.clear();
        // Last, because staged rows are indexes into the batch; they aren't used as such any more.
        self.batch.retain(goes);
        Some(problem)
    }

    fn write(&mut self) -> Result<(), LogError> {
        let letters = self.settings.on_bad_record == OnBadRecord::DeadLetter;
        if !self.staged.records.is_empty() || (letters && !self.staged.bad.is_empty()) {
            self.open_transaction()?;
        }
        for record in &self.staged.records {
            self.log.produce(&Outgoing {
                topic: &self.stage.outputs[record.output].topic,
                key: self.staged.key(record),
                value: Some(self.staged.value(record)),
                timestamp_ms: record.timestamp_ms,
                headers: &[],
            })?;
        }
        self.pending.records_out += self.staged.records.len() as u64;
        if !letters {
            self.pending.dropped += self.staged.bad.len() as u64;
            return Ok(());
        }
        let now_ms = self.log.wall_ms();
        for bad in &self.staged.bad {
            let record = self.batch.record(bad.row);
            let input = &self.settings.inputs[usize::from(record.partition.topic)];
            let origin = Origin {
                topic: &input.topic,
                pipeline: &self.settings.pipeline,
                now_ms,
                max_message_bytes: input.max_message_bytes,
            };
            let letter = dead_letter::of(&record, bad, origin);
            self.log.produce(&Outgoing {
                topic: &input.dead_letter_topic,
                key: letter.key,
                value: letter.value,
                timestamp_ms: record.timestamp_ms,
                headers: &letter.headers,
            })?;
        }
        self.pending.dead_letters += self.staged.bad.len() as u64;
        Ok(())
    }
}
