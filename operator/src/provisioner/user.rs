//! A Kafka user as it should be: its name, its rights, its quota, its password.

use std::collections::BTreeSet;

use headworks_crds::Platform;
use k8s_openapi::api::core::v1::ObjectReference;
use rand::{Rng, distr::Alphanumeric};

use crate::{
    context::Context,
    kafka::{Acl, KafkaError, Quota},
    kafka_pool::{credential_field, to_reconcile_error},
    names::Key,
    reason::ConditionReason,
    retry::Error,
};

/// What every user's name begins with. A User Operator that is told to ignore it leaves our users alone.
pub const USER_PREFIX: &str = "headworks.";
/// Characters of a password: 40 of 62 are 238 bits.
const PASSWORD_LENGTH: usize = 40;

/// A user as it should be.
#[derive(Clone, Debug, PartialEq)]
pub struct User {
    /// Name.
    pub name: String,
    /// All that it may do.
    pub acls: BTreeSet<Acl>,
    /// What it may use. Absent: nobody looks.
    pub quota: Option<Quota>,
}

/// Name of a user: no other object, and no other installation on the same Kafka, has it. `what` is a kind in lower case.
/// Neither namespaces nor the names of these kinds have dots. It is also a KafkaUser's name, so a DNS subdomain.
pub fn user_name(installation: &str, what: &str, namespace: &str, name: &str) -> String {
    format!("{USER_PREFIX}{installation}.{what}.{namespace}.{name}")
}

/// A password. It needs no escaping anywhere: letters and digits only.
pub fn password() -> String {
    rand::rng()
        .sample_iter(Alphanumeric)
        .take(PASSWORD_LENGTH)
        .map(char::from)
        .collect()
}

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
            .warning(self.about, ConditionReason::SecretLeft, &note)
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

/// What Kafka says of a user, in the words of a reconcile.
pub(super) fn said(error: &KafkaError, owner: &Key, platform: &Platform) -> Error {
    to_reconcile_error(error, &owner.to_string(), &credential_field(platform))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_differ_and_need_no_escaping() {
        let (one, other) = (password(), password());
        assert_ne!(one, other);
        assert!(one.len() == 40 && one.bytes().all(|b| b.is_ascii_alphanumeric()));
    }

    #[test]
    fn names_of_two_objects_never_meet() {
        assert_ne!(
            user_name("i", "grant", "a-b", "c"),
            user_name("i", "grant", "a", "b-c")
        );
        assert_eq!(
            user_name("prod", "pipeline", "shop", "p"),
            "headworks.prod.pipeline.shop.p"
        );
    }
}
