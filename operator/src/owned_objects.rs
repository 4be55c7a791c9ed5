//! Objects of our own kinds that belong to other objects of our own kinds: the derived stream of a grant, and what other composites
//! are made of.
//!
//! They are built of the kinds' types and written by server-side apply, only where they differ. An object of the name that isn't the
//! family's is never taken over. It is the family's by its labels and by an owner reference to an object that is here, by UID: either
//! its **controller**, or, where several objects share it, one of them. (A reference reaches no further than its namespace.) That an
//! object says it is owned by one that isn't here is no proof: it is on its way out.

pub mod monitors;

use std::{collections::BTreeSet, time::Duration};

use headworks_crds::{DataStream, GROUP, Pipeline};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{
    Api, Resource, ResourceExt,
    api::{Patch, PatchParams},
    core::NamespaceResourceScope,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    apply::is_subset,
    context::Context,
    names::{FIELD_MANAGER, MANAGED_BY, MANAGED_BY_VALUE, PART_LABEL},
    reason::ConditionReason,
    retry::Error,
};

/// An object that is on its way out is looked after so often.
const RETRY_SOON: Duration = Duration::from_secs(5);
/// One of somebody else's is looked at again after this long.
const FOREIGN_RECHECK: Duration = Duration::from_secs(60);

/// A kind whose objects other objects of ours own.
pub trait OwnedKind:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Serialize
    + DeserializeOwned
    + Clone
    + std::fmt::Debug
    + Send
    + Sync
{
    /// The readable objects of the kind.
    fn all(context: &Context) -> Vec<Self>;

    /// One of them.
    fn watched(context: &Context, namespace: &str, name: &str) -> Option<Self>;

    /// False where something is in `live` that must go: what is wanted besides is told from what the desired object says.
    fn has_no_more(&self, live: &Self) -> bool;
}

impl OwnedKind for DataStream {
    fn all(context: &Context) -> Vec<Self> {
        let all = context.stores.streams.state();
        all.iter()
            .filter_map(|o| o.0.as_ref().ok().cloned())
            .collect()
    }

    fn watched(context: &Context, namespace: &str, name: &str) -> Option<Self> {
        context.stores.stream(namespace, name)
    }

    /// A field that is gone from the schema must go from the object, too.
    fn has_no_more(&self, live: &Self) -> bool {
        let names = |stream: &Self| -> Vec<String> {
            stream.spec.schema.iter().map(|f| f.name.clone()).collect()
        };
        names(self) == names(live) && self.spec.key == live.spec.key
    }
}

impl OwnedKind for Pipeline {
    fn all(context: &Context) -> Vec<Self> {
        let all = context.stores.pipelines.state();
        all.iter()
            .filter_map(|o| o.0.as_ref().ok().cloned())
            .collect()
    }

    fn watched(context: &Context, namespace: &str, name: &str) -> Option<Self> {
        context.stores.pipeline(namespace, name)
    }

    fn has_no_more(&self, _live: &Self) -> bool {
        true
    }
}

/// What owned objects of one sort have in common.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// Value of [`PART_LABEL`].
    pub part: &'static str,
    /// Kind of the owners.
    pub owner: &'static str,
    /// Annotation that says what the object is made from.
    pub content: &'static str,
    /// What an object of the name isn't that isn't the family's, such as "derived for a grant".
    pub role: &'static str,
    /// What is said of one that is made from something else: what it is, and what to do.
    pub other_content: &'static str,
}

/// Who owns an object.
#[derive(Clone, Copy, Debug)]
pub enum Owners<'a> {
    /// The object of this UID, which is its controller.
    Controller(&'a str),
    /// One or several of the objects of these UIDs, all that are here. Kubernetes deletes it with the last of its owners.
    Shared(&'a BTreeSet<String>),
}

impl Owners<'_> {
    /// True: one of them owns the object.
    fn own<K: Resource>(self, family: &Family, object: &K) -> bool {
        references(family, object).any(|reference| match self {
            Self::Controller(uid) => {
                reference.controller == Some(true) && !uid.is_empty() && reference.uid == uid
            }
            Self::Shared(here) => here.contains(&reference.uid),
        })
    }
}

impl Family {
    /// Metadata of an object of the family.
    pub fn meta(
        &self,
        namespace: &str,
        name: &str,
        content: String,
        owners: Vec<OwnerReference>,
    ) -> ObjectMeta {
        let pair = |key: &str, value: String| (key.to_owned(), value);
        ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(namespace.to_owned()),
            owner_references: Some(owners),
            labels: Some(
                [
                    pair(MANAGED_BY, MANAGED_BY_VALUE.to_owned()),
                    pair(PART_LABEL, self.part.to_owned()),
                ]
                .into(),
            ),
            annotations: Some([pair(self.content, content)].into()),
            ..ObjectMeta::default()
        }
    }

    /// True: the object says that it is of the family. Whether its owners are here is another question.
    pub fn claims<K: Resource>(&self, object: &K) -> bool {
        let labels = object.labels();
        labels.get(PART_LABEL).map(String::as_str) == Some(self.part)
            && labels.get(MANAGED_BY).map(String::as_str) == Some(MANAGED_BY_VALUE)
            && references(self, object).next().is_some()
    }

    /// The family's objects of a kind in a namespace that name the object of this UID among their owners.
    pub fn owned_by<K: OwnedKind>(&self, context: &Context, namespace: &str, uid: &str) -> Vec<K> {
        let owned = |object: &K| {
            object.namespace().as_deref() == Some(namespace)
                && self.claims(object)
                && object.owner_references().iter().any(|r| r.uid == uid)
        };
        K::all(context).into_iter().filter(owned).collect()
    }

    /// True if the live object is as desired already; pure.
    ///
    /// # Errors
    /// `OwnedByAnother` where it is somebody else's or made from something else; `ChildTerminating` where it is on its way out.
    pub fn compare<K: OwnedKind>(
        &self,
        desired: &K,
        live: &K,
        owners: Owners<'_>,
    ) -> Result<bool, Error> {
        let place = place(live);
        if live.meta().deletion_timestamp.is_some() {
            return Err(Error::waiting(
                ConditionReason::ChildTerminating,
                format!("{place} is being deleted; it is made again when it is gone"),
            )
            .after(RETRY_SOON));
        }
        if !self.claims(live) {
            return Err(Error::stalled(
                ConditionReason::OwnedByAnother,
                format!(
                    "{place} exists and isn't {}; Headworks doesn't take it over: delete or rename it",
                    self.role
                ),
            )
            .after(FOREIGN_RECHECK));
        }
        if !owners.own(self, live) {
            return Err(Error::waiting(
                ConditionReason::ChildTerminating,
                format!(
                    "{place} belongs to a deleted {}; it is made again when it is gone",
                    self.owner
                ),
            )
            .after(RETRY_SOON));
        }
        let content = |object: &K| object.annotations().get(self.content).cloned();
        if content(live).is_some_and(|there| Some(there) != content(desired)) {
            return Err(Error::stalled(
                ConditionReason::OwnedByAnother,
                format!("{place} {}", self.other_content),
            )
            .after(FOREIGN_RECHECK));
        }
        let owners = |object: &K| -> BTreeSet<String> {
            object
                .owner_references()
                .iter()
                .map(|r| r.uid.clone())
                .collect()
        };
        Ok(owners(live) == owners(desired)
            && is_subset(&body(desired)?["spec"], &body(live)?["spec"])
            && desired.has_no_more(live)
            && content(live) == content(desired))
    }

    /// Makes an object so, where it differs.
    ///
    /// # Errors
    /// As [`Family::compare`]; what the API server says.
    pub async fn put<K: OwnedKind>(
        &self,
        context: &Context,
        desired: &K,
        owners: Owners<'_>,
    ) -> Result<(), Error> {
        let (namespace, name) = (desired.namespace().unwrap_or_default(), desired.name_any());
        let place = place(desired);
        let api: Api<K> = Api::namespaced(context.client.clone(), &namespace);
        let live = match K::watched(context, &namespace, &name) {
            Some(live) => Some(live),
            // One that isn't readable, or was made just now, is in no store.
            None => api
                .get_opt(&name)
                .await
                .map_err(|e| Error::api(&format!("reading {place}"), &e))?,
        };
        if let Some(live) = &live
            && self.compare(desired, live, owners)?
        {
            return Ok(());
        }
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.into()),
            force: live.is_some(),
            ..PatchParams::default()
        };
        tracing::info!(child = %place, created = live.is_none(), "apply");
        context.metrics.wrote(&K::kind(&()));
        api.patch(&name, &params, &Patch::Apply(&body(desired)?))
            .await
            .map_err(|e| Error::api(&format!("applying {place}"), &e))?;
        Ok(())
    }

    /// Leaves an object to these owners; without any it is deleted.
    ///
    /// # Errors
    /// As [`Family::put`].
    pub async fn leave_to<K: OwnedKind>(
        &self,
        context: &Context,
        object: &K,
        left: Vec<OwnerReference>,
        owners: Owners<'_>,
    ) -> Result<(), Error> {
        if object.meta().deletion_timestamp.is_some() {
            return Ok(());
        }
        if left.is_empty() {
            return context.remove(object).await;
        }
        let mut kept = object.clone();
        let meta = kept.meta_mut();
        meta.owner_references = Some(left);
        meta.managed_fields = None;
        meta.resource_version = None;
        self.put(context, &kept, owners).await
    }
}

/// References to owners of the family's kind.
fn references<'a, K: Resource>(
    family: &'a Family,
    object: &'a K,
) -> impl Iterator<Item = &'a OwnerReference> {
    object.owner_references().iter().filter(|reference| {
        let group = reference
            .api_version
            .split_once('/')
            .map(|(group, _)| group);
        reference.kind == family.owner && group == Some(GROUP)
    })
}

fn place<K: Resource<DynamicType = ()>>(object: &K) -> String {
    format!(
        "{} {}/{}",
        K::kind(&()),
        object.namespace().unwrap_or_default(),
        object.name_any()
    )
}

/// An object as it is sent.
pub(crate) fn body<K: Resource<DynamicType = ()> + Serialize>(object: &K) -> Result<Value, Error> {
    let mut body = serde_json::to_value(object).map_err(|e| {
        Error::transient(
            ConditionReason::Internal,
            format!("{} can't be written as JSON: {e}", place(object)),
        )
    })?;
    body["apiVersion"] = K::api_version(&()).into();
    body["kind"] = K::kind(&()).into();
    if let Some(body) = body.as_object_mut() {
        body.remove("status");
    }
    Ok(body)
}

#[cfg(test)]
mod tests;
