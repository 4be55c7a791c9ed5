//! KafkaUsers: what they are built from, and how they are written, watched and deleted.
//!
//! A KafkaUser's name is the Kafka user's name. Its password is read from a Secret **of the Kafka's namespace**, which
//! whoever applies the KafkaUser has put there first. A change of a KafkaUser wakes the owner that its labels name. That a
//! KafkaUser is gone proves nothing about access: revoke the ACLs, and see by DescribeAcls that they are.

use std::sync::Arc;

use kube::api::{ApiResource, DynamicObject};
use serde_json::{Value, json};

use super::{
    State, Strimzi,
    objects::{self, labels},
    observed::{Observed, observed},
};
use crate::{names::Key, retry::Error};

/// A KafkaUser as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Name of the object and of the Kafka user: a valid object name.
    pub name: String,
    /// The Kafka's namespace.
    pub namespace: String,
    /// Name of the Strimzi Kafka object.
    pub cluster: String,
    /// Name of a Secret in `namespace` with the password.
    pub password_secret: String,
    /// Key of the password in that Secret.
    pub password_key: String,
    /// What the user may do. Empty: nothing.
    pub acls: Vec<Acl>,
    /// What the user may use of each broker.
    pub quotas: Quotas,
}

/// One rule: operations on a resource, from any host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Acl {
    /// `topic`, `group`, `cluster` or `transactionalId`.
    pub resource: ResourceType,
    /// Name or prefix of the resource; empty for `Cluster`.
    pub name: String,
    /// True: `name` is a prefix.
    pub prefix: bool,
    /// Kafka's words: Read, Write, Create, Delete, Alter, Describe, ClusterAction, AlterConfigs, DescribeConfigs,
    /// IdempotentWrite, All.
    pub operations: Vec<&'static str>,
}

/// What a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ResourceType {
    /// A topic.
    Topic,
    /// A consumer group.
    Group,
    /// The cluster.
    Cluster,
    /// A transactional id.
    TransactionalId,
}

/// Quotas a broker; absent: none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quotas {
    /// Bytes a second written.
    pub producer_byte_rate: Option<i64>,
    /// Bytes a second read.
    pub consumer_byte_rate: Option<i64>,
    /// Per cent of request threads.
    pub request_percentage: Option<i32>,
}

/// The KafkaUser, purely.
pub fn build(user: &User, owner: &Key, resource: &ApiResource) -> DynamicObject {
    let mut acls = user.acls.clone();
    acls.sort();
    let mut spec = json!({
        "authentication": {
            "type": "scram-sha-512",
            "password": {"valueFrom": {"secretKeyRef": {"name": user.password_secret, "key": user.password_key}}},
        },
        "authorization": {"type": "simple", "acls": acls.iter().map(acl).collect::<Vec<_>>()},
    });
    let mut quotas = serde_json::Map::new();
    let given = [
        ("producerByteRate", user.quotas.producer_byte_rate),
        ("consumerByteRate", user.quotas.consumer_byte_rate),
        (
            "requestPercentage",
            user.quotas.request_percentage.map(i64::from),
        ),
    ];
    for (name, value) in given {
        if let Some(value) = value {
            quotas.insert(name.into(), value.into());
        }
    }
    if !quotas.is_empty() {
        spec["quotas"] = Value::Object(quotas);
    }
    let mut object = DynamicObject::new(&user.name, resource).within(&user.namespace);
    object.metadata.labels = Some(labels(owner, &user.cluster));
    object.data = json!({"spec": spec});
    object
}

fn acl(acl: &Acl) -> Value {
    let (type_, named) = match acl.resource {
        ResourceType::Topic => ("topic", true),
        ResourceType::Group => ("group", true),
        ResourceType::Cluster => ("cluster", false),
        ResourceType::TransactionalId => ("transactionalId", true),
    };
    let mut resource = json!({"type": type_});
    if named {
        resource["name"] = acl.name.clone().into();
        resource["patternType"] = if acl.prefix { "prefix" } else { "literal" }.into();
    }
    let mut operations = acl.operations.clone();
    operations.sort_unstable();
    json!({"type": "allow", "resource": resource, "operations": operations, "host": "*"})
}

/// Makes the KafkaUser so; gives it as it is now.
///
/// # Errors
/// Stalled `OwnedByAnother`, waiting `StrimziNotInstalled` or `ChildTerminating`, or the API server's own.
pub async fn apply(
    strimzi: &Strimzi,
    user: &User,
    owner: &Key,
) -> Result<Arc<DynamicObject>, Error> {
    let resource = strimzi.users.resource().await?;
    let desired = build(user, owner, &resource);
    objects::apply(strimzi, &strimzi.users, &desired, owner, false)
        .await
        .map(|applied| applied.object)
}

/// How a KafkaUser is, as last seen; absent: there is none of this name that is the owner's.
///
/// # Errors
/// Waiting `StrimziNotInstalled`.
pub async fn observe(
    strimzi: &Strimzi,
    namespace: &str,
    name: &str,
    owner: &Key,
) -> Result<Option<Observed>, Error> {
    strimzi.users.resource().await?;
    Ok(strimzi
        .users
        .get(namespace, name)
        .filter(|user| super::ownership::is_user_of(user, owner))
        .map(|user| observed(&user)))
}

/// All KafkaUsers of an owner, in whatever namespace, as last seen. A cluster without the kind has none.
///
/// # Errors
/// Transient `StrimziUnreadable`.
pub async fn seen_of_owner(
    strimzi: &Strimzi,
    owner: &Key,
) -> Result<Vec<Arc<DynamicObject>>, Error> {
    if strimzi.users.looked().await == State::Absent {
        return Ok(Vec::new());
    }
    strimzi.users.resource().await?;
    Ok(strimzi
        .users
        .filter(|user| super::ownership::is_user_of(user, owner)))
}

/// The same as the API server has them now: for a last look.
///
/// # Errors
/// Transient `StrimziUnreadable`, or the API server's own.
pub async fn of_owner(strimzi: &Strimzi, owner: &Key) -> Result<Vec<DynamicObject>, Error> {
    if strimzi.users.looked().await == State::Absent {
        return Ok(Vec::new());
    }
    let resource = strimzi.users.resource().await?;
    let mut all = objects::of_owner(strimzi, &resource, owner).await?;
    // A copy with our labels under another name is somebody else's.
    all.retain(|user| super::ownership::is_user_of(user, owner));
    Ok(all)
}

/// Deletes a KafkaUser that is the owner's. True once it is gone (or was never there, or is somebody else's).
///
/// # Errors
/// Waiting `StrimziNotInstalled`, or the API server's own.
pub async fn delete(
    strimzi: &Strimzi,
    namespace: &str,
    name: &str,
    owner: &Key,
) -> Result<bool, Error> {
    let resource = strimzi.users.resource().await?;
    let place = format!("KafkaUser {namespace}/{name}");
    let api = objects::api(strimzi, &resource, namespace);
    match objects::get(&api, &place, name).await? {
        Some(user) if super::ownership::is_user_of(&user, owner) => {
            objects::delete(strimzi, &strimzi.users, &user).await?;
            Ok(objects::get(&api, &place, name).await?.is_none())
        }
        _ => Ok(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strimzi::KAFKA_USER;

    #[test]
    fn a_user_with_rights_and_quotas() {
        let user = User {
            name: "shop-bi-reads-orders-a".into(),
            namespace: "kafka".into(),
            cluster: "events".into(),
            password_secret: "headworks-shop-bi-reads-orders-a".into(),
            password_key: "password".into(),
            acls: vec![
                Acl {
                    resource: ResourceType::Topic,
                    name: "shop.orders".into(),
                    prefix: false,
                    operations: vec!["Read", "Describe"],
                },
                Acl {
                    resource: ResourceType::Group,
                    name: "bi.bi-app".into(),
                    prefix: true,
                    operations: vec!["Read"],
                },
                Acl {
                    resource: ResourceType::Cluster,
                    name: String::new(),
                    prefix: false,
                    operations: vec!["IdempotentWrite"],
                },
            ],
            quotas: Quotas {
                consumer_byte_rate: Some(1_000_000),
                ..Quotas::default()
            },
        };
        let owner = Key::new("AccessGrant", "shop", "bi-reads-orders");
        let built = build(&user, &owner, &KAFKA_USER.resource("v1"));
        assert_eq!(
            built.metadata.name.as_deref(),
            Some("shop-bi-reads-orders-a")
        );
        assert_eq!(built.metadata.namespace.as_deref(), Some("kafka"));
        let labels = built.metadata.labels.unwrap();
        assert_eq!(labels["strimzi.io/cluster"], "events");
        assert_eq!(labels["headworks.dev/kind"], "AccessGrant");
        assert_eq!(
            built.data,
            json!({"spec": {
                "authentication": {
                    "type": "scram-sha-512",
                    "password": {"valueFrom": {"secretKeyRef": {"name": "headworks-shop-bi-reads-orders-a", "key": "password"}}},
                },
                "authorization": {"type": "simple", "acls": [
                    {"type": "allow", "resource": {"type": "topic", "name": "shop.orders", "patternType": "literal"}, "operations": ["Describe", "Read"], "host": "*"},
                    {"type": "allow", "resource": {"type": "group", "name": "bi.bi-app", "patternType": "prefix"}, "operations": ["Read"], "host": "*"},
                    {"type": "allow", "resource": {"type": "cluster"}, "operations": ["IdempotentWrite"], "host": "*"},
                ]},
                "quotas": {"consumerByteRate": 1_000_000},
            }})
        );
    }
}
