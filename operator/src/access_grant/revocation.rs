//! What ends: all of a grant, when it expires, is deleted or isn't accepted any more; and, whatever is in the way of the rest, what
//! its spec names no longer and a user whose time is over.
//!
//! Rights go first. For that neither streams nor the client's namespace are needed, nor Strimzi's operators, nor a Platform that is
//! ready: only its Kafka.

use std::collections::BTreeSet;

use headworks_crds::{AccessGrant, AccessGrantStatus, Platform};
use k8s_openapi::{api::core::v1::ObjectReference, jiff::Timestamp};
use kube::{Resource, ResourceExt};

use super::{
    CHART, WHAT, credentials, derived, platform_migration, rights,
    rotation::{self, Slot},
    validate,
};
use crate::{
    context::Context,
    names::Key,
    provisioner::{
        self, secret,
        user::{Owner, User, user_name},
        users as kafka_users,
    },
    reason::ConditionReason,
    retry::Error,
};

/// For whom the users are.
pub fn owner<'a>(key: &'a Key, about: &'a ObjectReference) -> Owner<'a> {
    Owner {
        key,
        about,
        chart: CHART,
    }
}

/// Takes both users away from every Kafka that may have them, rights first, with their KafkaUsers in whatever namespace. Gives a
/// Platform that is gone, and with it the way to its Kafka.
///
/// # Errors
/// What Kafka and the API server say; what can be taken away is.
pub async fn revoke_everywhere(
    grant: &AccessGrant,
    status: &AccessGrantStatus,
    context: &Context,
) -> Result<Option<String>, Error> {
    let deleted = delete_kafka_users(grant, context).await;
    let (mut gone, mut outcome) = (None, Ok(()));
    for name in platform_migration::all(grant, status, context) {
        match context.stores.platform(&name) {
            None => gone = Some(name),
            Some(platform) => {
                outcome = outcome.and(revoke(grant, status, &platform, context).await);
            }
        }
    }
    outcome.and(deleted).map(|()| gone)
}

/// Takes both users away from one Platform's Kafka.
///
/// # Errors
/// What Kafka and the API server say.
pub async fn revoke(
    grant: &AccessGrant,
    status: &AccessGrantStatus,
    platform: &Platform,
    context: &Context,
) -> Result<(), Error> {
    let (key, about) = (Key::of(grant), grant.object_ref(&()));
    for user in users(grant, status, Some(platform)) {
        kafka_users::revoke(context, platform, &owner(&key, &about), &user).await?;
        context.verified_passwords.note(&user, None);
    }
    Ok(())
}

/// Deletes the grant's KafkaUsers, for which the API server is enough.
///
/// # Errors
/// `ChildTerminating`; what the API server says.
pub async fn delete_kafka_users(grant: &AccessGrant, context: &Context) -> Result<(), Error> {
    let (key, about) = (Key::of(grant), grant.object_ref(&()));
    provisioner::delete_declared_users(context, &owner(&key, &about)).await
}

/// Says which users a Platform that is gone may have left in its Kafka.
pub async fn users_left(
    grant: &AccessGrant,
    status: &AccessGrantStatus,
    platform: &str,
    context: &Context,
) {
    let users = users(grant, status, None);
    if users.is_empty() {
        return;
    }
    let note = format!(
        "Platform {platform} is gone; if its Kafka isn't, delete by hand users {} and their ACLs",
        users.join(" and ")
    );
    let about = grant.object_ref(&());
    context
        .events
        .warning(&about, ConditionReason::UsersLeft, &note)
        .await;
}

/// The grant's two users.
fn users(
    grant: &AccessGrant,
    status: &AccessGrantStatus,
    platform: Option<&Platform>,
) -> Vec<String> {
    let installation = platform.and_then(|p| p.status.as_ref()?.installation.clone());
    let base = match (installation, &status.user) {
        (Some(installation), _) => user_name(
            &installation,
            WHAT,
            &grant.namespace().unwrap_or_default(),
            &grant.name_any(),
        ),
        (None, Some(user)) => user
            .strip_suffix("-a")
            .or_else(|| user.strip_suffix("-b"))
            .unwrap_or(user)
            .to_owned(),
        (None, None) => return Vec::new(),
    };
    [Slot::A, Slot::B].map(|slot| slot.user(&base)).into()
}

/// Deletes the Secret. One that can't be deleted holds nothing up, as its users are gone: an Event names it.
///
/// # Errors
/// What passes by itself.
pub async fn forget_secret(grant: &AccessGrant, context: &Context) -> Result<(), Error> {
    for name in credentials::names(&Key::of(grant)) {
        forget(grant, &name, context).await?;
    }
    Ok(())
}

async fn forget(grant: &AccessGrant, name: &str, context: &Context) -> Result<(), Error> {
    let key = Key::of(grant);
    let forgotten = match secret::get(context, &grant.spec.to.namespace, name, CHART).await {
        // A foreign one was never ours to delete.
        Ok(live) => match secret::owned(live, &key) {
            Ok(Some(live)) => secret::delete(context, &live, CHART).await,
            Ok(None) | Err(_) => Ok(()),
        },
        Err(error) => Err(error),
    };
    match forgotten {
        Ok(()) => Ok(()),
        Err(error) => {
            let about = grant.object_ref(&());
            owner(&key, &about).secret_left(context, error).await
        }
    }
}

/// The rights end, and everything of them goes: users, Secret, derived streams.
///
/// # Errors
/// `PlatformNotFound` where Kafka can't be reached any more, with `why`; what Kafka and the API server say.
pub async fn close(
    grant: &AccessGrant,
    why: &str,
    status: &mut AccessGrantStatus,
    context: &Context,
) -> Result<(), Error> {
    let gone = revoke_everywhere(grant, status, context).await?;
    forget_secret(grant, context).await?;
    derived::sweep(context, grant, &BTreeSet::new()).await?;
    if let Some(name) = gone.filter(|_| status.user.is_some()) {
        return Err(Error::missing(
            ConditionReason::PlatformNotFound,
            format!(
                "{why}, but Platform {name} is gone, and with it the way to its Kafka; make it again, or delete the grant"
            ),
        ));
    }
    *status = AccessGrantStatus {
        conditions: std::mem::take(&mut status.conditions),
        platform: status.platform.take(),
        expires: status.expires.take(),
        ..AccessGrantStatus::default()
    };
    Ok(())
}

/// What must not wait for whatever is in the way of the rest: what the spec names no longer is taken from both users, and the user
/// before goes when its time is over.
///
/// # Errors
/// What Kafka and the API server say.
pub async fn meanwhile(
    grant: &AccessGrant,
    status: &mut AccessGrantStatus,
    context: &Context,
) -> Result<(), Error> {
    let platform = status
        .platform
        .as_deref()
        .and_then(|name| context.stores.platform(name));
    let Some(platform) = platform else {
        return Ok(());
    };
    let (key, about) = (Key::of(grant), grant.object_ref(&()));
    let owner = owner(&key, &about);
    let left = validate::still_named(&grant.spec, status);
    let no_dead_letters = status.dead_letters && !grant.spec.dead_letters;
    if left.len() < status.streams.len() || no_dead_letters {
        let acls = rights::acls(&left, grant.spec.dead_letters, &rights::prefix(&grant.spec));
        for name in users(grant, status, Some(&platform)) {
            let user = User {
                name,
                acls: acls.clone(),
                quota: Some(rights::quota(&grant.spec)),
            };
            kafka_users::narrow(context, &platform, &owner, &user).await?;
        }
        status.streams = left;
        status.dead_letters &= grant.spec.dead_letters;
    }
    if let Some(previous) = status
        .previous_user
        .clone()
        .filter(|_| over(status, rotation::overlap(&grant.spec), Timestamp::now()))
    {
        kafka_users::revoke(context, &platform, &owner, &previous).await?;
        status.previous_user = None;
    }
    Ok(())
}

/// True: the time of the user before is over.
fn over(
    status: &AccessGrantStatus,
    overlap: k8s_openapi::jiff::SignedDuration,
    now: Timestamp,
) -> bool {
    let since: Option<Timestamp> = status.rotated_at.as_ref().and_then(|at| at.parse().ok());
    since
        .and_then(|since| since.checked_add(overlap).ok())
        .is_some_and(|end| now >= end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_before_has_its_time() {
        let status = AccessGrantStatus {
            rotated_at: Some("2027-01-01T00:00:00Z".into()),
            ..AccessGrantStatus::default()
        };
        let hour = k8s_openapi::jiff::SignedDuration::from_hours(1);
        let over = |now: &str| over(&status, hour, now.parse().unwrap());
        assert!(!over("2027-01-01T00:59:59Z") && over("2027-01-01T01:00:00Z"));
    }
}
