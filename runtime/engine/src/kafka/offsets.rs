//! Offsets asked of the broker, and positions told to it.

use rdkafka::consumer::Consumer;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::{ANSWER, KafkaLog, verdict};
use crate::log::{Bounds, LogError, Partition, Position};

/// How the first start is written in a commit's metadata.
const FIRST_START: &str = "headworks-first-start=";

/// When the pipeline first started, if a commit's metadata says so.
pub(super) fn first_start(metadata: &str) -> Option<i64> {
    metadata.strip_prefix(FIRST_START)?.parse().ok()
}

impl KafkaLog {
    /// Offset and metadata of the group's stable commits.
    pub(super) fn stable_commits(
        &self,
        partitions: &[Partition],
    ) -> Result<Vec<Option<(i64, String)>>, LogError> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let list = self.list(partitions, |_| Offset::Invalid)?;
        let answer = self
            .consumer
            .committed_offsets(list, ANSWER)
            .map_err(|error| verdict::of_query(&error, "reading the group's commits"))?;
        partitions
            .iter()
            .map(|partition| {
                let place = format!("{}/{}", self.topic(*partition), partition.number);
                let found = answer.find_partition(self.topic(*partition), partition.number);
                let found = found.ok_or_else(|| LogError::Retriable {
                    message: format!("no commit of {place} was given"),
                })?;
                found.error().map_err(|error| {
                    verdict::of_query(&error, &format!("reading the commit of {place}"))
                })?;
                Ok(match found.offset() {
                    Offset::Offset(offset) => Some((offset, found.metadata().to_owned())),
                    _ => None,
                })
            })
            .collect()
    }

    pub(super) fn partitions_of(&self, of: Partition) -> Result<Vec<Partition>, LogError> {
        let topic = self.topic(of).to_owned();
        let metadata = self
            .consumer
            .fetch_metadata(Some(&topic), ANSWER)
            .map_err(|error| verdict::of_query(&error, "asking for the topic's partitions"))?;
        let known = metadata.topics().iter().find(|found| found.name() == topic);
        Ok(known.map_or_else(Vec::new, |found| {
            found
                .partitions()
                .iter()
                .map(|partition| Partition {
                    topic: of.topic,
                    number: partition.id(),
                })
                .collect()
        }))
    }

    pub(super) fn bounds_of(&self, partitions: &[Partition]) -> Result<Vec<Bounds>, LogError> {
        let earliest = self.offsets_for(partitions, Offset::Beginning)?;
        let end = self.offsets_for(partitions, Offset::End)?;
        earliest
            .into_iter()
            .zip(end)
            .map(|bounds| match bounds {
                (Some(earliest), Some(end)) => Ok(Bounds { earliest, end }),
                _ => Err(LogError::Retriable {
                    message: "the broker gave no bounds of a partition".into(),
                }),
            })
            .collect()
    }

    pub(super) fn offsets_from(
        &self,
        partitions: &[Partition],
        time_ms: i64,
    ) -> Result<Vec<i64>, LogError> {
        let found = self.offsets_for(partitions, Offset::Offset(time_ms.max(0)))?;
        let end = self.bounds_of(partitions)?;
        Ok(found
            .into_iter()
            .zip(end)
            .map(|(found, bounds)| found.unwrap_or(bounds.end))
            .collect())
    }

    pub(super) fn positions(
        &self,
        positions: &[(Partition, Position)],
    ) -> Result<TopicPartitionList, LogError> {
        let mut list = TopicPartitionList::with_capacity(positions.len());
        for (partition, position) in positions {
            let mut entry = list.add_partition(self.topic(*partition), partition.number);
            entry
                .set_offset(Offset::Offset(position.offset))
                .map_err(|error| LogError::Broken {
                    message: format!("position {} can't be committed: {error}", position.offset),
                })?;
            if let Some(note) = self.notes.get(partition) {
                entry.set_metadata(note.as_str());
            } else if let Some(first) = position.first_start_ms {
                entry.set_metadata(format!("{FIRST_START}{first}"));
            }
        }
        Ok(list)
    }

    pub(super) fn list(
        &self,
        partitions: &[Partition],
        offset: impl Fn(usize) -> Offset,
    ) -> Result<TopicPartitionList, LogError> {
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for (at, partition) in partitions.iter().enumerate() {
            list.add_partition_offset(self.topic(*partition), partition.number, offset(at))
                .map_err(|error| LogError::Broken {
                    message: format!(
                        "naming {}/{}: {error}",
                        self.topic(*partition),
                        partition.number
                    ),
                })?;
        }
        Ok(list)
    }

    fn topic(&self, partition: Partition) -> &str {
        self.setup
            .topics
            .get(usize::from(partition.topic))
            .map_or("", String::as_str)
    }

    fn offsets_for(
        &self,
        partitions: &[Partition],
        what: Offset,
    ) -> Result<Vec<Option<i64>>, LogError> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let list = self.list(partitions, |_| what)?;
        let answer = self
            .consumer
            .offsets_for_times(list, ANSWER)
            .map_err(|error| verdict::of_query(&error, "asking for offsets"))?;
        partitions
            .iter()
            .map(|partition| {
                let place = format!("{}/{}", self.topic(*partition), partition.number);
                let found = answer.find_partition(self.topic(*partition), partition.number);
                let found = found.ok_or_else(|| LogError::Retriable {
                    message: format!("no offset of {place} was given"),
                })?;
                found.error().map_err(|error| {
                    verdict::of_query(&error, &format!("asking for offsets of {place}"))
                })?;
                Ok(match found.offset() {
                    Offset::Offset(offset) => Some(offset),
                    _ => None,
                })
            })
            .collect()
    }
}
