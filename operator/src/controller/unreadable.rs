//! Objects that this version can't read, such as one with an enum value of another version. They stop nobody
//! else, say so in their own status, and heal when they are corrected.

use kube::{Api, api::DynamicObject, runtime::controller::Action};
use serde_json::Value;

use super::{Reconciler, deletion::release, dynamic_api, exit::finish};
use crate::{context::Context, names::Key, reason::ConditionReason, retry::Error};

/// An object that an older or newer version stored: said in its own status, by name of the field.
pub(super) async fn say<K: Reconciler>(
    key: &Key,
    meta: &kube::core::ObjectMeta,
    error: &str,
    context: &Context,
) -> (&'static str, Action) {
    let api = dynamic_api::<K>(key, context);
    let live = match api.get_opt(&key.name).await {
        Ok(Some(live)) => live,
        Ok(None) => return ("deleted", Action::await_change()),
        Err(error) => {
            tracing::warn!(%key, %error, "an unreadable object can't be read again");
            return ("transient", Action::requeue(context.backoff.failed(key)));
        }
    };
    if meta.deletion_timestamp.is_some() {
        return let_go_unread(&api, key, &live, context).await;
    }
    let old = live.data.get("status").cloned().unwrap_or(Value::Null);
    let body = serde_json::to_value(&live).unwrap_or_default();
    let message = match serde_path_to_error::deserialize::<_, K>(&body) {
        Ok(_) => error.to_owned(),
        Err(error) => format!("{}: {}", error.path(), error.inner()),
    };
    let outcome = Err(Error::stalled(
        ConditionReason::InvalidSpec,
        format!("this version of Headworks can't read the object: {message}; correct the field"),
    ));
    finish::<K>(
        key,
        meta.uid.as_deref().unwrap_or_default(),
        meta.generation,
        &old,
        old.clone(),
        &outcome,
        context,
    )
    .await
}

/// What can't be read can't be cleaned up either; its deletion must not hang for that.
async fn let_go_unread(
    api: &Api<DynamicObject>,
    key: &Key,
    live: &DynamicObject,
    context: &Context,
) -> (&'static str, Action) {
    match release(api, key, &live.metadata, context).await {
        Ok(()) => ("deleted", Action::await_change()),
        Err(error) => {
            tracing::warn!(%key, %error, "the finalizer can't be removed");
            ("transient", Action::requeue(context.backoff.failed(key)))
        }
    }
}
