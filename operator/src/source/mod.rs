//! Source: a Deployment that brings records into a stream, and a Service in front of it where they are sent.

mod admission;
pub mod build;
mod dereference;
mod figures;
mod validate;
mod watched;

use std::collections::BTreeSet;

use headworks_crds::{Platform, Source, SourceStatus, SpecFault};

use crate::{
    access, connection,
    connectors::sources,
    context::Context,
    controller::{OnPlatform, PodRequest, Reconciler, ShownFigures, SpecCheck, checked},
    names::Key,
    platform::policy,
    reason::ConditionReason,
    retry::Error,
    security::Open,
    status::ReconcileOutcome,
    workload::{
        OnKafka, RollOut, Workload,
        figures::{ShowsFigures, settle},
    },
};

impl Reconciler for Source {
    type Status = SourceStatus;

    const SPEC_CHECK: SpecCheck = SpecCheck::InReconcile;

    fn status(&self) -> Option<&SourceStatus> {
        self.status.as_ref()
    }

    fn spec_faults(&self) -> Vec<SpecFault> {
        let own = sources::check(&self.spec).err();
        let own = own.map(|error| SpecFault::placed(error.message()));
        headworks_crds::faults(&self.spec)
            .into_iter()
            .chain(own)
            .collect()
    }

    fn open(&self) -> Option<Open> {
        sources::open(&self.spec)
    }

    fn pods(&self) -> Option<PodRequest<'_>> {
        Some(PodRequest {
            platform: OnPlatform::OfStream(self.spec.into.clone()),
            template: self.spec.pod_template.as_ref(),
            secrets: sources::secrets(&self.spec),
            replicas: if self.spec.suspend {
                0
            } else {
                self.spec.replicas
            },
        })
    }

    fn shown_figures(&self) -> Option<ShownFigures> {
        self.status.as_ref().map(ShowsFigures::shown)
    }

    fn needs_finalizer(&self) -> bool {
        false
    }

    async fn reconcile(
        &self,
        status: &mut SourceStatus,
        context: &Context,
    ) -> Result<ReconcileOutcome, Error> {
        let roll_out = RollOut::of(self, context);
        let key = &roll_out.key;
        let rests = roll_out.rests(self.spec.suspend, self.spec.replicas);
        settle(status, rests, key, context);
        if self.spec.suspend {
            roll_out.suspend().await?;
        }
        let resolved = resolve(self, key, status, context).await;
        let observed = status.observed_generation;
        let pods = Some(&mut status.workload);
        let (applied, now) = roll_out.apply(resolved, observed, pods).await?;
        status.address = sources::connector(&self.spec)?.address(key);
        let outcome = roll_out.observe(&applied).await?;
        if roll_out.has_settled(&applied, &outcome) {
            let kafka = applied.workload.kafka.as_ref();
            let platform = kafka.filter(|kafka| kafka.has_own_user());
            let platform = platform.map(|kafka| &kafka.platform.platform);
            moved(self, status, &now, platform, context).await;
        }
        roll_out.finish(&applied, outcome).await
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
            context
                .events
                .warning(&about, ConditionReason::UsersLeft, &note)
                .await;
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

/// From the spec to what runs, and the name of the Platform where it does.
async fn resolve(
    source: &Source,
    key: &Key,
    status: &mut SourceStatus,
    context: &Context,
) -> Result<(Workload, String), Error> {
    checked(source)?;
    let found = dereference::dereference(source, key, context).await?;
    let (platform, template) = (&found.platform.platform, source.spec.pod_template.as_ref());
    policy::check(platform, template, &sources::secrets(&source.spec))?;
    let connection = validate::validate(source, &found)?;
    let connector = sources::connector(&source.spec)?;
    let workload = build::build(source, &found, connector, connection);
    let now = found.stream.platform;
    if workload.kafka.as_ref().is_some_and(OnKafka::has_own_user) && status.platform.is_none() {
        status.platform = Some(now.clone());
    }
    Ok((workload, now))
}

/// True: a user of the Source may be there. One that was never meant to have a user mustn't be held up by looking for it.
fn has_user(status: &SourceStatus, name: &str, platform: Option<&Platform>) -> bool {
    let generated = |platform: &Platform| connection::generated(&platform.spec.kafka);
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
        context
            .events
            .warning(&about, ConditionReason::UsersLeft, &note)
            .await;
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
