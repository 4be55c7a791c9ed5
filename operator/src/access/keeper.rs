//! Users in the way that the Platform's Kafka is managed: by the Admin API, or as KafkaUsers that Strimzi's User Operator makes true.
//!
//! With Strimzi the password stands in a second Secret beside the KafkaUser, because the User Operator reads it there. Whether the
//! user is as it should be is asked of Kafka all the same; and rights are taken away by the Admin API, so that nothing waits for a
//! User Operator that is away. The KafkaUser goes first, or it would bring them back.

use std::{collections::BTreeMap, time::Duration};

use headworks_crds::{ManagedByStrimzi, Platform};
use k8s_openapi::{api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{ResourceExt, api::DynamicObject};

use super::{User, admin, secret, user_operator};
use crate::{
    context::Context,
    kafka::{Acl, KafkaError, Operation, Pattern, Resource},
    kafka_pool::{blame, translate},
    names::Key,
    platform::facts::Usable,
    retry::Error,
    strimzi::{
        observed::{Observed, observed},
        ownership, users,
    },
};

/// Key of the password in the Secret beside a KafkaUser.
const PASSWORD: &str = "password";
/// A KafkaUser that isn't true yet is looked at again after this long; its watch tells sooner.
const SOON: Duration = Duration::from_secs(5);

/// A user that is wanted.
pub struct Wanted<'a> {
    /// The user.
    pub user: &'a User,
    /// Its password.
    pub password: &'a str,
    /// True: the password is known to be the right one.
    pub tried: bool,
    /// True: rights beyond the wanted ones go.
    pub prune: bool,
    /// The chart's value that lists namespaces where Secrets may be written.
    pub chart: &'static str,
}

fn strimzi(platform: &Platform) -> Option<&ManagedByStrimzi> {
    platform.spec.kafka.management.strimzi.as_ref()
}

/// Name of the Secret beside a KafkaUser. The User Operator's own is called as the KafkaUser is.
fn password_secret(user: &str) -> String {
    format!("{user}.password")
}

/// The password that an interrupted attempt has given a user that nobody was told of yet.
///
/// # Errors
/// `SecretForbidden`, `OwnedByAnother`; what the API server says.
pub async fn begun(
    context: &Context,
    platform: &Usable,
    owner: &Key,
    user: &str,
    chart: &'static str,
) -> Result<Option<String>, Error> {
    let Some(strimzi) = strimzi(&platform.platform) else {
        return Ok(None);
    };
    let live = secret::get(context, &strimzi.namespace, &password_secret(user), chart).await?;
    Ok(secret::owned(live, owner)?.and_then(|live| secret::text(&live, PASSWORD)))
}

/// Makes a user so, and comes back when Kafka lets it in.
///
/// # Errors
/// `UserOperatorPresent`; `UserNotReady` and the User Operator's own reasons; what Kafka says.
pub async fn ensure(
    context: &Context,
    platform: &Usable,
    owner: &Key,
    wanted: &Wanted<'_>,
) -> Result<(), Error> {
    let connected = context.kafka.get(context, &platform.platform).await?;
    let said = |e: KafkaError| said(&e, owner, &platform.platform);
    let Some(strimzi) = strimzi(&platform.platform) else {
        user_operator::absent(context, &platform.platform, &connected.admin).await?;
        let Wanted {
            user,
            password,
            tried,
            prune,
            ..
        } = wanted;
        admin::ensure(&connected.admin, user, password, *tried, *prune)
            .await
            .map_err(said)?;
        // Of a Platform that was Strimzi's before.
        return dismiss_kafka_users(context, owner, wanted.chart).await;
    };
    let mut user = wanted.user.clone();
    if !wanted.prune {
        user.acls
            .extend(connected.admin.acls(&user.name).await.map_err(said)?.acls);
    }
    let name = password_secret(&user.name);
    let live = secret::get(context, &strimzi.namespace, &name, wanted.chart).await?;
    let live = secret::owned(live, owner)?;
    let desired = Secret {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: Some(strimzi.namespace.clone()),
            labels: Some(owner.labels()),
            ..ObjectMeta::default()
        },
        type_: Some("Opaque".into()),
        data: Some(secret::data([(
            PASSWORD.to_owned(),
            wanted.password.to_owned(),
        )])),
        ..Secret::default()
    };
    secret::put(context, &desired, live, wanted.chart).await?;
    apply(context, strimzi, owner, &user).await?;
    let held = connected.admin.acls(&user.name).await.map_err(said)?;
    if wanted.tried && held.acls.is_superset(&user.acls) {
        return Ok(());
    }
    admin::confirm(&connected.admin, &user, wanted.password)
        .await
        .map_err(said)
}

/// Gives a user whose password isn't known any more exactly these rights.
///
/// # Errors
/// As [`ensure`].
pub async fn set_rights(
    context: &Context,
    platform: &Usable,
    owner: &Key,
    user: &User,
) -> Result<(), Error> {
    if let Some(strimzi) = strimzi(&platform.platform) {
        return apply(context, strimzi, owner, user).await;
    }
    let connected = context.kafka.get(context, &platform.platform).await?;
    admin::set_rights(&connected.admin, user)
        .await
        .map_err(|e| said(&e, owner, &platform.platform))
}

/// Takes a user away: its KafkaUser, then all it may do, then itself. `chart` as in [`Wanted`].
///
/// # Errors
/// What Kafka and the API server say.
pub async fn revoke(
    context: &Context,
    platform: &Platform,
    owner: &Key,
    user: &str,
    chart: &'static str,
) -> Result<(), Error> {
    let connected = context.kafka.get(context, platform).await?;
    let gone = match strimzi(platform) {
        Some(strimzi) => users::delete(context, &strimzi.namespace, user, owner).await,
        None => Ok(true),
    };
    // Rights go now, whatever keeps the KafkaUser; that it is gone must still be seen, or it could bring them back.
    admin::revoke(&connected.admin, user)
        .await
        .map_err(|e| said(&e, owner, platform))?;
    if !gone? {
        return Err(Error::waiting(
            "ChildTerminating",
            format!("KafkaUser {user} is still being deleted"),
        )
        .after(SOON));
    }
    let Some(strimzi) = strimzi(platform) else {
        return Ok(());
    };
    let live = secret::get(context, &strimzi.namespace, &password_secret(user), chart).await?;
    match secret::owned(live, owner) {
        Ok(Some(live)) => secret::delete(context, &live, chart).await,
        Ok(None) | Err(_) => Ok(()),
    }
}

/// Applies the KafkaUser, and waits until the User Operator has made it true.
async fn apply(
    context: &Context,
    strimzi: &ManagedByStrimzi,
    owner: &Key,
    user: &User,
) -> Result<(), Error> {
    let namespace = &strimzi.namespace;
    let place = format!("KafkaUser {namespace}/{}", user.name);
    let object = users::apply(context, &kafka_user(strimzi, user), owner).await?;
    match observed(&object) {
        Observed::Ready | Observed::Unmanaged => Ok(()),
        Observed::Failed { reason, message } => Err(Error::waiting(
            &reason,
            format!("{place}: the User Operator says: {message}"),
        )),
        Observed::Paused => Err(Error::waiting(
            "UserPaused",
            format!("{place} is paused by its annotation; it is made when that is taken away"),
        )),
        Observed::Pending | Observed::Terminating => Err(Error::waiting(
            "UserNotReady",
            format!("{place}: the User Operator hasn't made it true yet; if that lasts, look whether it runs"),
        )
        .after(SOON)),
    }
}

/// A user as a KafkaUser: a rule for each resource, with all its operations.
fn kafka_user(strimzi: &ManagedByStrimzi, user: &User) -> users::User {
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

/// KafkaUsers of an owner on a Platform that isn't Strimzi's any more. The users in Kafka stay, as no User Operator manages them.
async fn dismiss_kafka_users(
    context: &Context,
    owner: &Key,
    chart: &'static str,
) -> Result<(), Error> {
    let ours = |object: &DynamicObject| ownership::is_of(object, owner);
    for object in context.strimzi.users.filter(ours) {
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        users::delete(context, &namespace, &name, owner).await?;
        let live = secret::get(context, &namespace, &password_secret(&name), chart).await?;
        if let Ok(Some(live)) = secret::owned(live, owner) {
            secret::delete(context, &live, chart).await?;
        }
    }
    Ok(())
}

fn said(error: &KafkaError, owner: &Key, platform: &Platform) -> Error {
    translate(error, &owner.to_string(), &blame(platform))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::Quota;

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
        let made = kafka_user(&strimzi, &user);
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
