//! Users in the way that the Platform's Kafka is managed: by the Admin API, or as KafkaUsers that Strimzi's User Operator makes true.

use headworks_crds::Platform;

use super::{User, admin, user_operator};
use crate::{
    context::Context,
    kafka::KafkaError,
    kafka_pool::{blame, translate},
    names::Key,
    platform::facts::Usable,
    retry::Error,
};

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

/// Makes a user so. Gives its password, which is the one that was wanted.
///
/// # Errors
/// `UserOperatorPresent`; what Kafka says.
pub async fn ensure(
    context: &Context,
    platform: &Usable,
    owner: &Key,
    wanted: &Wanted<'_>,
) -> Result<(), Error> {
    let connected = context.kafka.get(context, &platform.platform).await?;
    user_operator::absent(context, &platform.platform, &connected.admin).await?;
    admin::ensure(
        &connected.admin,
        wanted.user,
        wanted.password,
        wanted.tried,
        wanted.prune,
    )
    .await
    .map_err(|e| said(&e, owner, &platform.platform))
}

/// Gives a user whose password isn't known any more exactly these rights.
///
/// # Errors
/// What Kafka says.
pub async fn set_rights(
    context: &Context,
    platform: &Usable,
    owner: &Key,
    user: &User,
) -> Result<(), Error> {
    let connected = context.kafka.get(context, &platform.platform).await?;
    admin::set_rights(&connected.admin, user)
        .await
        .map_err(|e| said(&e, owner, &platform.platform))
}

/// Takes a user away, rights first. `chart` as in [`Wanted`].
///
/// # Errors
/// What Kafka says.
pub async fn revoke(
    context: &Context,
    platform: &Platform,
    owner: &Key,
    user: &str,
    _chart: &'static str,
) -> Result<(), Error> {
    let connected = context.kafka.get(context, platform).await?;
    admin::revoke(&connected.admin, user)
        .await
        .map_err(|e| said(&e, owner, platform))?;
    Ok(())
}

fn said(error: &KafkaError, owner: &Key, platform: &Platform) -> Error {
    translate(error, &owner.to_string(), &blame(platform))
}
