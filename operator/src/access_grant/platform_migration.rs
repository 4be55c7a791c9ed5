//! Which Platforms a grant has to do with: the one whose Kafka has its users, and the one where its streams are now.
//!
//! They differ where a stream was made again elsewhere, or the spec names other streams. A user is a user of one Kafka: it must be
//! gone from the one before it is made in the other.

use std::collections::BTreeSet;

use headworks_crds::{AccessGrant, AccessGrantStatus};
use kube::ResourceExt;

use super::revocation;
use crate::{context::Context, names::Key, retry::Error};

/// The Platform of the grant's streams; where none of them is there, the one that the status names.
pub fn platform(
    grant: &AccessGrant,
    status: &AccessGrantStatus,
    context: &Context,
) -> Option<String> {
    chosen(status.platform.as_deref(), &of_streams(grant, context))
}

/// As long as one stream is where the users are, they stay: that another one isn't, is a fault of the spec.
fn chosen(now: Option<&str>, of_streams: &[String]) -> Option<String> {
    match now {
        Some(now) if of_streams.is_empty() || of_streams.iter().any(|one| one == now) => {
            Some(now.to_owned())
        }
        _ => of_streams.first().cloned(),
    }
}

/// The Platforms of those of the grant's streams that are there, in the spec's order.
fn of_streams(grant: &AccessGrant, context: &Context) -> Vec<String> {
    let namespace = grant.namespace().unwrap_or_default();
    let names = grant.spec.read.iter().chain(&grant.spec.write);
    names
        .filter_map(|name| context.stores.stream(&namespace, name))
        .map(|stream| stream.spec.platform)
        .collect()
}

/// Every Platform whose Kafka may have one of the grant's users.
pub fn all(grant: &AccessGrant, status: &AccessGrantStatus, context: &Context) -> BTreeSet<String> {
    // A user that was made a moment ago stands in no status yet.
    let next = platform(grant, status, context);
    status.platform.iter().cloned().chain(next).collect()
}

/// Leaves the Platform before, if there is one: its users go, and the Secret, so that no password of there works here.
///
/// # Errors
/// What Kafka and the API server say; nothing is made on the new Platform before it is done.
pub async fn migrate_away(
    grant: &AccessGrant,
    now: &str,
    status: &mut AccessGrantStatus,
    context: &Context,
) -> Result<(), Error> {
    let Some(before) = status.platform.clone().filter(|before| before != now) else {
        return Ok(());
    };
    tracing::info!(key = %Key::of(grant), before, now, "a grant moves to another Platform");
    match context.stores.platform(&before) {
        Some(platform) => revocation::revoke(grant, status, &platform, context)
            .await
            .map_err(|error| on_the_way(error, &before, now))?,
        None => revocation::users_left(grant, status, &before, context).await,
    }
    revocation::delete_kafka_users(grant, context).await?;
    revocation::forget_secret(grant, context).await?;
    *status = AccessGrantStatus {
        conditions: std::mem::take(&mut status.conditions),
        expires: status.expires.take(),
        ..AccessGrantStatus::default()
    };
    Ok(())
}

/// Why a grant can't leave a Platform yet.
fn on_the_way(error: Error, before: &str, now: &str) -> Error {
    let said = |message: &str| {
        format!(
            "its streams are on Platform {now} now, and its users must be gone from Platform {before} first (if its Kafka is gone, delete that Platform): {message}"
        )
    };
    match error {
        Error::Stalled {
            reason,
            message,
            recheck,
        } => Error::Stalled {
            reason,
            message: said(&message),
            recheck,
        },
        Error::Waiting {
            reason,
            message,
            after,
            missing,
        } => Error::Waiting {
            reason,
            message: said(&message),
            after,
            missing,
        },
        Error::Transient { reason, message } => Error::transient(reason, said(&message)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use headworks_plan::Reason;

    #[test]
    fn what_holds_up_a_move_names_both_platforms_and_stays_the_kind_of_error_it_is() {
        let error = Error::waiting(Reason::KafkaUnavailable, "no broker answers");
        let moving = on_the_way(error, "old", "new");
        assert_eq!(moving.reason(), "KafkaUnavailable");
        assert!(matches!(moving, Error::Waiting { .. }));
        for part in ["Platform old", "Platform new", "no broker answers"] {
            assert!(moving.message().contains(part), "{}", moving.message());
        }
    }

    #[test]
    fn a_grant_moves_only_when_none_of_its_streams_is_where_its_users_are() {
        let chosen = |now: Option<&str>, streams: &[&str]| {
            let streams: Vec<String> = streams.iter().map(|s| (*s).to_owned()).collect();
            super::chosen(now, &streams)
        };
        let some = |name: &str| Some(name.to_owned());
        assert_eq!(chosen(None, &["p", "q"]), some("p"));
        assert_eq!(chosen(Some("p"), &["q"]), some("q"));
        // Both at once is a PlatformMismatch, which must cost nobody the access there is.
        assert_eq!(chosen(Some("p"), &["q", "p"]), some("p"));
        // Its streams are away: the users are where they were.
        assert_eq!(chosen(Some("p"), &[]), some("p"));
        assert_eq!(chosen(None, &[]), None);
    }
}
