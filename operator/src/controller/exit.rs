//! The one way out of a reconcile: conditions, status, an Event where readiness turned, and the next look.

use headworks_crds::{
    Condition,
    conditions::{READY, STALLED, find},
};
use k8s_openapi::{api::core::v1::ObjectReference, jiff::Timestamp};
use kube::{api::ApiResource, runtime::controller::Action};
use serde_json::{Value, json};

use super::Reconciler;
use crate::{
    context::Context,
    names::Key,
    reason::AnyReason,
    retry::Error,
    status::{self, ReconcileOutcome},
};

/// The one way out: conditions, status, next look.
pub(super) async fn finish<K: Reconciler>(
    key: &Key,
    uid: &str,
    generation: Option<i64>,
    old: &Value,
    mut new: Value,
    outcome: &Result<ReconcileOutcome, Error>,
    context: &Context,
) -> (&'static str, Action) {
    let now = Timestamp::now();
    let before: Vec<Condition> =
        serde_json::from_value(old["conditions"].clone()).unwrap_or_default();
    let mut conditions = status::conditions(&before, outcome, generation, now);
    let left: Vec<Condition> =
        serde_json::from_value(new["conditions"].clone()).unwrap_or_default();
    conditions.extend(status::own(&left).cloned());
    if !new.is_object() {
        new = json!({});
    }
    new["observedGeneration"] = json!(generation);
    new["conditions"] = serde_json::to_value(&conditions).unwrap_or_default();
    announce(&before, &conditions, key, uid, context).await;
    let resource = ApiResource::erase::<K>(&());
    match status::publish(
        &context.client,
        &context.memory,
        &resource,
        key,
        uid,
        old,
        new,
    )
    .await
    {
        Ok(true) => context.metrics.wrote("Status"),
        Ok(false) => {}
        Err(error) => {
            tracing::warn!(%key, %error, "status not written");
            return ("transient", Action::requeue(context.backoff.failed(key)));
        }
    }
    let patience = status::patience_left(&conditions, outcome, now);
    let action = match outcome {
        Err(Error::Transient { .. }) => Action::requeue(context.backoff.failed(key)),
        Err(Error::Waiting { after, .. }) => {
            Action::requeue(patience.map_or(*after, |p| p.min(*after)))
        }
        Err(Error::Stalled { recheck, .. }) => {
            context.backoff.succeeded(key);
            recheck.map_or_else(Action::await_change, Action::requeue)
        }
        Ok(verdict) => {
            context.backoff.succeeded(key);
            verdict
                .recheck
                .map_or_else(Action::await_change, Action::requeue)
        }
    };
    (label(outcome), action)
}

/// An Event where readiness turned.
async fn announce(
    before: &[Condition],
    after: &[Condition],
    key: &Key,
    uid: &str,
    context: &Context,
) {
    let (was, Some(is)) = (find(before, READY), find(after, READY)) else {
        return;
    };
    if was.is_some_and(|was| was.status == is.status && was.reason == is.reason) {
        return;
    }
    let about = ObjectReference {
        api_version: Some(format!(
            "{}/{}",
            headworks_crds::GROUP,
            headworks_crds::VERSION
        )),
        kind: Some(key.kind.clone()),
        name: Some(key.name.clone()),
        namespace: Some(key.namespace.clone()).filter(|n| !n.is_empty()),
        uid: Some(uid.to_owned()),
        ..ObjectReference::default()
    };
    if is.status == "True" {
        let reason = AnyReason::read(&is.reason);
        context.events.normal(&about, reason, &is.message).await;
    } else if find(after, STALLED).is_some() {
        context
            .events
            .warning(&about, AnyReason::read(&is.reason), &is.message)
            .await;
    }
}

/// An outcome's word in metrics.
pub(super) fn label(outcome: &Result<ReconcileOutcome, Error>) -> &'static str {
    match outcome {
        Ok(verdict) if verdict.ready => "ready",
        Ok(_) => "progressing",
        Err(Error::Stalled { .. }) => "stalled",
        Err(Error::Waiting { .. }) => "waiting",
        Err(Error::Transient { .. }) => "transient",
    }
}
