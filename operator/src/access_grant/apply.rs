//! Making what a grant's client gets: the derived streams, the user, and the Secret with its credentials.

use headworks_crds::{AccessGrant, AccessGrantStatus};
use k8s_openapi::jiff::Timestamp;
use kube::{Resource, ResourceExt};

use super::{
    CHART, WHAT, build, credentials, derived, revocation,
    rotation::{self, Plan, Slot, Times},
    status::{known, note_streams},
    validate::{Granted, StreamDecision},
};
use crate::{
    context::Context,
    kafka_pool::KafkaClient,
    names::Key,
    platform::resolve::ResolvedPlatform,
    provisioner::{
        password, secret,
        user::{DesiredUser, Owner, user_name},
        users,
    },
    retry::Error,
};

/// Makes the derived streams. What can't be made, or isn't ours, isn't given.
pub async fn derive(grant: &AccessGrant, decisions: &mut [StreamDecision], context: &Context) {
    let namespace = grant.namespace().unwrap_or_default();
    for decision in decisions {
        let Some(desired) = &decision.derive else {
            continue;
        };
        let built = derived::build(desired);
        if let Err(error) = derived::apply(context, &namespace, &built).await {
            decision.granted = Err(error);
        }
    }
}

/// A grant, and where its users are.
#[derive(Clone, Copy)]
pub struct OfGrant<'a> {
    /// The grant.
    pub grant: &'a AccessGrant,
    /// Its key.
    pub key: &'a Key,
    /// What its spec says of time.
    pub times: &'a Times,
    /// The Platform.
    pub platform: &'a ResolvedPlatform,
    /// Its Kafka.
    pub connected: &'a KafkaClient,
    /// Now.
    pub now: Timestamp,
}

/// Makes the user, switches the Secret to it, and takes the other one away when its time is over. Gives the next moment.
///
/// # Errors
/// What Kafka and the API server say; `SecretForbidden`, `OwnedByAnother`.
pub async fn issue(
    of: OfGrant<'_>,
    granted: &Granted,
    status: &mut AccessGrantStatus,
    context: &Context,
) -> Result<Option<Timestamp>, Error> {
    let (grant, key, platform) = (of.grant, of.key, of.platform);
    let base = user_name(&platform.installation, WHAT, &key.namespace, &key.name);
    let about = grant.object_ref(&());
    let owner = revocation::owner(key, &about);
    let namespace = &grant.spec.to.namespace;
    // First, so that no user is made whose password can't be handed out.
    let secret_name = credentials::name_in_use(key, status.secret.as_deref());
    let live = secret::owned(
        secret::get(context, namespace, &secret_name, CHART).await?,
        key,
    )?;
    let hint = status.user.as_ref().and_then(|user| Slot::of(user, &base));
    let known = known(status, hint);
    let held = live
        .as_ref()
        .and_then(|live| credentials::read(live, &base))
        .and_then(|(held, password)| Some((held.believed(known, of.times, of.now)?, password)));
    let plan = rotation::plan(held.as_ref().map(|(held, _)| *held), hint, of.times, of.now);
    let desired = build::users(&grant.spec, &granted.streams, &base, &plan);

    let (password, tried) = match held {
        Some((_, password)) if !plan.fresh => {
            let version = live
                .as_ref()
                .and_then(|l| l.metadata.resource_version.as_deref());
            let user = &desired.current.name;
            (password, context.verified_passwords.knows(user, version))
        }
        _ => {
            let user = &desired.current.name;
            (
                fresh(of, &owner, &plan, user, &base, status, context).await?,
                false,
            )
        }
    };
    let wanted = DesiredUser {
        user: &desired.current,
        password: &password,
        tried,
        prune: true,
    };
    note_streams(status, &granted.streams);
    status.dead_letters |= grant.spec.dead_letters;
    users::ensure(context, &platform.platform, &owner, &wanted).await?;
    if plan.previous.is_some() {
        // It may do what the grant says now, no more; its password isn't known any more, and stays.
        users::set_rights(context, &platform.platform, &owner, &desired.other).await?;
    } else {
        users::revoke(context, &platform.platform, &owner, &desired.other.name).await?;
    }
    let (current, other) = (desired.current.name, desired.other.name);
    // A registry whose CA can't be read keeps nobody out of Kafka: the Platform's condition tells of it.
    let registry = match context
        .registries
        .get(&context.client, &platform.platform)
        .await
    {
        Ok(registry) => registry.map(|registry| registry.connection.clone()),
        Err(_) => live.as_ref().and_then(credentials::registry),
    };
    let built = credentials::build(&credentials::Credentials {
        grant: key,
        name: &secret_name,
        namespace,
        kafka: &platform.platform.spec.kafka,
        ca: of.connected.ca.as_deref(),
        user: &current,
        password: &password,
        prefix: &desired.prefix,
        since: plan.since,
        previous: plan.previous.map(|_| other.as_str()),
        registry: registry.as_ref(),
    });
    let written = secret::put(context, &built, live, CHART).await?;
    context
        .verified_passwords
        .note(&current, written.metadata.resource_version.as_deref());
    status.secret = Some(secret_name);
    status.user = Some(current);
    status.previous_user = plan.previous.map(|_| other);
    status.rotated_at = Some(plan.since.to_string());
    status.streams.clone_from(&granted.streams);
    status.dead_letters = grant.spec.dead_letters;
    Ok(plan.next)
}

/// The password of a user that nobody was told of yet.
async fn fresh(
    of: OfGrant<'_>,
    owner: &Owner<'_>,
    plan: &Plan,
    user: &str,
    base: &str,
    status: &mut AccessGrantStatus,
    context: &Context,
) -> Result<String, Error> {
    let platform = &of.platform.platform;
    let previous = status.previous_user.as_ref();
    if plan.outlived(previous.and_then(|user| Slot::of(user, base))) {
        users::revoke(context, platform, owner, user).await?;
        status.previous_user = None;
    }
    let begun = users::begun(context, platform, owner, user).await?;
    Ok(begun.unwrap_or_else(password))
}
