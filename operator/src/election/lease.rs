//! The thin I/O around [`super::decide`].

use std::time::Instant;

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
    jiff::Timestamp,
};
use kube::{Api, Client, api::PostParams};

use super::{Decision, LEASE, PERIOD, RENEW_DEADLINE, Seen, decide};

/// Leadership was lost; the process must end at once, as another may lead already.
#[derive(Debug)]
pub struct Lost(pub String);

/// Acquires and holds one Lease.
pub struct Elector {
    api: Api<Lease>,
    name: String,
    me: String,
    /// Resource version we last saw, and when we first saw it.
    last: Option<(String, Instant)>,
}

impl Elector {
    /// An elector for Lease `name`; `me` must differ between replicas (the pod's name).
    pub fn new(client: Client, namespace: &str, name: &str, me: String) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            name: name.into(),
            me,
            last: None,
        }
    }

    /// Returns once we lead.
    pub async fn acquire(&mut self) {
        loop {
            match self.step().await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(%error, "the leader election Lease can't be read or written");
                }
            }
            tokio::time::sleep(PERIOD).await;
        }
    }

    /// Renews until leadership is lost.
    pub async fn hold(&mut self) -> Lost {
        let mut renewed = Instant::now();
        loop {
            tokio::time::sleep(PERIOD).await;
            match tokio::time::timeout(PERIOD, self.step()).await {
                Ok(Ok(true)) => renewed = Instant::now(),
                Ok(Ok(false)) => return Lost("another replica holds the Lease".into()),
                Ok(Err(error)) => tracing::warn!(%error, "the Lease could not be renewed"),
                Err(_) => tracing::warn!("renewing the Lease took too long"),
            }
            if renewed.elapsed() > RENEW_DEADLINE {
                return Lost(format!(
                    "the Lease was not renewed for {} s",
                    RENEW_DEADLINE.as_secs()
                ));
            }
        }
    }

    /// Gives the Lease up, so that the next replica needn't wait for it to expire.
    pub async fn release(&mut self) {
        let Ok(Some(mut lease)) = self.api.get_opt(&self.name).await else {
            return;
        };
        if let Some(spec) = lease
            .spec
            .as_mut()
            .filter(|s| s.holder_identity.as_deref() == Some(&self.me))
        {
            spec.holder_identity = None;
            let _ = self
                .api
                .replace(&self.name, &PostParams::default(), &lease)
                .await;
        }
    }

    /// One try; true: we lead.
    async fn step(&mut self) -> Result<bool, kube::Error> {
        let lease = self.api.get_opt(&self.name).await?;
        let seen = lease.as_ref().map(|lease| self.see(lease));
        let decision = decide(&self.me, seen.as_ref());
        let now = MicroTime(Timestamp::now());
        let result = match (decision, lease) {
            (Decision::Wait, _) => return Ok(false),
            (_, None) => {
                let lease = Lease {
                    metadata: ObjectMeta {
                        name: Some(self.name.clone()),
                        ..ObjectMeta::default()
                    },
                    spec: Some(LeaseSpec {
                        holder_identity: Some(self.me.clone()),
                        lease_duration_seconds: Some(LEASE.as_secs() as i32),
                        acquire_time: Some(now.clone()),
                        renew_time: Some(now),
                        lease_transitions: Some(0),
                        ..LeaseSpec::default()
                    }),
                };
                self.api.create(&PostParams::default(), &lease).await
            }
            (decision, Some(mut lease)) => {
                let spec = lease.spec.get_or_insert_default();
                if decision == Decision::Take {
                    spec.lease_transitions =
                        Some(spec.lease_transitions.unwrap_or(0).saturating_add(1));
                    spec.acquire_time = Some(now.clone());
                }
                spec.holder_identity = Some(self.me.clone());
                spec.lease_duration_seconds = Some(LEASE.as_secs() as i32);
                spec.renew_time = Some(now);
                // The resource version is a precondition: of two takers one gets a conflict.
                self.api
                    .replace(&self.name, &PostParams::default(), &lease)
                    .await
            }
        };
        match result {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.code == 409 && decision != Decision::Renew => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn see(&mut self, lease: &Lease) -> Seen {
        let version = lease.metadata.resource_version.clone().unwrap_or_default();
        let since = match &self.last {
            Some((last, since)) if *last == version => *since,
            _ => {
                let now = Instant::now();
                self.last = Some((version, now));
                now
            }
        };
        let spec = lease.spec.clone().unwrap_or_default();
        Seen {
            holder: spec.holder_identity.unwrap_or_default(),
            duration: spec
                .lease_duration_seconds
                .and_then(|s| u64::try_from(s).ok())
                .map_or(LEASE, std::time::Duration::from_secs),
            unchanged_for: since.elapsed(),
        }
    }
}
