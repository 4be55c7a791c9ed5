//! Users as KafkaUsers: built, found wherever they are, and let go.
//!
//! A KafkaUser lives in its Kafka's namespace, so labels say whose it is. It is found by them in every namespace: a Platform that was
//! Strimzi's before, or had another Kafka's namespace, says no longer where it is; and one that is forgotten brings the user back
//! with all its rights whenever the User Operator looks. Where the cluster has no KafkaUsers at all there is nothing to let go of.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use headworks_crds::ManagedByStrimzi;
use kube::{ResourceExt, api::DynamicObject};

use crate::{
    context::Context,
    kafka::{Acl, Admin, Operation, Pattern, Resource},
    provisioner::{
        in_kafka, secret,
        user::{Owner, User},
    },
    reason::ConditionReason,
    retry::Error,
    strimzi::{CLUSTER_LABEL, State, users},
};

/// Key of the password in the Secret beside a KafkaUser.
pub const PASSWORD: &str = "password";
/// The User Operator gets so long to take a user away whose KafkaUser is gone, and is looked after so often. One that says
/// nothing by then isn't running.
const USER_OPERATOR_TIMEOUT: Duration = Duration::from_secs(10);
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// A KafkaUser that is still being deleted is looked at again after this long.
const RETRY_SOON: Duration = Duration::from_secs(5);

/// Name of the Secret beside a KafkaUser. The User Operator's own is called as the KafkaUser is.
pub fn password_secret(user: &str) -> String {
    format!("{user}.password")
}

/// A namespace and a name.
pub type Place = (String, String);

fn place(object: &DynamicObject) -> Place {
    (object.namespace().unwrap_or_default(), object.name_any())
}

/// The owner's KafkaUsers of this name in other namespaces than the one where the Platform wants it, as last seen.
///
/// # Errors
/// `StrimziUnreadable`.
pub async fn strays(
    context: &Context,
    owner: &Owner<'_>,
    user: &str,
    home: Option<&ManagedByStrimzi>,
) -> Result<Vec<Place>, Error> {
    let seen = users::seen_of_owner(&context.strimzi, owner.key).await?;
    Ok(beside(&seen, user, home))
}

fn beside(seen: &[Arc<DynamicObject>], user: &str, home: Option<&ManagedByStrimzi>) -> Vec<Place> {
    let at_home = |namespace: &str| home.is_some_and(|home| home.namespace == namespace);
    seen.iter()
        .map(|object| place(object))
        .filter(|(namespace, name)| name == user && !at_home(namespace))
        .collect()
}

/// The password that stands beside one of these KafkaUsers.
///
/// # Errors
/// `SecretForbidden`; what the API server says.
pub async fn password(
    context: &Context,
    owner: &Owner<'_>,
    places: &[Place],
) -> Result<Option<String>, Error> {
    for (namespace, user) in places {
        let live = secret::get(context, namespace, &password_secret(user), owner.chart).await?;
        // A foreign one says nothing of ours.
        let ours = secret::owned(live, owner.key).ok().flatten();
        if let Some(password) = ours.and_then(|live| secret::text(&live, PASSWORD)) {
            return Ok(Some(password));
        }
    }
    Ok(None)
}

/// Deletes these KafkaUsers, those of them that are the owner's.
///
/// # Errors
/// `ChildTerminating` while one of them is still there; what the API server says.
pub async fn delete_users(
    context: &Context,
    owner: &Owner<'_>,
    places: &[Place],
) -> Result<(), Error> {
    if context.strimzi.users.looked().await == State::Absent {
        return Ok(());
    }
    let mut left = None;
    for (namespace, name) in places {
        if !users::delete(&context.strimzi, namespace, name, owner.key).await? {
            left.get_or_insert_with(|| format!("{namespace}/{name}"));
        }
    }
    left.map_or(Ok(()), |place| {
        Err(Error::waiting(
            ConditionReason::ChildTerminating,
            format!("KafkaUser {place} is still being deleted"),
        )
        .after(RETRY_SOON))
    })
}

/// Deletes KafkaUsers of a user that is wanted on, and comes back when their User Operator has done what it does then: it takes the
/// user, with its rights, away. Whoever calls makes it again.
///
/// # Errors
/// As [`delete_users`]; what Kafka says, by `said`.
pub async fn migrate_away(
    context: &Context,
    owner: &Owner<'_>,
    user: &str,
    places: &[Place],
    admin: &Admin,
    said: &(dyn Fn(crate::kafka::KafkaError) -> Error + Sync),
) -> Result<(), Error> {
    if places.is_empty() {
        return Ok(());
    }
    delete_users(context, owner, places).await?;
    let until = tokio::time::Instant::now() + USER_OPERATOR_TIMEOUT;
    while tokio::time::Instant::now() < until {
        if in_kafka::users::gone(admin, user).await.map_err(said)? {
            return Ok(());
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    tracing::warn!(user, "the User Operator says nothing: it isn't running");
    Ok(())
}

/// Deletes the Secrets beside KafkaUsers that are gone. One that can't be deleted holds nothing up: an Event names it.
///
/// # Errors
/// What passes by itself.
pub async fn forget_passwords(
    context: &Context,
    owner: &Owner<'_>,
    places: &[Place],
) -> Result<(), Error> {
    for (namespace, user) in places {
        let name = password_secret(user);
        let forgotten = match secret::get(context, namespace, &name, owner.chart).await {
            Ok(live) => match secret::owned(live, owner.key) {
                Ok(Some(live)) => secret::delete(context, &live, owner.chart).await,
                Ok(None) | Err(_) => Ok(()),
            },
            Err(error) => Err(error),
        };
        if let Err(error) = forgotten {
            owner.secret_left(context, error).await?;
        }
    }
    Ok(())
}

/// Deletes all KafkaUsers of an owner, in whatever namespace, and the Secrets beside them. It needs the API server alone.
///
/// # Errors
/// As [`delete_users`].
pub async fn delete_all(context: &Context, owner: &Owner<'_>) -> Result<(), Error> {
    let all: Vec<Place> = users::of_owner(&context.strimzi, owner.key)
        .await?
        .iter()
        .map(place)
        .collect();
    delete_users(context, owner, &all).await?;
    forget_passwords(context, owner, &all).await
}

/// Takes from the KafkaUsers of a user, wherever they are, what `user` doesn't have, so that none of it is brought back.
///
/// # Errors
/// As [`users::apply`].
pub async fn narrow(context: &Context, owner: &Owner<'_>, user: &User) -> Result<(), Error> {
    for object in users::seen_of_owner(&context.strimzi, owner.key).await? {
        let (namespace, name) = place(&object);
        if name != user.name {
            continue;
        }
        let cluster = object.labels().get(CLUSTER_LABEL).cloned();
        let strimzi = ManagedByStrimzi {
            cluster: cluster.unwrap_or_default(),
            namespace,
        };
        users::apply(&context.strimzi, &build(&strimzi, user), owner.key).await?;
    }
    Ok(())
}

/// A user as a KafkaUser of this cluster: a rule for each resource, with all its operations.
pub fn build(strimzi: &ManagedByStrimzi, user: &User) -> users::User {
    let mut rules: BTreeMap<(Resource, &str, Pattern), Vec<&'static str>> = BTreeMap::new();
    for Acl {
        resource,
        name,
        pattern,
        operation,
    } in &user.acls
    {
        rules
            .entry((*resource, name.as_str(), *pattern))
            .or_default()
            .push(match operation {
                Operation::Read => "Read",
                Operation::Write => "Write",
                Operation::Describe => "Describe",
                Operation::DescribeConfigs => "DescribeConfigs",
                Operation::Delete => "Delete",
            });
    }
    let quota = user.quota.unwrap_or_default();
    let whole = |value: Option<f64>| value.map(|v| v as i64);
    users::User {
        name: user.name.clone(),
        namespace: strimzi.namespace.clone(),
        cluster: strimzi.cluster.clone(),
        password_secret: password_secret(&user.name),
        password_key: PASSWORD.to_owned(),
        acls: rules
            .into_iter()
            .map(|((resource, name, pattern), operations)| users::Acl {
                resource: match resource {
                    Resource::Topic => users::ResourceType::Topic,
                    Resource::Group => users::ResourceType::Group,
                    Resource::TransactionalId => users::ResourceType::TransactionalId,
                },
                name: name.to_owned(),
                prefix: pattern == Pattern::Prefixed,
                operations,
            })
            .collect(),
        quotas: users::Quotas {
            producer_byte_rate: whole(quota.producer_bytes),
            consumer_byte_rate: whole(quota.consumer_bytes),
            request_percentage: quota.request_percentage.map(|v| v as i32),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{kafka::Quota, names::Key};

    #[test]
    fn kafka_users_of_a_user_are_found_wherever_they_are_but_where_they_are_wanted() {
        let user = |namespace: &str, name: &str| -> Arc<DynamicObject> {
            let labels = Key::new("AccessGrant", "shop", "report").labels();
            Arc::new(
                serde_json::from_value(
                    serde_json::json!({"apiVersion": "kafka.strimzi.io/v1", "kind": "KafkaUser",
                    "metadata": {"name": name, "namespace": namespace, "labels": labels}}),
                )
                .unwrap(),
            )
        };
        let seen = [user("kafka", "u-a"), user("old", "u-a"), user("old", "u-b")];
        let home = ManagedByStrimzi {
            cluster: "events".into(),
            namespace: "kafka".into(),
        };
        let at = |namespace: &str| (namespace.to_owned(), "u-a".to_owned());
        assert_eq!(beside(&seen, "u-a", Some(&home)), [at("old")]);
        // By the Admin API it is wanted nowhere.
        assert_eq!(beside(&seen, "u-a", None), [at("kafka"), at("old")]);
    }

    #[test]
    fn a_kafka_user_has_one_rule_for_a_resource_with_all_its_operations() {
        let user = User {
            name: "headworks.prod.grant.shop.report-a".into(),
            acls: [
                Acl::literal(Resource::Topic, "shop.orders", Operation::Read),
                Acl::literal(Resource::Topic, "shop.orders", Operation::Describe),
                Acl::prefixed(Resource::Group, "bi.report", Operation::Read),
            ]
            .into(),
            quota: Some(Quota {
                consumer_bytes: Some(1_048_576.0),
                ..Quota::default()
            }),
        };
        let strimzi = ManagedByStrimzi {
            cluster: "events".into(),
            namespace: "kafka".into(),
        };
        let made = build(&strimzi, &user);
        assert_eq!(made.acls.len(), 2);
        assert_eq!(made.acls[0].operations, ["Read", "Describe"]);
        assert!(made.acls[1].prefix && made.acls[1].name == "bi.report");
        assert_eq!(made.quotas.consumer_byte_rate, Some(1_048_576));
        assert_eq!(
            made.password_secret,
            "headworks.prod.grant.shop.report-a.password"
        );
    }
}
