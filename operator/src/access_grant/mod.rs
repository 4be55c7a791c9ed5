//! AccessGrant: a Kafka user with exactly the rights that the grant names, and a Secret with its credentials in the client's
//! namespace.
//!
//! Two promises shape the order of a reconcile. A client never holds credentials that don't work: the user is made, and seen to work,
//! before the Secret names it (`rotation`). And no right outlives the grant: when it expires or is deleted, rights go first, and it is
//! let go only when Kafka shows none (`revocation`). That doesn't depend on the streams, the client's namespace or Strimzi's operators, nor on
//! the rest of the spec: an end that could be read once holds, whatever is wrong with it now.
//!
//! What is given is found in five steps: everything that the grant refers to is read (`dereference`); what the client gets is decided
//! purely (`validate`), and how derived streams and users are to be (`derived`, `build`); that is made (`apply`), and said (`status`).

pub mod accept;
mod admission;
mod apply;
mod build;
mod credentials;
mod dereference;
mod derived;
mod platform_migration;
mod revocation;
mod rights;
mod rotation;
mod status;
mod validate;
mod watched;

use std::time::Duration;

use headworks_crds::{AccessGrant, AccessGrantStatus, SpecFault};
use k8s_openapi::jiff::Timestamp;

use crate::{
    context::Context,
    controller::{PodRequest, Reconciler, ShownFigures, SpecCheck},
    names::Key,
    platform::resolve::resolve_platform,
    reason::ConditionReason,
    retry::Error,
    security::Open,
    status::ReconcileOutcome,
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
    validate::beyond_schema(spec).map(|_| ())
}

impl Reconciler for AccessGrant {
    type Status = AccessGrantStatus;

    /// A spec that is wrong puts off no expiry.
    const SPEC_CHECK: SpecCheck = SpecCheck::InReconcile;

    fn status(&self) -> Option<&AccessGrantStatus> {
        self.status.as_ref()
    }

    fn spec_faults(&self) -> Vec<SpecFault> {
        let own = check(&self.spec).err();
        let own = own.map(|error| SpecFault::placed(error.message()));
        headworks_crds::faults(&self.spec)
            .into_iter()
            .chain(own)
            .collect()
    }

    fn open(&self) -> Option<Open> {
        None
    }

    fn pods(&self) -> Option<PodRequest<'_>> {
        None
    }

    fn shown_figures(&self) -> Option<ShownFigures> {
        None
    }

    /// Rights in Kafka must not outlive the grant.
    fn needs_finalizer(&self) -> bool {
        true
    }

    async fn reconcile(
        &self,
        status: &mut AccessGrantStatus,
        context: &Context,
    ) -> Result<ReconcileOutcome, Error> {
        let (expires, unreadable) = rotation::end(&self.spec, status.expires.as_deref());
        status.expires = expires.map(|end| end.to_string());
        dereference::declare(
            self,
            &Key::of(self),
            platform_migration::platform(self, status, context).as_deref(),
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
                Err(error) => match revocation::meanwhile(self, status, context).await {
                    Ok(()) => error,
                    Err(left) => unfinished(&error, &left),
                },
            }
        };
        Err(in_time(error, expires, Timestamp::now()))
    }

    async fn finalize(&self, status: &AccessGrantStatus, context: &Context) -> Result<(), Error> {
        if let Some(platform) = revocation::revoke_everywhere(self, status, context).await? {
            revocation::users_left(self, status, &platform, context).await;
        }
        revocation::forget_secret(self, context).await
    }
}

/// Something is in the way, and what must not wait for it couldn't be done either: it is tried again soon.
fn unfinished(error: &Error, left: &Error) -> Error {
    Error::waiting(
        left.why().clone(),
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
            Error::waiting(reason, message).after(EXPIRY_RECHECK.min(left))
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
) -> Result<ReconcileOutcome, Error> {
    let key = Key::of(grant);
    let now = Timestamp::now();
    let times = validate::spec(&grant.spec)?;
    let note = match validate::accepted(grant, dereference::word(grant, context)) {
        Ok(note) => note,
        Err(error) => {
            // Who takes back the word, takes back what it gave.
            if status.platform.is_some() {
                let why = format!(
                    "namespace {} accepts grants no longer",
                    grant.spec.to.namespace
                );
                revocation::close(grant, &why, status, context).await?;
                status.platform = None;
            }
            return Err(error);
        }
    };
    let name = platform_migration::platform(grant, status, context).ok_or_else(|| {
        let first = grant.spec.read.iter().chain(&grant.spec.write).next();
        Error::missing(
            ConditionReason::StreamNotFound,
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
    platform_migration::migrate_away(grant, &name, status, context).await?;
    let platform = resolve_platform(context, &name, &key.namespace)?;
    if !platform.ready() {
        return Err(platform.not_ready());
    }
    validate::logs_in(&platform)?;
    let connected = context
        .kafka
        .get(&context.client, &platform.platform)
        .await?;
    let found = dereference::streams(grant, context).await;
    let mut decisions = validate::streams(grant, &name, found)?;
    apply::derive(grant, &mut decisions, context).await;
    let given = validate::granted(&grant.spec, status, decisions);
    status.platform = Some(name);
    let of = apply::OfGrant {
        grant,
        key: &key,
        times: &times,
        platform: &platform,
        connected: &connected,
        now,
    };
    let next = apply::issue(of, &given, status, context).await?;
    derived::sweep(context, grant, &given.derived).await?;
    if let Some(problem) = given.problem {
        return Err(problem);
    }
    let soon = until(next, now).map_or(context.settings.recheck, |d| {
        d.min(context.settings.recheck)
    });
    let message = status::said(grant, status, note);
    Ok(ReconcileOutcome::ready(ConditionReason::Granted, message).recheck(soon))
}

/// The rights end: everything goes.
async fn expired(
    grant: &AccessGrant,
    expires: Timestamp,
    status: &mut AccessGrantStatus,
    context: &Context,
) -> Error {
    let why = format!("the rights ended at {expires}");
    match revocation::close(grant, &why, status, context).await {
        Err(error) => error,
        Ok(()) => Error::stalled(
            ConditionReason::Expired,
            format!(
                "spec.expires: the rights ended at {expires}, and its users are gone; set a later time, or delete the grant"
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use headworks_plan::Reason;

    #[test]
    fn what_could_not_be_taken_away_is_said_and_tried_again_soon() {
        let error = Error::stalled(ConditionReason::OwnedByAnother, "Secret bi/s isn't ours");
        let left = Error::stalled(Reason::NotAuthorized, "no right to delete ACLs");
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
    fn nothing_puts_off_an_expiry() {
        let now: Timestamp = "2027-01-01T00:00:00Z".parse().unwrap();
        let at = |seconds: i64| Timestamp::from_second(now.as_second() + seconds).unwrap();
        let again = |error: Error, expires| match in_time(error, Some(expires), now) {
            Error::Waiting { after, .. } => Some(after.as_secs()),
            Error::Stalled { recheck, .. } => recheck.map(|r| r.as_secs()),
            Error::Transient { .. } => panic!("its pauses grow up to two minutes"),
        };
        assert_eq!(
            again(Error::transient(Reason::KafkaError, ""), at(-5)),
            Some(10)
        );
        assert_eq!(
            again(Error::waiting(ConditionReason::NotAccepted, ""), at(20)),
            Some(20)
        );
        assert_eq!(
            again(Error::waiting(ConditionReason::NotAccepted, ""), at(500)),
            Some(60)
        );
        assert_eq!(
            again(
                Error::stalled(ConditionReason::UserOperatorPresent, ""),
                at(30)
            ),
            Some(30)
        );
        assert_eq!(
            again(Error::stalled(ConditionReason::Expired, ""), at(-1)),
            None
        );
        let error = Error::transient(Reason::KafkaError, "");
        assert_eq!(in_time(error.clone(), None, now), error);
    }
}
