//! The state of a Pipeline whose query needs one: whose it is, where it is kept, and what a change of the
//! query does to it.
//!
//! A state belongs to what it is of: the digest of key, window, aggregates and types (`fingerprint`). The first
//! eight digits of it, the **version**, stand in the names of the consumer groups and of the internal topics, so
//! a query over another state never reads what isn't its own, and a Pipeline that is deleted under `Retain` and
//! made again finds what it had. What is in force stands in the status. A query that would need another state is
//! held back (`onStateChange: Block`), or the old state goes before the new query starts (`Reset`): pods of
//! two versions never write the same outputs at once, and results of two queries never stand in one place (`targets`).

mod reset;
mod topics;

use headworks_crds::{
    ANNOTATION_ACCEPT_MIXED_RESULTS, OnStateChange, Pipeline, PipelineStatus, StateStatus,
};
use headworks_plan::names::{PipelineNames, version};
use headworks_sql::Dataflow;
use kube::ResourceExt;
pub use topics::StateTopics;

use super::dereference::References;
use crate::{
    context::Context,
    names::Key,
    planning::{
        self,
        stages::{Stage, stages},
        targets,
    },
    reason::ConditionReason,
    retry::Error,
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

/// How a query stands to what is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateCompatibility {
    /// Nothing ran yet, or it needs what is there (which may be: nothing).
    GoesOn,
    /// Something was prepared for another query, and nothing has run.
    NeverRan,
    /// It needs another state; in words.
    Changed(&'static str),
}

/// How a query that needs the state `wanted` stands to what is in force.
pub fn compatibility(status: &PipelineStatus, wanted: Option<&str>) -> StateCompatibility {
    let in_force = status.state.as_ref().map(|s| s.fingerprint.as_str());
    match (in_force, wanted) {
        (one, other) if one == other => StateCompatibility::GoesOn,
        (None, _) if status.group.is_none() => StateCompatibility::GoesOn,
        (Some(_), _) if status.group.is_none() => StateCompatibility::NeverRan,
        (None, _) => StateCompatibility::Changed(
            "the query needs state now, and what was read so far was read without any",
        ),
        (_, None) => StateCompatibility::Changed("the query needs no state any more"),
        _ => StateCompatibility::Changed(
            "the query can't go on with the state of the one before: it has another key, window or aggregate, or other inputs or types",
        ),
    }
}

fn held_back(why: &str) -> Error {
    Error::stalled(
        ConditionReason::StateChange,
        format!(
            "spec.sql: {why}. Set spec.onStateChange: Reset to delete state and progress and begin anew at spec.startFrom, into other streams and tables; or make another Pipeline for the new query, or undo the change"
        ),
    )
}

/// Whether a query that needs the state `wanted` can go on with what is in force.
///
/// # Errors
/// `StateChange`.
pub fn goes_on(status: &PipelineStatus, wanted: Option<&str>) -> Result<(), Error> {
    match compatibility(status, wanted) {
        StateCompatibility::Changed(why) => Err(held_back(why)),
        StateCompatibility::GoesOn | StateCompatibility::NeverRan => Ok(()),
    }
}

/// Brings what is in force and what the query needs together: holds the query back, takes an old state away, makes
/// the topics of a new one. Gives what the pods are told of it; nothing for a query without state.
pub async fn reconcile_state(
    pipeline: &Pipeline,
    key: &Key,
    found: &References,
    wanted: Option<&StateRequirements>,
    status: &mut PipelineStatus,
    context: &Context,
) -> Result<Option<StateTopics>, Error> {
    let fingerprint = wanted.map(|w| w.fingerprint.as_str());
    let compatibility = compatibility(status, fingerprint);
    let changed = matches!(compatibility, StateCompatibility::Changed(_));
    if let StateCompatibility::Changed(why) = compatibility
        && pipeline.spec.on_state_change == OnStateChange::Block
    {
        return Err(held_back(why));
    }
    let accepted = accepts_mixed(pipeline);
    targets::check(&pipeline.spec, status, changed, fingerprint, accepted)?;
    if compatibility == StateCompatibility::GoesOn {
        targets::taken(&pipeline.spec, status);
    } else {
        reset::reset(pipeline, key, found, status, context).await?;
    }
    let Some(wanted) = wanted else {
        status.state = None;
        return Ok(None);
    };
    let before = status.state.take().unwrap_or_else(|| StateStatus {
        fingerprint: wanted.fingerprint.clone(),
        version: version(&wanted.fingerprint),
        ..StateStatus::default()
    });
    let kept = topics::ensure(wanted, &before, found, context).await;
    status.state = Some(match &kept {
        Ok(kept) => kept.status(&before),
        Err(_) => before,
    });
    kept.map(Some)
}

/// The state whose results may stand beside those of an earlier query, as its annotation says.
pub fn accepts_mixed(pipeline: &Pipeline) -> Option<&str> {
    let value = pipeline
        .annotations()
        .get(ANNOTATION_ACCEPT_MIXED_RESULTS)?;
    Some(value.as_str())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::contract::topic_name;

    fn status(group: Option<&str>, fingerprint: Option<&str>) -> PipelineStatus {
        PipelineStatus {
            group: group.map(str::to_owned),
            state: fingerprint.map(|f| StateStatus {
                fingerprint: f.into(),
                ..StateStatus::default()
            }),
            ..PipelineStatus::default()
        }
    }

    #[test]
    fn only_what_ran_can_be_changed() {
        use StateCompatibility::{Changed, GoesOn, NeverRan};
        let changed = |s| matches!(s, Changed(_));
        // A new Pipeline, or one that is made again under Retain.
        assert_eq!(compatibility(&status(None, None), Some("a")), GoesOn);
        assert_eq!(compatibility(&status(None, None), None), GoesOn);
        // The same as before.
        assert_eq!(
            compatibility(&status(Some("g.a"), Some("a")), Some("a")),
            GoesOn
        );
        assert_eq!(compatibility(&status(Some("g"), None), None), GoesOn);
        // Topics were made, and then the query was corrected before anything ran.
        assert_eq!(compatibility(&status(None, Some("a")), Some("b")), NeverRan);
        assert_eq!(compatibility(&status(None, Some("a")), None), NeverRan);
        for (before, now) in [(Some("a"), Some("b")), (Some("a"), None), (None, Some("b"))] {
            assert!(changed(compatibility(&status(Some("g"), before), now)));
        }
    }

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
