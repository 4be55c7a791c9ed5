//! What a query's state needs in Kafka. Pure.
//!
//! The first eight digits of the state's fingerprint, the **version**, stand in the names of the consumer groups and of the internal
//! topics, so a query over another state never reads what isn't its own, and a Pipeline that is deleted under `Retain` and made again
//! finds what it had.

use headworks_crds::Pipeline;
use headworks_plan::names::PipelineNames;
use headworks_sql::Dataflow;
use kube::ResourceExt;

use crate::{
    pipeline::dereference::References,
    planning::{
        self,
        stages::{Stage, stages},
    },
};

/// The least of the internal topics' `max.message.bytes`: what one key has as state (the distinct values that it counts, a
/// list of texts) is one record. Hosted Kafka allows no more.
const LEAST_MAX_MESSAGE: u64 = 8 << 20;
/// A late row travels with its record and where it came from.
const HEADROOM: u64 = 1 << 16;

/// A state that a query needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateRequirements {
    /// What it is of.
    pub fingerprint: String,
    /// The topics that its stages have besides the streams.
    pub stages: Vec<Stage>,
    /// Partitions that internal topics get: as many as the inputs' have at most.
    pub partitions: Option<i32>,
    /// Largest record that internal topics take, in bytes.
    pub max_message_bytes: u64,
}

impl StateRequirements {
    /// What a checked query needs, if it needs any.
    pub fn of(pipeline: &Pipeline, found: &References, dataflow: &Dataflow) -> Option<Self> {
        let fingerprint = dataflow.state_fingerprint()?.to_owned();
        let largest = found.inputs.iter().chain(&found.outputs);
        let largest = largest.map(|s| s.stream.max_message_bytes).max();
        let names = names(pipeline, found, dataflow);
        Some(Self {
            fingerprint,
            stages: stages(dataflow, &[], &pipeline.spec.to, &names),
            partitions: found.inputs.iter().filter_map(|i| i.partitions).max(),
            max_message_bytes: largest
                .unwrap_or_default()
                .saturating_add(HEADROOM)
                .max(LEAST_MAX_MESSAGE),
        })
    }
}

/// What a Pipeline's query is called in Kafka.
pub fn names(pipeline: &Pipeline, found: &References, dataflow: &Dataflow) -> PipelineNames {
    let namespace = pipeline.namespace().unwrap_or_default();
    let installation = &found.platform.installation;
    planning::stages::names(installation, &namespace, &pipeline.name_any(), dataflow)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::contract::topic_name;

    #[test]
    fn every_name_of_a_state_fits_kafka_and_is_no_stream_s() {
        let names = PipelineNames::new(
            &"i".repeat(32),
            &"n".repeat(63),
            &"p".repeat(48),
            Some(&"f".repeat(64)),
        );
        let all = BTreeMap::from([("team".to_owned(), "core".to_owned())]);
        let policy = serde_json::from_value(
            serde_json::json!([{"namespaces": {}, "prefixes": ["headworks."]}]),
        );
        let policy: Vec<headworks_crds::TopicPolicy> = policy.unwrap();
        for name in [
            names.repartition(),
            names.changelog(),
            topic_name::dead_letter_topic(&names.results()),
            names.results(),
        ] {
            assert!(name.len() <= 249, "{name}");
            let refused = topic_name::allowed(&name, "headworks", &all, &policy).unwrap_err();
            assert!(refused.contains("Pipeline"), "{refused}");
        }
        assert!(topic_name::allowed("headworks.orders", "headworks", &all, &[]).is_ok());
    }
}
