//! A Platform in admission: how many pods a change of its template rolls; who is on one that goes.

use headworks_crds::{Platform, PodTemplate};
use kube::ResourceExt;

use crate::{
    admission::{AdmissionDecision, Around, Request, Reviewed},
    controller::{OnPlatform, Reconciler},
    rollout_turns::AT_ONCE,
    stores::Stores,
};

impl Reviewed for Platform {
    fn review(request: &Request<Self>, around: Around<'_>) -> AdmissionDecision {
        let Request { new, old } = request;
        let mut decision = AdmissionDecision::pass();
        let Some(old) = old else { return decision };
        let on = on(&new.name_any(), around.stores);
        let on = on.iter().map(|(own, replicas)| (own.as_ref(), *replicas));
        let (before, after) = (&old.spec.pod_template, &new.spec.pod_template);
        if let Some(said) = rolls(before.as_ref(), after.as_ref(), on) {
            decision.warn(said);
        }
        decision
    }

    fn deletion(name: &str, around: &Around<'_>) -> AdmissionDecision {
        let streams = around.stores.streams.state();
        let pipelines = around.stores.pipelines.state();
        let streams = streams
            .iter()
            .filter(|s| s.0.as_ref().is_ok_and(|s| s.spec.platform == name));
        let pipelines = pipelines
            .iter()
            .filter(|p| p.0.as_ref().is_ok_and(|p| p.spec.platform == name));
        goes(name, streams.count(), pipelines.count())
    }
}

/// A Platform goes; so many streams and Pipelines are on it.
fn goes(name: &str, streams: usize, pipelines: usize) -> AdmissionDecision {
    let mut decision = AdmissionDecision::pass();
    if streams + pipelines > 0 {
        decision.warn(format!(
            "Platform {name} has {streams} DataStreams and {pipelines} Pipelines: they wait until it is back; topics, users and progress in its Kafka stay"
        ));
    }
    decision
}

/// What the objects of all kinds with pods on a Platform say themselves of their pods, and how many they have.
fn on(platform: &str, stores: &Stores) -> Vec<(Option<PodTemplate>, i32)> {
    let mut all = Vec::new();
    macro_rules! kinds {
        ($($field:ident: $kind:ident,)*) => {
            $(for object in stores.$field.state() {
                let Ok(object) = &object.0 else { continue };
                let Some(pods) = object.pods() else { continue };
                let namespace = object.namespace().unwrap_or_default();
                let here = match &pods.platform {
                    OnPlatform::Named(name) => name == platform,
                    OnPlatform::OfStream(stream) => stores
                        .stream(&namespace, stream)
                        .is_some_and(|stream| stream.spec.platform == platform),
                    // Its pods don't take the Platform's template.
                    OnPlatform::Admitting => false,
                };
                if here {
                    all.push((pods.template.cloned(), pods.replicas));
                }
            })*
        };
    }
    for_each_kind!(kinds);
    all
}

/// How many pods a change of the Platform's template rolls: those of objects that don't say themselves what changes.
fn rolls<'a>(
    before: Option<&PodTemplate>,
    after: Option<&PodTemplate>,
    workloads: impl Iterator<Item = (Option<&'a PodTemplate>, i32)>,
) -> Option<String> {
    if before == after {
        return None;
    }
    let nothing = PodTemplate::default();
    let (before, after) = (before.unwrap_or(&nothing), after.unwrap_or(&nothing));
    let (mut objects, mut pods) = (0, 0);
    for (own, replicas) in workloads {
        let own = own.unwrap_or(&nothing);
        if replicas > 0 && own.over(before) != own.over(after) {
            objects += 1;
            pods += replicas;
        }
    }
    (objects > 0).then(|| {
        let plural = |n: i32, one: &str| format!("{n} {one}{}", if n == 1 { "" } else { "s" });
        format!(
            "spec.podTemplate: {} of {} (Pipelines and Sources) are rolled, {AT_ONCE} objects at a time",
            plural(pods, "pod"),
            plural(objects, "object")
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn template(value: Value) -> PodTemplate {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_change_of_a_platform_s_template_says_how_many_pods_it_rolls() {
        let (one, two) = (
            template(json!({"image": "a:1"})),
            template(json!({"image": "a:2"})),
        );
        let own = template(json!({"image": "mine:1"}));
        let other = template(json!({"nodeSelector": {"a": "b"}}));
        let workloads = [(None, 3), (Some(&own), 5), (Some(&other), 2), (None, 0)];
        let said = |before, after| rolls(before, after, workloads.into_iter());
        assert_eq!(said(Some(&one), Some(&one)), None);
        assert_eq!(
            said(Some(&one), Some(&two)).unwrap(),
            "spec.podTemplate: 5 pods of 2 objects (Pipelines and Sources) are rolled, 3 objects at a time"
        );
        assert!(said(None, Some(&two)).is_some() && said(Some(&two), None).is_some());
        assert_eq!(
            rolls(Some(&one), Some(&two), [(Some(&own), 5)].into_iter()),
            None
        );
        assert_eq!(
            rolls(None, Some(&PodTemplate::default()), workloads.into_iter()),
            None
        );
    }

    #[test]
    fn who_is_on_a_platform_that_goes_is_told_and_it_goes() {
        assert!(goes("default", 2, 0).warnings[0].contains("2 DataStreams and 0 Pipelines"));
        assert_eq!(goes("default", 0, 0), AdmissionDecision::pass());
    }
}
