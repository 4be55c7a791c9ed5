//! The users that Pipelines and Sources run under, where the Platform says `workloadAuthentication: {generated: {}}`.
//!
//! Each has the rights its plan needs and no other. They come about before the pods that need them, and a roll-out takes none away
//! before its last pod runs by the new plan. Kafka is asked only when something of it changed or a while has passed: an outage of
//! Kafka is no news for a Pipeline whose user is as it should be.

use std::{collections::BTreeSet, time::Duration};

use headworks_crds::{Kafka, Platform};
use headworks_plan::{OnBadRecord, OnInvalid, PipelinePlan, Plan, Role, SourcePlan, Stream};
use k8s_openapi::{
    api::core::v1::{ObjectReference, Secret},
    apimachinery::pkg::apis::meta::v1::OwnerReference,
    jiff::Timestamp,
};
use kube::{Resource, ResourceExt};

use super::{User, kafka_users, keeper, secret, user_name};
use crate::{
    apply::child_meta,
    context::Context,
    controller::{self, Subject},
    kafka::{Acl, Operation, Resource as About},
    names::{Key, digest},
    platform::facts::Usable,
    retry::Error,
    stores,
    verified::Recalled,
    workload::{
        MAX_MEMBERS,
        connection::{generated, user_secret_name},
    },
};

pub use crate::verified::MEMORY;

/// The chart's value that lists the pods' namespaces.
pub(super) const CHART: &str = "workloadNamespaces";
/// Pods get so long to end before their rights go.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn user(installation: &str, key: &Key) -> String {
    user_name(
        installation,
        &key.kind.to_lowercase(),
        &key.namespace,
        &key.name,
    )
}

/// Makes the user and its Secret, if the Platform wants one. `pods`: how many there are to be, or still are. `settled`: all of
/// them run by this plan, so rights that it doesn't need can go.
///
/// # Errors
/// `UserOperatorPresent`, `SecretForbidden`, `OwnedByAnother`; what Kafka and the API server say.
pub async fn ensure<K: Subject>(
    object: &K,
    platform: &Usable,
    plan: &Plan,
    reference: &OwnerReference,
    pods: i32,
    settled: bool,
    context: &Context,
) -> Result<(), Error> {
    if !generated(&platform.platform.spec.kafka) {
        return Ok(());
    }
    let key = Key::of(object);
    let about = about(object);
    let owner = keeper::Owner {
        key: &key,
        about: &about,
        chart: CHART,
    };
    // What is made now must not outlive the object.
    controller::hold(object, context).await?;
    let user = User {
        name: user(&platform.installation, &key),
        acls: rights(plan, pods),
        quota: None,
    };
    let live = secret::get(context, &key.namespace, &user_secret_name(&key), CHART).await?;
    let live = secret::child(live, &key, &reference.uid)?;
    let version = live
        .as_ref()
        .and_then(|l| l.metadata.resource_version.clone());
    let known = live
        .as_ref()
        .filter(|live| secret::text(live, "username").as_ref() == Some(&user.name))
        .and_then(|live| secret::text(live, "password"));
    let kafka = &platform.platform.spec.kafka;
    let Recalled { prune, seen } = context
        .verified_users
        .recall(&user.name, settled, |exactly| {
            state(&user, version.as_deref(), exactly, kafka)
        });
    if known.is_some() && seen == Some(true) {
        return Ok(());
    }
    let password = match &known {
        Some(password) => password.clone(),
        None => keeper::begun(context, platform, &owner, &user.name)
            .await?
            .unwrap_or_else(super::password),
    };
    let tried = known.is_some()
        && context
            .verified_passwords
            .knows(&user.name, version.as_deref());
    let wanted = keeper::Wanted {
        user: &user,
        password: &password,
        tried,
        prune,
    };
    if seen.is_none() {
        context.verified_users.doubt(&user.name);
    }
    match keeper::ensure(context, platform, &owner, &wanted).await {
        Ok(()) => {}
        // It was so when Kafka was last asked.
        Err(Error::Waiting { .. } | Error::Transient { .. })
            if known.is_some() && seen.is_some() =>
        {
            return Ok(());
        }
        Err(error) => return Err(error),
    }
    let desired = Secret {
        metadata: child_meta(user_secret_name(&key), &key, reference.clone()),
        type_: Some("Opaque".into()),
        data: Some(secret::data([
            ("username".to_owned(), user.name.clone()),
            ("password".to_owned(), password),
        ])),
        ..Secret::default()
    };
    let written = secret::put(context, &desired, live, CHART).await?;
    let version = written.metadata.resource_version;
    context
        .verified_passwords
        .note(&user.name, version.as_deref());
    let state = state(&user, version.as_deref(), prune, kafka);
    context.verified_users.set(&user.name, Some(state));
    Ok(())
}

/// All that must be as it was for Kafka not to be asked. Which Kafka it is, who makes users, and where, belongs to it.
fn state(user: &User, version: Option<&str>, exactly: bool, kafka: &Kafka) -> String {
    let (acls, servers, management) = (&user.acls, &kafka.bootstrap_servers, &kafka.management);
    digest(format!("{acls:?} {version:?} {exactly} {servers} {management:?}").as_bytes())
}

/// Takes the user away with its object: the pods first, then all it may do, then itself. It never hangs on a Platform that is gone:
/// then its KafkaUsers go, for which the API server is enough, and an Event says what may be left in Kafka.
///
/// # Errors
/// `PodsEnding`; what Kafka says. The Secret goes with the object.
pub async fn withdraw(
    key: &Key,
    deleted: Option<Timestamp>,
    about: &ObjectReference,
    platform: Option<&Platform>,
    context: &Context,
) -> Result<(), Error> {
    let owner = keeper::Owner {
        key,
        about,
        chart: CHART,
    };
    let Some(platform) = platform else {
        kafka_users::dismiss_all(context, &owner).await?;
        let note = format!(
            "the Platform is gone; if its Kafka isn't and {key} had a user of its own, delete that and its ACLs by hand"
        );
        context.events.warning(about, "UsersLeft", &note).await;
        return Ok(());
    };
    let installation = platform
        .status
        .as_ref()
        .and_then(|s| s.installation.clone());
    let Some(installation) = installation else {
        return Ok(());
    };
    let uid = about.uid.as_deref().unwrap_or_default();
    for live in stores::children(&context.stores.stateful_sets, key, uid) {
        context.remove(live.as_ref()).await?;
    }
    for live in stores::children(&context.stores.deployments, key, uid) {
        context.remove(live.as_ref()).await?;
    }
    let waited = deleted
        .is_some_and(|since| Timestamp::now().duration_since(since).unsigned_abs() > PATIENCE);
    if !waited && !context.stores.pods_left(key, uid).is_empty() {
        return Err(Error::waiting("PodsEnding", "the pods end first"));
    }
    let user = user(&installation, key);
    context.verified_passwords.note(&user, None);
    context.verified_users.set(&user, None);
    keeper::revoke(context, platform, &owner, &user).await
}

/// What a plan's pods, of which there are so many, do in Kafka.
pub fn rights(plan: &Plan, pods: i32) -> BTreeSet<Acl> {
    let mut all = Rights::of(pods);
    match &plan.role {
        Role::Pipeline(pipeline) => all.pipeline(pipeline),
        Role::Source(source) => all.source(source),
        Role::Store(_) => {}
    }
    all.acls
}

struct Rights {
    acls: BTreeSet<Acl>,
    pods: i32,
}

impl Rights {
    /// However many are said to be, there are rights for as many as there can be.
    fn of(pods: i32) -> Self {
        Self {
            acls: BTreeSet::new(),
            pods: pods.clamp(0, MAX_MEMBERS),
        }
    }

    fn topic(&mut self, topic: &str, operations: &[Operation]) {
        for operation in operations.iter().chain(&[Operation::Describe]) {
            self.acls
                .insert(Acl::literal(About::Topic, topic, *operation));
        }
    }

    fn writes(&mut self, stream: &Stream) {
        self.topic(&stream.topic, &[Operation::Write]);
    }

    /// A consumer group, and the transactional ids of its members, `<group>-<number>`: each by itself, because what begins
    /// with the group of Pipeline `p` and a hyphen may be that of Pipeline `p-2`.
    fn group(&mut self, group: &str) {
        for operation in [Operation::Read, Operation::Describe] {
            self.acls
                .insert(Acl::literal(About::Group, group, operation));
        }
        for member in (0..self.pods).map(|number| format!("{group}-{number}")) {
            for operation in [Operation::Write, Operation::Describe] {
                self.acls
                    .insert(Acl::literal(About::TransactionalId, &member, operation));
            }
        }
    }

    fn pipeline(&mut self, plan: &PipelinePlan) {
        for input in &plan.inputs {
            self.topic(&input.topic, &[Operation::Read]);
            if plan.on_bad_record == OnBadRecord::DeadLetter {
                self.topic(&input.dead_letter_topic, &[Operation::Write]);
            }
        }
        for output in &plan.outputs {
            self.writes(output);
        }
        self.group(&plan.group);
        for table in &plan.tables {
            self.group(&table.group);
        }
        let Some(keyed) = &plan.keyed else { return };
        let both = [Operation::Read, Operation::Write];
        // What both parts are done with is deleted (DeleteRecords).
        let and_trim = [Operation::Read, Operation::Write, Operation::Delete];
        self.topic(&keyed.repartition.topic, &and_trim);
        self.topic(&keyed.changelog.topic, &both);
        self.group(&keyed.group);
        if let Some(results) = &keyed.results {
            self.topic(&results.topic, &both);
            self.topic(&results.dead_letter_topic, &[Operation::Write]);
        }
    }

    fn source(&mut self, plan: &SourcePlan) {
        self.writes(&plan.into);
        if plan.on_invalid == OnInvalid::DeadLetter {
            self.topic(&plan.into.dead_letter_topic, &[Operation::Write]);
        }
        // Records that are made up are counted under a group, whose name is the transactional id, too. The count stands as
        // the group's place in the stream's topic, and Kafka takes a place only from who may read the topic.
        if let Some(generate) = &plan.generate {
            self.topic(&plan.into.topic, &[Operation::Read]);
            for operation in [Operation::Read, Operation::Describe] {
                self.acls
                    .insert(Acl::literal(About::Group, &generate.group, operation));
            }
            for operation in [Operation::Write, Operation::Describe] {
                self.acls.insert(Acl::literal(
                    About::TransactionalId,
                    &generate.group,
                    operation,
                ));
            }
        }
    }
}

/// The object's own reference, for Events.
pub fn about<K: Resource<DynamicType = ()>>(object: &K) -> ObjectReference {
    object.object_ref(&())
}

/// Since when an object is being deleted.
pub fn deleted<K: ResourceExt>(object: &K) -> Option<Timestamp> {
    object.meta().deletion_timestamp.as_ref().map(|t| t.0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{kafka::Pattern, verified::VerifiedUsers};

    fn stream(name: &str) -> serde_json::Value {
        json!({"name": name, "topic": format!("shop.{name}"), "deadLetterTopic": format!("shop.{name}.dlq"),
            "contract": {"fields": [], "format": "Json"}, "maxMessageBytes": 1})
    }

    fn shown(acls: &BTreeSet<Acl>) -> Vec<String> {
        let mut all: Vec<String> = acls
            .iter()
            .map(|a| {
                format!(
                    "{:?} {:?} {} {:?}",
                    a.resource, a.pattern, a.name, a.operation
                )
            })
            .collect();
        all.sort();
        all
    }

    #[test]
    fn a_pipeline_with_state_and_a_table_may_do_what_its_parts_do() {
        let plan: PipelinePlan = serde_json::from_value(
            json!({"sql": "", "inputs": [stream("a")], "outputs": [stream("b")],
            "tables": [], "delivery": "ExactlyOnce", "commitIntervalMs": 1, "startFrom": "earliest",
            "onBadRecord": "DeadLetter", "group": "headworks.i.shop.p.01234567"}),
        )
        .unwrap();
        let mut rights = Rights::of(2);
        rights.pipeline(&plan);
        insta::assert_yaml_snapshot!("pipeline_rights", shown(&rights.acls));
        let mut strict = plan.clone();
        strict.on_bad_record = OnBadRecord::Stop;
        let mut rights = Rights::of(2);
        rights.pipeline(&strict);
        assert!(!rights.acls.iter().any(|a| a.name == "shop.a.dlq"));
    }

    #[test]
    fn no_pipeline_may_fence_another_whose_name_begins_with_its_own() {
        let of = |group: &str| {
            let mut rights = Rights::of(3);
            rights.group(group);
            rights.acls
        };
        let (one, other) = (of("headworks.i.shop.p"), of("headworks.i.shop.p-2"));
        assert!(one.is_disjoint(&other));
        let literal = |acl: &Acl| acl.pattern == Pattern::Literal;
        assert!(one.iter().chain(&other).all(literal));
        let last = Acl::literal(
            About::TransactionalId,
            "headworks.i.shop.p-2",
            Operation::Write,
        );
        assert!(one.contains(&last), "its third pod's");
    }

    #[test]
    fn rights_are_bounded_whatever_the_number_of_pods_is_said_to_be() {
        let of = |pods: i32| {
            let mut rights = Rights::of(pods);
            rights.group("g");
            rights.acls.len()
        };
        assert_eq!(of(i32::MAX), 2 + 2 * 256);
        assert_eq!(of(i32::MIN), 2);
    }

    #[test]
    fn a_source_writes_its_stream_and_reads_nothing() {
        let plan: SourcePlan = serde_json::from_value(
            json!({"into": stream("orders"), "onInvalid": "Reject", "unknownFields": "Ignore"}),
        )
        .unwrap();
        let mut rights = Rights::of(2);
        rights.source(&plan);
        assert_eq!(
            shown(&rights.acls),
            [
                "Topic Literal shop.orders Describe",
                "Topic Literal shop.orders Write"
            ]
        );
    }

    #[test]
    fn kafka_is_asked_again_when_anything_changed() {
        let settled = VerifiedUsers::default();
        let user = |topic: &str| User {
            name: "u".into(),
            acls: [Acl::literal(About::Topic, topic, Operation::Read)].into(),
            quota: None,
        };
        let at = |servers: &str, management: serde_json::Value| -> Kafka {
            serde_json::from_value(json!({"bootstrapServers": servers, "management": management}))
                .unwrap()
        };
        let by = |management| at("k:9092", management);
        let admin = by(json!({"admin": {}}));
        settled.set("u", Some(state(&user("a"), Some("1"), true, &admin)));
        let get = |topic, version, done| {
            settled.get("u", &state(&user(topic), Some(version), done, &admin))
        };
        assert_eq!(get("a", "1", true), Some(true));
        assert_eq!(
            (
                get("b", "1", true),
                get("a", "2", true),
                get("a", "1", false)
            ),
            (None, None, None)
        );
        let moved = at("other:9092", json!({"admin": {}}));
        let there = state(&user("a"), Some("1"), true, &moved);
        assert_eq!(settled.get("u", &there), None, "another Kafka");
        // Somebody else makes the users now, or elsewhere.
        for management in [
            json!({"strimzi": {"cluster": "events", "namespace": "kafka"}}),
            json!({"strimzi": {"cluster": "events", "namespace": "other"}}),
        ] {
            let by = by(management);
            let state = |by: &Kafka| state(&user("a"), Some("1"), true, by);
            assert_eq!(settled.get("u", &state(&by)), None);
            settled.set("u", Some(state(&by)));
            assert_eq!(settled.get("u", &state(&by)), Some(true));
        }
        settled.set("u", None);
        assert_eq!(get("a", "1", true), None);
    }
}
