//! A change that reaches many objects at once (a Platform's podTemplate, the runtime's image) rolls a few of them at a time.
//!
//! What is rolled in turn is only what could as well wait: the template of pods that are well and are told the same plan by the
//! same CA. A change of the object itself, of its plan or of how Kafka is reached goes out at once, and so does whatever may heal
//! pods that aren't well. An object whose pods don't become ready keeps its turn, so that a template that works nowhere stops
//! after a few.

use std::{fmt::Write, time::Duration};

use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    core::v1::PodTemplateSpec,
};
use kube::{Resource, ResourceExt, core::NamespaceResourceScope, runtime::reflector::Store};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    counts::{Counts, observed, rolled_out},
    pod::{INPUTS_ANNOTATION, PLAN_LABEL},
};
use crate::{
    apply::{is_last_applied, is_subset},
    context::Context,
    names::Key,
    retry::Error,
    rollout_turns::AT_ONCE,
    status::ReconcileOutcome,
    stores,
};

/// Who waits for a turn looks again after this long, if nobody wakes it.
pub const RECHECK: Duration = Duration::from_secs(20);

/// What of a StatefulSet or Deployment a turn depends on.
pub struct Live<'a> {
    template: Option<&'a PodTemplateSpec>,
    /// True: all its pods are of the present template, and ready.
    well: bool,
}

impl<'a> From<&'a StatefulSet> for Live<'a> {
    fn from(set: &'a StatefulSet) -> Self {
        let (wanted, template) = set
            .spec
            .as_ref()
            .map_or((1, None), |s| (s.replicas.unwrap_or(1), Some(&s.template)));
        let well = set.status.as_ref().is_some_and(|status| {
            observed(&set.metadata, status.observed_generation)
                && status.current_revision == status.update_revision
                && status.ready_replicas.unwrap_or(0) >= wanted
        });
        Self { template, well }
    }
}

impl<'a> From<&'a Deployment> for Live<'a> {
    fn from(deployment: &'a Deployment) -> Self {
        let (wanted, template) = deployment
            .spec
            .as_ref()
            .map_or((1, None), |s| (s.replicas.unwrap_or(1), Some(&s.template)));
        let well = deployment.status.as_ref().is_some_and(|status| {
            observed(&deployment.metadata, status.observed_generation)
                && rolled_out(status.replicas, status.updated_replicas) >= wanted
                && status.ready_replicas.unwrap_or(0) >= wanted
        });
        Self { template, well }
    }
}

impl Live<'_> {
    /// True if the desired template rolls pods that could as well wait. `own`: the object itself was changed since it was last
    /// looked at. `changed`: it isn't what was applied last, so a field may go, too.
    pub fn can_wait(&self, desired: &PodTemplateSpec, own: bool, changed: bool) -> bool {
        let Some(live) = self.template.filter(|_| self.well && !own) else {
            return false;
        };
        told(live) == told(desired) && (changed || !is_subset(&value(desired), &value(live)))
    }

    /// True if all its pods are of the desired template, and ready.
    pub fn has(&self, desired: &PodTemplateSpec) -> bool {
        self.well
            && self
                .template
                .is_some_and(|live| is_subset(&value(desired), &value(live)))
    }
}

/// A workload as it is, and whether its new template waits for its turn.
pub struct Turn {
    /// The freshest that is known of its pods.
    pub counts: Counts,
    /// True: it is as it was, and rolls later.
    pub waits: bool,
}

impl Turn {
    /// The verdict over the pods, with a word about what waits.
    #[must_use]
    pub fn told(&self, mut verdict: ReconcileOutcome) -> ReconcileOutcome {
        if self.waits {
            let _ = write!(
                verdict.message,
                "; a change that reaches many objects waits for its turn here: {AT_ONCE} are rolled at a time, and one whose pods don't become ready holds up the next"
            );
            verdict.recheck = Some(verdict.recheck.map_or(RECHECK, |r| r.min(RECHECK)));
        }
        verdict
    }
}

/// Applies a workload, or leaves it as it is until its turn comes. `own`: the object itself was changed since it was last looked at.
///
/// # Errors
/// What the API server says.
pub async fn apply<K>(
    context: &Context,
    key: &Key,
    store: &Store<K>,
    desired: &K,
    (uid, own): (&str, bool),
) -> Result<Turn, Error>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Serialize
        + DeserializeOwned
        + Clone
        + std::fmt::Debug
        + 'static,
    for<'a> Live<'a>: From<&'a K>,
    for<'a> Counts: From<&'a K>,
{
    let live = stores::child(store, key, uid, &desired.name_any());
    let template = Live::from(desired).template;
    if let (Some(live), Some(template)) = (live, template)
        && Live::from(live.as_ref()).can_wait(
            template,
            own,
            !is_last_applied(desired, live.as_ref()),
        )
        && !context
            .rollouts
            .begin(key, |other| context.stores.has(other))
    {
        return Ok(Turn {
            counts: Counts::from(live.as_ref()),
            waits: true,
        });
    }
    let live = context
        .apply(store, desired, uid)
        .await
        .inspect_err(|_| give_up(context, key))?;
    if template.is_some_and(|template| Live::from(live.as_ref()).has(template)) {
        give_up(context, key);
    }
    Ok(Turn {
        counts: Counts::from(live.as_ref()),
        waits: false,
    })
}

/// Ends an object's turn, if it has one, and wakes those that wait: it has rolled, or it can't be built any more, and whatever its
/// pods come to says nothing about the change.
pub fn give_up(context: &Context, key: &Key) {
    for next in context.rollouts.end(key) {
        context.indexes.enqueue(&next);
    }
}

/// What the pods are told: the plan, and the digest of the CA.
fn told(template: &PodTemplateSpec) -> [Option<&String>; 2] {
    let meta = template.metadata.as_ref();
    let plan = meta.and_then(|m| m.labels.as_ref()?.get(PLAN_LABEL));
    let inputs = meta.and_then(|m| m.annotations.as_ref()?.get(INPUTS_ANNOTATION));
    [plan, inputs]
}

fn value(template: &PodTemplateSpec) -> Value {
    serde_json::to_value(template).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn template(plan: &str, image: &str) -> Value {
        json!({"metadata": {"labels": {PLAN_LABEL: plan}}, "spec": {"containers": [{"name": "headworks", "image": image}]}})
    }

    fn stateful_set(ready: i32, update: &str) -> StatefulSet {
        serde_json::from_value(json!({
            "metadata": {"generation": 2},
            "spec": {"replicas": 2, "template": template("p", "i:1"), "selector": {}},
            "status": {"replicas": 2, "readyReplicas": ready, "observedGeneration": 2, "currentRevision": "r1", "updateRevision": update},
        }))
        .unwrap()
    }

    #[test]
    fn only_what_could_as_well_wait_waits() {
        let well = stateful_set(2, "r1");
        let desired = |plan: &str, image: &str| -> PodTemplateSpec {
            serde_json::from_value(template(plan, image)).unwrap()
        };
        let waits = |set: &StatefulSet, desired: &PodTemplateSpec, own| {
            Live::from(set).can_wait(desired, own, false)
        };
        assert!(waits(&well, &desired("p", "i:2"), false));
        assert!(
            !waits(&well, &desired("p", "i:1"), false),
            "nothing to roll"
        );
        assert!(!waits(&well, &desired("p", "i:2"), true), "its own change");
        assert!(!waits(&well, &desired("q", "i:2"), false), "another plan");
        assert!(
            !waits(&stateful_set(1, "r1"), &desired("p", "i:2"), false),
            "it may heal"
        );
        assert!(
            !waits(&stateful_set(2, "r2"), &desired("p", "i:2"), false),
            "it rolls already"
        );
        assert!(Live::from(&well).has(&desired("p", "i:1")));
        assert!(!Live::from(&well).has(&desired("p", "i:2")));
        assert!(!Live::from(&stateful_set(2, "r2")).has(&desired("p", "i:1")));
    }

    #[test]
    fn a_deployment_that_is_being_rolled_is_not_well() {
        let deployment = |updated: i32| -> Deployment {
            serde_json::from_value(json!({
                "metadata": {"generation": 2},
                "spec": {"replicas": 1, "template": template("p", "i:1"), "selector": {}},
                "status": {"replicas": 1, "readyReplicas": 1, "updatedReplicas": updated, "observedGeneration": 2},
            }))
            .unwrap()
        };
        let desired: PodTemplateSpec = serde_json::from_value(template("p", "i:2")).unwrap();
        assert!(Live::from(&deployment(1)).can_wait(&desired, false, false));
        assert!(!Live::from(&deployment(0)).can_wait(&desired, false, false));
    }
}
