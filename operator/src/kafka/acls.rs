//! Access rules: what one user may do, described, made and deleted.
//!
//! A rule here is an *allow* for a user from any host; that is all that Headworks makes. What else a principal has (a
//! deny, a rule for one host) was put there by somebody, counts as held, and goes only with the whole user.

use std::collections::BTreeSet;

use rdkafka::types::RDKafkaErrorCode as Code;

use super::{Admin, KafkaError};

/// What a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Resource {
    /// Topics.
    Topic,
    /// Consumer groups.
    Group,
    /// Transactional ids.
    TransactionalId,
}

/// Which names a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Pattern {
    /// Exactly this one.
    Literal,
    /// All that begin with it (KIP-290).
    Prefixed,
}

/// What is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// Reading records; joining a group and committing its offsets.
    Read,
    /// Writing records; using a transactional id.
    Write,
    /// Asking what is there.
    Describe,
    /// Asking for a topic's settings.
    DescribeConfigs,
    /// Deleting a topic's records (DeleteRecords), and the topic.
    Delete,
}

/// One thing that a user may do.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Acl {
    /// About what.
    pub resource: Resource,
    /// Its name, or the beginning of it.
    pub name: String,
    /// Which of the two.
    pub pattern: Pattern,
    /// What is allowed.
    pub operation: Operation,
}

impl Acl {
    /// A rule about one name.
    pub fn literal(resource: Resource, name: &str, operation: Operation) -> Self {
        Self {
            resource,
            name: name.to_owned(),
            pattern: Pattern::Literal,
            operation,
        }
    }

    /// A rule about all names that begin so.
    pub fn prefixed(resource: Resource, name: &str, operation: Operation) -> Self {
        Self {
            pattern: Pattern::Prefixed,
            ..Self::literal(resource, name, operation)
        }
    }
}

/// What a principal has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Rules as Headworks makes them.
    pub acls: BTreeSet<Acl>,
    /// How many others there are: denials, rules for one host, other operations.
    pub others: usize,
}

impl Held {
    /// True: nothing at all.
    pub fn is_empty(&self) -> bool {
        self.acls.is_empty() && self.others == 0
    }
}

/// A user as Kafka's rules name it.
pub(super) fn principal(user: &str) -> String {
    format!("User:{user}")
}

impl Admin {
    /// What a user has.
    ///
    /// # Errors
    /// [`KafkaError::NoAuthorizer`] where the brokers check no rules; other [`KafkaError`]s as for every call.
    pub async fn acls(&self, user: &str) -> Result<Held, KafkaError> {
        let principal = principal(user);
        self.call(
            format!("describe the ACLs of user {user}"),
            move |request| request.describe_acls(&principal),
            |reply, _| Ok(reply.described_acls()),
        )
        .await
    }

    /// Allows a user these things, beside what it has.
    ///
    /// # Errors
    /// As [`Admin::acls`]. After an error some of them may have been made.
    pub async fn create_acls(&self, user: &str, acls: &[Acl]) -> Result<(), KafkaError> {
        if acls.is_empty() {
            return Ok(());
        }
        let (principal, acls) = (principal(user), acls.to_vec());
        self.call(
            format!("create ACLs of user {user}"),
            move |request| request.create_acls(&principal, &acls),
            |reply, doing| first_error(reply.created_acls(), doing),
        )
        .await
    }

    /// Takes exactly these away from a user.
    ///
    /// # Errors
    /// As [`Admin::acls`]. After an error some of them may be gone.
    pub async fn delete_acls(&self, user: &str, acls: &[Acl]) -> Result<(), KafkaError> {
        if acls.is_empty() {
            return Ok(());
        }
        let (principal, acls) = (principal(user), acls.to_vec());
        self.call(
            format!("delete ACLs of user {user}"),
            move |request| request.delete_acls(&principal, &acls),
            |reply, doing| first_error(reply.deleted_acls(), doing),
        )
        .await
    }

    /// Takes everything away from a user, denials too.
    ///
    /// # Errors
    /// As [`Admin::acls`].
    pub async fn delete_all_acls(&self, user: &str) -> Result<(), KafkaError> {
        let principal = principal(user);
        self.call(
            format!("delete the ACLs of user {user}"),
            move |request| request.delete_all_acls(&principal),
            |reply, doing| first_error(reply.deleted_acls(), doing),
        )
        .await
    }
}

/// Of several results the first that failed.
fn first_error(
    results: Option<Vec<Option<(Code, String)>>>,
    doing: &str,
) -> Result<(), KafkaError> {
    let Some(results) = results else {
        return Err(KafkaError::Other {
            doing: doing.to_owned(),
            what: "an answer to something else".to_owned(),
        });
    };
    match results.into_iter().flatten().next() {
        None => Ok(()),
        Some((code, text)) => Err(KafkaError::from_code(code, &text, doing, "")),
    }
}
