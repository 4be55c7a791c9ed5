//! DataStore: a database that Pipelines write tables of.
//!
//! The operator never speaks to it. A pod of its own watches it, with the store's credentials, and its
//! readiness is the DataStore's. Pipelines reach the store by themselves, so that one that is suspended, or whose
//! pod can't run, holds up nobody.

pub mod address;
pub mod binding;
pub mod build;
pub mod resolve;

use binding::StoreBinding;
use headworks_crds::{DataStore, DataStoreStatus, conditions::INSECURE};
use kube::{Resource, ResourceExt};

use crate::{
    context::Context,
    controller::Reconciler,
    names::Key,
    planning::store_writers::stores_of,
    platform::{policy, resolve::admits},
    retry::Error,
    security,
    status::{ReconcileOutcome, mark},
    stores::{self, Stores},
    workload::{
        self, guards,
        health::{self, Pods},
        rollouts,
    },
};

/// Longest version that a status shows, in characters: it is the server's own text.
const MAX_VERSION: usize = 64;

impl Reconciler for DataStore {
    type Status = DataStoreStatus;

    fn status(&self) -> Option<&DataStoreStatus> {
        self.status.as_ref()
    }

    fn check(&self) -> Result<(), String> {
        headworks_crds::check(&self.spec)
    }

    fn needs_finalizer(&self) -> bool {
        false
    }

    async fn reconcile(
        &self,
        status: &mut DataStoreStatus,
        context: &Context,
    ) -> Result<ReconcileOutcome, Error> {
        let key = Key::of(self);
        let open = security::data_store(&self.spec);
        let generation = self.metadata.generation;
        mark(&mut status.conditions, INSECURE, open.as_ref(), generation);
        status.pipelines = i64::try_from(pipelines(&context.stores, &key)).ok();
        let uid = self.uid().unwrap_or_default();
        let live = stores::child(
            &context.stores.deployments,
            &key,
            &uid,
            &build::deployment_name(&key),
        );
        if let (true, Some(live)) = (self.spec.suspend, &live) {
            workload::scale_to_zero(
                context,
                live.as_ref(),
                live.spec.as_ref().and_then(|s| s.replicas),
            )
            .await?;
        }
        let address = address::check(&self.spec)?.to_string();
        let binding = binding::bind(&key.name, &self.spec)?;
        allowed(self, &key, &binding, context).inspect_err(|_| rollouts::give_up(context, &key))?;
        let built = build::build(
            &key,
            &self.controller_owner_ref(&()).unwrap_or_default(),
            &self.spec,
            &binding,
            &context.settings.runtime_image,
        )?;
        context
            .apply(&context.stores.config_maps, &built.plan.config_map, &uid)
            .await?;
        let reference = self.controller_owner_ref(&()).unwrap_or_default();
        guards::protect(context, &key, &reference, 1, false).await?;
        let own = status.observed_generation != self.metadata.generation;
        let applied = rollouts::apply(
            context,
            &key,
            &context.stores.deployments,
            &built.deployment,
            (&uid, own),
        )
        .await?;
        let live = applied.live.as_ref();
        workload::collect_unused_plans(context, &key, &uid, &built.plan.digest).await?;

        if status.address.as_ref() != Some(&address) {
            // What is known is about another server.
            status.server_version = None;
            status.address = Some(address.clone());
        }
        let pods = context.stores.pods(&key, &uid);
        if let Some(version) = health::current(&pods, &built.plan.digest)
            .filter_map(|pod| context.reports.of_pod(pod.metadata.uid.as_deref()?))
            .find_map(|report| report.server_version)
        {
            status.server_version = Some(version.chars().take(MAX_VERSION).collect());
        }
        if self.spec.suspend {
            return Ok(ReconcileOutcome::ready(
                "Suspended",
                "spec.suspend is true: nothing watches the store; Pipelines go on",
            ));
        }
        let seen = live.status.clone().unwrap_or_default();
        let generation = live.metadata.generation;
        let names = [key.name.clone()];
        let verdict = health::verdict(
            &Pods {
                pods: &pods,
                plan: &built.plan.digest,
                wanted: 1,
                updated: health::rolled_out(seen.replicas, seen.updated_replicas),
                ready: seen.ready_replicas.unwrap_or(0),
                observed: generation.is_some() && seen.observed_generation >= generation,
                secrets: &binding.secrets,
                stores: &names,
                namespace: &key.namespace,
            },
            |uid| context.reports.of_pod(uid),
        )?;
        if verdict.ready {
            return Ok(applied.told(ReconcileOutcome::ready(
                "Connected",
                format!("PostgreSQL answers at {address}"),
            )));
        }
        Ok(verdict)
    }

    async fn finalize(&self, _: &DataStoreStatus, _: &Context) -> Result<(), Error> {
        Ok(())
    }
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
    let platforms = context.stores.platforms.state();
    let platforms: Vec<_> = platforms
        .iter()
        .filter_map(|guarded| guarded.0.as_ref().ok())
        .collect();
    let keys = platforms.iter().map(|platform| Key::of(*platform));
    let namespace = Key::new("Namespace", "", &key.namespace);
    context.indexes.set_references(key, keys.chain([namespace]));
    let labels = context.stores.namespace_labels(&key.namespace);
    for platform in platforms {
        if admits(platform, &labels) {
            let template = store.spec.pod_template.as_ref();
            policy::check(platform, template, &binding.secrets)?;
        }
    }
    Ok(())
}
