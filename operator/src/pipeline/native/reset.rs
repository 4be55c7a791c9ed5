//! Taking a state away, so that another query can begin: first the pods, then what Kafka keeps.

use std::time::Duration;

use headworks_crds::{Pipeline, PipelineStatus};
use k8s_openapi::api::apps::v1::StatefulSet;
use kube::Resource;

use super::progress::{self, Progress};
use crate::{
    context::Context, names::Key, pipeline::dereference::References, reason::ConditionReason,
    retry::Error, stores, workload,
};

/// How often is looked whether the members of a group are gone.
const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// Ends the pods, then deletes the consumer groups and topics that the status names. What is given back as waiting
/// comes here again; every step may be done twice.
pub async fn reset(
    pipeline: &Pipeline,
    key: &Key,
    found: &References,
    status: &PipelineStatus,
    context: &Context,
) -> Result<(), Error> {
    let uid = pipeline.metadata.uid.as_deref().unwrap_or_default();
    let live = stores::child(&context.stores.stateful_sets, key, uid, &key.name);
    if let Some(live) = &live {
        let replicas = live.spec.as_ref().and_then(|s| s.replicas);
        workload::scale_to_zero(context, live.as_ref(), replicas).await?;
    }
    let ending = live.is_some_and(|live| !has_ended(&live))
        || !context.stores.pods_left(key, uid).is_empty();
    if ending {
        return Err(waiting("the pods of the query before end first"));
    }
    let left = Progress::of(pipeline, status);
    progress::delete(&left, &found.platform.platform, context)
        .await
        .map_err(|error| {
            // A group has members until their session times out, even if their pods are gone.
            if error.is(ConditionReason::RefusedByKafka) {
                waiting(error.message())
            } else {
                error
            }
        })?;
    let note = format!(
        "the query needs another state: deleted {left}; the new query begins at spec.startFrom"
    );
    context
        .events
        .normal(
            &pipeline.object_ref(&()),
            ConditionReason::StateReset,
            &note,
        )
        .await;
    Ok(())
}

/// True once the StatefulSet's controller has seen that there shall be no pods, and there are none. Before that it might
/// still start one.
fn has_ended(live: &StatefulSet) -> bool {
    let status = live.status.clone().unwrap_or_default();
    let wanted = live.spec.as_ref().and_then(|s| s.replicas);
    wanted == Some(0)
        && status.replicas == 0
        && live.metadata.generation.is_some()
        && status.observed_generation >= live.metadata.generation
}

fn waiting(what: &str) -> Error {
    Error::waiting(
        ConditionReason::StateReset,
        format!("spec.onStateChange: Reset: {what}"),
    )
    .after(POLL_INTERVAL)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pods_may_still_come_until_the_controller_has_seen_that_none_shall() {
        let of = |replicas: i32, generation: i64, observed: i64, there: i32| {
            let live: StatefulSet =
                serde_json::from_value(json!({"metadata": {"generation": generation},
                "spec": {"replicas": replicas, "selector": {}, "serviceName": "p", "template": {}},
                "status": {"observedGeneration": observed, "replicas": there}}))
                .unwrap();
            has_ended(&live)
        };
        assert!(of(0, 2, 2, 0));
        assert!(!of(1, 2, 2, 0), "our write isn't seen yet");
        assert!(!of(0, 2, 1, 0), "the controller hasn't seen it yet");
        assert!(!of(0, 2, 2, 1));
    }
}
