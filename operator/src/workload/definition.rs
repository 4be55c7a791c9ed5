//! What a kind says of an object's pods. Everything else about them is the same for all kinds, and stands in this room.

use headworks_crds::{HttpService, PodTemplate};
use headworks_plan::Plan;

use super::resources::Needs;
use crate::{
    connection,
    mounts::{Mounted, NeededSecret},
    names::Key,
    platform::resolve::ResolvedPlatform,
};

/// What runs for an object. Pure: a kind builds it from its spec and what that refers to.
#[derive(Clone, Debug)]
pub struct Workload {
    /// Name of the StatefulSet or Deployment, in the object's namespace.
    pub name: String,
    /// What keeps the pods, and how they follow each other.
    pub shape: Shape,
    /// How many pods there are to be while the object isn't suspended.
    pub replicas: i32,
    /// Present: no pods run, and this is what the status says of it.
    pub suspended: Option<&'static str>,
    /// What the pods are told.
    pub plan: Plan,
    /// Present: the pods work with Kafka.
    pub kafka: Option<OnKafka>,
    /// The pod template in force: the user's over the Platform's.
    pub template: PodTemplate,
    /// Volumes beside those that every pod has and those that Kafka needs.
    pub volumes: Vec<Mounted>,
    /// Secrets that the pods read, beside the one with Kafka's user.
    pub secrets: Vec<NeededSecret>,
    /// Names of the DataStores that the pods work with.
    pub stores: Vec<String>,
    /// What a pod needs besides what every pod needs.
    pub needs: Needs,
    /// Present: the pods take requests at the HTTP port, and this Service stands in front of them.
    pub http: Option<HttpService>,
}

/// What keeps the pods, and how they follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A StatefulSet. Its pods have stable names, because a Kafka member and its transactions are named by ordinal; they start
    /// and stop in parallel, because no pod needs another.
    StatefulSet,
    /// A Deployment that never has fewer ready pods than before in a roll-out.
    Deployment,
    /// A Deployment of one pod at most: the old one ends before the new one begins.
    Single,
}

/// The Kafka that pods work with.
#[derive(Clone, Debug)]
pub struct OnKafka {
    /// Whose Kafka it is, and how workloads reach it.
    pub platform: ResolvedPlatform,
    /// Kafka's CA as PEM, if the Platform names one.
    pub ca: Option<String>,
}

impl OnKafka {
    /// True: the pods have a Kafka user of their own.
    pub fn has_own_user(&self) -> bool {
        connection::generated(&self.platform.platform.spec.kafka)
    }
}

impl Workload {
    /// How many pods there are to be.
    pub fn pods(&self) -> i32 {
        if self.suspended.is_some() {
            0
        } else {
            self.replicas
        }
    }

    /// All Secrets that the pods of `owner` read, that with Kafka's user first.
    pub fn needed_secrets(&self, owner: &Key) -> Vec<NeededSecret> {
        let kafka = self.kafka.as_ref().map(|k| &k.platform.platform.spec.kafka);
        let user = kafka.and_then(|kafka| connection::needed_secret(kafka, owner));
        user.into_iter()
            .chain(self.secrets.iter().cloned())
            .collect()
    }
}
