//! Kafka users that Headworks makes: those of AccessGrants, and those that Pipelines and Sources run under.
//!
//! A [`User`] is a name with rights and a quota. Its password lives in one place, the Secret of whoever uses it
//! (`secret`), and is never read back from Kafka: where it matters whether Kafka has the same one, it is tried. `admin` makes and
//! takes users by Kafka's Admin API, in an order that leaves no right behind: rights go first, and a user is gone only when
//! Kafka shows none. `user_provisioner` chooses the way, and `kafka_users` is Strimzi's; `user_operator` sees to it that nobody else deletes them; `workload` is about pods' own users, and `migration` about one whose pods have moved.

pub mod admin;
pub mod kafka_users;
pub mod migration;
pub mod secret;
pub mod user_operator;
pub mod user_provisioner;
pub mod workload;

use std::collections::BTreeSet;

use rand::{Rng, distr::Alphanumeric};

use crate::kafka::{Acl, Quota};

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
