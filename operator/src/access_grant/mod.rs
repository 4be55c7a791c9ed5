//! AccessGrant: a Kafka user with exactly the rights that the grant names, and a Secret with its credentials in the client's
//! namespace.
//!
//! Two promises shape the order of a reconcile. A client never holds credentials that don't work: the user is made, and seen to work,
//! before the Secret names it (`rotation`). And no right outlives the grant: when it expires or is deleted, rights go first, and it is
//! let go only when Kafka shows none. That doesn't depend on the streams, the client's namespace or Strimzi's operators.

mod credentials;
mod derived;
mod found;
mod rights;
mod rotation;

pub use found::ACCEPT;

use std::{collections::BTreeSet, time::Duration};

use headworks_crds::{AccessGrant, AccessGrantStatus, Platform};
use k8s_openapi::jiff::Timestamp;
use kube::{Resource, ResourceExt};
use rotation::{Slot, Times};

use crate::{
    access::{self, User, keeper, secret},
    context::Context,
    controller::Subject,
    kafka_pool::Connected,
    names::Key,
    platform::facts::{self, Usable},
    retry::Error,
    status::Verdict,
};

/// The chart's value that lists the clients' namespaces.
const CHART: &str = "grantNamespaces";
/// What the user's name says.
const WHAT: &str = "grant";
/// An expiry is looked after this often while something is in its way.
const EXPIRY_RECHECK: Duration = Duration::from_secs(10);

/// What neither schema nor rules can say: that times fit each other.
///
/// # Errors
/// `InvalidSpec`.
pub fn check(spec: &headworks_crds::AccessGrantSpec) -> Result<(), Error> {
    rights::check(spec)?;
    rotation::times(spec).map(|_| ())
}

impl Subject for AccessGrant {
    type Status = AccessGrantStatus;

    fn status(&self) -> Option<&AccessGrantStatus> {
        self.status.as_ref()
    }

    fn check(&self) -> Result<(), String> {
        headworks_crds::check(&self.spec)
    }

    /// Rights in Kafka must not outlive the grant.
    fn needs_finalizer(&self) -> bool {
        true
    }

    async fn reconcile(
        &self,
        status: &mut AccessGrantStatus,
        context: &Context,
    ) -> Result<Verdict, Error> {
        let times = rotation::times(&self.spec)?;
        match granted(self, &times, status, context).await {
            Ok(verdict) => Ok(verdict),
            Err(error) => Err(in_time(error, times.expires, Timestamp::now())),
        }
    }

    async fn finalize(&self, status: &AccessGrantStatus, context: &Context) -> Result<(), Error> {
        let name = found::platform_name(self, status, context);
        let Some(name) = name else {
            // Neither a stream nor the status names a Platform: no user was ever made.
            return Ok(());
        };
        let Some(platform) = context.platform(&name) else {
            let note = format!(
                "Platform {name} is gone; if its Kafka isn't, delete by hand users {} and their ACLs",
                users(self, status, None).join(" and ")
            );
            context
                .events
                .warning(&self.object_ref(&()), "UsersLeft", &note)
                .await;
            return Ok(());
        };
        withdraw(self, status, &platform, context).await?;
        if let Err(error) = forget_secret(self, context).await {
            let note = format!("the Secret stays, and its user is gone: {error}");
            context
                .events
                .warning(&self.object_ref(&()), "SecretLeft", &note)
                .await;
        }
        Ok(())
    }
}

/// Nothing that is in the way may put off an expiry.
fn in_time(error: Error, expires: Option<Timestamp>, now: Timestamp) -> Error {
    let Some(expires) = expires else { return error };
    let left = until(Some(expires), now)
        .unwrap_or_default()
        .max(EXPIRY_RECHECK);
    match error {
        Error::Transient { reason, message } => {
            Error::waiting(&reason, message).after(EXPIRY_RECHECK.min(left))
        }
        Error::Waiting { after, .. } => error.after(after.min(left)),
        Error::Stalled { recheck, .. } if now < expires => {
            error.after(recheck.map_or(left, |r| r.min(left)))
        }
        stalled @ Error::Stalled { .. } => stalled,
    }
}

fn until(moment: Option<Timestamp>, now: Timestamp) -> Option<Duration> {
    let left = moment?.duration_since(now);
    // A moment later, so that it has come when we look.
    Some(Duration::try_from(left).unwrap_or_default() + Duration::from_millis(5))
}

async fn granted(
    grant: &AccessGrant,
    times: &Times,
    status: &mut AccessGrantStatus,
    context: &Context,
) -> Result<Verdict, Error> {
    let key = Key::of(grant);
    let now = Timestamp::now();
    let name = found::platform_name(grant, status, context);
    found::declare(grant, &key, name.as_deref(), context);
    if let Some(expires) = times.expires.filter(|expires| now >= *expires) {
        return expired(grant, expires, name, status, context).await;
    }
    let name = name.ok_or_else(|| {
        let first = grant.spec.read.iter().chain(&grant.spec.write).next();
        Error::missing(
            "StreamNotFound",
            format!(
                "DataStream {}/{} doesn't exist; make it, or correct the name",
                key.namespace,
                first.map_or("", String::as_str)
            ),
        )
    })?;
    found::accepted(grant, context)?;
    let platform = facts::usable(context, &name, &key.namespace)?;
    if !platform.ready() {
        return Err(platform.not_ready());
    }
    logs_in(&platform)?;
    let connected = context.kafka.get(context, &platform.platform).await?;
    let found = found::streams(grant, status, &name, context).await?;
    status.platform = Some(name);
    let next = hand_out(
        grant, &key, times, &found, &platform, &connected, status, now, context,
    )
    .await?;
    derived::sweep(context, grant, &found.derived).await?;
    if let Some(problem) = found.problem {
        return Err(problem);
    }
    let soon = until(next, now).map_or(context.settings.recheck, |d| {
        d.min(context.settings.recheck)
    });
    Ok(Verdict::ready("Granted", said(grant, status)).recheck(soon))
}

/// A listener that asks nobody who they are can't tell a client from another.
fn logs_in(platform: &Usable) -> Result<(), Error> {
    let kafka = &platform.platform.spec.kafka;
    if kafka.authentication.is_some() || kafka.workload_authentication.is_some() {
        return Ok(());
    }
    Err(Error::stalled(
        "NoAuthentication",
        format!(
            "Platform {}: its listener takes no users (spec.kafka.authentication is absent), so nothing could be granted or refused; name one that asks for SCRAM-SHA-512",
            platform.platform.name_any()
        ),
    ))
}

/// Makes the user, switches the Secret to it, and takes the other one away when its time is over. Gives the next moment.
#[allow(clippy::too_many_arguments)]
async fn hand_out(
    grant: &AccessGrant,
    key: &Key,
    times: &Times,
    found: &found::Found,
    platform: &Usable,
    connected: &Connected,
    status: &mut AccessGrantStatus,
    now: Timestamp,
    context: &Context,
) -> Result<Option<Timestamp>, Error> {
    let base = access::user_name(&platform.installation, WHAT, &key.namespace, &key.name);
    let namespace = &grant.spec.to.namespace;
    // First, so that no user is made whose password can't be handed out.
    let live = secret::owned(
        secret::get(context, namespace, &credentials::name(key), CHART).await?,
        key,
    )?;
    let held = live
        .as_ref()
        .and_then(|live| credentials::read(live, &base));
    let hint = status.user.as_ref().and_then(|user| Slot::of(user, &base));
    let plan = rotation::plan(held.as_ref().map(|(held, _)| *held), hint, times, now);

    let prefix = rights::prefix(&grant.spec);
    let acls = rights::acls(&found.streams, &prefix);
    let user = |slot: Slot| User {
        name: slot.user(&base),
        acls: acls.clone(),
        quota: Some(rights::quota(&grant.spec)),
    };
    let (password, tried) = match held {
        Some((_, password)) if !plan.fresh => {
            let version = live
                .as_ref()
                .and_then(|l| l.metadata.resource_version.as_deref());
            (
                password,
                context.tried.knows(&plan.current.user(&base), version),
            )
        }
        _ => {
            let user = plan.current.user(&base);
            let begun = keeper::begun(context, platform, key, &user, CHART).await?;
            (begun.unwrap_or_else(access::password), false)
        }
    };
    let (current, other) = (user(plan.current), user(plan.current.other()));
    let wanted = keeper::Wanted {
        user: &current,
        password: &password,
        tried,
        prune: true,
        chart: CHART,
    };
    keeper::ensure(context, platform, key, &wanted).await?;
    if plan.previous.is_some() {
        // It may do what the grant says now, no more; its password isn't known any more, and stays.
        keeper::set_rights(context, platform, key, &other).await?;
    } else {
        keeper::revoke(context, &platform.platform, key, &other.name, CHART).await?;
    }
    let (current, other) = (current.name, other.name);
    let desired = credentials::build(&credentials::Credentials {
        grant: key,
        namespace,
        kafka: &platform.platform.spec.kafka,
        ca: connected.ca.as_deref(),
        user: &current,
        password: &password,
        prefix: &prefix,
        since: plan.since,
        previous: plan.previous.map(|_| other.as_str()),
    });
    let written = secret::put(context, &desired, live, CHART).await?;
    context
        .tried
        .note(&current, written.metadata.resource_version.as_deref());
    status.secret = Some(credentials::name(key));
    status.user = Some(current);
    status.previous_user = plan.previous.map(|_| other);
    status.rotated_at = Some(plan.since.to_string());
    status.streams.clone_from(&found.streams);
    Ok(plan.next)
}

/// The rights end: everything goes.
async fn expired(
    grant: &AccessGrant,
    expires: Timestamp,
    platform: Option<String>,
    status: &mut AccessGrantStatus,
    context: &Context,
) -> Result<Verdict, Error> {
    match platform.map(|name| (context.platform(&name), name)) {
        Some((Some(platform), _)) => withdraw(grant, status, &platform, context).await?,
        Some((None, name)) if status.user.is_some() => {
            return Err(Error::missing(
                "PlatformNotFound",
                format!(
                    "the rights ended at {expires}, but Platform {name} is gone, and with it the way to its Kafka; make it again, or delete the grant"
                ),
            ));
        }
        // No user was ever made.
        _ => {}
    }
    forget_secret(grant, context).await?;
    derived::sweep(context, grant, &BTreeSet::new()).await?;
    *status = AccessGrantStatus {
        conditions: std::mem::take(&mut status.conditions),
        platform: status.platform.take(),
        ..AccessGrantStatus::default()
    };
    Err(Error::stalled(
        "Expired",
        format!(
            "spec.expires: the rights ended at {expires}, and its users are gone; set a later time, or delete the grant"
        ),
    ))
}

/// Takes both users away, rights first.
async fn withdraw(
    grant: &AccessGrant,
    status: &AccessGrantStatus,
    platform: &Platform,
    context: &Context,
) -> Result<(), Error> {
    let key = Key::of(grant);
    for user in users(grant, status, Some(platform)) {
        keeper::revoke(context, platform, &key, &user, CHART).await?;
        context.tried.note(&user, None);
    }
    Ok(())
}

/// The grant's two users.
fn users(
    grant: &AccessGrant,
    status: &AccessGrantStatus,
    platform: Option<&Platform>,
) -> Vec<String> {
    let installation = platform.and_then(|p| p.status.as_ref()?.installation.clone());
    let base = match (installation, &status.user) {
        (Some(installation), _) => access::user_name(
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

async fn forget_secret(grant: &AccessGrant, context: &Context) -> Result<(), Error> {
    let key = Key::of(grant);
    let live = secret::get(
        context,
        &grant.spec.to.namespace,
        &credentials::name(&key),
        CHART,
    )
    .await?;
    // A foreign one was never ours to delete.
    match secret::owned(live, &key) {
        Ok(Some(live)) => secret::delete(context, &live, CHART).await,
        Ok(None) | Err(_) => Ok(()),
    }
}

fn said(grant: &AccessGrant, status: &AccessGrantStatus) -> String {
    let streams: Vec<String> = status
        .streams
        .iter()
        .map(|s| format!("{} {}", s.access.to_lowercase(), s.topic))
        .collect();
    format!(
        "user {} may {}; its credentials are in Secret {}/{}",
        status.user.as_deref().unwrap_or_default(),
        streams.join(", "),
        grant.spec.to.namespace,
        status.secret.as_deref().unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_puts_off_an_expiry() {
        let now: Timestamp = "2027-01-01T00:00:00Z".parse().unwrap();
        let at = |seconds: i64| Timestamp::from_second(now.as_second() + seconds).unwrap();
        let again = |error: Error, expires| match in_time(error, Some(expires), now) {
            Error::Waiting { after, .. } => Some(after.as_secs()),
            Error::Stalled { recheck, .. } => recheck.map(|r| r.as_secs()),
            Error::Transient { .. } => panic!("its pauses grow up to two minutes"),
        };
        assert_eq!(again(Error::transient("KafkaError", ""), at(-5)), Some(10));
        assert_eq!(again(Error::waiting("NotAccepted", ""), at(20)), Some(20));
        assert_eq!(again(Error::waiting("NotAccepted", ""), at(500)), Some(60));
        assert_eq!(
            again(Error::stalled("UserOperatorPresent", ""), at(30)),
            Some(30)
        );
        assert_eq!(again(Error::stalled("Expired", ""), at(-1)), None);
        let error = Error::transient("KafkaError", "");
        assert_eq!(in_time(error.clone(), None, now), error);
    }
}
