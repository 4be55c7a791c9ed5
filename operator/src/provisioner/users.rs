//! Users, whoever makes them.
//!
//! Where KafkaUsers of a user stand that the Platform doesn't want there (it was another's before, or Strimzi's), they go first: one
//! that is forgotten brings the user back with all its rights whenever its User Operator looks. A KafkaUser that is deleted takes its
//! user along, also one that the User Operator is told to ignore. So where a Platform changes its ways, the KafkaUser goes, the User
//! Operator is waited for, and the user is made again with the password it had.

use headworks_crds::Platform;

use super::{
    Provisioner,
    by_strimzi::kafka_users::{self, Place},
    in_kafka, provisioner,
    user::{DesiredUser, Owner, User, said},
};
use crate::{context::Context, retry::Error};

/// The password that an interrupted attempt has given a user that nobody was told of yet.
///
/// # Errors
/// `SecretForbidden`, `OwnedByAnother`; what the API server says.
pub async fn begun(
    context: &Context,
    platform: &Platform,
    owner: &Owner<'_>,
    user: &str,
) -> Result<Option<String>, Error> {
    provisioner(platform)
        .kept_password(context, owner, user)
        .await
}

/// Makes a user so, and comes back when Kafka lets it in.
///
/// # Errors
/// `UserOperatorPresent`; `UserNotReady` and the User Operator's own reasons; what Kafka says.
pub async fn ensure(
    context: &Context,
    platform: &Platform,
    owner: &Owner<'_>,
    wanted: &DesiredUser<'_>,
) -> Result<(), Error> {
    let by = provisioner(platform);
    let connected = context.kafka.get(&context.client, platform).await?;
    let admin = &connected.admin;
    let name = &wanted.user.name;
    // What could be refused comes before anything is taken away.
    by.check_users(context, admin).await?;
    by.keep_password(context, owner, name, wanted.password)
        .await?;
    let strays = kafka_users::strays(context, owner, name, by.kafka_users()).await?;
    let said = |e| said(&e, owner.key, platform);
    kafka_users::migrate_away(context, owner, name, &strays, admin, &said).await?;
    by.make_user(context, admin, owner, wanted).await?;
    kafka_users::forget_passwords(context, owner, &strays).await
}

/// Gives a user whose password isn't known any more exactly these rights. It doesn't wait for the User Operator: with Strimzi, one
/// that was made by the Admin API has no password beside it, and what the User Operator says of it is no fault.
///
/// # Errors
/// As [`ensure`].
pub async fn set_rights(
    context: &Context,
    platform: &Platform,
    owner: &Owner<'_>,
    user: &User,
) -> Result<(), Error> {
    let by = provisioner(platform);
    let connected = context.kafka.get(&context.client, platform).await?;
    let admin = &connected.admin;
    let strays = kafka_users::strays(context, owner, &user.name, by.kafka_users()).await?;
    // Beside the KafkaUser is the only place where its password stands.
    let password = kafka_users::password(context, owner, &strays).await?;
    if let Some(password) = &password {
        by.keep_password(context, owner, &user.name, password)
            .await?;
    }
    let said = |e| said(&e, owner.key, platform);
    kafka_users::migrate_away(context, owner, &user.name, &strays, admin, &said).await?;
    by.set_rights(context, admin, owner, user, password.as_deref())
        .await?;
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
    in_kafka::users::narrow(&connected.admin, &user.name, &user.acls)
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
    let by = provisioner(platform);
    let mut places = kafka_users::strays(context, owner, user, by.kafka_users()).await?;
    places.extend(home_of(&*by, user));
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
    let places: Vec<Place> = home_of(&*provisioner(platform), user)
        .filter(|_| kafka_user)
        .into_iter()
        .collect();
    take(context, platform, owner, user, &places).await
}

/// Where a Platform has the KafkaUser. Asked for even if it wasn't seen: it may have been made just now.
fn home_of(by: &dyn Provisioner, user: &str) -> Option<Place> {
    by.kafka_users()
        .map(|at| (at.namespace.clone(), user.to_owned()))
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
    in_kafka::users::revoke(&connected.admin, user)
        .await
        .map_err(|e| said(&e, owner.key, platform))?;
    deleted?;
    kafka_users::forget_passwords(context, owner, places).await
}
