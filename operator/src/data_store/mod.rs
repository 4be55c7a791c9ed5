//! DataStore: a database that Pipelines write tables of.
//!
//! The operator never speaks to it. A pod of its own watches it, with the store's credentials, and its
//! readiness is the DataStore's. Pipelines reach the store by themselves, so that one that is suspended, or whose
//! pod can't run, holds up nobody.

mod admission;
pub mod build;
pub mod resolve;
mod watched;

use headworks_crds::{DataStore, DataStoreStatus, SpecFault};
use headworks_plan::Guarantee;
use kube::ResourceExt;

use crate::{
    connectors::stores::{self as connectors, StoreBinding},
    context::Context,
    controller::{OnPlatform, PodRequest, Reconciler, ShownFigures, SpecCheck, checked},
    indexes::any,
    names::Key,
    planning::store_writers::stores_of,
    platform::{policy, resolve::admits},
    reason::ConditionReason,
    retry::Error,
    security::Open,
    status::ReconcileOutcome,
    stores::Stores,
    workload::{RollOut, Workload, health},
};

/// Longest version that a status shows, in characters: it is the server's own text.
const MAX_VERSION: usize = 64;

impl Reconciler for DataStore {
    type Status = DataStoreStatus;

    const SPEC_CHECK: SpecCheck = SpecCheck::InReconcile;

    fn status(&self) -> Option<&DataStoreStatus> {
        self.status.as_ref()
    }

    fn spec_faults(&self) -> Vec<SpecFault> {
        let own = connectors::address(&self.spec).err();
        let own = own.map(|error| SpecFault::placed(error.message()));
        headworks_crds::faults(&self.spec)
            .into_iter()
            .chain(own)
            .collect()
    }

    fn open(&self) -> Option<Open> {
        connectors::open(&self.spec)
    }

    fn pods(&self) -> Option<PodRequest<'_>> {
        // An address that can't be read is a fault of the spec's, and names no Secret.
        let binding = connectors::bind(&self.name_any(), &self.spec).ok()?;
        Some(PodRequest {
            platform: OnPlatform::Admitting,
            template: self.spec.pod_template.as_ref(),
            secrets: binding.secrets,
            replicas: i32::from(!self.spec.suspend),
        })
    }

    fn shown_figures(&self) -> Option<ShownFigures> {
        None
    }

    fn needs_finalizer(&self) -> bool {
        false
    }

    async fn reconcile(
        &self,
        status: &mut DataStoreStatus,
        context: &Context,
    ) -> Result<ReconcileOutcome, Error> {
        let roll_out = RollOut::of(self, context);
        let key = &roll_out.key;
        status.pipelines = i64::try_from(pipelines(&context.stores, key)).ok();
        if self.spec.suspend {
            roll_out.suspend().await?;
        }
        let resolved = resolve(self, key, context);
        let observed = status.observed_generation;
        let (applied, (address, guarantee)) = roll_out.apply(resolved, observed, None).await?;
        status.guarantee = Some(guarantee.into());
        if status.address.as_ref() != Some(&address) {
            // What is known is about another server.
            status.server_version = None;
            status.address = Some(address.clone());
        }
        if let Some(version) = server_version(self, key, applied.in_force(), context) {
            status.server_version = Some(version);
        }
        let mut outcome = roll_out.observe(&applied).await?;
        if outcome.ready && !self.spec.suspend {
            let message = connectors::connector(&self.spec)?.answers(&address);
            outcome = ReconcileOutcome::ready(ConditionReason::Connected, message);
        }
        roll_out.finish(&applied, outcome).await
    }

    async fn finalize(&self, _: &DataStoreStatus, _: &Context) -> Result<(), Error> {
        Ok(())
    }
}

/// From the spec to what runs, and for the status the server's address and what the store guarantees.
fn resolve(
    store: &DataStore,
    key: &Key,
    context: &Context,
) -> Result<(Workload, (String, Guarantee)), Error> {
    checked(store)?;
    let address = connectors::address(&store.spec)?;
    let binding = connectors::bind(&key.name, &store.spec)?;
    allowed(store, key, &binding, context)?;
    let guarantee = binding.store.connection.guarantee();
    let workload = build::build(key, &store.spec, &binding);
    Ok((workload, (address, guarantee)))
}

/// The server's version, as a pod of the plan in force says.
fn server_version(store: &DataStore, key: &Key, digest: &str, context: &Context) -> Option<String> {
    let pods = context.stores.pods(key, &store.uid().unwrap_or_default());
    health::current(&pods, digest)
        .filter_map(|pod| context.reports.of_pod(pod.metadata.uid.as_deref()?))
        .find_map(|report| report.server_version)
        .map(|version| version.chars().take(MAX_VERSION).collect())
}

/// How many Pipelines write to a store.
fn pipelines(stores: &Stores, store: &Key) -> usize {
    let pipelines = stores.pipelines.state();
    pipelines
        .iter()
        .filter_map(|guarded| guarded.0.as_ref().ok())
        .filter(|p| p.metadata.namespace.as_deref() == Some(store.namespace.as_str()))
        .filter(|p| stores_of(p).contains(&store.name))
        .count()
}

/// A DataStore names no Platform, so every one that admits its namespace has a say.
fn allowed(
    store: &DataStore,
    key: &Key,
    binding: &StoreBinding,
    context: &Context,
) -> Result<(), Error> {
    // Declared before they are read: one that comes, or gets a policy, in between wakes the store, too.
    let namespace = Key::new("Namespace", "", &key.namespace);
    let references = [any("Platform"), namespace];
    context.indexes.set_references(key, references);
    let platforms = context.stores.platforms.state();
    let platforms: Vec<_> = platforms
        .iter()
        .filter_map(|guarded| guarded.0.as_ref().ok())
        .collect();
    let labels = context.stores.namespace_labels(&key.namespace);
    for platform in platforms {
        if admits(platform, &labels) {
            let template = store.spec.pod_template.as_ref();
            policy::check(platform, template, &binding.secrets)?;
        }
    }
    Ok(())
}
