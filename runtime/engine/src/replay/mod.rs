//! A Replay: the loop of pipelines over a [log that ends](ReplayLog).
//!
//! What is read is a part of one topic: from where the pipeline starts to the end that the partition had at the first start. Bounds
//! and counts stand in the [metadata](note) of the group's commits, and so in the transactions that hold the records: after a
//! kill, and for a Replay that is deleted and made again, they are what they were. A record that is refused again becomes a
//! dead letter behind the end, so that replaying dead letters into their own stream comes to an end.

mod log;
mod note;
mod pace;
mod selection;

pub(crate) use log::ReplayLog;
pub(crate) use selection::{Selected, select, value};

use headworks_plan::{Reason, ReplayPlan};

use crate::log::LogError;

/// What a [`ReplayLog`] is told.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// See [`ReplayPlan::id`].
    pub(crate) id: String,
    /// See [`ReplayPlan::end_ms`].
    pub(crate) end_ms: Option<i64>,
    /// Which dead letters, where the topic holds such.
    pub(crate) dead_letters: Option<headworks_plan::DeadLetterSelection>,
    /// Most records in a second.
    pub(crate) records_per_second: Option<u64>,
    /// See [`ReplayPlan::begun`].
    pub(crate) begun: bool,
    /// True: what is written aren't records of a stream, one for each that is replayed; those count as replayed that a Pipeline was given.
    pub(crate) gives: bool,
    /// The consumer group, for messages.
    pub(crate) group: String,
}

impl Settings {
    pub(crate) fn of(plan: &ReplayPlan) -> Settings {
        let stage = plan.query.stages.first();
        Settings {
            id: plan.id.clone(),
            end_ms: plan.end_ms,
            dead_letters: plan.dead_letters.clone(),
            records_per_second: plan.records_per_second,
            begun: plan.begun,
            gives: plan.into_pipeline.is_some(),
            group: stage.map_or_else(String::new, |stage| stage.group.clone()),
        }
    }

    /// The group's progress is another Replay's.
    fn conflict(&self) -> LogError {
        LogError::NeedsPerson {
            reason: Reason::ReplayConflict,
            message: format!(
                "the consumer group {group} holds the progress of another Replay of this name, which took other records, changed \
                 them otherwise, or put them elsewhere; give this Replay another name, or delete the group \
                 (kafka-consumer-groups --delete --group {group}) so that this one begins from the start",
                group = self.group
            ),
        }
    }

    /// What was replayed isn't known any more.
    fn lost(&self) -> LogError {
        LogError::NeedsPerson {
            reason: Reason::ProgressLost,
            message: format!(
                "this Replay has written records before, and its consumer group {} has no commit any more: somebody deleted it, \
                 or Kafka forgot it, because no pod of the Replay ran for longer than offsets.retention.minutes; nothing is \
                 written, because what was replayed already would be written twice. Make a Replay of another name whose \
                 from.start lies after the last record that was replayed; or delete this one and apply it again to write all \
                 of its part once more",
                self.group
            ),
        }
    }
}
