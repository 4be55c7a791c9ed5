//! Finds the kind of a request, and says what is the same for all kinds: faults of the spec by itself, what it leaves open, and what its
//! Platform's policy doesn't allow.

use std::collections::BTreeMap;

use headworks_crds::{Platform, fault_text, kinds};
use k8s_openapi::jiff::Timestamp;
use kube::{
    core::{
        DynamicObject,
        admission::{AdmissionRequest, Operation},
    },
    runtime::reflector::ObjectRef,
};

use crate::{
    admission::{AdmissionDecision, Around, NeededTexts, Reads, request},
    controller::{OnPlatform, PodRequest, Reconciler},
    names::Key,
    platform::{policy, resolve::admits},
    security::Open,
    stores::Stores,
    workload::namesakes,
};

/// What the API server has to be asked for before a request can be judged.
pub(super) async fn texts(of: &AdmissionRequest<DynamicObject>, reads: &Reads<'_>) -> NeededTexts {
    macro_rules! by_kind {
        ($($field:ident: $kind:ident,)*) => {
            match of.kind.kind.as_str() {
                $(stringify!($kind) => texts_of::<headworks_crds::$kind>(of, reads).await,)*
                _ => Ok(BTreeMap::new()),
            }
        };
    }
    for_each_kind!(by_kind)
}

async fn texts_of<K: Reconciler>(
    of: &AdmissionRequest<DynamicObject>,
    reads: &Reads<'_>,
) -> NeededTexts {
    let looked_at = of.operation != Operation::Delete;
    let request = request::<K>(of.object.as_ref(), of.old_object.as_ref(), K::PERMITS);
    match request.filter(|_| looked_at) {
        Some(request) => K::texts(&request, reads).await,
        None => Ok(BTreeMap::new()),
    }
}

/// Judges a request over what the stores have. An object that isn't looked at passes.
pub(super) fn decide(
    of: &AdmissionRequest<DynamicObject>,
    stores: &Stores,
    texts: NeededTexts,
) -> AdmissionDecision {
    let namespace = of.namespace.clone().unwrap_or_default();
    let around = Around {
        stores,
        namespace: &namespace,
        texts,
        now: Timestamp::now(),
    };
    macro_rules! by_kind {
        ($($field:ident: $kind:ident,)*) => {
            match of.kind.kind.as_str() {
                $(stringify!($kind) => of_kind::<headworks_crds::$kind>(of, around),)*
                _ => AdmissionDecision::pass(),
            }
        };
    }
    for_each_kind!(by_kind)
}

fn of_kind<K: Reconciler>(
    of: &AdmissionRequest<DynamicObject>,
    around: Around<'_>,
) -> AdmissionDecision {
    if of.operation == Operation::Delete {
        let used = kinds::named(&K::kind(&())).is_some_and(|kind| kind.referred_to);
        // With all of a namespace nobody is left to wait.
        if !used || ending(around.stores, around.namespace) {
            return AdmissionDecision::pass();
        }
        return K::deletion(&of.name, &around);
    }
    let Some(request) = request::<K>(of.object.as_ref(), of.old_object.as_ref(), K::PERMITS) else {
        return AdmissionDecision::pass();
    };
    let new = &request.new;
    if let Some(faults) = fault_text(&new.spec_faults()) {
        return AdmissionDecision::deny(faults);
    }
    let (stores, namespace) = (around.stores, around.namespace);
    let mut decision = K::review(&request, around);
    // What is refused needs no advice.
    if decision.denied.is_none() {
        open(
            request.old.as_ref().and_then(K::open),
            new.open(),
            &mut decision,
        );
        if let Some(pods) = new.pods() {
            held_back(&pods, namespace, stores, &mut decision);
            let kind = K::kind(&());
            let rival = namesakes::rival(&kind);
            if rival.is_some_and(|rival| stores.has(&Key::new(rival, namespace, &of.name)))
                && let Some(fault) = namesakes::fault(&kind, &of.name)
            {
                decision.warn(fault);
            }
        }
    }
    decision
}

fn ending(stores: &Stores, namespace: &str) -> bool {
    let found = stores.namespaces.get(&ObjectRef::new(namespace));
    found.is_some_and(|n| n.metadata.deletion_timestamp.is_some())
}

/// What is open, where it wasn't before.
fn open(before: Option<Open>, now: Option<Open>, decision: &mut AdmissionDecision) {
    let before = before.map(|(reason, _)| reason);
    if let Some((reason, message)) = now
        && before != Some(reason)
    {
        decision.warn(message);
    }
}

/// What the Platforms that have a say don't allow the pods. A Platform may be on its way, so it is no refusal.
fn held_back(
    pods: &PodRequest<'_>,
    namespace: &str,
    stores: &Stores,
    decision: &mut AdmissionDecision,
) {
    for platform in platforms(&pods.platform, namespace, stores) {
        if let Some(fault) = policy::fault(&platform, pods.template, &pods.secrets) {
            decision.warn(fault);
        }
    }
}

fn platforms(on: &OnPlatform, namespace: &str, stores: &Stores) -> Vec<Platform> {
    let named = |name: &str| stores.platform(name).into_iter().collect();
    match on {
        OnPlatform::Named(name) => named(name),
        OnPlatform::OfStream(stream) => stores
            .stream(namespace, stream)
            .map_or_else(Vec::new, |stream| named(&stream.spec.platform)),
        OnPlatform::Admitting => {
            let labels = stores.namespace_labels(namespace);
            let all = stores.platforms.state();
            all.iter()
                .filter_map(|guarded| guarded.0.as_ref().ok())
                .filter(|platform| admits(platform, &labels))
                .cloned()
                .collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::ConditionReason;

    #[test]
    fn what_was_open_before_is_not_said_again() {
        let one = || Some((ConditionReason::ScramWithoutTls.into(), "t".to_owned()));
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
