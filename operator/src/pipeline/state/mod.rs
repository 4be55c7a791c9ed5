//! What a change of the query does to what is in force, whatever engine runs it.
//!
//! A state belongs to what it is of: the digest of key, window, aggregates and types (`fingerprint`). What is in force stands in the
//! status. A query that would need another state is held back (`onStateChange: Block`), or the old state goes before the new query
//! starts (`Reset`): two versions never write the same outputs at once, and results of two queries never stand in one place
//! (`targets`).

use headworks_crds::{ANNOTATION_ACCEPT_MIXED_RESULTS, OnStateChange, Pipeline, PipelineStatus};
use kube::ResourceExt;

use crate::{planning::targets, reason::ConditionReason, retry::Error};

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

/// What a query that is let run does with the progress and the state that are in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryChange {
    /// It goes on with them.
    Continues,
    /// It begins anew: they go before it starts.
    BeginsAnew,
}

/// Decides it for a query that needs the state `wanted`. Pure.
///
/// # Errors
/// `StateChange` where the query is held back, `ResultsWouldMix` where its results would stand beside those of another.
pub fn decide(
    pipeline: &Pipeline,
    wanted: Option<&str>,
    status: &PipelineStatus,
) -> Result<QueryChange, Error> {
    let compatibility = compatibility(status, wanted);
    let changed = matches!(compatibility, StateCompatibility::Changed(_));
    if let StateCompatibility::Changed(why) = compatibility
        && pipeline.spec.on_state_change == OnStateChange::Block
    {
        return Err(held_back(why));
    }
    let accepted = accepts_mixed(pipeline);
    targets::check(&pipeline.spec, status, changed, wanted, accepted)?;
    Ok(match compatibility {
        StateCompatibility::GoesOn => QueryChange::Continues,
        StateCompatibility::NeverRan | StateCompatibility::Changed(_) => QueryChange::BeginsAnew,
    })
}

/// Nothing is in force any more: what there was is deleted.
pub fn begin_anew(status: &mut PipelineStatus) {
    targets::went(status);
    status.group = None;
    status.state = None;
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
    use headworks_crds::StateStatus;

    use super::*;

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
}
