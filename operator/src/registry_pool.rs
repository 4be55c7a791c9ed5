//! One client to each Platform's schema registry, shared by everything that registers schemas.
//!
//! As with Kafka, the Platform's reconcile reads the CA's Secret again and again and replaces the client when it
//! changed. A registry that didn't answer isn't asked again for a while: a thousand streams that each wait for a
//! time-out would hold up everything else.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use headworks_crds::Platform;
use headworks_plan::{Reason, RegistryConnection};
use headworks_schema::registry::{self as schema_registry, RegistryError};
use kube::{Client, ResourceExt};

use crate::{
    names::Key,
    reason::ConditionReason,
    retry::Error,
    secrets::{self, LastFailures},
};

/// A registry that didn't answer is left alone for this long.
const REST: Duration = Duration::from_secs(10);
/// What waits for a registry looks again after this long.
pub const RECHECK: Duration = Duration::from_secs(15);
/// A refusal is looked at again after this long: who mends it does so in the registry, where no watch sees it.
const REFUSAL_RECHECK: Duration = Duration::from_secs(60);

/// A registry, and how pods reach it.
pub struct Registry {
    /// The client.
    client: schema_registry::Registry,
    /// What pods are told.
    pub connection: RegistryConnection,
    /// When it last didn't answer, and what was said of it.
    silent: Mutex<Option<(Instant, Error)>>,
}

/// Registries by Platform, and which streams' schemas were seen there.
#[derive(Default)]
pub struct RegistryPool {
    registries: Mutex<HashMap<String, Arc<Registry>>>,
    seen: Mutex<HashMap<Key, (Instant, u32)>>,
    failed: LastFailures,
}

impl RegistryPool {
    /// The registry that the Platform's reconcile knows, or a new client where the operator has just started; none
    /// where the Platform names none.
    pub async fn get(
        &self,
        client: &Client,
        platform: &Platform,
    ) -> Result<Option<Arc<Registry>>, Error> {
        let Some(spec) = &platform.spec.schema_registry else {
            return Ok(None);
        };
        let name = platform.name_any();
        let known = || {
            let known = lock(&self.registries).get(&name).cloned();
            known.filter(|known| known.connection.url == spec.url)
        };
        if let Some(registry) = known() {
            return Ok(Some(registry));
        }
        let _turn = self.failed.turn.lock().await;
        // Whoever had the turn before may have found it, or that there is nothing to find.
        if let Some(registry) = known() {
            return Ok(Some(registry));
        }
        if let Some(error) = self.failed.recall(&name, Instant::now()) {
            return Err(error);
        }
        let found = self.refresh(client, platform).await?;
        Ok(found.map(|(registry, _)| registry))
    }

    /// Reads the CA again; says whether what pods are told is another than before.
    pub async fn refresh(
        &self,
        client: &Client,
        platform: &Platform,
    ) -> Result<Option<(Arc<Registry>, bool)>, Error> {
        let name = platform.name_any();
        let Some(spec) = &platform.spec.schema_registry else {
            lock(&self.registries).remove(&name);
            return Ok(None);
        };
        let ca_pem = match &spec.ca_secret {
            None => None,
            Some(r) => {
                let place = "spec.schemaRegistry.caSecret";
                let text =
                    secrets::certificates(client, place, &r.namespace, &r.name, &r.key).await;
                self.failed.note(&name, &text, Instant::now());
                Some(text?)
            }
        };
        let connection = RegistryConnection {
            url: spec.url.trim_end_matches('/').to_owned(),
            ca_pem,
        };
        let known = lock(&self.registries).get(&name).cloned();
        if let Some(known) = known
            .as_ref()
            .filter(|known| known.connection == connection)
        {
            return Ok(Some((known.clone(), false)));
        }
        let client = schema_registry::Registry::new(&connection.url, connection.ca_pem.as_deref())
            .map_err(|error| translate(&error))?;
        let registry = Arc::new(Registry {
            client,
            connection,
            silent: Mutex::default(),
        });
        lock(&self.registries).insert(name, registry.clone());
        Ok(Some((registry, known.is_some())))
    }

    /// True: the registry had the stream's schema of this id less than `interval` ago.
    pub fn seen(&self, stream: &Key, id: u32, interval: Duration) -> bool {
        lock(&self.seen)
            .get(stream)
            .is_some_and(|(when, seen)| *seen == id && when.elapsed() < interval)
    }

    /// The registry has the stream's schema of this id.
    pub fn note(&self, stream: &Key, id: u32) {
        lock(&self.seen).insert(stream.clone(), (Instant::now(), id));
    }

    /// A Platform or stream is gone.
    pub fn forget(&self, key: &Key) {
        if key.kind == "Platform" {
            lock(&self.registries).remove(&key.name);
        } else {
            lock(&self.seen).remove(key);
        }
    }
}

impl Registry {
    /// The client, unless the registry didn't answer a moment ago.
    pub fn client(&self) -> Result<&schema_registry::Registry, Error> {
        let silent = lock(&self.silent);
        match silent.as_ref() {
            Some((when, error)) if when.elapsed() < REST => Err(error.clone()),
            _ => Ok(&self.client),
        }
    }

    /// Notes an answer, or that there was none.
    pub fn heard<T>(&self, answer: Result<T, RegistryError>) -> Result<T, Error> {
        let answer = answer.map_err(|error| translate(&error));
        let mut silent = lock(&self.silent);
        *silent = match &answer {
            Err(error @ Error::Waiting { .. }) => Some((Instant::now(), error.clone())),
            _ => None,
        };
        answer
    }

    /// Asks it something cheap, whatever was heard before.
    pub async fn ping(&self) -> Result<(), Error> {
        self.heard(self.client.ping().await)
    }
}

/// A registry's error as a kind of retry.
fn translate(error: &RegistryError) -> Error {
    let message = error.to_string();
    match error {
        RegistryError::Unreachable { .. } => {
            Error::waiting(Reason::RegistryUnavailable, message).after(RECHECK)
        }
        RegistryError::Misconfigured { .. } => Error::stalled(
            ConditionReason::RegistryMisconfigured,
            format!("{message}; correct spec.schemaRegistry of the Platform"),
        )
        .after(REFUSAL_RECHECK),
        RegistryError::Refused { .. }
        | RegistryError::TooLarge { .. }
        | RegistryError::References { .. }
        | RegistryError::NotFound { .. } => {
            Error::stalled(ConditionReason::RegistryRefused, message).after(REFUSAL_RECHECK)
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
