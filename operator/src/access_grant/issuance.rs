//! Making a grant's user and putting its credentials into the client's Secret.

use headworks_crds::{AccessGrant, AccessGrantStatus, GrantedStream};
use k8s_openapi::jiff::Timestamp;
use kube::Resource;

use super::{
    CHART, WHAT, credentials,
    dereference::References,
    revocation, rights,
    rotation::{self, Known, Slot, Times},
};
use crate::{
    context::Context,
    kafka_pool::KafkaClient,
    names::Key,
    platform::resolve::ResolvedPlatform,
    provisioner::{
        password, secret,
        user::{DesiredUser, User, user_name},
        users,
    },
    retry::Error,
};

/// A status names at most so many streams.
const MAX_STREAMS: usize = 128;

/// Makes the user, switches the Secret to it, and takes the other one away when its time is over. Gives the next moment.
#[allow(clippy::too_many_arguments)]
pub(super) async fn issue_credentials(
    grant: &AccessGrant,
    key: &Key,
    times: &Times,
    found: &References,
    platform: &ResolvedPlatform,
    connected: &KafkaClient,
    status: &mut AccessGrantStatus,
    now: Timestamp,
    context: &Context,
) -> Result<Option<Timestamp>, Error> {
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
        .and_then(|(held, password)| Some((held.believed(known, times, now)?, password)));
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
                context
                    .verified_passwords
                    .knows(&plan.current.user(&base), version),
            )
        }
        _ => {
            let user = plan.current.user(&base);
            let previous = status.previous_user.as_ref();
            if plan.outlived(previous.and_then(|user| Slot::of(user, &base))) {
                users::revoke(context, &platform.platform, &owner, &user).await?;
                status.previous_user = None;
            }
            let begun = users::begun(context, &platform.platform, &owner, &user).await?;
            (begun.unwrap_or_else(password), false)
        }
    };
    let (current, other) = (user(plan.current), user(plan.current.other()));
    let wanted = DesiredUser {
        user: &current,
        password: &password,
        tried,
        prune: true,
    };
    note_streams(status, &found.streams);
    users::ensure(context, &platform.platform, &owner, &wanted).await?;
    if plan.previous.is_some() {
        // It may do what the grant says now, no more; its password isn't known any more, and stays.
        users::set_rights(context, &platform.platform, &owner, &other).await?;
    } else {
        users::revoke(context, &platform.platform, &owner, &other.name).await?;
    }
    let (current, other) = (current.name, other.name);
    // A registry whose CA can't be read keeps nobody out of Kafka: the Platform's condition tells of it.
    let registry = match context
        .registries
        .get(&context.client, &platform.platform)
        .await
    {
        Ok(registry) => registry.map(|registry| registry.connection.clone()),
        Err(_) => live.as_ref().and_then(credentials::registry),
    };
    let desired = credentials::build(&credentials::Credentials {
        grant: key,
        name: &secret_name,
        namespace,
        kafka: &platform.platform.spec.kafka,
        ca: connected.ca.as_deref(),
        user: &current,
        password: &password,
        prefix: &prefix,
        since: plan.since,
        previous: plan.previous.map(|_| other.as_str()),
        registry: registry.as_ref(),
    });
    let written = secret::put(context, &desired, live, CHART).await?;
    context
        .verified_passwords
        .note(&current, written.metadata.resource_version.as_deref());
    status.secret = Some(secret_name);
    status.user = Some(current);
    status.previous_user = plan.previous.map(|_| other);
    status.rotated_at = Some(plan.since.to_string());
    status.streams.clone_from(&found.streams);
    Ok(plan.next)
}

/// What the status says of the user in the Secret, where both are known.
fn known(status: &AccessGrantStatus, slot: Option<Slot>) -> Option<Known> {
    Some(Known {
        slot: slot?,
        since: status.rotated_at.as_ref()?.parse().ok()?,
    })
}

/// What is about to be given belongs to what must be taken away again, also if it is cut short.
fn note_streams(status: &mut AccessGrantStatus, streams: &[GrantedStream]) {
    let fresh: Vec<GrantedStream> = streams
        .iter()
        .filter(|stream| !status.streams.contains(stream))
        .cloned()
        .collect();
    status.streams.extend(fresh);
    status.streams.truncate(MAX_STREAMS);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_being_given_is_noted_before_so_that_it_can_be_taken_away_if_that_is_cut_short() {
        let stream = |name: String| GrantedStream {
            topic: format!("shop.{name}"),
            stream: name,
            access: "Read".into(),
            derived: None,
        };
        let has = |names: &[&str]| -> Vec<GrantedStream> {
            names.iter().map(|n| stream((*n).to_owned())).collect()
        };
        let mut status = AccessGrantStatus {
            streams: has(&["a", "b"]),
            ..AccessGrantStatus::default()
        };
        note_streams(&mut status, &has(&["b", "c"]));
        assert_eq!(status.streams, has(&["a", "b", "c"]));
        let many: Vec<_> = (0..200).map(|n| stream(format!("s{n}"))).collect();
        note_streams(&mut status, &many);
        assert_eq!(status.streams.len(), MAX_STREAMS);
    }

    #[test]
    fn the_status_bears_a_secret_out_only_where_it_has_both_user_and_time() {
        let status = |at: Option<&str>| AccessGrantStatus {
            rotated_at: at.map(str::to_owned),
            ..AccessGrantStatus::default()
        };
        let at = "2027-01-01T00:00:00Z";
        assert_eq!(known(&status(Some(at)), None), None);
        assert_eq!(known(&status(None), Some(Slot::A)), None);
        let known = known(&status(Some(at)), Some(Slot::B)).unwrap();
        assert_eq!((known.slot, known.since), (Slot::B, at.parse().unwrap()));
    }
}
