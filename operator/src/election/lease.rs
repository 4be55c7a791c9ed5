//! The thin I/O around [`super::decide`].

use std::time::Duration;

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
    jiff::Timestamp,
};
use kube::{Api, Client, api::PostParams};

use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::{Decision, Pace, Seen, decide};

/// Leadership was lost; the process must end at once, as another may lead already.
#[derive(Debug)]
pub struct Lost(pub String);

/// Acquires and holds one Lease.
pub struct Elector {
    api: Api<Lease>,
    name: String,
    me: String,
    pace: Pace,
    /// When we last sent a write that made the Lease ours.
    renewed: Instant,
    /// Resource version we last saw, and when we first saw it.
    last: Option<(String, Instant)>,
}

impl Elector {
    /// An elector for Lease `name`; `me` must differ between replicas (the pod's name).
    pub fn new(client: Client, namespace: &str, name: &str, me: String, pace: Pace) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            name: name.into(),
            me,
            pace,
            renewed: Instant::now(),
            last: None,
        }
    }

    /// Returns once we lead.
    pub async fn acquire(&mut self) {
        loop {
            match timeout(self.pace.renew, self.step()).await {
                Ok(Ok(true)) => return,
                Ok(Ok(false)) => {}
                Ok(Err(error)) => {
                    tracing::warn!(%error, "the leader election Lease can't be read or written");
                }
                Err(_) => tracing::warn!("reading the leader election Lease took too long"),
            }
            sleep(self.pace.look).await;
        }
    }

    /// Renews until leadership is lost.
    pub async fn hold(&mut self) -> Lost {
        loop {
            // Counted from before the last write was sent: others count from when they saw it, which is later.
            let deadline = self.renewed + self.pace.renew_deadline;
            match timeout_at(deadline, self.renew()).await {
                Ok(Ok(())) => {}
                Ok(Err(lost)) => return lost,
                Err(_) => {
                    return Lost(format!(
                        "the Lease was not renewed for {:?}",
                        self.pace.renew_deadline
                    ));
                }
            }
        }
    }

    /// Tries until the Lease is renewed, or another's.
    async fn renew(&mut self) -> Result<(), Lost> {
        loop {
            sleep(self.pace.renew).await;
            match timeout(self.pace.renew, self.step()).await {
                Ok(Ok(true)) => return Ok(()),
                Ok(Ok(false)) => return Err(Lost("another replica holds the Lease".into())),
                Ok(Err(error)) => tracing::warn!(%error, "the Lease could not be renewed"),
                Err(_) => tracing::warn!("renewing the Lease took too long"),
            }
        }
    }

    /// Gives the Lease up if it is ours, so that the next replica needn't wait for it to expire.
    pub async fn release(&mut self) {
        // A renewal that was on its way when we were told to stop may come in between once.
        for _ in 0..3 {
            match timeout(self.pace.renew, self.try_release()).await {
                Ok(Ok(())) => return,
                Ok(Err(error)) => tracing::warn!(%error, "the Lease could not be given up"),
                Err(_) => tracing::warn!("giving the Lease up took too long"),
            }
        }
    }

    async fn try_release(&self) -> Result<(), kube::Error> {
        let Some(mut lease) = self.api.get_opt(&self.name).await? else {
            return Ok(());
        };
        let Some(spec) = lease
            .spec
            .as_mut()
            .filter(|s| s.holder_identity.as_deref() == Some(&self.me))
        else {
            return Ok(());
        };
        spec.holder_identity = None;
        self.api
            .replace(&self.name, &PostParams::default(), &lease)
            .await?;
        Ok(())
    }

    /// One try; true: we lead.
    async fn step(&mut self) -> Result<bool, kube::Error> {
        let began = Instant::now();
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
                        lease_duration_seconds: Some(self.seconds()),
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
                spec.lease_duration_seconds = Some(self.seconds());
                spec.renew_time = Some(now);
                // The resource version is a precondition: of two takers one gets a conflict.
                self.api
                    .replace(&self.name, &PostParams::default(), &lease)
                    .await
            }
        };
        match result {
            Ok(_) => {
                self.renewed = began;
                Ok(true)
            }
            Err(kube::Error::Api(status)) if status.code == 409 && decision != Decision::Renew => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// What a Lease asks for: whole seconds.
    fn seconds(&self) -> i32 {
        i32::try_from(self.pace.lease.as_secs()).unwrap_or(i32::MAX)
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
                .map_or(self.pace.lease, Duration::from_secs)
                // A Lease that another pace wrote is given what it asked for, and never less than ours.
                .max(self.pace.lease),
            unchanged_for: since.elapsed(),
        }
    }
}
