//! Strimzi: KafkaTopic and KafkaUser objects, whose operators make the topics and users.
//!
//! They are found and watched as kinds of other operators are (`crate::foreign`). Objects are built purely (`topics`, `users`), written by
//! server-side apply and only where they carry our labels (`objects`), and what Strimzi's operators say of them is read in `observed`.
//!
//! A KafkaTopic lives in its Kafka's namespace, so it has no owner reference: labels say whose it is, and the owner's
//! finalizer sees to it.

pub mod objects;
pub mod observed;
pub mod ownership;
pub mod release;
pub mod topics;
pub mod users;

use std::sync::Arc;

use kube::{Client, api::DynamicObject};

pub use crate::foreign::{State, Watched};

use crate::{
    foreign::ForeignKind,
    indexes::{Indexes, WatchedFields},
    names::Key,
    owned::labelled,
    reason::ConditionReason,
    scope::Scope,
    supervise::Task,
    telemetry::Metrics,
};

/// Strimzi's API group.
pub const GROUP: &str = "kafka.strimzi.io";
/// The API versions of Strimzi's kinds that hold what we write, the preferred one first.
pub const VERSIONS: [&str; 2] = ["v1", "v1beta2"];

const fn kind(kind: &'static str, plural: &'static str) -> ForeignKind {
    ForeignKind {
        operator: "Strimzi",
        not_installed: ConditionReason::StrimziNotInstalled,
        unreadable: ConditionReason::StrimziUnreadable,
        group: GROUP,
        versions: &VERSIONS,
        kind,
        plural,
        install: "install Strimzi's CRDs, or use management: {admin: {}}",
        permit: "the chart's ClusterRole allows it, or its strimziNamespaces where it has Roles only",
        places: Scope::strimzi,
    }
}

/// KafkaTopics.
pub const KAFKA_TOPIC: ForeignKind = kind("KafkaTopic", "kafkatopics");
/// KafkaUsers.
pub const KAFKA_USER: ForeignKind = kind("KafkaUser", "kafkausers");

/// The label by which Strimzi's operators find what is theirs: the name of the Kafka cluster.
pub const CLUSTER_LABEL: &str = "strimzi.io/cluster";
/// `"false"`: the Topic Operator leaves the topic alone, also when the KafkaTopic is deleted.
pub const MANAGED: &str = "strimzi.io/managed";
/// `"true"`: Strimzi's operators don't act on the object until the annotation is gone.
pub const PAUSED: &str = "strimzi.io/pause-reconciliation";
/// The Topic Operator's finalizer: with it a deletion waits for the Topic Operator.
pub const TOPIC_FINALIZER: &str = "strimzi.io/topic-operator";

/// Strimzi's two kinds that Headworks writes, and what it takes to ask for them and to write them.
pub struct Strimzi {
    client: Client,
    scope: Scope,
    metrics: Arc<Metrics>,
    /// KafkaTopics, all of them: the Topic Operator's queue holds every one of its namespace.
    pub topics: Watched,
    /// KafkaUsers.
    pub users: Watched,
}

/// What a DataStream refers to in order to be woken by any KafkaTopic that is for its topic.
pub fn topic_reference(namespace: &str, topic: &str) -> Key {
    Key::new("KafkaTopic", namespace, topic)
}

/// What a Platform refers to in order to be woken when KafkaTopics of a namespace come or go.
pub fn count_reference(namespace: &str) -> Key {
    Key::new("KafkaTopics", namespace, "")
}

/// The room, and the tasks that must be driven for it. Nothing is asked of the API server before the first
/// [`Watched::want`].
pub fn strimzi(
    client: &Client,
    scope: &Scope,
    indexes: &Arc<Indexes>,
    metrics: &Arc<Metrics>,
) -> (Strimzi, Vec<Task>) {
    let at = (client, scope, indexes, metrics);
    let (topics, topic_task) = Watched::new(at, KAFKA_TOPIC, |_| true, {
        let indexes = indexes.clone();
        move |object, here| topic_changed(object, here, &indexes)
    });
    let ours = |user: &DynamicObject| owner_of_user(user).is_some();
    let (users, user_task) = Watched::new(at, KAFKA_USER, ours, {
        let indexes = indexes.clone();
        move |object, here| user_changed(object, here, &indexes)
    });
    let strimzi = Strimzi {
        client: client.clone(),
        scope: scope.clone(),
        metrics: metrics.clone(),
        topics,
        users,
    };
    (strimzi, vec![topic_task, user_task])
}

/// Wakes the DataStreams that a KafkaTopic is about, and Platforms that count.
fn topic_changed(object: &DynamicObject, here: bool, indexes: &Indexes) {
    let namespace = object.metadata.namespace.clone().unwrap_or_default();
    let name = object.metadata.name.clone().unwrap_or_default();
    let key = Key::new("KafkaTopicObject", &namespace, &name);
    let known = indexes.knows(&key);
    // Who waits for it says so (`topic_reference`): a label that names somebody wakes nobody.
    if changed(&key, object, here, indexes) {
        indexes.enqueue_dependents(&topic_reference(&namespace, observed::topic_name(object)));
    }
    if known != here {
        indexes.enqueue_dependents(&count_reference(&namespace));
    }
}

fn user_changed(object: &DynamicObject, here: bool, indexes: &Indexes) {
    let namespace = object.metadata.namespace.clone().unwrap_or_default();
    let name = object.metadata.name.clone().unwrap_or_default();
    if changed(
        &Key::new("KafkaUserObject", &namespace, &name),
        object,
        here,
        indexes,
    ) && let Some(owner) = owner_of_user(object)
    {
        indexes.enqueue(&owner);
    }
}

/// Whose a KafkaUser is: its labels say so, and its name is the one of that object's users, which nobody else has.
fn owner_of_user(object: &DynamicObject) -> Option<Key> {
    let owner = labelled(object)?;
    ownership::is_user_of(object, &owner).then_some(owner)
}

/// True if what readers look at changed: spec, labels, annotations, deletion, finalizers and Strimzi's conditions. The times in
/// a status move without meaning anything.
fn changed(key: &Key, object: &DynamicObject, here: bool, indexes: &Indexes) -> bool {
    if !here {
        indexes.removed(key);
        return true;
    }
    let meta = &object.metadata;
    indexes.observe(
        key,
        &WatchedFields {
            uid: meta.uid.clone().unwrap_or_default(),
            generation: meta.generation.unwrap_or_default(),
            deleting: meta.deletion_timestamp.is_some(),
            ready: false,
            detail: format!(
                "{:?} {:?} {:?} {:?}",
                meta.labels,
                meta.annotations,
                meta.finalizers,
                observed::seen(object)
            ),
        },
    )
}
