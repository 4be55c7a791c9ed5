//! One connection to each Platform's Kafka, shared by everything that administers it.
//!
//! The Platform's reconcile reads its Secrets again and again and replaces the connection when they
//! changed; all others take what is there.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use headworks_crds::Platform;
use headworks_plan::Reason;
use kube::{Client, ResourceExt};

use crate::{
    kafka::{Admin, Connection, KafkaError, Scram, Tls},
    reason::ConditionReason,
    retry::Error,
    secrets::{self, LastFailures},
};

/// A refusal is looked at again after this long: who mends it does so in Kafka, where no watch sees it.
const REFUSAL_RECHECK: Duration = Duration::from_secs(30);

/// A connection, and what it was made from.
#[derive(Clone)]
pub struct KafkaClient {
    /// The client.
    pub admin: Admin,
    /// Kafka's CA (PEM), if the Platform names one.
    pub ca: Option<Arc<str>>,
    connection: Arc<Connection>,
}

/// Connections by Platform.
#[derive(Default)]
pub struct KafkaPool {
    connected: Mutex<HashMap<String, KafkaClient>>,
    failed: LastFailures,
}

impl KafkaPool {
    /// The connection that the Platform's reconcile made, or a new one where the operator has just started.
    pub async fn get(&self, client: &Client, platform: &Platform) -> Result<KafkaClient, Error> {
        if let Some(connected) = self.known(platform) {
            return Ok(connected);
        }
        let _turn = self.failed.turn.lock().await;
        // Whoever had the turn before may have found it, or that there is nothing to find.
        if let Some(connected) = self.known(platform) {
            return Ok(connected);
        }
        if let Some(error) = self.failed.recall(&platform.name_any(), Instant::now()) {
            return Err(error);
        }
        self.refresh(client, platform)
            .await
            .map(|(connected, _)| connected)
    }

    fn known(&self, platform: &Platform) -> Option<KafkaClient> {
        let known = self.lock().get(&platform.name_any()).cloned();
        let servers = &platform.spec.kafka.bootstrap_servers;
        known.filter(|known| known.connection.bootstrap_servers == *servers)
    }

    /// Reads the Secrets again; says whether what pods are told of it (the CA) is another than before.
    pub async fn refresh(
        &self,
        client: &Client,
        platform: &Platform,
    ) -> Result<(KafkaClient, bool), Error> {
        let name = platform.name_any();
        let connection = connection(client, platform).await;
        self.failed.note(&name, &connection, Instant::now());
        let connection = connection?;
        let known = self.lock().get(&name).cloned();
        if let Some(known) = known
            .as_ref()
            .filter(|known| *known.connection == connection)
        {
            return Ok((known.clone(), false));
        }
        let ca: Option<Arc<str>> = connection
            .tls
            .as_ref()
            .and_then(|tls| tls.ca_pem.as_deref())
            .map(Arc::from);
        let admin = Admin::new(&connection).map_err(|e| {
            to_reconcile_error(&e, &format!("Platform {name}"), &credential_field(platform))
        })?;
        let connected = KafkaClient {
            admin,
            ca,
            connection: Arc::new(connection),
        };
        self.lock().insert(name, connected.clone());
        let changed = known.is_some_and(|known| known.ca != connected.ca);
        Ok((connected, changed))
    }

    /// The Platform is gone.
    pub fn forget(&self, platform: &str) {
        self.lock().remove(platform);
        self.failed.forget(platform);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, KafkaClient>> {
        self.connected
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

async fn connection(client: &Client, platform: &Platform) -> Result<Connection, Error> {
    let kafka = &platform.spec.kafka;
    let tls = match kafka.tls.as_ref().map(|tls| &tls.ca_secret) {
        None => None,
        Some(None) => Some(Tls { ca_pem: None }),
        Some(Some(r)) => {
            let ca = secrets::certificates(
                client,
                "spec.kafka.tls.caSecret",
                &r.namespace,
                &r.name,
                &r.key,
            )
            .await?;
            Some(Tls { ca_pem: Some(ca) })
        }
    };
    let scram = match kafka
        .authentication
        .as_ref()
        .and_then(|a| a.scram_sha512.as_ref())
    {
        None => None,
        Some(r) => {
            let place = "spec.kafka.authentication.scramSha512";
            Some(Scram {
                username: secrets::text(client, place, &r.namespace, &r.name, &r.username_key)
                    .await?,
                password: secrets::text(client, place, &r.namespace, &r.name, &r.password_key)
                    .await?,
            })
        }
    };
    Ok(Connection {
        bootstrap_servers: kafka.bootstrap_servers.clone(),
        tls,
        scram,
    })
}

/// What a user looks at when Kafka refuses the operator: the Secret by name.
pub fn credential_field(platform: &Platform) -> String {
    let secret = platform
        .spec
        .kafka
        .authentication
        .as_ref()
        .and_then(|a| a.scram_sha512.as_ref());
    secret.map_or_else(
        || "spec.kafka.authentication is absent: give the operator a user".to_owned(),
        |r| {
            format!(
                "correct Secret {}/{} (keys {} and {})",
                r.namespace, r.name, r.username_key, r.password_key
            )
        },
    )
}

/// A Kafka error as a kind of retry. `what` is the thing that was worked on.
pub fn to_reconcile_error(error: &KafkaError, what: &str, credential_field: &str) -> Error {
    let message = format!("{what}: {error}");
    match error {
        KafkaError::Unreachable { .. } | KafkaError::Timeout { .. } => {
            Error::waiting(Reason::KafkaUnavailable, message).after(Duration::from_secs(15))
        }
        KafkaError::CredentialsRefused { .. } => Error::stalled(
            Reason::CredentialsRefused,
            format!("{message}; {credential_field}"),
        )
        .after(REFUSAL_RECHECK),
        KafkaError::TlsFailed { .. } => {
            Error::stalled(ConditionReason::TlsFailed, message).after(REFUSAL_RECHECK)
        }
        KafkaError::NotAuthorized { .. } => {
            Error::stalled(Reason::NotAuthorized, message).after(REFUSAL_RECHECK)
        }
        KafkaError::NoAuthorizer { .. } => {
            Error::stalled(ConditionReason::NoAuthorizer, message).after(REFUSAL_RECHECK)
        }
        KafkaError::PolicyRefused { .. } => {
            Error::stalled(ConditionReason::RefusedByKafka, message).after(Duration::from_secs(120))
        }
        KafkaError::TopicExists { .. }
        | KafkaError::NoSuchTopic { .. }
        | KafkaError::Other { .. } => Error::transient(Reason::KafkaError, message),
    }
}
