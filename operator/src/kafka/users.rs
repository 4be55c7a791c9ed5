//! SCRAM users: made, looked up and deleted (KIP-554). Only SCRAM-SHA-512: it is what Headworks' own pods speak.
//!
//! A password goes to the broker as a salted hash and never comes back; whether one is right is told by logging in with it
//! ([`Admin::accepts`]).

use std::collections::BTreeSet;

use rdkafka::types::RDKafkaErrorCode as Code;

use super::{Admin, Connection, KafkaError, Scram, wire};

impl Admin {
    /// Which of these users can log in by SCRAM-SHA-512.
    ///
    /// # Errors
    /// Any [`KafkaError`] but those about topics.
    pub async fn users_exist(&self, users: &[String]) -> Result<BTreeSet<String>, KafkaError> {
        if users.is_empty() {
            return Ok(BTreeSet::new());
        }
        let names = users.to_vec();
        self.call(
            format!("describe the SCRAM credentials of {}", users.join(" and ")),
            move |request| request.describe_scram(&names),
            |reply, doing| {
                let mut found = BTreeSet::new();
                for user in reply.scram_users() {
                    match user.failure {
                        None if user.has_sha512 => {
                            found.insert(user.name);
                        }
                        None | Some((Code::ResourceNotFound, _)) => {}
                        Some((code, text)) => {
                            return Err(KafkaError::from_code(code, &text, doing, ""));
                        }
                    }
                }
                Ok(found)
            },
        )
        .await
    }

    /// Makes a user, or gives it another password. Connections that are open stay open.
    ///
    /// # Errors
    /// [`KafkaError::PolicyRefused`] for a name or password that Kafka doesn't take; other [`KafkaError`]s as for every call.
    pub async fn set_password(&self, user: &str, password: &str) -> Result<(), KafkaError> {
        let credentials = Scram {
            username: user.to_owned(),
            password: password.to_owned(),
        };
        self.call(
            format!("set the SCRAM credentials of user {user}"),
            move |request| request.upsert_scram(&credentials),
            |reply, doing| outcome(reply.altered_scram(), doing).map(|_| ()),
        )
        .await
    }

    /// Deletes a user's SCRAM credentials. True if there were any. Connections that are open stay open: take its ACLs first.
    ///
    /// # Errors
    /// Any [`KafkaError`] but those about topics.
    pub async fn delete_user(&self, user: &str) -> Result<bool, KafkaError> {
        let name = user.to_owned();
        self.call(
            format!("delete the SCRAM credentials of user {user}"),
            move |request| request.delete_scram(&name),
            |reply, doing| outcome(reply.altered_scram(), doing),
        )
        .await
    }

    /// True: a broker lets this user in. The only way to know whether a password is the right one.
    ///
    /// # Errors
    /// [`KafkaError::Unreachable`], [`KafkaError::TlsFailed`], [`KafkaError::Other`].
    pub async fn accepts(&self, credentials: &Scram) -> Result<bool, KafkaError> {
        let connection = Connection {
            scram: Some(credentials.clone()),
            ..self.connection.as_ref().clone()
        };
        match wire::Wire::connect(&connection).await {
            Ok(_) => Ok(true),
            Err(KafkaError::CredentialsRefused { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// True: done; false: there was nothing to delete.
fn outcome(results: Option<Vec<Option<(Code, String)>>>, doing: &str) -> Result<bool, KafkaError> {
    match results.map(|results| results.into_iter().next()) {
        Some(Some(None)) => Ok(true),
        Some(Some(Some((Code::ResourceNotFound, _)))) => Ok(false),
        Some(Some(Some((code, text)))) => Err(KafkaError::from_code(code, &text, doing, "")),
        Some(None) | None => Err(KafkaError::Other {
            doing: doing.to_owned(),
            what: "an empty answer".to_owned(),
        }),
    }
}
