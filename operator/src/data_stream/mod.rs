//! DataStream: a topic with a contract.
//!
//! A reconcile goes in five steps. What the stream depends on is read, first what the cluster has, then what Kafka has (`dereference`);
//! what may not be is refused, and what becomes of topic and contract is decided (`validate`); the topics are built as they are to be
//! (`build`); that is done (`apply`), by whoever makes topics on its Platform (`provisioner`); and it is said how it went (`status`).
//! `validate` and `build` are pure.

pub mod admission;
mod apply;
mod build;
mod compatibility;
pub mod contract_revisions;
mod deletion;
mod dereference;
pub mod health;
mod history;
pub mod label_propagation;
pub mod limits;
pub mod registry;
pub mod resolve;
pub mod schema_texts;
mod status;
mod text_changes;
mod topic_conflicts;
mod validate;
mod watched;

use headworks_crds::{DataStream, DataStreamStatus, DeletionPolicy, SpecFault};

use crate::{
    context::Context,
    contract::{revision::Revision, topic_name},
    controller::{PodRequest, Reconciler, ShownFigures},
    names::Key,
    platform::resolve::ResolvedPlatform,
    provisioner::{OfStream, provisioner},
    retry::Error,
    security::Open,
    status::ReconcileOutcome,
};

impl Reconciler for DataStream {
    type Status = DataStreamStatus;

    fn status(&self) -> Option<&DataStreamStatus> {
        self.status.as_ref()
    }

    fn spec_faults(&self) -> Vec<SpecFault> {
        headworks_crds::faults(&self.spec)
    }

    fn open(&self) -> Option<Open> {
        None
    }

    fn pods(&self) -> Option<PodRequest<'_>> {
        None
    }

    fn shown_figures(&self) -> Option<ShownFigures> {
        None
    }

    /// A KafkaTopic is in its Kafka's namespace, where no owner reference reaches: letting it go is work.
    fn is_held(&self, context: &Context) -> bool {
        context
            .stores
            .platform(&self.spec.platform)
            .is_some_and(|platform| provisioner(&platform).declares_topics())
    }

    /// Under `Retain` nothing outside the API server is touched by a deletion, so there is nothing to wait for.
    fn needs_finalizer(&self) -> bool {
        self.spec.deletion_policy == DeletionPolicy::Delete
    }

    async fn reconcile(
        &self,
        status: &mut DataStreamStatus,
        context: &Context,
    ) -> Result<ReconcileOutcome, Error> {
        let outcome = Box::pin(reconciled(self, status, context)).await;
        schema_texts::looked_at_again(self, outcome)
    }

    async fn finalize(&self, status: &DataStreamStatus, context: &Context) -> Result<(), Error> {
        let lost = status.topic.as_ref();
        let lost = lost.and_then(|topic| topic_conflicts::lost(self, topic, context));
        deletion::finalize(self, status, lost.as_deref(), context).await?;
        registry::finalize(self, status, lost.as_deref(), context).await
    }
}

async fn reconciled(
    stream: &DataStream,
    status: &mut DataStreamStatus,
    context: &Context,
) -> Result<ReconcileOutcome, Error> {
    let key = Key::of(stream);
    health::settle(stream, &key, status, context);
    let topic = topic_name::topic_of(&key.namespace, &key.name, stream.spec.topic.as_deref());
    let rivals = dereference::declare(stream, &key, &topic, context);

    // First, because a stream that can't be looked at now is read and written all the same.
    let stored = contract_revisions::stored(context, &key, status.contract.as_ref());
    // Of an object that was here before, and had another topic, it says nothing about this one.
    let about_this = |accepted: &Revision| {
        status.contract.is_some()
            || (accepted.topic == topic && accepted.platform == stream.spec.platform)
    };
    let in_force = stored.filter(about_this);
    if let Some(accepted) = &in_force {
        label_propagation::settle(context, &key, &accepted.contract, status);
    }
    let found = dereference::references(stream, &key, rivals, context)?;
    validate::spec(stream, &key, &topic, &found)?;
    let spec = schema_texts::resolve(&context.client, &key.namespace, &stream.spec).await?;
    let before = in_force.as_ref().map(|accepted| &accepted.contract);
    let contract = validate::contract(&stream.spec, &spec, before)?;
    let platform = &found.platform;
    if !platform.ready() {
        return status::unverified(stream, status, platform.not_ready());
    }
    let of = OfStream {
        stream,
        key: &key,
        topic: &topic,
        dead_letters: &topic_name::dead_letter_topic(&topic),
        defaults: &platform.platform.spec.defaults.clone().unwrap_or_default(),
    };
    match in_kafka(of, contract, platform, status, context).await {
        // Kafka is away for a moment: what was true of the topic is taken to be true still.
        Err(error) if status::is_outage(&error) => status::unverified(stream, status, error),
        other => other,
    }
}

/// What of the steps needs Kafka.
async fn in_kafka(
    of: OfStream<'_>,
    contract: headworks_plan::Contract,
    platform: &ResolvedPlatform,
    status: &mut DataStreamStatus,
    context: &Context,
) -> Result<ReconcileOutcome, Error> {
    let platform = &platform.platform;
    let connected = context.kafka.get(&context.client, platform).await?;
    let by = provisioner(platform);
    let on = apply::On {
        platform,
        by: &*by,
        admin: &connected.admin,
    };
    let observed = dereference::observe(of, on.by, on.admin, status, context).await?;
    let mut decision = validate::decide(of, contract, observed, on.by, status)?;
    let held = text_changes::hold(of.stream, &mut decision.contract, status, context)?;
    let desired = build::build(of, &decision, on.by, status);
    let applied = apply::apply(of, decision, desired, on, status, context).await?;
    let outcome = status::outcome(of, applied, context);
    match held {
        Some(held) => held.said(outcome),
        None => outcome,
    }
}
