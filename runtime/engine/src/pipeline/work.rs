//! What a round does with the records it read: run the query, write results, rows and dead letters.

use headworks_plan::{DeadLetterReason, OnBadRecord, RuleFigures};

use super::dead_letter;
use super::{FEWEST_ROWS, Pipeline, StageOperator, TABLE_ROWS};
use crate::format::FormatError;
use crate::judge::rules::REMEDY as RULE_REMEDY;
use crate::log::{Former, Log, LogError, Outgoing, Reason};
use crate::stateless::Bad;

impl<L: Log> Pipeline<L> {
    pub(super) fn process(&mut self) -> Result<(), LogError> {
        let owned = &mut self.owned;
        self.batch
            .retain(|partition, offset| owned.wants(partition, offset));
        if self.batch.is_empty() {
            return Ok(());
        }
        if let StageOperator::Keyed(_) = self.operator {
            return self.process_keyed();
        }
        self.stateless
            .run(&self.batch, &mut self.staged)
            .map_err(|error| match error {
                FormatError::Waits { message } => LogError::Held {
                    reason: Reason::RegistryUnavailable,
                    message,
                },
                error => LogError::Broken {
                    message: error.to_string(),
                },
            })?;
        self.refuse_large_rows();
        self.forget_former_dead_letters();
        let stops = self.settings.on_bad_record == OnBadRecord::Stop;
        let mut stop = self.stop_before_a_broken_rule();
        if stops && let Some(earlier) = self.stop_before_the_first_bad() {
            stop = Some(earlier);
        }
        if self.stateless.writes_table() {
            self.insert(stops)?;
            if stops && let Some(earlier) = self.stop_before_the_first_bad() {
                stop = Some(earlier);
            }
        }
        if !self.batch.is_empty() {
            self.collect()?;
            self.write()?;
            self.count_judged();
            self.count_read();
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

    /// Forgets the records that an earlier attempt, whose rows were lost, made dead letters: neither a
    /// row nor another dead letter becomes of them.
    fn forget_former_dead_letters(&mut self) {
        if !self.stateless.writes_table() {
            return;
        }
        let mut rows = Vec::new();
        for row in 0..self.batch.len() {
            let record = self.batch.record(row);
            if self.log.former(record.partition, record.offset) == Former::DeadLetter {
                self.log.mark_dead_lettered(record.partition, record.offset);
                rows.push(row);
            }
        }
        if !rows.is_empty() {
            self.staged.forget(&rows);
        }
    }

    /// Writes the table's rows. Those that the store refuses make their records bad.
    fn insert(&mut self, first_only: bool) -> Result<(), LogError> {
        let rows = self.staged.table_rows(&self.batch);
        let rows = rows.map_err(|message| LogError::Broken { message })?;
        let Some(rows) = rows else { return Ok(()) };
        self.open_transaction()?;
        let answer = self.log.insert(&rows, first_only);
        self.most_rows = match answer {
            // It was too much, perhaps.
            Err(LogError::Held { .. }) => (self.most_rows / 2).max(FEWEST_ROWS),
            _ => (self.most_rows * 2).min(TABLE_ROWS),
        };
        let mut records = rows.records();
        for refusal in answer? {
            if first_only {
                let written = records.partition_point(|record| (*record as usize) < refusal.record);
                records = &records[..written];
            }
            self.staged.refuse(
                refusal.record,
                DeadLetterReason::StoreRefused,
                refusal.message,
            );
        }
        self.staged.settle();
        for record in records {
            let row = *record as usize;
            if !self.staged.is_bad(row) {
                self.pending.records_out += 1;
                if let Some(counts) = self.owned.counts(self.batch.place(row).0) {
                    counts.written += 1;
                }
            }
        }
        Ok(())
    }

    /// Keeps only what comes before the first bad record. What becomes of one that breaks a rule, the rule says.
    fn stop_before_the_first_bad(&mut self) -> Option<LogError> {
        let first = self.staged.bad.iter().find(|bad| !bad.is_by_rule())?;
        let (row, why) = (first.row, first.reason);
        let said = format!(
            "{} ({why}); mend the query, or set onBadRecord to DeadLetter or Drop to go on without it",
            first.message
        );
        Some(self.stop_before(row, Reason::BadRecord, &said))
    }

    /// Keeps only what comes before the first record that a rule stops at.
    fn stop_before_a_broken_rule(&mut self) -> Option<LogError> {
        let (row, broken) = self.staged.halts.first()?;
        let (row, said) = (*row, format!("{}; {RULE_REMEDY}", broken.message));
        Some(self.stop_before(row, Reason::RuleBroken, &said))
    }

    /// Keeps only what comes before a row of the batch.
    fn stop_before(&mut self, row: usize, reason: Reason, said: &str) -> LogError {
        let record = self.batch.record(row);
        let problem = LogError::NeedsPerson {
            reason,
            message: format!(
                "{}/{} offset {}: {said}",
                self.topics[usize::from(record.partition.topic)],
                record.partition.number,
                record.offset,
            ),
        };
        self.staged.truncate(row);
        self.batch.truncate(row);
        problem
    }

    /// Counts what the rules said of the records that go on from here, whatever became of them.
    fn count_judged(&mut self) {
        let (batch, topics) = (&self.batch, &self.topics);
        let now_ms = self.log.wall_ms();
        for judged in &self.staged.judged {
            let Some(rules) = &self.stateless.inputs[judged.input].rules else {
                continue;
            };
            let end = judged.rows.partition_point(|row| *row < batch.len());
            let place = |row: u32| {
                let record = batch.record(judged.rows[row as usize]);
                let topic = &topics[usize::from(record.partition.topic)];
                let number = record.partition.number;
                Some(format!("{topic}[{number}]@{}", record.offset))
            };
            let counted = rules.count(&judged.judgement, end as u32, now_ms, place);
            RuleFigures::add_all(&mut self.pending.rules, &counted);
        }
    }

    /// Writes results and dead letters.
    fn write(&mut self) -> Result<(), LogError> {
        let dead_letters = self.settings.on_bad_record == OnBadRecord::DeadLetter;
        let becomes_dead_letter = |bad: &Bad| dead_letters || bad.is_by_rule();
        let to_topics = !self.stateless.writes_table();
        if (to_topics && !self.staged.records.is_empty())
            || self.staged.bad.iter().any(becomes_dead_letter)
        {
            self.open_transaction()?;
        }
        if to_topics {
            for record in &self.staged.records {
                self.log.produce(&Outgoing {
                    partition: None,
                    topic: &self.stateless.outputs[record.output].topic,
                    key: self.staged.key(record),
                    value: Some(self.staged.value(record)),
                    timestamp_ms: record.timestamp_ms,
                    headers: &[],
                })?;
                if let Some(counts) = self.owned.counts(self.batch.place(record.row).0) {
                    counts.written += 1;
                }
            }
            self.audit.given += self.staged.records.len() as u64;
        }
        self.pending.records_out += self.staged.records.len() as u64;
        self.write_dead_letters()
    }

    /// Writes the dead letters, and counts them and what is dropped.
    fn write_dead_letters(&mut self) -> Result<(), LogError> {
        let dead_letters = self.settings.on_bad_record == OnBadRecord::DeadLetter;
        for row in self.staged.forgotten(&self.batch) {
            self.pending.dead_letters += 1;
            if let Some(counts) = self.owned.counts(self.batch.place(*row).0) {
                counts.dead_letters += 1;
            }
        }
        for row in &self.staged.dropped {
            if let Some(counts) = self.owned.counts(self.batch.place(*row).0) {
                counts.dropped += 1;
            }
        }
        if self.stateless.tells {
            self.pending.dropped += self.staged.dropped.len() as u64;
        }
        let now_ms = self.log.wall_ms();
        for bad in &self.staged.bad {
            let by_store = bad.reason == DeadLetterReason::StoreRefused;
            let record = self.batch.record(bad.row);
            let counts = self.owned.counts(record.partition);
            let tells = by_store || self.stateless.tells;
            if !tells || !(dead_letters || bad.is_by_rule()) {
                self.pending.dropped += u64::from(tells);
                if let Some(counts) = counts {
                    counts.dropped += 1;
                }
                continue;
            }
            self.pending.dead_letters += 1;
            if let Some(counts) = counts {
                counts.dead_letters += 1;
            }
            self.log.mark_dead_lettered(record.partition, record.offset);
            // What a store took before was good or told of then, unless the rule has come since.
            let told_before = !by_store && !bad.is_by_rule();
            if told_before && self.log.former(record.partition, record.offset) == Former::Stored {
                continue;
            }
            let input = &self.settings.inputs[usize::from(record.partition.topic)];
            let (log, tally) = (&mut self.log, &mut self.pending.reasons);
            dead_letter::produce(log, &self.settings, input, &record, bad, now_ms, tally)?;
            self.audit.given += 1;
        }
        Ok(())
    }
}
