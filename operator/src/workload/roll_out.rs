//! From what a kind says runs to pods that run, the same for all kinds.
//!
//! A kind's reconcile asks for it in this order, and puts its own between: [`RollOut::suspend`], [`RollOut::apply`],
//! [`RollOut::observe`], [`RollOut::finish`]. Nothing is applied before all of it is known to be right.

use std::sync::Arc;

use super::{
    children::{self, PodController},
    collect_unused_plans,
    counts::Counts,
    definition::{OnKafka, Shape, Workload},
    guards,
    health::{self, Pods},
    ordinal_count, plans_of_pods, scale_to_zero, turns,
    unblock::unblock,
};
use crate::{
    access, context::Context, controller::Reconciler, names::Key, reason::ConditionReason,
    retry::Error, status::ReconcileOutcome, stores,
};
use headworks_crds::WorkloadStatus;
use headworks_plan::Plan;
use k8s_openapi::{
    api::{
        apps::v1::{Deployment, StatefulSet},
        core::v1::Pod,
    },
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};

/// The pods of one object, on their way to what they should be.
pub struct RollOut<'a, K> {
    object: &'a K,
    /// Whose pods.
    pub key: Key,
    reference: OwnerReference,
    context: &'a Context,
}

/// A workload as it was applied.
pub struct Applied {
    /// What runs.
    pub workload: Workload,
    /// Digest of its plan.
    pub digest: String,
    turn: turns::Turn,
}

impl Applied {
    /// Digest of the plan that the pods are to run by now: not yet its own, while they go on with another until their turn comes.
    pub fn in_force(&self) -> &str {
        self.turn.plan.as_deref().unwrap_or(&self.digest)
    }
}

impl<'a, K: Reconciler> RollOut<'a, K> {
    /// Of that object.
    pub fn of(object: &'a K, context: &'a Context) -> Self {
        Self {
            object,
            key: Key::of(object),
            reference: object.controller_owner_ref(&()).unwrap_or_default(),
            context,
        }
    }

    fn stateful_sets(&self) -> Vec<Arc<StatefulSet>> {
        let stores = &self.context.stores;
        stores::children(&stores.stateful_sets, &self.key, &self.reference.uid)
    }

    fn deployments(&self) -> Vec<Arc<Deployment>> {
        let stores = &self.context.stores;
        stores::children(&stores.deployments, &self.key, &self.reference.uid)
    }

    fn pods_left(&self) -> Vec<Arc<Pod>> {
        let stores = &self.context.stores;
        stores.pods_left(&self.key, &self.reference.uid)
    }

    /// The plans that its pods run by, and the one that its next pod would.
    pub fn plans(&self) -> Vec<Plan> {
        plans_of_pods(self.context, &self.key, &self.reference.uid)
    }

    /// True: no pod is to run. A spec that is held back leaves the pods as they are, whatever number it asks for.
    pub fn rests(&self, suspended: bool, replicas: i32) -> bool {
        let none = |wanted: Option<i32>| wanted == Some(0);
        suspended
            || (replicas == 0
                && (self.stateful_sets().iter())
                    .all(|l| none(l.spec.as_ref().and_then(|s| s.replicas)))
                && (self.deployments().iter())
                    .all(|l| none(l.spec.as_ref().and_then(|s| s.replicas))))
    }

    /// Takes the pods away at once, whatever else may be wrong with the object.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn suspend(&self) -> Result<(), Error> {
        for live in self.stateful_sets() {
            let replicas = live.spec.as_ref().and_then(|s| s.replicas);
            scale_to_zero(self.context, live.as_ref(), replicas).await?;
        }
        for live in self.deployments() {
            let replicas = live.spec.as_ref().and_then(|s| s.replicas);
            scale_to_zero(self.context, live.as_ref(), replicas).await?;
        }
        Ok(())
    }

    /// Applies what a kind resolved: its user, then the children. What it came to besides is given back with it. A workload that
    /// can't be resolved or applied has no turn any more. `observed`: the generation that the status is about. The counts in `status`
    /// are about the pods that there are, also on error.
    ///
    /// # Errors
    /// What it was resolved to; `PlanTooLarge`; what the API server and Kafka say.
    pub async fn apply<T: Send>(
        &self,
        resolved: Result<(Workload, T), Error>,
        observed: Option<i64>,
        status: Option<&mut WorkloadStatus>,
    ) -> Result<(Applied, T), Error> {
        let own = observed != self.object.meta().generation;
        let applied = match resolved {
            Ok((workload, besides)) => Box::pin(self.write(workload, own))
                .await
                .map(|applied| (applied, besides)),
            Err(error) => Err(error),
        };
        // What passes by itself gives no turn back: a template that works nowhere would go on with each blip.
        if matches!(&applied, Err(error) if !matches!(error, Error::Transient { .. })) {
            turns::give_up(self.context, &self.key);
        }
        if let Some(status) = status {
            let counts = match &applied {
                Ok((applied, _)) => applied.turn.counts.clone(),
                Err(_) => self.counts(),
            };
            status.replicas = Some(counts.replicas);
            status.ready_replicas = Some(counts.ready);
            status.selector = Some(self.key.selector_text());
        }
        applied
    }

    /// The pods as the watches have them.
    fn counts(&self) -> Counts {
        let sets = self.stateful_sets();
        let of_set = sets.first().map(|live| Counts::from(live.as_ref()));
        let of_deployment = || {
            let deployments = self.deployments();
            deployments.first().map(|live| Counts::from(live.as_ref()))
        };
        of_set.or_else(of_deployment).unwrap_or_default()
    }

    async fn write(&self, workload: Workload, own: bool) -> Result<Applied, Error> {
        let (context, key, reference) = (self.context, &self.key, &self.reference);
        let (stores, uid) = (&context.stores, &reference.uid);
        let image = &context.settings.runtime_image;
        let built = children::build(&workload, key, reference, image)?;
        self.ensure_user(&workload, false).await?;
        if let Some(ca) = &built.ca {
            context.apply(&stores.config_maps, ca, uid).await?;
        }
        context
            .apply(&stores.config_maps, &built.plan.config_map, uid)
            .await?;
        match &built.service {
            Some(service) => {
                context.apply(&stores.services, service, uid).await?;
            }
            // An object that took requests before.
            None => {
                for service in stores::children(&stores.services, key, uid) {
                    context.remove(service.as_ref()).await?;
                }
            }
        }
        let http = workload.http.is_some();
        let labels = built.pods.labels();
        let pods = (workload.pods(), &labels);
        let budget = guards::protect(context, key, reference, pods, http).await?;
        if let Some(budget) = budget {
            self.covered_by(&budget).await;
        }
        let turn = match &built.pods {
            PodController::StatefulSet(set) => {
                turns::apply(
                    context,
                    key,
                    &stores.stateful_sets,
                    set.as_ref(),
                    (uid, own),
                )
                .await?
            }
            PodController::Deployment(deployment) => {
                let desired = deployment.as_ref();
                turns::apply(context, key, &stores.deployments, desired, (uid, own)).await?
            }
        };
        Ok(Applied {
            workload,
            digest: built.plan.digest,
            turn,
        })
    }

    /// Says that a budget of the user's own stands in the place of ours.
    async fn covered_by(&self, budget: &str) {
        let note = format!(
            "PodDisruptionBudget {budget} covers the pods, so none is made for them: Kubernetes evicts no pod that two budgets cover. Drains go by what it says"
        );
        let about = self.object.object_ref(&());
        self.context
            .events
            .normal(&about, ConditionReason::OtherDisruptionBudget, &note)
            .await;
    }

    /// Makes the pods' Kafka user, if they have one of their own. `settled`: what only an older plan needed goes.
    async fn ensure_user(&self, workload: &Workload, settled: bool) -> Result<(), Error> {
        let Some(kafka) = &workload.kafka else {
            return Ok(());
        };
        let pods = match workload.shape {
            Shape::StatefulSet => ordinal_count(&self.pods_left(), &self.key, workload.replicas),
            // What these do in Kafka they do under one name, however many they are.
            Shape::Deployment | Shape::Single => 1,
        };
        let (platform, plan) = (&kafka.platform, &workload.plan);
        let reference = &self.reference;
        access::workload::ensure(
            self.object,
            platform,
            plan,
            reference,
            pods,
            settled,
            self.context,
        )
        .await
    }

    /// From the children to the outcome, and what a roll-out needs on its way.
    ///
    /// # Errors
    /// What the pods report; what the API server says.
    pub async fn observe(&self, applied: &Applied) -> Result<ReconcileOutcome, Error> {
        let (context, key, uid) = (self.context, &self.key, &self.reference.uid);
        let (workload, counts) = (&applied.workload, &applied.turn.counts);
        let pods = context.stores.pods(key, uid);
        unblock(counts, &pods, context).await?;
        collect_unused_plans(context, key, uid, [&applied.digest, applied.in_force()]).await?;
        if let Some(message) = workload.suspended {
            return Ok(ReconcileOutcome::ready(ConditionReason::Suspended, message));
        }
        health::verdict(
            &Pods {
                pods: &pods,
                plan: applied.in_force(),
                wanted: workload.replicas,
                updated: counts.updated,
                ready: counts.ready,
                observed: counts.observed,
                secrets: &workload.needed_secrets(key),
                stores: &workload.stores,
                namespace: &key.namespace,
            },
            |uid| context.reports.of_pod(uid),
        )
        .map_err(|error| match &workload.kafka {
            Some(kafka) => access::workload::heard(error, &kafka.platform, key, context),
            None => error,
        })
    }

    /// True: all is as it should be, and no pod runs by an older plan any more, so what only that one needed can go.
    pub fn has_settled(&self, applied: &Applied, outcome: &ReconcileOutcome) -> bool {
        outcome.ready
            && applied.in_force() == applied.digest
            && !health::superseded(&self.pods_left(), &applied.digest)
    }

    /// The last step, with the outcome in the kind's own words: rights that nothing needs any more go, and a change that waits for
    /// its turn is said.
    ///
    /// # Errors
    /// What Kafka and the API server say of the user.
    pub async fn finish(
        &self,
        applied: &Applied,
        mut outcome: ReconcileOutcome,
    ) -> Result<ReconcileOutcome, Error> {
        let kafka = applied.workload.kafka.as_ref();
        if kafka.is_some_and(OnKafka::has_own_user) && self.has_settled(applied, &outcome) {
            self.ensure_user(&applied.workload, true).await?;
            outcome = outcome.recheck(access::workload::VERIFIED_FOR);
        }
        Ok(applied.turn.told(outcome))
    }
}

#[cfg(test)]
mod tests;
