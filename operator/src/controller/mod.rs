//! One controller a kind: takes keys from the kind's queue, runs its reconcile, and ends in status.
//!
//! The kinds differ only in what [`Reconciler`] asks of them. Everything else is here once: objects
//! that can't be read (`unreadable`), finalizers (`deletion`), and the single way out through status (`exit`).

mod deletion;
mod exit;
mod unreadable;

use std::{
    convert::Infallible,
    fmt::Debug,
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use headworks_crds::{
    Condition, DeadLetterStatus, PodTemplate, SpecFault,
    conditions::{INSECURE, find},
    fault_text,
};
use kube::{
    Api, ResourceExt,
    api::{ApiResource, DynamicObject},
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

pub use deletion::hold;

use crate::{
    admission::Reviewed,
    context::Context,
    mounts::NeededSecret,
    names::Key,
    reason::ConditionReason,
    reports::Coarse,
    retry::Error,
    security::Open,
    status::{ReconcileOutcome, mark},
    supervise::{Panicked, contained},
    watches::Watched,
};

/// No reconcile takes longer: every call in it has a time-out of its own, so one that does hangs.
const LONGEST: Duration = Duration::from_secs(600);
/// Reconciles of one kind at once.
const CONCURRENCY: u16 = 16;

/// When a spec is checked by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpecCheck {
    /// Before the reconcile, which sees only right ones.
    First,
    /// In the reconcile, which asks [`checked`], or part after part, at its place: something must be done whatever is wrong with the
    /// spec, such as to suspend pods, or to end rights.
    InReconcile,
}

/// What a kind does. What a kind must not forget has no default: one that has nothing to say says so.
pub trait Reconciler: Watched + Reviewed + Serialize {
    /// Its status.
    type Status: Clone + Default + Debug + Serialize + DeserializeOwned + Send + Sync;

    /// When its spec is checked.
    const SPEC_CHECK: SpecCheck = SpecCheck::First;

    /// The status as watched.
    fn status(&self) -> Option<&Self::Status>;

    /// What is wrong with the spec by itself, beyond its schema: [`headworks_crds::faults`], and what the kind knows besides. The
    /// reconcile, admission and the command line ask it. Pure.
    fn spec_faults(&self) -> Vec<SpecFault>;

    /// What the spec leaves open to others: it becomes the condition `Insecure`, and a warning in admission. Pure.
    fn open(&self) -> Option<Open>;

    /// What it asks for its pods, which `podPolicy` of a Platform may not allow; none for a kind without pods. Pure.
    fn pods(&self) -> Option<PodRequest<'_>>;

    /// What its status shows of its pods' figures, so that a new operator goes on from there; none for a kind without pods, or without
    /// figures.
    fn shown_figures(&self) -> Option<ShownFigures>;

    /// True: deletion needs work outside the API server.
    fn needs_finalizer(&self) -> bool;

    /// True: where the object lives, its deletion needs work that its spec alone doesn't tell of.
    fn is_held(&self, _context: &Context) -> bool {
        false
    }

    /// Makes it so.
    fn reconcile(
        &self,
        status: &mut Self::Status,
        context: &Context,
    ) -> impl Future<Output = Result<ReconcileOutcome, Error>> + Send;

    /// The work that deletion needs. An error delays it; it must not fail for ever.
    fn finalize(
        &self,
        status: &Self::Status,
        context: &Context,
    ) -> impl Future<Output = Result<(), Error>> + Send;
}

/// What an object says of its pods.
#[derive(Clone, Debug)]
pub struct PodRequest<'a> {
    /// Whose word counts.
    pub platform: OnPlatform,
    /// Its podTemplate.
    pub template: Option<&'a PodTemplate>,
    /// The Secrets that its spec names.
    pub secrets: Vec<NeededSecret>,
    /// How many are to run.
    pub replicas: i32,
}

/// Which Platform has a say in an object's pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OnPlatform {
    /// The one that its spec names.
    Named(String),
    /// That of a stream in its namespace.
    OfStream(String),
    /// It names none: each that admits its namespace has, and none gives it its podTemplate.
    Admitting,
}

/// What a status shows already of figures.
#[derive(Clone, Debug, Default)]
pub struct ShownFigures {
    /// Dead letters.
    pub letters: DeadLetterStatus,
    /// The pace, if it shows one.
    pub pace: Option<Coarse>,
}

/// Fails for a spec that is wrong by itself.
///
/// # Errors
/// `InvalidSpec`, with each fault and its place.
pub fn checked<K: Reconciler>(object: &K) -> Result<(), Error> {
    fault_text(&object.spec_faults()).map_or(Ok(()), |text| {
        Err(Error::stalled(ConditionReason::InvalidSpec, text))
    })
}

/// Runs one kind's controller until `stop`.
pub async fn run<K: Reconciler>(
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
                .debounce(Duration::from_millis(50)),
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

/// One reconcile, from a key to a status. A panic in it, or one that hangs, is this object's alone.
async fn one<K: Reconciler>(object: &DeserializeGuard<K>, context: &Context) -> Action {
    let began = Instant::now();
    let key = Key::of(object);
    let running = context.health.begins(&key.kind);
    let task = format!("reconcile {}", key.kind);
    let work = async {
        match &object.0 {
            Ok(object) => readable(object, &key, context).await,
            Err(invalid) => {
                unreadable::say::<K>(&key, &invalid.metadata, &invalid.error, context).await
            }
        }
    };
    let done = tokio::time::timeout(LONGEST, contained(&task, work)).await;
    drop(running);
    let (outcome, action) = match done {
        Ok(Ok(done)) => done,
        Ok(Err(_)) => {
            tracing::error!(%key, "it was this object that a mistake of our own happened with");
            ("panic", Action::requeue(context.backoff.failed(&key)))
        }
        Err(_) => {
            tracing::error!(%key, limit = ?LONGEST, "a reconcile took too long and was ended; it is tried again");
            ("timeout", Action::requeue(context.backoff.failed(&key)))
        }
    };
    let seconds = began.elapsed().as_secs_f64();
    context.metrics.reconciled(&key.kind, outcome, seconds);
    tracing::debug!(%key, outcome, seconds, "reconciled");
    action
}

async fn readable<K: Reconciler>(
    object: &K,
    key: &Key,
    context: &Context,
) -> (&'static str, Action) {
    let uid = object.uid().unwrap_or_default();
    let watched = object
        .status()
        .map_or(Value::Null, |s| serde_json::to_value(s).unwrap_or_default());
    let old = context
        .memory
        .freshest(&uid, object.meta().resource_version.as_deref(), watched);
    let status: K::Status = serde_json::from_value(old.clone()).unwrap_or_default();
    if object.meta().deletion_timestamp.is_some() {
        return deletion::delete(object, key, &status, context).await;
    }
    let mut status = status;
    let outcome = match deletion::prepare(object, context).await {
        Ok(()) => {
            // Said in the status, as everything is; the status is as far as the reconcile came with it.
            let task = format!("reconcile {}", key.kind);
            let reconcile = object.reconcile(&mut status, context);
            contained(&task, reconcile).await.unwrap_or_else(|panicked| {
                tracing::error!(%key, "it was this object that a mistake of our own happened with");
                Err(internal(&panicked))
            })
        }
        Err(error) => Err(error),
    };
    let mut new = serde_json::to_value(&status).unwrap_or_default();
    say_open(object, &mut new);
    exit::finish::<K>(
        key,
        &uid,
        object.meta().generation,
        &old,
        new,
        &outcome,
        context,
    )
    .await
}

/// The condition `Insecure`, of every kind. It is about the spec alone, and so is said whatever came of the reconcile.
fn say_open<K: Reconciler>(object: &K, status: &mut Value) {
    let open = object.open();
    let mut conditions: Vec<Condition> =
        serde_json::from_value(status["conditions"].clone()).unwrap_or_default();
    if open.is_none() && find(&conditions, INSECURE).is_none() {
        return;
    }
    let generation = object.meta().generation;
    mark(&mut conditions, INSECURE, open.as_ref(), generation);
    if !status.is_object() {
        *status = json!({});
    }
    status["conditions"] = serde_json::to_value(&conditions).unwrap_or_default();
}

/// What a status says of a mistake of ours. What the panic said may repeat what others sent, so it goes to the log alone.
fn internal(_: &Panicked) -> Error {
    Error::transient(
        ConditionReason::Internal,
        "Headworks made a mistake of its own with this object, and tries again; the operator's log says where: please report it",
    )
}

fn dynamic_api<K: Reconciler>(key: &Key, context: &Context) -> Api<DynamicObject> {
    let resource = ApiResource::erase::<K>(&());
    if key.namespace.is_empty() {
        Api::all_with(context.client.clone(), &resource)
    } else {
        Api::namespaced_with(context.client.clone(), &key.namespace, &resource)
    }
}

#[cfg(test)]
mod tests;
