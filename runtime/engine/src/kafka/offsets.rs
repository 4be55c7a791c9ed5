//! Offsets asked of the broker, and positions told to it.

use rdkafka::consumer::Consumer;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::{ANSWER, KafkaLog, error_mapping};
use crate::log::{Bounds, Counts, LogError, Partition, Position};

/// How the first start is written in a commit's metadata, a word among others.
const FIRST_START: &str = "headworks-first-start=";
/// The greatest event time.
const EVENT_TIME: &str = "headworks-event-time=";
/// The partition is idle.
const IDLE: &str = "headworks-idle";
/// No metadata of ours is longer.
const LONGEST: usize = 256;

/// A position from an offset and its commit's metadata. What isn't ours in it is left out.
pub(super) fn position(offset: i64, metadata: &str) -> Position {
    let mut position = Position {
        offset,
        ..Position::default()
    };
    if metadata.len() > LONGEST {
        return position;
    }
    for word in metadata.split(' ') {
        if let Some(time) = word.strip_prefix(FIRST_START) {
            position.first_start_ms = time.parse().ok();
        } else if let Some(time) = word.strip_prefix(EVENT_TIME) {
            position.clock.event_time_ms = time.parse().ok();
        } else if word == IDLE {
            position.clock.idle = true;
        } else if let Some(counts) = Counts::of_word(word) {
            position.counts = Some(counts);
        }
    }
    position
}

/// A commit's metadata; empty: there is nothing to be kept.
fn metadata(position: &Position) -> String {
    let words = [
        position
            .first_start_ms
            .map(|time| format!("{FIRST_START}{time}")),
        position
            .clock
            .event_time_ms
            .map(|time| format!("{EVENT_TIME}{time}")),
        position.clock.idle.then(|| IDLE.to_owned()),
        position.counts.as_ref().map(Counts::word),
    ];
    words.into_iter().flatten().collect::<Vec<_>>().join(" ")
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
            .map_err(|error| self.no_stable_commits(partitions, &error))?;
        self.setup.tracker.not_pending();
        partitions
            .iter()
            .map(|partition| {
                let place = format!("{}/{}", self.topic(*partition), partition.number);
                let found = answer.find_partition(self.topic(*partition), partition.number);
                let found = found.ok_or_else(|| LogError::Retriable {
                    message: format!("no commit of {place} was given"),
                })?;
                found.error().map_err(|error| {
                    error_mapping::of_query(&error, &format!("reading the commit of {place}"))
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
            .map_err(|error| {
                error_mapping::of_query(&error, "asking for the topic's partitions")
            })?;
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
            if let Some(note) = self.commit_metadata.get(partition) {
                entry.set_metadata(note.as_str());
            } else {
                let kept = metadata(position);
                if !kept.is_empty() {
                    entry.set_metadata(kept);
                }
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

    pub(super) fn topic(&self, partition: Partition) -> &str {
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
            .map_err(|error| error_mapping::of_query(&error, "asking for offsets"))?;
        partitions
            .iter()
            .map(|partition| {
                let place = format!("{}/{}", self.topic(*partition), partition.number);
                let found = answer.find_partition(self.topic(*partition), partition.number);
                let found = found.ok_or_else(|| LogError::Retriable {
                    message: format!("no offset of {place} was given"),
                })?;
                found.error().map_err(|error| {
                    error_mapping::of_query(&error, &format!("asking for offsets of {place}"))
                })?;
                Ok(match found.offset() {
                    Offset::Offset(offset) => Some(offset),
                    _ => None,
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{Origin, PartitionEventTime};

    #[test]
    fn what_a_commit_keeps_beside_the_offset_is_read_back() {
        let most = Counts {
            read: i64::MAX as u64,
            gaps: i64::MAX as u64,
            dropped: i64::MAX as u64,
            dead_letters: i64::MAX as u64,
            written: i64::MAX as u64,
            missing: i64::MAX as u64,
            extra: i64::MAX as u64,
            at: Some(i64::MAX),
            ..Counts::begin(i64::MIN, i64::MAX, Origin::Found)
        };
        let counted = [None, Some(Counts::default()), Some(most)];
        for first_start_ms in [None, Some(0), Some(i64::MAX)] {
            for event_time_ms in [None, Some(-1), Some(1_700_000_000_000), Some(i64::MIN)] {
                for (idle, counts) in [false, true]
                    .into_iter()
                    .flat_map(|idle| counted.map(|counts| (idle, counts)))
                {
                    let kept = Position {
                        offset: 7,
                        first_start_ms,
                        clock: PartitionEventTime {
                            event_time_ms,
                            idle,
                        },
                        counts,
                    };
                    let written = metadata(&kept);
                    // A pod of before reads no more, and would lose the event time.
                    assert!(written.len() <= LONGEST, "{}: {written}", written.len());
                    assert_eq!(position(7, &written), kept, "{written}");
                }
            }
        }
    }

    #[test]
    fn metadata_of_an_earlier_version_or_of_others_has_no_clock() {
        assert_eq!(
            position(7, "headworks-first-start=42"),
            Position {
                offset: 7,
                first_start_ms: Some(42),
                ..Position::default()
            }
        );
        let nothing = Position {
            offset: 7,
            ..Position::default()
        };
        assert_eq!(metadata(&nothing), "");
        let long = format!("{EVENT_TIME}1 {}", "x".repeat(LONGEST));
        for text in ["", "AgAAAA==", "headworks-event-time=soon", "idle", &long] {
            assert_eq!(position(7, text), nothing, "{text}");
        }
    }
}
