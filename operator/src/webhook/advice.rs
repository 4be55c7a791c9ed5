//! What is said of an object besides what is wrong with it: what it leaves open, what its Platform doesn't allow (the Platform may
//! be on its way, so it is no refusal), and how many pods a change of a Platform rolls.

use headworks_crds::{
    ACCEPT_GRANTS, AccessGrant, DataStore, DataStream, Pipeline, Platform, PodTemplate, Source,
};
use kube::{ResourceExt, runtime::reflector::ObjectRef};

use super::decision::{AdmissionDecision, Request};
use crate::{
    access_grant::accept::{self, Word},
    connection::NeededSecret,
    connectors::{sources, stores as data_stores},
    data_stream::limits,
    platform::{policy, resolve::admits},
    rollout_turns::AT_ONCE,
    security::{self, Open},
    stores::Stores,
};

/// Of a Source.
pub fn source(request: &Request<Source>, stores: &Stores, decision: &mut AdmissionDecision) {
    let Request { new, old } = request;
    let before = old.as_ref().and_then(|old| sources::open(&old.spec));
    open(before, sources::open(&new.spec), decision);
    let namespace = new.namespace().unwrap_or_default();
    let stream = ObjectRef::new(&new.spec.into).within(&namespace);
    let stream = stores.streams.get(&stream);
    let name = stream.and_then(|s| Some(s.0.as_ref().ok()?.spec.platform.clone()));
    if let Some(platform) = name.and_then(|name| stores.platform(&name)) {
        let template = new.spec.pod_template.as_ref();
        held_back(&platform, template, &sources::secrets(&new.spec), decision);
    }
}

/// Of a Pipeline.
pub fn pipeline(request: &Request<Pipeline>, stores: &Stores, decision: &mut AdmissionDecision) {
    let new = &request.new;
    if let Some(platform) = stores.platform(&new.spec.platform) {
        held_back(&platform, new.spec.pod_template.as_ref(), &[], decision);
    }
}

/// Of a DataStore.
pub fn data_store(request: &Request<DataStore>, stores: &Stores, decision: &mut AdmissionDecision) {
    let Request { new, old } = request;
    let before = old.as_ref().and_then(|old| data_stores::open(&old.spec));
    open(before, data_stores::open(&new.spec), decision);
    let Ok(binding) = data_stores::bind(&new.name_any(), &new.spec) else {
        return;
    };
    let labels = stores.namespace_labels(&new.namespace().unwrap_or_default());
    for guarded in stores.platforms.state() {
        if let Ok(platform) = &guarded.0
            && admits(platform, &labels)
        {
            let template = new.spec.pod_template.as_ref();
            held_back(platform, template, &binding.secrets, decision);
        }
    }
}

/// Of a DataStream.
pub fn stream(request: &Request<DataStream>, stores: &Stores, decision: &mut AdmissionDecision) {
    let new = &request.new;
    let Some(platform) = stores.platform(&new.spec.platform) else {
        return;
    };
    let streams = stores.streams.state();
    let streams = streams.iter().filter_map(|guarded| guarded.0.as_ref().ok());
    let around = limits::around(new, &platform, streams);
    if let Some(fault) = limits::fault(&new.spec, &platform, around) {
        decision.warn(fault);
    }
}

/// Of a Platform.
pub fn platform(request: &Request<Platform>, stores: &Stores, decision: &mut AdmissionDecision) {
    let Request { new, old } = request;
    let before = old.as_ref().and_then(|old| security::platform(&old.spec));
    open(before, security::platform(&new.spec), decision);
    let Some(old) = old else { return };
    let (before, after) = (&old.spec.pod_template, &new.spec.pod_template);
    let name = new.name_any();
    let pipelines = stores.pipelines.state();
    let sources = stores.sources.state();
    let of_pipelines = pipelines
        .iter()
        .filter_map(|guarded| guarded.0.as_ref().ok())
        .filter(|p| p.spec.platform == name && !p.spec.suspend)
        .map(|p| (p.spec.pod_template.as_ref(), p.spec.replicas));
    let of_sources = sources
        .iter()
        .filter_map(|guarded| guarded.0.as_ref().ok())
        .filter(|s| !s.spec.suspend && on(stores, s).as_deref() == Some(name.as_str()))
        .map(|s| (s.spec.pod_template.as_ref(), s.spec.replicas));
    let all = of_pipelines.chain(of_sources);
    if let Some(said) = rolls(before.as_ref(), after.as_ref(), all) {
        decision.warn(said);
    }
}

/// Of an AccessGrant.
pub fn grant(request: &Request<AccessGrant>, stores: &Stores, decision: &mut AdmissionDecision) {
    let new = &request.new;
    let grantor = new.namespace().unwrap_or_default();
    let client = &new.spec.to.namespace;
    let there = stores.namespaces.get(&ObjectRef::new(client));
    let annotation = there
        .as_ref()
        .and_then(|n| n.annotations().get(ACCEPT_GRANTS).cloned());
    let labels = stores.namespace_labels(client);
    match accept::word(&labels, annotation.as_deref(), &grantor) {
        Word::Accepts => {}
        Word::AcceptsAll => decision.warn(accept::outdated(client, &grantor)),
        Word::Refuses => decision.warn(format!(
            "spec.to.namespace: {}",
            accept::refusal(client, &grantor)
        )),
    }
}

/// What is open, where it wasn't before.
fn open(before: Option<Open>, now: Option<Open>, decision: &mut AdmissionDecision) {
    let reason = |open: &Option<Open>| open.as_ref().map(|(reason, _)| *reason);
    if reason(&before) != reason(&now)
        && let Some((_, message)) = now
    {
        decision.warn(message);
    }
}

fn held_back(
    platform: &Platform,
    template: Option<&PodTemplate>,
    secrets: &[NeededSecret],
    decision: &mut AdmissionDecision,
) {
    if let Some(fault) = policy::fault(platform, template, secrets) {
        decision.warn(fault);
    }
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

/// The Platform that a Source is on: its stream's.
fn on(stores: &Stores, source: &Source) -> Option<String> {
    let namespace = source.namespace()?;
    let stream = stores
        .streams
        .get(&ObjectRef::new(&source.spec.into).within(&namespace))?;
    Some(stream.0.as_ref().ok()?.spec.platform.clone())
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
    fn what_was_open_before_is_not_said_again() {
        let one = || Some(("TokenInClear", "t".to_owned()));
        let said = |before, now| {
            let mut decision = AdmissionDecision::pass();
            open(before, now, &mut decision);
            decision.warnings.len()
        };
        assert_eq!(
            (said(None, one()), said(one(), one()), said(one(), None)),
            (1, 0, 0)
        );
    }
}
