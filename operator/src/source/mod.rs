//! Source: a Deployment that takes records in by HTTP, and the Service in front of it; or one that makes them up.

pub mod build;
pub mod check;
mod dereference;
mod validate;

use std::collections::BTreeSet;

use headworks_crds::{Platform, Source, SourceStatus, conditions::INSECURE};
use kube::Resource;

use crate::{
    access,
    context::Context,
    controller::Reconciler,
    names::Key,
    platform::policy,
    retry::Error,
    security,
    status::{ReconcileOutcome, mark},
    stores,
    workload::{
        self, figures, guards,
        health::{self, Pods},
        rollouts,
    },
};

impl Reconciler for Source {
    type Status = SourceStatus;

    fn status(&self) -> Option<&SourceStatus> {
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
        status: &mut SourceStatus,
        context: &Context,
    ) -> Result<ReconcileOutcome, Error> {
        let key = Key::of(self);
        let open = security::source(&self.spec);
        let generation = self.metadata.generation;
        mark(&mut status.conditions, INSECURE, open.as_ref(), generation);
        let uid = self.metadata.uid.clone().unwrap_or_default();
        let live = stores::child(&context.stores.deployments, &key, &uid, &key.name);
        // As of Pipelines: a spec that is held back leaves the pods as they are.
        let none = live
            .as_ref()
            .is_none_or(|l| l.spec.as_ref().and_then(|s| s.replicas) == Some(0));
        let rests = self.spec.suspend || (self.spec.replicas == 0 && none);
        figures::source(status, rests, &key, context);
        if let (true, Some(live)) = (self.spec.suspend, &live) {
            workload::scale_to_zero(
                context,
                live.as_ref(),
                live.spec.as_ref().and_then(|s| s.replicas),
            )
            .await?;
        }
        let found = dereference::dereference(self, &key, context)
            .await
            .inspect_err(|_| rollouts::give_up(context, &key))?;
        let template = self.spec.pod_template.as_ref();
        let secrets = check::secrets(&self.spec);
        let allowed = policy::check(&found.platform.platform, template, &secrets);
        let valid = allowed
            .and_then(|()| validate::validate(self, &found))
            .inspect_err(|_| rollouts::give_up(context, &key))?;
        let built = build::build(
            &key,
            &self.controller_owner_ref(&()).unwrap_or_default(),
            &valid,
            &context.settings.runtime_image,
        )?;
        let reference = self.controller_owner_ref(&()).unwrap_or_default();
        let generated = workload::connection::generated(&found.platform.platform.spec.kafka);
        if generated && status.platform.is_none() {
            status.platform = Some(found.stream.platform.clone());
        }
        access::workload::ensure(
            self,
            &found.platform,
            &valid.plan,
            &reference,
            1,
            false,
            context,
        )
        .await?;
        if let Some(ca) = &built.ca {
            context.apply(&context.stores.config_maps, ca, &uid).await?;
        }
        context
            .apply(&context.stores.config_maps, &built.plan.config_map, &uid)
            .await?;
        match &built.service {
            Some(service) => {
                context
                    .apply(&context.stores.services, service, &uid)
                    .await?;
            }
            // A Source that took records by HTTP before.
            None => {
                for service in stores::children(&context.stores.services, &key, &uid) {
                    context.remove(service.as_ref()).await?;
                }
            }
        }
        let pods_wanted = valid.replicas;
        guards::protect(context, &key, &reference, pods_wanted, valid.http.is_some()).await?;
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
        status.address = built.address;
        status.workload.selector = Some(workload::selector_text(&key));

        let seen = live.status.clone().unwrap_or_default();
        status.workload.replicas = Some(seen.replicas.unwrap_or(0));
        status.workload.ready_replicas = Some(seen.ready_replicas.unwrap_or(0));
        if self.spec.suspend {
            return Ok(ReconcileOutcome::ready(
                "Suspended",
                if self.spec.http.is_some() {
                    "spec.suspend is true: no pods run, and the address answers nobody"
                } else {
                    "spec.suspend is true: no records are made"
                },
            ));
        }
        let pods = context.stores.pods(&key, &uid);
        let generation = live.metadata.generation;
        let verdict = health::verdict(
            &Pods {
                pods: &pods,
                plan: &built.plan.digest,
                wanted: self.spec.replicas,
                updated: health::rolled_out(seen.replicas, seen.updated_replicas),
                ready: seen
                    .ready_replicas
                    .unwrap_or(0)
                    .min(seen.available_replicas.unwrap_or(0)),
                observed: generation.is_some() && seen.observed_generation >= generation,
                secrets: &valid.secrets,
                stores: &[],
                namespace: &key.namespace,
            },
            |uid| context.reports.of_pod(uid),
        )
        .map_err(|error| access::workload::heard(error, &found.platform, &key, context))?;
        let verdict = applied.told(verdict);
        // No pod runs by the old plan any more: what only that one needed goes.
        let settled = verdict.ready
            && !health::superseded(&context.stores.pods_left(&key, &uid), &built.plan.digest);
        if settled {
            let now = generated.then_some(&found.platform.platform);
            moved(self, status, &found.stream.platform, now, context).await;
        }
        if settled && generated {
            access::workload::ensure(
                self,
                &found.platform,
                &valid.plan,
                &reference,
                1,
                true,
                context,
            )
            .await?;
            return Ok(verdict.recheck(access::workload::VERIFIED_FOR));
        }
        Ok(verdict)
    }

    /// Only a Source that has, or had, a user of its own is held.
    async fn finalize(&self, status: &SourceStatus, context: &Context) -> Result<(), Error> {
        let key = Key::of(self);
        let stream = context.stores.stream(&key.namespace, &self.spec.into);
        let (deleted, about) = (
            access::workload::deleted(self),
            access::workload::about(self),
        );
        let platforms = platforms(status, stream.map(|stream| stream.spec.platform));
        if platforms.is_empty() {
            let note = format!(
                "DataStream {} is gone, and with it the word which Kafka has {key}'s user; delete the user and its ACLs by hand",
                self.spec.into
            );
            context.events.warning(&about, "UsersLeft", &note).await;
        }
        for name in platforms {
            let platform = context.stores.platform(&name);
            let withdrawn =
                access::workload::revoke(&key, deleted, &about, platform.as_ref(), context).await;
            if has_user(status, &name, platform.as_ref()) {
                withdrawn?;
            }
        }
        Ok(())
    }
}

/// True: a user of the Source may be there. One that was never meant to have a user mustn't be held up by looking for it.
fn has_user(status: &SourceStatus, name: &str, platform: Option<&Platform>) -> bool {
    let generated = |platform: &Platform| workload::connection::generated(&platform.spec.kafka);
    status.platform.as_deref() == Some(name) || platform.is_none_or(generated)
}

/// Where the Source has a user: where the status says, also if its stream is gone; and, while it moves, where the stream is now.
fn platforms(status: &SourceStatus, of_stream: Option<String>) -> BTreeSet<String> {
    status.platform.iter().cloned().chain(of_stream).collect()
}

/// The stream was made again on another Platform: the user goes from the one before. `platform`: the present one, if the Source has a
/// user there. What is in the way there is no fault of what runs
/// here: it is said, and tried again.
async fn moved(
    source: &Source,
    status: &mut SourceStatus,
    now: &str,
    platform: Option<&Platform>,
    context: &Context,
) {
    let Some(before) = status.platform.as_deref().filter(|before| *before != now) else {
        return;
    };
    if let Some(left) = context.stores.platform(before)
        && let Err(error) = access::migration::migrate_away(source, &left, platform, context).await
    {
        let note = format!("its user on Platform {before} can't be deleted yet: {error}");
        let about = access::workload::about(source);
        context.events.warning(&about, "UsersLeft", &note).await;
        return;
    }
    status.platform = platform.map(|_| now.to_owned());
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_source_that_moved_to_where_it_has_no_user_is_not_held_there() {
        let platform = |authentication: serde_json::Value| -> Platform {
            serde_json::from_value(json!({"metadata": {"name": "q"}, "spec": {"kafka": {
                "bootstrapServers": "k:9092", "management": {"admin": {}}, "workloadAuthentication": authentication}}}))
            .unwrap()
        };
        let plain = platform(json!(null));
        let generated = platform(json!({"generated": {}}));
        let mut status = SourceStatus::default();
        assert!(!has_user(&status, "q", Some(&plain)));
        assert!(has_user(&status, "q", Some(&generated)) && has_user(&status, "q", None));
        // It had one before the Platform gave them up.
        status.platform = Some("q".into());
        assert!(has_user(&status, "q", Some(&plain)));
    }

    #[test]
    fn a_source_whose_stream_went_first_still_knows_where_its_user_is() {
        let on = |platform: Option<&str>| SourceStatus {
            platform: platform.map(str::to_owned),
            ..SourceStatus::default()
        };
        let names = |status, stream: Option<&str>| -> Vec<String> {
            platforms(&status, stream.map(str::to_owned))
                .into_iter()
                .collect()
        };
        assert_eq!(names(on(Some("p")), None), ["p"]);
        assert_eq!(names(on(Some("p")), Some("p")), ["p"]);
        assert_eq!(names(on(Some("p")), Some("q")), ["p", "q"]);
        assert_eq!(names(on(None), Some("q")), ["q"]);
        assert!(names(on(None), None).is_empty());
    }
}
