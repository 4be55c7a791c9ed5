//! A group whose commits stay pending: found out, ended where this member knows how, told where it doesn't.
//! `commit_tracker` says why.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::Producer;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::bounded::BoundedClient;
use super::commit_tracker::{self, Ending, Entry};
use super::{ANSWER, KafkaLog, Setup, Transaction, config, error_mapping};
use crate::log::{LogError, Partition, Reason};

/// Kafka looks for transactions whose time is over every ten seconds, and needs some to end them.
const SLACK: Duration = Duration::from_secs(30);
/// Longest wait for an answer that comes at once if it comes.
pub(super) const SHORT: Duration = Duration::from_secs(5);
/// How often the end of this member's own transaction is asked for.
const ATTEMPTS: u32 = 3;

/// How long something may be pending before no transaction that is still open can be the cause.
pub(super) fn patience(setup: &Setup) -> Duration {
    Duration::from_millis(config::transaction_ms(setup)) + SLACK
}

/// Somebody has to find out how a transaction was decided.
pub(super) fn hanging(what: &str, seconds: u64) -> LogError {
    LogError::NeedsPerson {
        reason: Reason::TransactionHanging,
        message: format!(
            "{what}: pending for {seconds} s, longer than any transaction may be open: a broker ended one and never told the partition \
             (KAFKA-20734, where partitions have one replica and a broker was killed). Nothing is lost. It isn't known here whether it was \
             committed, and to guess would lose or double records: the runbook of this reason says how to find out, and how to end it"
        ),
    }
}

impl KafkaLog {
    /// What the failure to read stable commits means.
    pub(super) fn no_stable_commits(
        &self,
        partitions: &[Partition],
        error: &KafkaError,
    ) -> LogError {
        let said = error_mapping::of_query(error, "reading the group's commits");
        // librdkafka repeats the question while the answer is "pending", so all that comes out is a time-out.
        let waited = matches!(
            error.rdkafka_error_code(),
            Some(RDKafkaErrorCode::OperationTimedOut | RDKafkaErrorCode::UnstableOffsetCommit)
        );
        if !waited {
            return said;
        }
        match self.pending(partitions) {
            Ok(Some(hanging)) => hanging,
            Ok(None) => said,
            Err(error) => error,
        }
    }

    /// After a connection broke, and before the next transaction gets hold of the group's commits: makes sure
    /// that this member's last commit is there. Were it still pending, the abort of the next transaction
    /// would undo it, though it was confirmed. A commit outside of any transaction brings it in, and is refused to anybody but the
    /// partitions' owner.
    pub(super) fn restate(&mut self) -> Result<(), LogError> {
        self.serve_producer();
        let broke = self.events.client.broke();
        if !self.committed_here || broke == self.broke_before {
            return Ok(());
        }
        if let Some(known) = self.setup.tracker.last() {
            let outsider = self.outsider()?;
            let list = positions(&known)?;
            let shown = outsider
                .committed_offsets(list.clone(), SHORT)
                .map_err(|error| error_mapping::of_query(&error, "looking for the last commit"))?;
            if decided(&known, &shown) == Some(Ending::Commit) {
                tracing::warn!(
                    group = self.setup.group,
                    "the last commit was confirmed, and isn't there since a connection broke: it is repeated"
                );
                self.commit_positions(list, SHORT).map_err(|error| {
                    match self.not_committed(&error, "repeating the last commit") {
                        LogError::Broken { message } | LogError::Fenced { message } => {
                            LogError::Abortable { message }
                        }
                        error => error,
                    }
                })?;
            }
        }
        self.broke_before = broke;
        Ok(())
    }

    /// A client of no generation that doesn't wait for transactions.
    fn outsider(&self) -> Result<BoundedClient<BaseConsumer>, LogError> {
        config::reader(&self.base, &self.setup.group, false)
            .create()
            .map(BoundedClient::new)
            .map_err(|error| error_mapping::of_query(&error, "making a reader of commits"))
    }

    /// An error of its own where the commits hang.
    fn pending(&self, partitions: &[Partition]) -> Result<Option<LogError>, LogError> {
        let tracker = &self.setup.tracker;
        let list = self.list(partitions, |_| Offset::Invalid)?;
        let outsider = self.outsider()?;
        // One that doesn't wait for transactions is answered, if the group is there at all.
        if outsider.committed_offsets(list, SHORT).is_err() {
            tracker.not_pending();
            return Ok(None);
        }
        let for_so_long = tracker.pending();
        if self.end_own(&outsider)? {
            return Ok(None);
        }
        if for_so_long < patience(&self.setup) {
            return Ok(None);
        }
        let what = format!("commits of group {}", self.setup.group);
        Ok(Some(hanging(&what, for_so_long.as_secs())))
    }

    /// Ends what this member itself left pending, the way it was decided. False: nothing was to be done.
    fn end_own(&self, outsider: &BaseConsumer) -> Result<bool, LogError> {
        if !self.setup.exactly_once || self.transaction != Transaction::Closed {
            return Ok(false);
        }
        let Some(known) = self.setup.tracker.last() else {
            return Ok(false);
        };
        let list = positions(&known)?;
        if self.consumer.committed_offsets(list.clone(), SHORT).is_ok() {
            // Others hold what was asked for.
            return Ok(false);
        }
        let Ok(shown) = outsider.committed_offsets(list.clone(), SHORT) else {
            return Ok(false);
        };
        let Some(ending) = decided(&known, &shown) else {
            return Ok(false);
        };
        tracing::warn!(
            ?ending,
            group = self.setup.group,
            "a transaction of this member is over, and its commits are still pending: the marker is written by another one"
        );
        self.end(&list, ending, outsider)?;
        self.setup.tracker.ended();
        Ok(true)
    }

    fn end(
        &self,
        list: &TopicPartitionList,
        ending: Ending,
        outsider: &BaseConsumer,
    ) -> Result<(), LogError> {
        // Of no generation: who owns the partitions by now doesn't matter, since nobody could read them further.
        let Some(outside) = outsider.group_metadata() else {
            return Ok(());
        };
        let broken = |error: &KafkaError| {
            let error = error_mapping::of_transaction(error, "ending a transaction that hangs");
            match error {
                LogError::Retriable { message } | LogError::Abortable { message } => {
                    LogError::Broken { message }
                }
                error => error,
            }
        };
        self.producer
            .begin_transaction()
            .map_err(|error| broken(&error))?;
        self.send_positions(list.clone(), Arc::new(outside), ANSWER)
            .map_err(|error| broken(&error))?;
        let mut attempt = 0;
        loop {
            attempt += 1;
            let answer = match ending {
                Ending::Commit => self.producer.commit_transaction(SHORT),
                Ending::Abort => self.producer.abort_transaction(SHORT),
            };
            match answer {
                Ok(()) => return Ok(()),
                Err(KafkaError::Transaction(error))
                    if error.is_retriable() && attempt < ATTEMPTS => {}
                Err(error) => return Err(broken(&error)),
            }
        }
    }
}

/// See [`commit_tracker::ending`].
fn decided(known: &[Entry], shown: &TopicPartitionList) -> Option<Ending> {
    commit_tracker::ending(known, |entry| {
        let found = shown.find_partition(&entry.topic, entry.partition)?;
        found.offset().to_raw().filter(|offset| *offset >= 0)
    })
}

fn positions(entries: &[Entry]) -> Result<TopicPartitionList, LogError> {
    let mut list = TopicPartitionList::with_capacity(entries.len());
    for entry in entries {
        let mut added = list.add_partition(&entry.topic, entry.partition);
        added
            .set_offset(Offset::Offset(entry.offset))
            .map_err(|error| LogError::Broken {
                message: format!("position {} can't be committed: {error}", entry.offset),
            })?;
        if !entry.metadata.is_empty() {
            added.set_metadata(entry.metadata.as_str());
        }
    }
    Ok(list)
}
