//! AccessGrant: a Kafka user with exactly the rights that the grant names, and a Secret with its credentials in the client's
//! namespace.
//!
//! Two promises shape the order of a reconcile. A client never holds credentials that don't work: the user is made, and seen to work,
//! before the Secret names it (`rotation`). And no right outlives the grant: when it expires or is deleted, rights go first, and it is
//! let go only when Kafka shows none (`ending`). That doesn't depend on the streams, the client's namespace or Strimzi's operators, nor on
//! the rest of the spec: an end that could be read once holds, whatever is wrong with it now.

pub mod accept;
mod credentials;
mod derived;
mod ending;
mod found;
mod moves;
mod rights;
mod rotation;

use std::time::Duration;

use headworks_crds::{AccessGrant, AccessGrantStatus, GrantedStream};
use k8s_openapi::jiff::Timestamp;
use kube::{Resource, ResourceExt};
use rotation::{Known, Slot, Times};

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
/// A status names at most so many streams.
const MAX_STREAMS: usize = 128;
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

    /// Later, in its reconcile: a spec that is wrong puts off no expiry.
    fn check(&self) -> Result<(), String> {
        Ok(())
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
        let (expires, unreadable) = rotation::end(&self.spec, status.expires.as_deref());
        status.expires = expires.map(|end| end.to_string());
        found::declare(
            self,
            &Key::of(self),
            moves::platform(self, status, context).as_deref(),
            context,
        );
        let over = expires.filter(|end| Timestamp::now() >= *end);
        let error = if let Some(end) = over {
            expired(self, end, status, context).await
        } else {
            let outcome = match unreadable {
                None => Box::pin(granted(self, status, context)).await,
                Some(error) => Err(error),
            };
            match outcome {
                Ok(verdict) => return Ok(verdict),
                Err(error) => match ending::meanwhile(self, status, context).await {
                    Ok(()) => error,
                    Err(left) => unfinished(&error, &left),
                },
            }
        };
        Err(in_time(error, expires, Timestamp::now()))
    }

    async fn finalize(&self, status: &AccessGrantStatus, context: &Context) -> Result<(), Error> {
        if let Some(platform) = ending::withdraw(self, status, context).await? {
            ending::users_left(self, status, &platform, context).await;
        }
        ending::forget_secret(self, context).await
    }
}

/// Something is in the way, and what must not wait for it couldn't be done either: it is tried again soon.
fn unfinished(error: &Error, left: &Error) -> Error {
    Error::waiting(
        left.reason(),
        format!("{error}; and what the client may do no longer can't be taken away yet: {left}"),
    )
    .after(EXPIRY_RECHECK)
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
    status: &mut AccessGrantStatus,
    context: &Context,
) -> Result<Verdict, Error> {
    let key = Key::of(grant);
    let now = Timestamp::now();
    headworks_crds::check(&grant.spec).map_err(|message| Error::stalled("InvalidSpec", message))?;
    let times = rotation::times(&grant.spec)?;
    let note = match found::accepted(grant, context) {
        Ok(note) => note,
        Err(error) => {
            // Who takes back the word, takes back what it gave.
            if status.platform.is_some() {
                let why = format!(
                    "namespace {} accepts grants no longer",
                    grant.spec.to.namespace
                );
                ending::close(grant, &why, status, context).await?;
                status.platform = None;
            }
            return Err(error);
        }
    };
    let name = moves::platform(grant, status, context).ok_or_else(|| {
        let first = grant.spec.read.iter().chain(&grant.spec.write).next();
        Error::missing(
            "StreamNotFound",
            format!(
                "DataStream {}/{} doesn't exist; make it, or correct the name{}",
                key.namespace,
                first.map_or("", String::as_str),
                first.map_or(String::new(), |name| context
                    .stores
                    .near_stream(&key.namespace, name))
            ),
        )
    })?;
    moves::leave(grant, &name, status, context).await?;
    let platform = facts::usable(context, &name, &key.namespace)?;
    if !platform.ready() {
        return Err(platform.not_ready());
    }
    logs_in(&platform)?;
    let connected = context
        .kafka
        .get(&context.client, &platform.platform)
        .await?;
    let found = found::streams(grant, status, &name, context).await?;
    status.platform = Some(name);
    let next = hand_out(
        grant, &key, &times, &found, &platform, &connected, status, now, context,
    )
    .await?;
    derived::sweep(context, grant, &found.derived).await?;
    if let Some(problem) = found.problem {
        return Err(problem);
    }
    let soon = until(next, now).map_or(context.settings.recheck, |d| {
        d.min(context.settings.recheck)
    });
    let mut message = said(grant, status);
    if let Some(note) = note {
        message = format!("{message}. {note}");
    }
    Ok(Verdict::ready("Granted", message).recheck(soon))
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
    let about = grant.object_ref(&());
    let owner = ending::owner(key, &about);
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
                keeper::revoke(context, &platform.platform, &owner, &user).await?;
                status.previous_user = None;
            }
            let begun = keeper::begun(context, platform, &owner, &user).await?;
            (begun.unwrap_or_else(access::password), false)
        }
    };
    let (current, other) = (user(plan.current), user(plan.current.other()));
    let wanted = keeper::Wanted {
        user: &current,
        password: &password,
        tried,
        prune: true,
    };
    note_streams(status, &found.streams);
    keeper::ensure(context, platform, &owner, &wanted).await?;
    if plan.previous.is_some() {
        // It may do what the grant says now, no more; its password isn't known any more, and stays.
        keeper::set_rights(context, platform, &owner, &other).await?;
    } else {
        keeper::revoke(context, &platform.platform, &owner, &other.name).await?;
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

/// The rights end: everything goes.
async fn expired(
    grant: &AccessGrant,
    expires: Timestamp,
    status: &mut AccessGrantStatus,
    context: &Context,
) -> Error {
    let why = format!("the rights ended at {expires}");
    match ending::close(grant, &why, status, context).await {
        Err(error) => error,
        Ok(()) => Error::stalled(
            "Expired",
            format!(
                "spec.expires: the rights ended at {expires}, and its users are gone; set a later time, or delete the grant"
            ),
        ),
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
    fn what_could_not_be_taken_away_is_said_and_tried_again_soon() {
        let error = Error::stalled("OwnedByAnother", "Secret bi/s isn't ours");
        let left = Error::stalled("NotAuthorized", "no right to delete ACLs");
        let Error::Waiting {
            reason,
            message,
            after,
            ..
        } = unfinished(&error, &left)
        else {
            panic!("it is tried again");
        };
        assert_eq!((reason.as_str(), after), ("NotAuthorized", EXPIRY_RECHECK));
        assert!(message.contains("isn't ours") && message.contains("no right to delete"));
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
