//! Users in the way that the Platform's Kafka is managed: by the Admin API, or as KafkaUsers that Strimzi's User Operator makes true.
//!
//! With Strimzi the password stands in a second Secret beside the KafkaUser, because the User Operator reads it there. Whether the
//! user is as it should be is asked of Kafka all the same; and rights are taken away by the Admin API (those that stand in for them are
//! given first), so that nothing waits for a User Operator that is away. The KafkaUser goes first, or is narrowed first, or it would bring
//! them back.
//!
//! A KafkaUser that is deleted takes its user along, also one that the User Operator is told to ignore. So where a Platform changes
//! its ways, the KafkaUser goes, the User Operator is waited for, and the user is made again with the password it had.

use std::time::Duration;

use headworks_crds::{ManagedByStrimzi, Platform};
use k8s_openapi::{
    api::core::v1::{ObjectReference, Secret},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::api::DynamicObject;

use super::{
    User, admin,
    kafka_users::{self, PASSWORD, Place, password_secret},
    secret, user_operator,
};
use crate::{
    context::Context,
    kafka::KafkaError,
    kafka_pool::{credential_field, to_reconcile_error},
    names::Key,
    platform::resolve::ResolvedPlatform,
    retry::Error,
    strimzi::{
        observed::{Observed, observed},
        users,
    },
};

/// A KafkaUser that isn't true yet is looked at again after this long; its watch tells sooner.
const RETRY_SOON: Duration = Duration::from_secs(5);

/// Whom a user is for.
#[derive(Clone, Copy)]
pub struct Owner<'a> {
    /// The object.
    pub key: &'a Key,
    /// The same, for Events.
    pub about: &'a ObjectReference,
    /// The chart's value that lists namespaces where Secrets may be written.
    pub chart: &'static str,
}

impl Owner<'_> {
    /// The rights are gone and a Secret can't be deleted: an Event says so where somebody must act. What passes is an error still.
    ///
    /// # Errors
    /// What passes by itself.
    pub async fn secret_left(&self, context: &Context, error: Error) -> Result<(), Error> {
        if !matches!(error, Error::Stalled { .. }) {
            return Err(error);
        }
        let note = format!("a Secret stays, and its user is gone: {error}");
        context
            .events
            .warning(self.about, "SecretLeft", &note)
            .await;
        Ok(())
    }
}

/// A user that is wanted.
pub struct DesiredUser<'a> {
    /// The user.
    pub user: &'a User,
    /// Its password.
    pub password: &'a str,
    /// True: the password is known to be the right one.
    pub tried: bool,
    /// True: rights beyond the wanted ones go.
    pub prune: bool,
}

fn strimzi(platform: &Platform) -> Option<&ManagedByStrimzi> {
    platform.spec.kafka.management.strimzi.as_ref()
}

/// The password that an interrupted attempt has given a user that nobody was told of yet.
///
/// # Errors
/// `SecretForbidden`, `OwnedByAnother`; what the API server says.
pub async fn begun(
    context: &Context,
    platform: &ResolvedPlatform,
    owner: &Owner<'_>,
    user: &str,
) -> Result<Option<String>, Error> {
    let Some(strimzi) = strimzi(&platform.platform) else {
        return Ok(None);
    };
    let name = password_secret(user);
    let live = secret::get(context, &strimzi.namespace, &name, owner.chart).await?;
    Ok(secret::owned(live, owner.key)?.and_then(|live| secret::text(&live, PASSWORD)))
}

/// Makes a user so, and comes back when Kafka lets it in.
///
/// # Errors
/// `UserOperatorPresent`; `UserNotReady` and the User Operator's own reasons; what Kafka says.
pub async fn ensure(
    context: &Context,
    platform: &ResolvedPlatform,
    owner: &Owner<'_>,
    wanted: &DesiredUser<'_>,
) -> Result<(), Error> {
    let connected = context
        .kafka
        .get(&context.client, &platform.platform)
        .await?;
    let admin = &connected.admin;
    let said = |e: KafkaError| said(&e, owner.key, &platform.platform);
    let home = strimzi(&platform.platform);
    let name = &wanted.user.name;
    // What could be refused comes before anything is taken away.
    match home {
        None => user_operator::absent(context, &platform.platform, admin).await?,
        Some(strimzi) => put_password(context, strimzi, owner, name, wanted.password).await?,
    }
    let strays = kafka_users::strays(context, owner, name, home).await?;
    kafka_users::migrate_away(context, owner, name, &strays, admin, &said).await?;
    match home {
        None => {
            let DesiredUser {
                user,
                password,
                tried,
                prune,
            } = wanted;
            admin::ensure(admin, user, password, *tried, *prune)
                .await
                .map_err(said)?;
        }
        Some(strimzi) => {
            let mut user = wanted.user.clone();
            if !wanted.prune {
                user.acls.extend(admin.acls(name).await.map_err(said)?.acls);
            }
            let applied = apply(context, strimzi, owner, &user).await;
            if wanted.prune {
                // A User Operator that is away puts this off for nobody. What is taken may have its successor among what is
                // given, so both are done here; but nothing is given where the KafkaUser is refused.
                match &applied {
                    Err(Error::Stalled { .. }) => admin::narrow(admin, name, &user.acls).await,
                    _ => admin::set_rights(admin, &user).await,
                }
                .map_err(said)?;
            }
            made_true(applied?.as_ref(), strimzi, name)?;
            let held = admin.acls(name).await.map_err(said)?;
            if !(wanted.tried && held.acls.is_superset(&user.acls)) {
                admin::confirm(admin, &user, wanted.password)
                    .await
                    .map_err(said)?;
            }
        }
    }
    kafka_users::forget_passwords(context, owner, &strays).await
}

/// Gives a user whose password isn't known any more exactly these rights. It doesn't wait for the User Operator: with Strimzi, one
/// that was made by the Admin API has no password beside it, and what the User Operator says of it is no fault.
///
/// # Errors
/// As [`ensure`].
pub async fn set_rights(
    context: &Context,
    platform: &ResolvedPlatform,
    owner: &Owner<'_>,
    user: &User,
) -> Result<(), Error> {
    let connected = context
        .kafka
        .get(&context.client, &platform.platform)
        .await?;
    let admin = &connected.admin;
    let said = |e: KafkaError| said(&e, owner.key, &platform.platform);
    let home = strimzi(&platform.platform);
    let strays = kafka_users::strays(context, owner, &user.name, home).await?;
    // Beside the KafkaUser is the only place where its password stands.
    let password = kafka_users::password(context, owner, &strays).await?;
    if let (Some(strimzi), Some(password)) = (home, &password) {
        put_password(context, strimzi, owner, &user.name, password).await?;
    }
    kafka_users::migrate_away(context, owner, &user.name, &strays, admin, &said).await?;
    if let Some(strimzi) = home {
        apply(context, strimzi, owner, user).await?;
        admin::set_rights(admin, user).await.map_err(said)?;
    } else if let Some(password) = &password {
        admin::ensure(admin, user, password, false, true)
            .await
            .map_err(said)?;
    } else {
        admin::set_rights(admin, user).await.map_err(said)?;
    }
    kafka_users::forget_passwords(context, owner, &strays).await
}

/// Takes from a user all that `user` doesn't have, and gives it nothing. It needs no Secret and no User Operator.
///
/// # Errors
/// What Kafka and the API server say.
pub async fn narrow(
    context: &Context,
    platform: &Platform,
    owner: &Owner<'_>,
    user: &User,
) -> Result<(), Error> {
    let narrowed = kafka_users::narrow(context, owner, user).await;
    let connected = context.kafka.get(&context.client, platform).await?;
    admin::narrow(&connected.admin, &user.name, &user.acls)
        .await
        .map_err(|e| said(&e, owner.key, platform))?;
    narrowed
}

/// Takes a user away: its KafkaUsers, wherever they are, then all it may do, then itself.
///
/// # Errors
/// What Kafka and the API server say.
pub async fn revoke(
    context: &Context,
    platform: &Platform,
    owner: &Owner<'_>,
    user: &str,
) -> Result<(), Error> {
    let mut places = kafka_users::strays(context, owner, user, strimzi(platform)).await?;
    places.extend(home_of(platform, user));
    take(context, platform, owner, user, &places).await
}

/// Takes a user away from one Platform and nowhere else: its KafkaUser there (if that isn't another Platform's, too), then all it
/// may do in its Kafka, then itself. A user of the same name in another Kafka stays.
///
/// # Errors
/// As [`revoke`].
pub async fn revoke_there(
    context: &Context,
    platform: &Platform,
    owner: &Owner<'_>,
    user: &str,
    kafka_user: bool,
) -> Result<(), Error> {
    let places: Vec<Place> = home_of(platform, user)
        .filter(|_| kafka_user)
        .into_iter()
        .collect();
    take(context, platform, owner, user, &places).await
}

/// Where a Platform has the KafkaUser. Asked for even if it wasn't seen: it may have been made just now.
fn home_of(platform: &Platform, user: &str) -> Option<Place> {
    strimzi(platform).map(|strimzi| (strimzi.namespace.clone(), user.to_owned()))
}

async fn take(
    context: &Context,
    platform: &Platform,
    owner: &Owner<'_>,
    user: &str,
    places: &[Place],
) -> Result<(), Error> {
    let deleted = kafka_users::delete_users(context, owner, places).await;
    // Rights go now, whatever keeps the KafkaUser; that it is gone must still be seen, or it could bring them back.
    let connected = context.kafka.get(&context.client, platform).await?;
    admin::revoke(&connected.admin, user)
        .await
        .map_err(|e| said(&e, owner.key, platform))?;
    deleted?;
    kafka_users::forget_passwords(context, owner, places).await
}

async fn put_password(
    context: &Context,
    strimzi: &ManagedByStrimzi,
    owner: &Owner<'_>,
    user: &str,
    password: &str,
) -> Result<(), Error> {
    let name = password_secret(user);
    let live = secret::get(context, &strimzi.namespace, &name, owner.chart).await?;
    let live = secret::owned(live, owner.key)?;
    let desired = Secret {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: Some(strimzi.namespace.clone()),
            labels: Some(owner.key.labels()),
            ..ObjectMeta::default()
        },
        type_: Some("Opaque".into()),
        data: Some(secret::data([(PASSWORD.to_owned(), password.to_owned())])),
        ..Secret::default()
    };
    secret::put(context, &desired, live, owner.chart)
        .await
        .map(drop)
}

async fn apply(
    context: &Context,
    strimzi: &ManagedByStrimzi,
    owner: &Owner<'_>,
    user: &User,
) -> Result<std::sync::Arc<DynamicObject>, Error> {
    users::apply(
        &context.strimzi,
        &kafka_users::build(strimzi, user),
        owner.key,
    )
    .await
}

/// Fails until the User Operator has made a KafkaUser true.
fn made_true(object: &DynamicObject, strimzi: &ManagedByStrimzi, user: &str) -> Result<(), Error> {
    let place = format!("KafkaUser {}/{user}", strimzi.namespace);
    match observed(object) {
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
        .after(RETRY_SOON)),
    }
}

fn said(error: &KafkaError, owner: &Key, platform: &Platform) -> Error {
    to_reconcile_error(error, &owner.to_string(), &credential_field(platform))
}
