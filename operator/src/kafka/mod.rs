//! Administration of Kafka: the operator's only room that talks to a broker, and its only unsafe code.
//!
//! An [`Admin`] is one librdkafka client. Its methods describe the cluster; describe, make, grow, alter
//! and delete topics; and make and delete users, what they may do (`acls`) and what they may use (`quotas`). Each ends within a bounded time, and each error is one a user can act upon: a wrong
//! password is told apart from a broker that can't be reached, because librdkafka's own error events are
//! read while a call waits (`signals`).
//!
//! Two rules keep a user's topics safe. Topic configuration is changed only by IncrementalAlterConfigs
//! (KIP-339), which leaves alone what isn't named; the older AlterConfigs resets it. And topics are looked up
//! only by DescribeTopics, which, unlike a producer's metadata request, never makes a broker create one.
//!
//! Why librdkafka and not another client: docs/decisions/0004-kafka-administration.md.

mod acls;
mod cluster;
mod connection;
mod error;
mod list;
mod native;
mod quotas;
mod signals;
mod topics;
mod users;
mod wire;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

pub use acls::{Acl, Held, Operation, Pattern, Resource};
pub use cluster::Cluster;
pub use connection::{Connection, Scram, Tls};
pub use error::KafkaError;
pub use quotas::Quota;
pub use topics::{ConfigChange, NewTopic, Setting, Topic};

use crate::supervise;

/// How long one call may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// After this time a call that has seen a refusal (credentials, TLS) doesn't wait for another broker.
const PATIENCE_AFTER_REFUSAL: Duration = Duration::from_millis(1_500);

/// A client of one Kafka cluster's Admin API. Clones share the connections.
#[derive(Clone)]
pub struct Admin {
    client: Arc<native::Client>,
    connection: Arc<Connection>,
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admin")
            .field("bootstrap", &self.client.bootstrap())
            .finish_non_exhaustive()
    }
}

impl Admin {
    /// Makes a client. Connections are opened by the first call, so an unreachable broker is reported there.
    ///
    /// # Errors
    /// [`KafkaError::TlsFailed`] if the CA isn't a certificate, [`KafkaError::Other`] if librdkafka can't be set up.
    pub fn new(connection: &Connection) -> Result<Self, KafkaError> {
        Ok(Self {
            client: Arc::new(native::Client::new(connection)?),
            connection: Arc::new(connection.clone()),
        })
    }

    /// Sends one request and reads its answer, off the async threads.
    async fn call<T, S, R>(&self, doing: String, send: S, read: R) -> Result<T, KafkaError>
    where
        T: Send + 'static,
        S: FnOnce(&native::Request<'_>) -> Result<(), KafkaError> + Send + 'static,
        R: FnOnce(&native::Reply, &str) -> Result<T, KafkaError> + Send + 'static,
    {
        let client = Arc::clone(&self.client);
        let work = move || {
            let started = Instant::now();
            let result = client
                .call(&doing, TIMEOUT, PATIENCE_AFTER_REFUSAL, send)
                .and_then(|reply| read(&reply, &doing));
            tracing::debug!(%doing, took = ?started.elapsed(), error = result.as_ref().err().map(tracing::field::display), "Kafka");
            result
        };
        match supervise::ended("call Kafka", tokio::task::spawn_blocking(work).await) {
            Ok(result) => result,
            Err(_) => Err(KafkaError::Other {
                doing: "call Kafka".to_owned(),
                what: "a mistake of Headworks' own; the operator's log says where".to_owned(),
            }),
        }
    }
}
