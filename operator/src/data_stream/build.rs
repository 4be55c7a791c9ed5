//! A stream's topics as they are to be. Pure.

use headworks_crds::DataStreamStatus;

use super::validate::Decision;
use crate::provisioner::{
    OfStream, Provisioner,
    topic::{DesiredDeadLetters, DesiredTopic, desired_dead_letters},
};

/// The topics as they are to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desired {
    /// The topic.
    pub topic: DesiredTopic,
    /// That of its dead letters.
    pub dead_letters: DesiredDeadLetters,
}

/// Builds them of a stream that is right.
pub fn build(
    of: OfStream<'_>,
    decision: &Decision,
    by: &dyn Provisioner,
    status: &DataStreamStatus,
) -> Desired {
    let settings = decision.settings.clone();
    Desired {
        topic: by.desired_topic(of, settings, &decision.topic, status),
        dead_letters: desired_dead_letters(of.stream, &decision.dead_letters),
    }
}
