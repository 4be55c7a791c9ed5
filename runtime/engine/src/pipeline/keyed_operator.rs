//! The second part of a pipeline with state: rows into shards, results and changelog out of them.

use std::time::Duration;

use headworks_plan::{DeadLetterReason, InternalTopic, OnBadRecord, Phase, StateFigures};

use super::start::Start;
use super::{ATTEMPTS, InputTopic, Pipeline, StageOperator, dead_letter, result_records};
use crate::judge::RECORD_OVERHEAD;
#[cfg(test)]
use crate::keyed::Rule;
use crate::keyed::meta;
use crate::keyed::results::Results;
use crate::keyed::shards::{Late, Shards, Topics};
use crate::keyed::standstill::Standstill;
use crate::keyed::too_late;
use crate::log::{Log, LogError, Outgoing, Partition, Position, Reason, Record};
use crate::stateless::Bad;

/// How often what was read is given back to the broker.
const TRIM_EVERY: Duration = Duration::from_secs(30);
/// Over how long a key's share of the rows is measured.
const HOT_EVERY: Duration = Duration::from_secs(60);

/// What the second part has instead of a stage.
pub(crate) struct KeyedOperator {
    shards: Shards,
    results: Results,
    changelog: String,
    /// Largest record of the changelog.
    most_bytes: u64,
    /// Its consumer group.
    group: String,
    /// The pipeline's inputs: where late rows come from.
    inputs: Vec<InputTopic>,
    /// True: a column of the key is labelled, so no key is shown.
    labelled: bool,
    trimmed: Option<Duration>,
    expired: Option<Duration>,
    hot: Option<(Duration, Option<String>)>,
    standstill: Standstill,
    figures: StateFigures,
}

impl KeyedOperator {
    pub(crate) fn new(
        shards: Shards,
        results: Results,
        changelog: &InternalTopic,
        group: &str,
        inputs: Vec<InputTopic>,
        labelled: bool,
    ) -> KeyedOperator {
        KeyedOperator {
            shards,
            results,
            changelog: changelog.topic.clone(),
            most_bytes: changelog.max_message_bytes,
            group: group.to_owned(),
            inputs,
            labelled,
            trimmed: None,
            expired: None,
            hot: None,
            standstill: Standstill::default(),
            figures: StateFigures::default(),
        }
    }

    /// The same, with a rule broken.
    #[cfg(test)]
    pub(crate) fn breaking(mut self, rule: Option<Rule>) -> KeyedOperator {
        self.shards.broken = rule;
        self
    }

    pub(super) fn aborted(&mut self) {
        self.shards.aborted();
    }
}

impl<L: Log> Pipeline<L> {
    /// Brings the batch's rows into their shards.
    pub(super) fn process_keyed(&mut self) -> Result<(), LogError> {
        let now_ms = self.log.wall_ms();
        let mut late = Vec::new();
        let StageOperator::Keyed(keyed) = &mut self.operator else {
            return Ok(());
        };
        for row in 0..self.batch.len() {
            let record = self.batch.record(row);
            let bytes = record.value.unwrap_or_default();
            late.extend(keyed.shards.add(record.partition.number, bytes, now_ms)?);
        }
        self.owned.advance(&self.batch);
        self.read_since = self.read_since.or(Some(self.log.now()));
        if late.is_empty() {
            return Ok(());
        }
        self.pending.late += late.len() as u64;
        match self.settings.on_bad_record {
            OnBadRecord::Stop => Err(stopped(&late[0], &keyed.inputs)),
            OnBadRecord::Drop => {
                self.pending.dropped += late.len() as u64;
                Ok(())
            }
            OnBadRecord::DeadLetter => {
                self.open_transaction()?;
                self.dead_letters(&late, now_ms)
            }
        }
    }

    fn dead_letters(&mut self, late: &[Late], now_ms: i64) -> Result<(), LogError> {
        let StageOperator::Keyed(keyed) = &self.operator else {
            return Ok(());
        };
        for one in late {
            let Some(input) = keyed.inputs.get(usize::from(one.source.topic)) else {
                continue;
            };
            let original = one.original.as_ref();
            let place = one.source.place();
            let record = Record {
                partition: Partition {
                    topic: one.source.topic,
                    number: place.partition,
                },
                offset: one.offset,
                timestamp_ms: original.and_then(|original| original.timestamp_ms),
                key: original.and_then(|original| original.key.as_deref()),
                value: original.and_then(|original| original.value.as_deref()),
            };
            let bad = Bad::new(0, DeadLetterReason::Late, too_late(one.watermark_ms));
            let letters;
            let input = if place.letters {
                // A Replay read it there.
                letters = InputTopic {
                    topic: input.dead_letter_topic.clone(),
                    ..input.clone()
                };
                &letters
            } else {
                input
            };
            let (log, tally) = (&mut self.log, &mut self.pending.reasons);
            dead_letter::produce(log, &self.settings, input, &record, &bad, now_ms, tally)?;
            self.pending.dead_letters += 1;
        }
        Ok(())
    }

    /// Ends the epochs: writes their results, their changelog and the meta records. Gives when there is more to
    /// be written.
    pub(super) fn before_commit_keyed(&mut self) -> Result<Option<Duration>, LogError> {
        let now_ms = self.log.wall_ms();
        let Pipeline {
            log,
            operator,
            owned,
            settings,
            pending,
            ..
        } = self;
        let StageOperator::Keyed(keyed) = operator else {
            return Ok(None);
        };
        let KeyedOperator {
            shards,
            results,
            changelog,
            most_bytes,
            inputs,
            ..
        } = keyed.as_mut();
        let mut later = None;
        // What an aborted transaction found is found again.
        results.take_verdicts();
        for assigned in owned.assigned() {
            let (partition, offset) = (assigned.partition, assigned.position.offset);
            let Some(epoch) = shards.seal(partition.number, offset, now_ms)? else {
                continue;
            };
            if epoch.sealed.more {
                later = Some(log.now());
            }
            results.run(&epoch.sealed, &mut |given| {
                let at = (partition, offset);
                result_records::write(log, settings, inputs.first(), pending, at, now_ms, given)
            })?;
            let changes = epoch.sealed.changelog.iter();
            let changes = changes.map(|change| (change.key.as_slice(), change.value.as_deref()));
            for (key, value) in changes.chain([(meta::KEY, Some(epoch.meta.as_slice()))]) {
                let size = key.len() + value.map_or(0, <[u8]>::len);
                if size as u64 + RECORD_OVERHEAD > *most_bytes {
                    return Err(too_large(changelog, size, *most_bytes));
                }
                log.produce(&Outgoing {
                    topic: changelog,
                    partition: Some(partition.number),
                    key: Some(key),
                    value,
                    timestamp_ms: None,
                    headers: &[],
                })?;
            }
        }
        pending.verdicts = results.take_verdicts();
        let notes = shards.commit_metadata();
        log.set_commit_metadata(
            notes
                .map(|(number, note)| (Partition { topic: 0, number }, note))
                .filter(|(partition, _)| {
                    owned
                        .assigned()
                        .iter()
                        .any(|assigned| assigned.partition == *partition)
                })
                .collect(),
        );
        Ok(later)
    }

    pub(super) fn after_commit_keyed(&mut self, positions: &[(Partition, Position)]) {
        let now = self.log.now();
        let StageOperator::Keyed(keyed) = &mut self.operator else {
            return;
        };
        if !keyed.shards.committed() {
            self.rewind_owed = true;
        }
        if keyed.trimmed.is_none_or(|at| now >= at + TRIM_EVERY) {
            keyed.trimmed = Some(now);
            let offsets: Vec<(Partition, i64)> = positions
                .iter()
                .map(|(partition, position)| (*partition, position.offset))
                .collect();
            self.log.trim(&offsets);
        }
    }

    /// Brings the state of the owned partitions to the group's commits.
    pub(super) fn assign_keyed(&mut self, start: &Start) -> Result<(), LogError> {
        let partitions = self.owned.partitions();
        let StageOperator::Keyed(keyed) = &mut self.operator else {
            return Ok(());
        };
        keyed.trimmed.get_or_insert(self.log.now());
        let numbers: Vec<i32> = partitions
            .iter()
            .map(|partition| partition.number)
            .collect();
        keyed.shards.keep(&numbers);
        let notes = again(|| self.log.commit_metadata(&partitions))?;
        let topics = Topics {
            repartition: self.topics.first().map_or("", String::as_str),
            changelog: &keyed.changelog,
            group: &keyed.group,
        };
        let begun = self.log.now();
        let mut restored = false;
        for (partition, note) in partitions.iter().zip(notes) {
            let committed = start
                .committed
                .iter()
                .find(|(known, _)| known == partition)
                .and_then(|(_, offset)| *offset);
            let (number, note) = (partition.number, note.as_deref());
            if keyed.shards.is_current(number, committed, note) {
                continue;
            }
            if !restored {
                // The pod isn't ready meanwhile.
                self.status.set_phase(Phase::Starting);
            }
            restored = true;
            again(|| {
                keyed
                    .shards
                    .restore(&mut self.log, topics, number, committed, note)
            })?;
        }
        if restored {
            let took = self.log.now().saturating_sub(begun);
            tracing::info!(ms = took.as_millis(), "the state is restored");
            keyed.figures.restore_ms = Some(took.as_millis() as u64);
        }
        // An epoch may not have given all that was due.
        if keyed.shards.look(self.log.wall_ms())? {
            self.operator_due = Some(self.log.now());
        }
        Ok(())
    }

    /// Notices keys that have outlived their time though nothing is read.
    pub(super) fn tick_keyed(&mut self) -> Result<(), LogError> {
        if self.owned.assigned().is_empty() {
            // What is kept of partitions that may be another's by now isn't ours to change.
            return Ok(());
        }
        let now = self.log.now();
        let StageOperator::Keyed(keyed) = &mut self.operator else {
            return Ok(());
        };
        let Some(ttl_ms) = keyed.shards.spec().ttl_ms else {
            return Ok(());
        };
        let every = Duration::from_millis((ttl_ms / 4).clamp(1_000, 60_000) as u64);
        let due = keyed.expired.is_none_or(|at| now >= at + every);
        if self.read_since.is_some() || self.operator_due.is_some() || !due {
            return Ok(());
        }
        keyed.expired = Some(now);
        if keyed.shards.look(self.log.wall_ms())? {
            self.operator_due = Some(now);
        }
        Ok(())
    }

    /// Keeps the status fresh.
    pub(super) fn tell_of_state(&mut self) {
        let now = self.log.now();
        let StageOperator::Keyed(keyed) = &mut self.operator else {
            return;
        };
        let numbers: Vec<i32> = self
            .owned
            .assigned()
            .iter()
            .map(|assigned| assigned.partition.number)
            .collect();
        let (figures, watermark_ms) = keyed.shards.figures(&numbers);
        if keyed
            .hot
            .as_ref()
            .is_none_or(|(at, _)| now >= *at + HOT_EVERY)
        {
            let before = keyed.hot.is_some();
            let key = keyed.shards.hot_key().filter(|_| before && !keyed.labelled);
            keyed.hot = Some((now, key));
        }
        let slowest = keyed.shards.slowest(&numbers);
        let waits_for = keyed.standstill.observe(slowest, now).map(|slowest| {
            let input = keyed.inputs.get(usize::from(slowest.topic));
            let topic = input.map_or("", |input| input.topic.as_str());
            let number = slowest.partition.map(|number| format!("[{number}]"));
            format!("{topic}{}", number.unwrap_or_default())
        });
        keyed.figures = StateFigures {
            memory_bytes: figures.memory_bytes,
            disk_bytes: figures.disk_bytes,
            keys: figures.keys,
            watermark_ms,
            hot_key: keyed.hot.as_ref().and_then(|(_, key)| key.clone()),
            waits_for,
            ..std::mem::take(&mut keyed.figures)
        };
        self.status.set_state(&keyed.figures);
    }
}

/// Repeats a call that may be repeated.
pub(super) fn again<T>(mut call: impl FnMut() -> Result<T, LogError>) -> Result<T, LogError> {
    let mut attempt = 0;
    loop {
        match call() {
            Err(LogError::Retriable { message }) if attempt < ATTEMPTS => {
                tracing::info!(message, "the state can't be read yet");
                attempt += 1;
            }
            answer => return answer,
        }
    }
}

fn too_large(changelog: &str, size: usize, most: u64) -> LogError {
    LogError::NeedsPerson {
        reason: Reason::StateTooLarge,
        message: format!(
            "the state of one key is {size} bytes, above the {most} bytes that topic {changelog} takes (max.message.bytes); \
             a COUNT(DISTINCT …) or LISTAGG of one group holds too many values: group by more columns, or cut shorter windows"
        ),
    }
}

fn stopped(late: &Late, inputs: &[InputTopic]) -> LogError {
    let topic = inputs
        .get(usize::from(late.source.topic))
        .map_or("", |input| &input.topic);
    LogError::NeedsPerson {
        reason: Reason::BadRecord,
        message: format!(
            "{topic}/{} offset {}: {} (Late); raise maxOutOfOrderness of the stream or allowedLateness of the Pipeline, or set onBadRecord to DeadLetter or Drop to go on without it",
            late.source.place().partition,
            late.offset,
            too_late(late.watermark_ms)
        ),
    }
}
