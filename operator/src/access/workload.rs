//! The users that Pipelines and Sources run under, where the Platform says `workloadAuthentication: {generated: {}}`.
//!
//! Each has the rights its plan needs and no other. They come about before the pods that need them, and a roll-out takes none away
//! before its last pod runs by the new plan. Kafka is asked only when something of it changed or a while has passed: an outage of
//! Kafka is no news for a Pipeline whose user is as it should be.

mod rights;

use std::time::Duration;

use headworks_crds::{Kafka, Platform};
use headworks_plan::{Plan, Reason};
use k8s_openapi::{
    api::core::v1::{ObjectReference, Secret},
    apimachinery::pkg::apis::meta::v1::OwnerReference,
    jiff::Timestamp,
};
use kube::{Resource, ResourceExt};
pub use rights::{MAX_MEMBERS, rights};

use crate::{
    apply::child_meta,
    connection::{generated, user_secret_name},
    context::Context,
    controller::{self, Reconciler},
    names::{Key, digest},
    platform::resolve::ResolvedPlatform,
    provisioner::{
        self, password, secret,
        user::{DesiredUser, Owner, User, user_name},
        users,
    },
    reason::ConditionReason,
    retry::Error,
    stores,
    verified::Recalled,
};

pub use crate::verified::VERIFIED_FOR;

/// The chart's value that lists the pods' namespaces.
pub(super) const CHART: &str = "workloadNamespaces";
/// The reason that pods give when Kafka doesn't take their password.
const REFUSED: Reason = Reason::CredentialsRefused;
/// A user that pods weren't let in with is looked at again after this long.
const REFUSED_RECHECK: Duration = Duration::from_secs(10);
/// Pods get so long to end before their rights go.
const POD_END_TIMEOUT: Duration = Duration::from_secs(60);

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
pub async fn ensure<K: Reconciler>(
    object: &K,
    platform: &ResolvedPlatform,
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
    let owner = Owner {
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
        None => users::begun(context, &platform.platform, &owner, &user.name)
            .await?
            .unwrap_or_else(password),
    };
    let tried = known.is_some()
        && context
            .verified_passwords
            .knows(&user.name, version.as_deref());
    let wanted = DesiredUser {
        user: &user,
        password: &password,
        tried,
        prune,
    };
    if seen.is_none() {
        context.verified_users.doubt(&user.name);
    }
    match users::ensure(context, &platform.platform, &owner, &wanted).await {
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

/// What the pods say of their user, heard: where Kafka no longer lets in a user that was seen to be as it should be, it is made so
/// anew at the next look, which comes soon, and not when [`VERIFIED_FOR`] is over. Kafka 4.3.1 can come back from `kill -9` without its
/// SCRAM users, and whoever manages Kafka may have changed a password. Where a User Operator makes the users, that one does it in its
/// own time, and asking Kafka every few seconds would only hold up others.
pub fn heard(error: Error, platform: &ResolvedPlatform, key: &Key, context: &Context) -> Error {
    let kafka = &platform.platform.spec.kafka;
    let by_us = provisioner::provisioner(&platform.platform)
        .kafka_users()
        .is_none();
    if !(error.is(REFUSED) && generated(kafka) && by_us) {
        return error;
    }
    let user = user(&platform.installation, key);
    context.verified_users.doubt(&user);
    context.verified_passwords.note(&user, None);
    error.after(REFUSED_RECHECK)
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
pub async fn revoke(
    key: &Key,
    deleted: Option<Timestamp>,
    about: &ObjectReference,
    platform: Option<&Platform>,
    context: &Context,
) -> Result<(), Error> {
    let owner = Owner {
        key,
        about,
        chart: CHART,
    };
    let Some(platform) = platform else {
        provisioner::delete_declared_users(context, &owner).await?;
        let note = format!(
            "the Platform is gone; if its Kafka isn't and {key} had a user of its own, delete that and its ACLs by hand"
        );
        context
            .events
            .warning(about, ConditionReason::UsersLeft, &note)
            .await;
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
    let waited = deleted.is_some_and(|since| {
        Timestamp::now().duration_since(since).unsigned_abs() > POD_END_TIMEOUT
    });
    if !waited && !context.stores.pods_left(key, uid).is_empty() {
        return Err(Error::waiting(
            ConditionReason::PodsEnding,
            "the pods end first",
        ));
    }
    let user = user(&installation, key);
    context.verified_passwords.note(&user, None);
    context.verified_users.set(&user, None);
    users::revoke(context, platform, &owner, &user).await
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
    use crate::{
        context::testing,
        kafka::{Acl, Operation, Resource as About},
        verified::VerifiedUsers,
    };

    #[tokio::test]
    async fn a_user_that_pods_are_not_let_in_with_is_asked_for_again_soon() {
        let (context, _) = testing::context(testing::stores());
        let platform = |kafka: serde_json::Value| ResolvedPlatform {
            platform: serde_json::from_value(json!({
                "metadata": {"name": "default"}, "spec": {"kafka": kafka},
            }))
            .unwrap(),
            installation: "i".into(),
        };
        let own = json!({"bootstrapServers": "k:9092", "management": {"admin": {}}, "workloadAuthentication": {"generated": {}}});
        let key = Key::new("Pipeline", "shop", "p");
        let name = user("i", &key);
        let known = || {
            context.verified_users.set(&name, Some("as it was".into()));
            context.verified_passwords.note(&name, Some("1"));
        };
        let asks = || {
            context.verified_users.get(&name, "as it was") == Some(false)
                && !context.verified_passwords.knows(&name, Some("1"))
        };
        known();
        let refused = Error::stalled(REFUSED, "not let in");
        let said = heard(refused.clone(), &platform(own.clone()), &key, &context);
        assert!(asks(), "Kafka is asked, and the password tried");
        assert_eq!(said, refused.clone().after(REFUSED_RECHECK));
        // Nothing of ours: another fault, or a user that somebody else keeps.
        known();
        let other = Error::stalled(Reason::TopicMissing, "no topic");
        assert_eq!(heard(other.clone(), &platform(own), &key, &context), other);
        for others in [
            json!({"bootstrapServers": "k:9092", "management": {"admin": {}}}),
            json!({"bootstrapServers": "k:9092", "workloadAuthentication": {"generated": {}},
                "management": {"strimzi": {"cluster": "events", "namespace": "kafka"}}}),
        ] {
            let others = platform(others);
            assert_eq!(heard(refused.clone(), &others, &key, &context), refused);
        }
        assert!(!asks());
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
