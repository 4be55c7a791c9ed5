//! A change that reaches many objects at once (a Platform's podTemplate, the runtime's image) rolls a few of them at a time.
//!
//! What is rolled in turn is only what could as well wait: the template of pods that are well and are told the same plan by the
//! same CA. A change of the object itself, of its plan or of how Kafka is reached goes out at once, and so does whatever may heal
//! pods that aren't well. An object whose pods don't become ready keeps its turn, so that a template that works nowhere stops
//! after a few.
//!
//! An operator that writes plans of another version changes the plan of every object at once: that is a change that reaches many,
//! too. So pods that run by a plan of an older version wait, whatever else the new plan says: by theirs they go on rightly, as all
//! pods do whose spec is held back. What somebody changed elsewhere at the same time (a contract, where Kafka is) comes to them
//! with their turn, a few later; a change of the object's own spec doesn't wait.

use std::{fmt::Write, time::Duration};

use headworks_plan::VERSION;
use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    core::v1::PodTemplateSpec,
};
use kube::{Resource, ResourceExt, core::NamespaceResourceScope, runtime::reflector::Store};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    counts::{Counts, observed, rolled_out},
    mounted, plan_map,
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
    /// True: it is to have pods. Where there are none, none are rolled.
    runs: bool,
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
        Self {
            template,
            well,
            runs: wanted > 0,
        }
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
        Self {
            template,
            well,
            runs: wanted > 0,
        }
    }
}

impl Live<'_> {
    /// True if the desired template rolls pods that could as well wait. `own`: the object itself was changed since it was last
    /// looked at. `changed`: it isn't what was applied last, so a field may go, too.
    /// `version`: of the live plan, as far as it is known; asked for only where the plans differ.
    pub fn can_wait(
        &self,
        desired: &PodTemplateSpec,
        version: impl FnOnce() -> Option<u32>,
        own: bool,
        changed: bool,
    ) -> bool {
        let going_on = self.template.filter(|_| self.well && self.runs && !own);
        let Some(live) = going_on else {
            return false;
        };
        ca(live) == ca(desired)
            && (changed || !is_subset(&value(desired), &value(live)))
            && (plan(live) == plan(desired) || version().is_some_and(|version| version < VERSION))
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
    /// Digest of the plan that its pods go on with while it waits.
    pub plan: Option<String>,
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
    if let (Some(live), Some(template)) = (live, template) {
        let as_is = Live::from(live.as_ref());
        let version = || plan_version(context, key, uid, as_is.template?);
        let changed = !is_last_applied(desired, live.as_ref());
        if as_is.can_wait(template, version, own, changed)
            && !context
                .rollouts
                .begin(key, |other| context.stores.has(other))
        {
            return Ok(Turn {
                counts: Counts::from(live.as_ref()),
                waits: true,
                plan: as_is.template.and_then(plan).cloned(),
            });
        }
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
        plan: None,
    })
}

/// Ends an object's turn, if it has one, and wakes those that wait: it has rolled, or it can't be built any more, and whatever its
/// pods come to says nothing about the change.
pub fn give_up(context: &Context, key: &Key) {
    for next in context.rollouts.end(key) {
        context.indexes.enqueue(&next);
    }
}

/// Digest of the plan that the pods are told.
fn plan(template: &PodTemplateSpec) -> Option<&String> {
    let labels = template.metadata.as_ref()?.labels.as_ref()?;
    labels.get(PLAN_LABEL)
}

/// Digest of the CA that they are told.
fn ca(template: &PodTemplateSpec) -> Option<&String> {
    let annotations = template.metadata.as_ref()?.annotations.as_ref()?;
    annotations.get(INPUTS_ANNOTATION)
}

/// The version of the plan that a template mounts; nothing where its ConfigMap isn't known.
fn plan_version(
    context: &Context,
    key: &Key,
    uid: &str,
    template: &PodTemplateSpec,
) -> Option<u32> {
    let maps = mounted(template.spec.as_ref()).into_iter();
    let mut maps =
        maps.filter_map(|name| stores::child(&context.stores.config_maps, key, uid, &name));
    maps.find_map(|map| plan_map::version(&map))
}

fn value(template: &PodTemplateSpec) -> Value {
    serde_json::to_value(template).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use headworks_crds::Pipeline;
    use k8s_openapi::api::core::v1::ConfigMap;
    use serde_json::json;

    use super::*;
    use crate::{
        context::testing::{calls, context, store, stores},
        stores::{Guarded, Stores},
    };

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
            Live::from(set).can_wait(desired, || Some(VERSION), own, false)
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
        let waits =
            |updated| Live::from(&deployment(updated)).can_wait(&desired, || None, false, false);
        assert!(waits(1) && !waits(0));
    }

    #[test]
    fn pods_of_an_older_version_s_plan_could_as_well_wait() {
        let mut set = stateful_set(2, "r1");
        let desired: PodTemplateSpec = serde_json::from_value(template("q", "i:2")).unwrap();
        let waits = |set: &StatefulSet, version, own| {
            Live::from(set).can_wait(&desired, || version, own, false)
        };
        assert!(waits(&set, Some(VERSION - 1), false));
        assert!(!waits(&set, Some(VERSION), false), "really another plan");
        assert!(!waits(&set, None, false), "nobody knows the live plan");
        assert!(!waits(&set, Some(VERSION - 1), true), "its own change");
        let mut other_ca = set.clone();
        let meta = (other_ca.spec.as_mut().unwrap().template.metadata.as_mut()).unwrap();
        meta.annotations = Some([(INPUTS_ANNOTATION.to_owned(), "ca".to_owned())].into());
        assert!(!waits(&other_ca, Some(VERSION - 1), false), "another CA");
        set.spec.as_mut().unwrap().replicas = Some(0);
        set.status.as_mut().unwrap().ready_replicas = None;
        assert!(!waits(&set, Some(VERSION - 1), false), "no pods to roll");
    }

    fn meta(name: &str) -> Value {
        json!({"name": name, "namespace": "shop", "uid": name, "generation": 2, "ownerReferences": [
            {"apiVersion": "headworks.dev/v1alpha1", "kind": "Pipeline", "name": "p", "uid": "1", "controller": true}]})
    }

    fn of_pipeline(plan: &str) -> StatefulSet {
        let mut set = stateful_set(2, "r1");
        set.metadata = serde_json::from_value(meta("p")).unwrap();
        let mut pods = template(plan, "i:1");
        let map = format!("p-pipeline-plan-{plan}");
        pods["spec"]["volumes"] = json!([{"name": "plan", "configMap": {"name": map}}]);
        set.spec.as_mut().unwrap().template = serde_json::from_value(pods).unwrap();
        set
    }

    #[tokio::test]
    async fn while_three_roll_another_goes_on_with_its_older_version_s_plan() {
        let pipeline = |name: &str| -> Guarded<Pipeline> {
            serde_json::from_value(
                json!({"apiVersion": "headworks.dev/v1alpha1", "kind": "Pipeline",
                "metadata": {"name": name, "namespace": "shop", "uid": name}, "spec": {}}),
            )
            .unwrap()
        };
        let others = ["a", "b", "c"];
        for (version, waits) in [(VERSION - 1, true), (VERSION, false)] {
            let map: ConfigMap =
                serde_json::from_value(json!({"metadata": meta("p-pipeline-plan-old"),
                "data": {plan_map::PLAN_FILE: json!({"version": version}).to_string()}}))
                .unwrap();
            let (context, asked) = context(Stores {
                pipelines: store(others.map(pipeline).into()),
                config_maps: store(vec![map]),
                stateful_sets: store(vec![of_pipeline("old")]),
                ..stores()
            });
            for other in others {
                let other = Key::new("Pipeline", "shop", other);
                assert!(context.rollouts.begin(&other, |_| true));
            }
            let (key, desired) = (Key::new("Pipeline", "shop", "p"), of_pipeline("new"));
            let sets = &context.stores.stateful_sets;
            let turn = apply(&context, &key, sets, &desired, ("1", false)).await;
            let turn = turn.unwrap();
            assert_eq!(turn.waits, waits);
            assert_eq!(turn.plan.as_deref(), waits.then_some("old"));
            assert_eq!(calls(&asked, "PATCH").len(), usize::from(!waits));
        }
    }
}
