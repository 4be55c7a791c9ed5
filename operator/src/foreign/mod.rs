//! Kinds of other operators: Strimzi's now, and whatever else Headworks works with.
//!
//! They are foreign to us: they may be missing, come later, or go again, and their API version depends on the other operator's own. So
//! they are looked for by discovery and watched once they are there ([`Watched`]); that they are missing is said in a condition, and
//! nothing else stands still for it. Nothing is asked of the API server before somebody needs the kind.

pub mod watched;

use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject},
    core::GroupVersionKind,
};

pub use watched::{State, Watched};

use crate::{names::Key, reason::ConditionReason, scope::Scope};

/// A kind of another operator's.
#[derive(Clone, Copy, Debug)]
pub struct ForeignKind {
    /// Who brings it, such as `Strimzi`.
    pub operator: &'static str,
    /// Its API group.
    pub group: &'static str,
    /// The versions that hold what we write, the preferred one first.
    pub versions: &'static [&'static str],
    /// Its name.
    pub kind: &'static str,
    /// Its name in paths of the API.
    pub plural: &'static str,
    /// The reason of what waits for it where it isn't there.
    pub not_installed: ConditionReason,
    /// The reason where it can't be read.
    pub unreadable: ConditionReason,
    /// What to do where it isn't there.
    pub install: &'static str,
    /// What to do where it may not be read.
    pub permit: &'static str,
    /// Where it is looked for.
    pub places: fn(&Scope, &Client, &ApiResource) -> Vec<Api<DynamicObject>>,
}

impl ForeignKind {
    /// One of its versions.
    pub fn resource(&self, version: &str) -> ApiResource {
        let kind = GroupVersionKind::gvk(self.group, version, self.kind);
        ApiResource::from_gvk_with_plural(&kind, self.plural)
    }

    /// What an object refers to in order to be woken by the kind's coming and going.
    pub fn reference(&self) -> Key {
        Key::new(
            "ForeignKind",
            "",
            &format!("{}.{}", self.plural, self.group),
        )
    }
}
