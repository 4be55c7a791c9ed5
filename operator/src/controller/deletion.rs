//! Finalizers: set before anything is made outside Kubernetes, taken away when that is seen to.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{
    Api, ResourceExt,
    api::{DynamicObject, Patch, PatchParams},
    runtime::controller::Action,
};
use serde_json::json;

use super::{Reconciler, SpecCheck, checked, dynamic_api, exit::label};
use crate::{
    context::Context,
    names::{FIELD_MANAGER, FINALIZER, Key},
    reason::ConditionReason,
    retry::Error,
};

/// Finalizer first, so that nothing is made outside Kubernetes that a deletion could forget; then the spec alone.
pub(super) async fn prepare<K: Reconciler>(object: &K, context: &Context) -> Result<(), Error> {
    if object.needs_finalizer() || object.is_held(context) {
        hold(object, context).await?;
    }
    match K::SPEC_CHECK {
        SpecCheck::First => checked(object),
        SpecCheck::InReconcile => Ok(()),
    }
}

/// Sees to it that the object has our finalizer: something outside Kubernetes is about to be made for it.
pub async fn hold<K: Reconciler>(object: &K, context: &Context) -> Result<(), Error> {
    if object.finalizers().iter().any(|f| f == FINALIZER) {
        return Ok(());
    }
    let mut finalizers = object.finalizers().to_vec();
    finalizers.push(FINALIZER.into());
    let key = Key::of(object);
    let api = dynamic_api::<K>(&key, context);
    set_finalizers(&api, &key, object.meta(), &finalizers, context).await
}

/// Takes our finalizer off, and leaves those of others.
pub(super) async fn release(
    api: &Api<DynamicObject>,
    key: &Key,
    meta: &ObjectMeta,
    context: &Context,
) -> Result<(), Error> {
    let mut finalizers = meta.finalizers.clone().unwrap_or_default();
    finalizers.retain(|f| f != FINALIZER);
    set_finalizers(api, key, meta, &finalizers, context).await
}

/// Deletion's own reconcile: the work first, then the finalizer goes.
pub(super) async fn delete<K: Reconciler>(
    object: &K,
    key: &Key,
    status: &K::Status,
    context: &Context,
) -> (&'static str, Action) {
    if !object.finalizers().iter().any(|f| f == FINALIZER) {
        return ("deleted", Action::await_change());
    }
    let outcome = match object.finalize(status, context).await {
        Ok(()) => {
            let api = dynamic_api::<K>(key, context);
            release(&api, key, object.meta(), context).await
        }
        Err(error) => Err(error),
    };
    match outcome {
        Ok(()) => {
            context.backoff.succeeded(key);
            ("deleted", Action::await_change())
        }
        Err(error) => {
            tracing::warn!(%key, %error, "deletion is not done yet");
            let reference = object.object_ref(&());
            context
                .events
                .warning(
                    &reference,
                    ConditionReason::DeletionDelayed,
                    error.message(),
                )
                .await;
            (
                label(&Err(error)),
                Action::requeue(context.backoff.failed(key)),
            )
        }
    }
}

async fn set_finalizers(
    api: &Api<DynamicObject>,
    key: &Key,
    meta: &ObjectMeta,
    finalizers: &[String],
    context: &Context,
) -> Result<(), Error> {
    // The resource version is a precondition: another's finalizer that came meanwhile isn't lost.
    let body =
        json!({"metadata": {"finalizers": finalizers, "resourceVersion": meta.resource_version}});
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.into()),
        ..PatchParams::default()
    };
    context.metrics.wrote(&key.kind);
    match api.patch(&key.name, &params, &Patch::Merge(&body)).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(Error::api(
            &format!("setting the finalizer of {key}"),
            &error,
        )),
    }
}
