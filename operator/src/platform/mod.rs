//! Platform: is Kafka there, does it accept us, and what is this installation called.
//!
//! A Platform makes nothing. It is looked at again and again, but its status is written only when
//! something changed, and it heals by itself when Kafka or a Secret comes back.

mod admission;
pub mod policy;
pub mod resolve;
mod watched;

use std::time::Duration;

use headworks_crds::{
    Platform, PlatformStatus, SpecFault,
    conditions::{CRD_VERSION_MISMATCH, SCHEMA_REGISTRY_READY},
};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use crate::{
    context::Context,
    controller::{PodRequest, Reconciler, ShownFigures},
    kafka_pool::{credential_field, to_reconcile_error},
    names::Key,
    provisioner::provisioner,
    reason::ConditionReason,
    retry::Error,
    security::{self, Open},
    status::{ReconcileOutcome, mark, set},
};

/// A Platform that isn't well is looked at again after this long.
const SICK_RECHECK: Duration = Duration::from_secs(10);

impl Reconciler for Platform {
    type Status = PlatformStatus;

    fn status(&self) -> Option<&PlatformStatus> {
        self.status.as_ref()
    }

    fn spec_faults(&self) -> Vec<SpecFault> {
        headworks_crds::faults(&self.spec)
    }

    fn open(&self) -> Option<Open> {
        security::platform(&self.spec)
    }

    fn pods(&self) -> Option<PodRequest<'_>> {
        None
    }

    fn shown_figures(&self) -> Option<ShownFigures> {
        None
    }

    fn needs_finalizer(&self) -> bool {
        false
    }

    async fn reconcile(
        &self,
        status: &mut PlatformStatus,
        context: &Context,
    ) -> Result<ReconcileOutcome, Error> {
        if status.installation.is_none() {
            status.installation = Some(match &self.spec.kafka.installation {
                Some(given) => given.clone(),
                None => short_uid(context)?,
            });
        }
        let generation = self.metadata.generation;
        let mismatch = context.crds.look(&context.client).await;
        let crds = CRD_VERSION_MISMATCH;
        mark(&mut status.conditions, crds, mismatch.as_ref(), generation);
        (status.streams, status.pipelines) = members(context, &self.name_any());
        let key = Key::of(self);
        let by = provisioner(self);
        context
            .indexes
            .set_references(&key, by.platform_references());
        let capacity = by.look(context).await?;
        let registry = schema_registry(self, status, context).await;
        let (connected, changed) = context
            .kafka
            .refresh(&context.client, self)
            .await
            .map_err(|e| e.after(SICK_RECHECK))?;
        if changed {
            context.indexes.enqueue_dependents(&key);
        }
        let place = format!(
            "spec.kafka.bootstrapServers {}",
            self.spec.kafka.bootstrap_servers
        );
        let cluster = connected.admin.cluster().await.map_err(|e| {
            to_reconcile_error(&e, &place, &credential_field(self)).after(SICK_RECHECK)
        })?;
        status.brokers = Some(cluster.brokers);
        status.cluster_id = Some(cluster.id);
        Ok(ReconcileOutcome::ready(
            ConditionReason::Connected,
            format!("Kafka answers at {}", self.spec.kafka.bootstrap_servers),
        )
        .and(capacity)
        .recheck(if registry {
            context.settings.recheck
        } else {
            context.settings.recheck.min(SICK_RECHECK)
        }))
    }

    async fn finalize(&self, _: &PlatformStatus, _: &Context) -> Result<(), Error> {
        Ok(())
    }
}

/// Whether the schema registry answers, as a condition of its own: Kafka is well without it, and so is what runs. Gives
/// false where it doesn't answer.
async fn schema_registry(
    platform: &Platform,
    status: &mut PlatformStatus,
    context: &Context,
) -> bool {
    let found = match context.registries.refresh(&context.client, platform).await {
        Ok(None) => {
            status
                .conditions
                .retain(|c| c.type_ != SCHEMA_REGISTRY_READY);
            return true;
        }
        Ok(Some((registry, changed))) => {
            if changed {
                context.indexes.enqueue_dependents(&Key::of(platform));
            }
            registry.ping().await.map(|()| registry)
        }
        Err(error) => Err(error),
    };
    let answers = found
        .as_ref()
        .map(|registry| format!("the schema registry answers at {}", registry.connection.url));
    set(
        &mut status.conditions,
        SCHEMA_REGISTRY_READY,
        answers
            .as_deref()
            .map(|message| (ConditionReason::Answers, message))
            .map_err(|error| *error),
        platform.metadata.generation,
        Timestamp::now(),
    );
    found.is_ok()
}

/// The cluster's own id: the first group of the UID of kube-system, which lives as long as the cluster.
fn short_uid(context: &Context) -> Result<String, Error> {
    let namespace = context
        .stores
        .namespaces
        .get(&kube::runtime::reflector::ObjectRef::new("kube-system"));
    let uid = namespace.and_then(|n| n.metadata.uid.clone());
    uid.and_then(|uid| uid.split('-').next().map(str::to_owned))
        .ok_or_else(|| Error::transient(ConditionReason::Internal, "namespace kube-system isn't known yet; set spec.kafka.installation to go on without it"))
}

/// How many DataStreams and Pipelines use the Platform.
fn members(context: &Context, name: &str) -> (Option<i32>, Option<i32>) {
    let streams = context
        .stores
        .streams
        .state()
        .iter()
        .filter(|s| s.0.as_ref().is_ok_and(|s| s.spec.platform == name))
        .count();
    let pipelines = context
        .stores
        .pipelines
        .state()
        .iter()
        .filter(|p| p.0.as_ref().is_ok_and(|p| p.spec.platform == name))
        .count();
    (i32::try_from(streams).ok(), i32::try_from(pipelines).ok())
}
