//! What a kind says in admission, and with what it decides: the request, what is around the object, and the decision. `webhook` serves
//! it, and says itself what is the same for all kinds.

mod decision;

use std::{collections::BTreeMap, fmt::Write, future::Future};

pub use decision::{AdmissionDecision, Request, request};
use k8s_openapi::jiff::Timestamp;
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;

use crate::{contract::references::Texts, impact::CatalogSnapshot, stores::Stores};

/// Most users that are named of something that goes.
const NAMED: usize = 6;

/// What ConfigMaps hold that a definition needs, by the ConfigMap's name; or why it couldn't be read.
pub type NeededTexts = Result<BTreeMap<String, Texts>, String>;

/// What the stores know around an object that is reviewed.
pub struct Around<'a> {
    /// All that is watched.
    pub stores: &'a Stores,
    /// The object's namespace; empty for one of the cluster's.
    pub namespace: &'a str,
    /// What [`Reviewed::texts`] read.
    pub texts: NeededTexts,
    /// When it is reviewed.
    pub now: Timestamp,
}

impl Around<'_> {
    /// The object's namespace, as far as contracts matter to it.
    pub fn snapshot(&self) -> CatalogSnapshot {
        self.stores.snapshot(self.namespace, None)
    }
}

/// Reads from the API server what no store has, for a review that waits for it.
pub struct Reads<'a> {
    /// The API server.
    pub client: &'a Client,
    /// So many reviews may read at once: who waits for the API server keeps nobody's checks waiting but those of his like.
    pub at_once: &'a Semaphore,
}

/// What a kind says in admission. It refuses only what the object, or its old beside its new, proves wrong: a neighbour that is missing
/// or doesn't fit yet is a warning, because one commit is applied in any order. Nothing but [`Reviewed::texts`] asks anybody.
pub trait Reviewed: Resource<DynamicType = ()> + DeserializeOwned + Sized {
    /// The annotation whose change is worth a review, because it permits something; none: the spec's changes alone.
    const PERMITS: Option<&'static str> = None;

    /// Texts that the review needs and no store has.
    fn texts(_: &Request<Self>, _: &Reads<'_>) -> impl Future<Output = NeededTexts> + Send {
        std::future::ready(Ok(BTreeMap::new()))
    }

    /// Judges an object whose spec has no faults by itself. What it leaves open, and what its Platform's policy doesn't allow, is
    /// told without it.
    fn review(request: &Request<Self>, around: Around<'_>) -> AdmissionDecision;

    /// Who uses an object that goes. A deletion always passes. Asked for kinds that others refer to.
    fn deletion(name: &str, around: &Around<'_>) -> AdmissionDecision;
}

/// The first of those who use something, and how many more there are.
pub fn listed(users: &[String]) -> String {
    let mut text = users[..users.len().min(NAMED)].join(", ");
    if users.len() > NAMED {
        let _ = write!(text, " and {} more", users.len() - NAMED);
    }
    text
}
