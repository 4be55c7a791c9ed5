//! DataStream: a topic with a contract.
//!
//! The order of a reconcile keeps two promises. Nothing is done to a topic before it is certain that the
//! topic is this object's; and the contract is written down before the topic is made, so that an operator
//! that dies in between finds its own work again.

mod compatibility;
pub mod contract_revisions;
mod deletion;
pub mod label_propagation;
pub mod limits;
pub mod registry;
pub mod resolve;
pub mod schema_texts;
mod settings;
mod strimzi;
mod text_changes;
mod topic;
mod topic_conflicts;

use std::time::Duration;

use headworks_crds::{
    AcceptedContract, DataStream, DataStreamStatus, DeletionPolicy, conditions::READY,
};
use kube::Resource;

use crate::{
    context::Context,
    contract::{self, definition, revision::Revision, topic_name},
    controller::Reconciler,
    names::Key,
    platform::resolve::{ResolvedPlatform, platform_references, resolve_platform},
    registry_pool,
    retry::Error,
    status::{ExtraCondition, ReconcileOutcome},
};

impl Reconciler for DataStream {
    type Status = DataStreamStatus;

    fn status(&self) -> Option<&DataStreamStatus> {
        self.status.as_ref()
    }

    fn check(&self) -> Result<(), String> {
        headworks_crds::check(&self.spec)
    }

    /// A KafkaTopic is in its Kafka's namespace, where no owner reference reaches: letting it go is work.
    fn is_held(&self, context: &Context) -> bool {
        let by_strimzi = |p: headworks_crds::Platform| p.spec.kafka.management.strimzi.is_some();
        context
            .stores
            .platform(&self.spec.platform)
            .is_some_and(by_strimzi)
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
        let outcome = reconciled(self, status, context).await;
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
    let topic = topic_name::topic_of(&key.namespace, &key.name, stream.spec.topic.as_deref());
    let rivals = topic_conflicts::of(stream, &topic, context);
    context.indexes.set_references(
        &key,
        platform_references(&stream.spec.platform, &key.namespace)
            .into_iter()
            .chain(rivals.iter().map(Key::of))
            .chain(strimzi_references(stream, &topic, context))
            .chain(label_propagation::references(context, &key)),
    );

    // First, because a stream that can't be looked at now is read and written all the same.
    let stored = contract_revisions::stored(context, &key, status.contract.as_ref());
    // Of an object that was here before, and had another topic, it says nothing about this one.
    let about_this = |accepted: &Revision| {
        status.contract.is_some()
            || (accepted.topic == topic && accepted.platform == stream.spec.platform)
    };
    if let Some(accepted) = stored.filter(about_this) {
        label_propagation::settle(context, &key, &accepted.contract, status);
    }
    let platform = resolve_platform(context, &stream.spec.platform, &key.namespace)?;
    let policy = &platform.platform.spec.kafka.topic_policy;
    topic_name::allowed(
        &topic,
        &key.namespace,
        &context.stores.namespace_labels(&key.namespace),
        policy,
    )
    .map_err(|message| Error::stalled("TopicNotAllowed", message))?;
    topic_conflicts::check_precedence(stream, &topic, &rivals, &platform.platform, context)?;
    limits::check(stream, &platform.platform, context)?;
    let spec = schema_texts::resolve(&context.client, &key.namespace, &stream.spec).await?;
    let contract = contract::read(&spec)
        .map_err(|fault| Error::stalled("InvalidSchema", fault.to_string()))?;
    contract::check_at(&contract, definition::place(&stream.spec))
        .map_err(|message| Error::stalled("InvalidSchema", message))?;
    if !platform.ready() {
        return unverified(stream, status, platform.not_ready());
    }
    match in_kafka(stream, &key, &topic, contract, &platform, status, context).await {
        // Kafka is away for a moment: what was true of the topic is taken to be true still.
        Err(error) if is_outage(&error) => unverified(stream, status, error),
        other => other,
    }
}

/// True for what our own calls to Kafka say of a Kafka that doesn't answer. Strimzi's Topic Operator has a `KafkaError`,
/// too, which is waited for and not tried again: Kafka has answered it, and refused the topic as it is wanted.
fn is_outage(error: &Error) -> bool {
    match error {
        Error::Transient { reason, .. } => reason == "KafkaError",
        Error::Waiting { reason, .. } => reason == "KafkaUnavailable",
        Error::Stalled { .. } => false,
    }
}

/// A Ready stream stays Ready while Kafka can't be asked: the Platform says what is wrong, once, instead of every stream.
fn unverified(
    stream: &DataStream,
    status: &DataStreamStatus,
    error: Error,
) -> Result<ReconcileOutcome, Error> {
    let before = status.conditions.iter().find(|c| {
        c.type_ == READY
            && c.status == "True"
            && c.observed_generation == stream.metadata.generation
    });
    match before {
        Some(ready) => {
            tracing::warn!(stream = %Key::of(stream), %error, "not looked at in Kafka");
            Ok(
                ReconcileOutcome::ready(ready.reason.clone(), ready.message.clone())
                    .recheck(Duration::from_secs(30)),
            )
        }
        None => Err(error),
    }
}

async fn in_kafka(
    stream: &DataStream,
    key: &Key,
    topic: &str,
    contract: headworks_plan::Contract,
    platform: &ResolvedPlatform,
    status: &mut DataStreamStatus,
    context: &Context,
) -> Result<ReconcileOutcome, Error> {
    let connected = context
        .kafka
        .get(&context.client, &platform.platform)
        .await?;
    let admin = &connected.admin;
    let found = admin
        .topic(topic)
        .await
        .map_err(|e| topic::kafka_error(&e, topic))?;
    let before = contract_revisions::in_force(context, key, status.contract.as_ref()).await?;
    // Somebody removed its ConfigMap. (Of another topic than this it would say nothing.)
    let missing =
        before.is_none() && status.contract.is_some() && status.topic.as_deref() == Some(topic);
    // An earlier object of this name may have had another topic or another Kafka: its contracts are not about this one.
    let about_this = before
        .as_ref()
        .is_some_and(|a| a.topic == topic && a.platform == stream.spec.platform);
    let by_strimzi = platform.platform.spec.kafka.management.strimzi.as_ref();
    let kafka_topic = if let Some(at) = by_strimzi {
        strimzi::find(context, stream, key, topic, at).await?
    } else {
        strimzi::leave(key, status, context).await?;
        strimzi::Found::default()
    };
    let known = status.topic.as_deref() == Some(topic) || about_this || kafka_topic.ours;
    let listed = kafka_topic.object.as_deref().filter(|_| !kafka_topic.ours);
    let found = strimzi::as_listed(found, listed);
    let claim = topic::claim(topic, found, known && listed.is_none(), stream.spec.adopt)?;
    let adopting = matches!(claim, topic::Claim::Adopt(_));
    // Before anything is written down: who has a contract about the topic, or a KafkaTopic, has had its dead letters, too.
    let dead_letters = topic_name::dead_letter_topic(topic);
    let known =
        about_this || kafka_topic.ours || status.dead_letter_topic.as_ref() == Some(&dead_letters);
    if let Some(at) = by_strimzi.filter(|_| !known) {
        strimzi::no_dead_letters(context, &dead_letters, at).await?;
    }
    let dead_letter_claim = topic::claim_dead_letter(admin, stream, &dead_letters, known).await?;
    let kept = match &claim {
        topic::Claim::Adopt(found) => topic::adoption(stream, topic, found)?,
        _ if status.topic.is_some() => status.kept_config.clone(),
        _ => before
            .as_ref()
            .filter(|_| about_this)
            .map(|a| a.kept.clone())
            .unwrap_or_default(),
    };

    // What was permitted once isn't permitted again, whatever the topic was.
    let used = contract_revisions::used(context, key);
    let mut in_force = before.filter(|_| about_this);
    // A derived definition goes on from the one before it: so does one that is to be found again.
    let named = status.contract.as_ref().filter(|_| missing);
    let older = named.and_then(|named| {
        let platform = &stream.spec.platform;
        let older = contract_revisions::before_number(context, key, named.version, topic, platform);
        older.into_iter().next()
    });
    let contract = definition::complete(
        contract,
        &key.namespace,
        &key.name,
        in_force.as_ref().or(older.as_ref()).map(|a| &a.contract),
    )
    .map_err(|fault| Error::stalled("InvalidSchema", fault.to_string()))?;
    let spec_mode = stream.spec.compatibility;
    if let Some(named) = named {
        let registered = status.registered.iter();
        let spec = Revision {
            version: named.version,
            contract: contract::obeyed(&contract),
            topic: topic.to_owned(),
            platform: stream.spec.platform.clone(),
            kept: kept.clone(),
            schema_ids: registered
                .filter(|r| r.contract == named.version)
                .filter_map(|r| u32::try_from(r.id).ok())
                .collect(),
            compatibility: named.compatibility,
            used: used.clone(),
        };
        in_force = Some(contract_revisions::restore(context, key, named, spec).await?);
    }
    let promised = in_force.as_ref().map_or(spec_mode, |a| {
        a.promise(status.contract.as_ref(), spec_mode)
    });
    let refused = match &in_force {
        Some(accepted) => {
            compatibility::refused(stream, key, (accepted, promised), &contract, context).await?
        }
        None => None,
    };
    let contract = contract::obeyed(&contract);
    let same = |accepted: &Revision| {
        contract::fingerprint(&accepted.contract) == contract::fingerprint(&contract)
    };
    match &in_force {
        Some(accepted) if same(accepted) => context.settling.settled(key),
        _ if refused.is_some() => {}
        _ => {
            if let Some(held) = text_changes::held(stream, &contract, context) {
                return held;
            }
        }
    }
    let mut fresh = None;
    let mut unregistered = None;
    let force = match in_force {
        Some(accepted) if refused.is_some() || same(&accepted) => accepted,
        before => {
            // Without one in force nothing was begun: what is there is about another topic, and its time is over.
            let newest = contract_revisions::last(context, key, None);
            let after = before.as_ref().map_or(newest, |accepted| accepted.version);
            let platform_name = &stream.spec.platform;
            let begun =
                contract_revisions::begun(context, key, after, &contract, topic, platform_name);
            let last = contract_revisions::last(context, key, status.contract.as_ref());
            let written = begun.is_some();
            let mut next = begun.unwrap_or_else(|| Revision {
                version: last.saturating_add(1),
                contract,
                topic: topic.to_owned(),
                platform: stream.spec.platform.clone(),
                kept: kept.clone(),
                schema_ids: Vec::new(),
                compatibility: Some(spec_mode),
                used,
            });
            if let Some(before) = before.as_ref().filter(|_| !written) {
                next.used = before.used_with(compatibility::permission(
                    stream,
                    key,
                    before,
                    &next.contract,
                ));
            }
            // Registered first: a contract in force has its id.
            let answer =
                registry::register(stream, &next, before.as_ref(), &platform.platform, context);
            match (answer.await, before) {
                (Ok(registration), _) => {
                    if !written {
                        next.schema_ids.extend(registration.iter().map(|r| r.id));
                        contract_revisions::accept(context, key, &next).await?;
                    }
                    fresh = registration;
                    next
                }
                (Err(error), Some(accepted)) => {
                    unregistered = Some(error);
                    accepted
                }
                (Err(error), None) => return Err(error),
            }
        }
    };
    let defaults = platform.platform.spec.defaults.clone().unwrap_or_default();
    status.kept_config = kept;
    let outcome = if let Some(at) = by_strimzi {
        let work = strimzi::Work {
            stream,
            key,
            topic,
            at,
            defaults: &defaults,
        };
        strimzi::ensure(&work, admin, kafka_topic, claim, status, context).await?
    } else {
        topic::ensure(admin, stream, topic, claim, &defaults, status, context).await?;
        strimzi::Outcome::default()
    };
    topic::ensure_dead_letter(admin, stream, &dead_letters, dead_letter_claim, status).await?;
    let settled = refused.is_none() && unregistered.is_none();
    status.contract = Some(AcceptedContract {
        compatibility: Some(compatibility::in_force(settled, spec_mode, promised)),
        ..force.reference(&key.name)
    });
    label_propagation::settle(context, key, &force.contract, status);
    let note = registry::settle(
        stream,
        key,
        &force,
        fresh,
        &platform.platform,
        status,
        context,
    )
    .await?;
    contract_revisions::sweep(context, key, false).await?;
    if adopting {
        context
            .events
            .normal(
                &stream.object_ref(&()),
                "TopicAdopted",
                &format!("topic {topic} was taken over with its settings"),
            )
            .await;
    }
    if let Some(message) = refused {
        return Err(Error::stalled("IncompatibleContract", message));
    }
    if let Some(error) = outcome.pending {
        return Err(error);
    }
    if let Some(error) = unregistered {
        return Err(error);
    }
    let (reason, mut message) = (
        outcome
            .resting
            .as_ref()
            .map_or("TopicReady", |(reason, _)| *reason),
        format!(
            "topic {topic} is as the spec says, contract {} is in force",
            force.version
        ),
    );
    if let Some((_, resting)) = &outcome.resting {
        message = format!("{message}. {resting}");
    }
    let mut recheck = spread(context.settings.recheck, key);
    if let Some(note) = note {
        message = format!("{message}; {note}");
        recheck = recheck.min(registry_pool::RECHECK);
    }
    let drift = outcome.drift.map(|message| ExtraCondition {
        type_: "Drifted",
        reason: "SettingsOfOthers".into(),
        message,
    });
    Ok(ReconcileOutcome::ready(reason, message)
        .and(drift)
        .recheck(recheck))
}

/// What else wakes a stream whose topic Strimzi makes: any KafkaTopic for it, and Strimzi's coming and going.
fn strimzi_references(stream: &DataStream, topic: &str, context: &Context) -> Vec<Key> {
    context
        .stores
        .platform(&stream.spec.platform)
        .and_then(|p| p.spec.kafka.management.strimzi)
        .map(|at| {
            vec![
                crate::strimzi::topic_reference(&at.namespace, topic),
                crate::strimzi::kind_reference("KafkaTopic"),
            ]
        })
        .unwrap_or_default()
}

/// Looks are spread by name over half the interval, so that a thousand streams don't ask Kafka at once.
fn spread(interval: Duration, key: &Key) -> Duration {
    let digest = crate::names::digest(key.to_string().as_bytes());
    let share = u32::from_str_radix(&digest[..4], 16).unwrap_or(0);
    interval + interval.mul_f64(f64::from(share) / 131_072.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_topic_operator_says_of_a_setting_is_no_outage() {
        assert!(is_outage(&Error::transient("KafkaError", "")));
        assert!(is_outage(&Error::waiting("KafkaUnavailable", "")));
        // As `strimzi::verdict` hands on what stands in a KafkaTopic's condition.
        assert!(!is_outage(&Error::waiting("KafkaError", "")));
        assert!(!is_outage(&Error::stalled("NotAuthorized", "")));
    }
}
