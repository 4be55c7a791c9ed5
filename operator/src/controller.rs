//! One controller a kind: takes keys from the kind's queue, runs its reconcile, and ends in status.
//!
//! The four kinds differ only in what [`Subject`] asks of them. Everything else is here once: objects
//! that can't be read, finalizers, conditions, retries, and the single way out through status.

use std::{convert::Infallible, fmt::Debug, future::Future, sync::Arc, time::Instant};

use futures::{StreamExt, stream};
use headworks_crds::Condition;
use k8s_openapi::{api::core::v1::ObjectReference, jiff::Timestamp};
use kube::{
    Api, Resource, ResourceExt,
    api::{ApiResource, DynamicObject, Patch, PatchParams},
    core::DeserializeGuard,
    runtime::{
        Controller,
        controller::{Action, Config},
        reflector::{ObjectRef, Store},
    },
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    context::Context,
    names::{FIELD_MANAGER, FINALIZER, Key},
    retry::Error,
    status::{self, Extra, Verdict},
};

/// Reconciles of one kind at once.
const CONCURRENCY: u16 = 16;

/// A status in the making: what the object's status will be, apart from the three standard conditions.
pub struct Draft<S> {
    /// The status, beginning as it was.
    pub status: S,
    /// The kind's own conditions.
    pub extra: Vec<Extra>,
}

/// What a kind does.
pub trait Subject:
    Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// Its status.
    type Status: Clone + Default + Debug + Serialize + DeserializeOwned + Send + Sync;

    /// The status as watched.
    fn status(&self) -> Option<&Self::Status>;

    /// Checks of the spec alone, beyond the schema.
    fn check(&self) -> Result<(), String>;

    /// True: deletion needs work outside the API server.
    fn needs_finalizer(&self) -> bool;

    /// Makes it so.
    fn reconcile(
        &self,
        draft: &mut Draft<Self::Status>,
        context: &Context,
    ) -> impl Future<Output = Result<Verdict, Error>> + Send;

    /// The work that deletion needs. An error delays it; it must not fail for ever.
    fn finalize(
        &self,
        status: &Self::Status,
        context: &Context,
    ) -> impl Future<Output = Result<(), Error>> + Send;
}

/// Runs one kind's controller until `stop`.
pub async fn run<K: Subject>(
    context: Arc<Context>,
    store: Store<DeserializeGuard<K>>,
    stop: CancellationToken,
) {
    let queue = context.indexes.queue(&K::kind(&()));
    let keys = queue.map(|key| {
        let reference = ObjectRef::new(&key.name);
        if key.namespace.is_empty() {
            reference
        } else {
            reference.within(&key.namespace)
        }
    });
    // What is in the store already was seen before this queue existed.
    let known: Vec<_> = store
        .state()
        .iter()
        .map(|object| ObjectRef::from_obj(object.as_ref()))
        .collect();
    Controller::for_stream(stream::pending(), store)
        .with_config(
            Config::default()
                .concurrency(CONCURRENCY)
                .debounce(std::time::Duration::from_millis(50)),
        )
        .reconcile_on(stream::iter(known).chain(keys))
        .graceful_shutdown_on(async move { stop.cancelled().await })
        .run(
            |object, context| async move { Ok::<_, Infallible>(one(&object, &context).await) },
            |_, never: &Infallible, _| match *never {},
            context,
        )
        .for_each(|_| std::future::ready(()))
        .await;
}

/// One reconcile, from a key to a status.
async fn one<K: Subject>(object: &DeserializeGuard<K>, context: &Context) -> Action {
    let began = Instant::now();
    let key = Key::of(object);
    let (outcome, action) = match &object.0 {
        Ok(object) => readable(object, &key, context).await,
        Err(invalid) => unreadable::<K>(&key, &invalid.metadata, &invalid.error, context).await,
    };
    let seconds = began.elapsed().as_secs_f64();
    context.metrics.reconciled(&key.kind, outcome, seconds);
    tracing::debug!(%key, outcome, seconds, "reconciled");
    action
}

async fn readable<K: Subject>(object: &K, key: &Key, context: &Context) -> (&'static str, Action) {
    let uid = object.uid().unwrap_or_default();
    let watched = object
        .status()
        .map_or(Value::Null, |s| serde_json::to_value(s).unwrap_or_default());
    let old = context
        .memory
        .freshest(&uid, object.meta().resource_version.as_deref(), watched);
    let status: K::Status = serde_json::from_value(old.clone()).unwrap_or_default();
    if object.meta().deletion_timestamp.is_some() {
        return delete(object, key, &status, context).await;
    }
    let mut draft = Draft {
        status,
        extra: Vec::new(),
    };
    let outcome = match prepare(object, context).await {
        Ok(()) => object.reconcile(&mut draft, context).await,
        Err(error) => Err(error),
    };
    let new = serde_json::to_value(&draft.status).unwrap_or_default();
    finish::<K>(
        key,
        &uid,
        object.meta().generation,
        &old,
        new,
        &draft.extra,
        &outcome,
        context,
    )
    .await
}

/// Finalizer first, so that nothing is made outside Kubernetes that a deletion could forget; then the spec alone.
async fn prepare<K: Subject>(object: &K, context: &Context) -> Result<(), Error> {
    if object.needs_finalizer() && !object.finalizers().iter().any(|f| f == FINALIZER) {
        let mut finalizers = object.finalizers().to_vec();
        finalizers.push(FINALIZER.into());
        set_finalizers(object, finalizers, context).await?;
    }
    object
        .check()
        .map_err(|message| Error::stalled("InvalidSpec", message))
}

async fn delete<K: Subject>(
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
            let finalizers = object
                .finalizers()
                .iter()
                .filter(|f| *f != FINALIZER)
                .cloned()
                .collect();
            set_finalizers(object, finalizers, context).await
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
                .warning(&reference, "DeletionDelayed", error.message())
                .await;
            (
                label(&Err(error)),
                Action::requeue(context.backoff.failed(key)),
            )
        }
    }
}

async fn set_finalizers<K: Subject>(
    object: &K,
    finalizers: Vec<String>,
    context: &Context,
) -> Result<(), Error> {
    let key = Key::of(object);
    let api: Api<DynamicObject> = dynamic_api::<K>(&key, context);
    // The resource version is a precondition: another's finalizer that came meanwhile isn't lost.
    let body = json!({"metadata": {"finalizers": finalizers, "resourceVersion": object.meta().resource_version}});
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

/// An object that an older or newer version stored: said in its own status, by name of the field.
async fn unreadable<K: Subject>(
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
        "InvalidSpec",
        format!("this version of Headworks can't read the object: {message}; correct the field"),
    ));
    finish::<K>(
        key,
        meta.uid.as_deref().unwrap_or_default(),
        meta.generation,
        &old,
        old.clone(),
        &[],
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
    let finalizers: Vec<&String> = live
        .finalizers()
        .iter()
        .filter(|f| *f != FINALIZER)
        .collect();
    let body = json!({"metadata": {"finalizers": finalizers, "resourceVersion": live.metadata.resource_version}});
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.into()),
        ..PatchParams::default()
    };
    match api.patch(&key.name, &params, &Patch::Merge(&body)).await {
        Ok(_) => ("deleted", Action::await_change()),
        Err(error) => {
            tracing::warn!(%key, %error, "the finalizer can't be removed");
            ("transient", Action::requeue(context.backoff.failed(key)))
        }
    }
}

/// The one way out: conditions, status, next look.
#[expect(
    clippy::too_many_arguments,
    reason = "the one exit needs all that was learnt"
)]
async fn finish<K: Subject>(
    key: &Key,
    uid: &str,
    generation: Option<i64>,
    old: &Value,
    mut new: Value,
    extra: &[Extra],
    outcome: &Result<Verdict, Error>,
    context: &Context,
) -> (&'static str, Action) {
    let now = Timestamp::now();
    let before: Vec<Condition> =
        serde_json::from_value(old["conditions"].clone()).unwrap_or_default();
    let conditions = status::conditions(&before, outcome, extra, generation, now);
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
    let ready = |list: &[Condition]| list.iter().find(|c| c.type_ == "Ready").cloned();
    let (was, Some(is)) = (ready(before), ready(after)) else {
        return;
    };
    if was
        .as_ref()
        .is_some_and(|was| was.status == is.status && was.reason == is.reason)
    {
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
        context.events.normal(&about, &is.reason, &is.message).await;
    } else if after.iter().any(|c| c.type_ == "Stalled") {
        context
            .events
            .warning(&about, &is.reason, &is.message)
            .await;
    }
}

fn label(outcome: &Result<Verdict, Error>) -> &'static str {
    match outcome {
        Ok(verdict) if verdict.ready => "ready",
        Ok(_) => "progressing",
        Err(Error::Stalled { .. }) => "stalled",
        Err(Error::Waiting { .. }) => "waiting",
        Err(Error::Transient { .. }) => "transient",
    }
}

fn dynamic_api<K: Subject>(key: &Key, context: &Context) -> Api<DynamicObject> {
    let resource = ApiResource::erase::<K>(&());
    if key.namespace.is_empty() {
        Api::all_with(context.client.clone(), &resource)
    } else {
        Api::namespaced_with(context.client.clone(), &key.namespace, &resource)
    }
}
