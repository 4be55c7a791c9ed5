//! The only writer of status.
//!
//! Every reconcile ends here, whether it went well or not, and a status is patched only if something
//! in it changed. Because a watch lags behind our own writes, [`LastWrittenStatus`] keeps the last status written
//! of each object until the watch has caught up; otherwise a reconcile that follows closely would
//! compare with an old status, find nothing to do, and leave a wrong one standing.

mod conditions;
mod diff;
mod own_conditions;

use std::{collections::HashMap, sync::Mutex};

pub use conditions::{
    ExtraCondition, MAX_MESSAGE, ReconcileOutcome, conditions, is_ready, patience_left,
};
pub use diff::merge_patch;
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, Patch, PatchParams},
};
pub use own_conditions::{mark, own, set, unknown};
use serde_json::{Value, json};

use crate::{
    names::{FIELD_MANAGER, Key},
    retry::Error,
};

#[derive(Debug)]
struct Written {
    resource_version: u64,
    status: Value,
}

/// The last status written of each object, by UID, until the watch shows it.
#[derive(Debug, Default)]
pub struct LastWrittenStatus(Mutex<HashMap<String, Written>>);

impl LastWrittenStatus {
    /// The status to compare with: the watched one, unless our last write is newer.
    pub fn freshest(&self, uid: &str, resource_version: Option<&str>, watched: Value) -> Value {
        let mut memory = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let seen = version(resource_version);
        match memory.get(uid) {
            Some(written) if written.resource_version > seen => written.status.clone(),
            Some(_) => {
                memory.remove(uid);
                watched
            }
            None => watched,
        }
    }

    fn remember(&self, uid: &str, resource_version: Option<&str>, status: Value) {
        let mut memory = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        memory.insert(
            uid.to_owned(),
            Written {
                resource_version: version(resource_version),
                status,
            },
        );
    }

    /// Forgets an object that is gone.
    pub fn forget(&self, uid: &str) {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .remove(uid);
    }
}

/// Resource versions of one kind can be compared as numbers (KEP-5504).
fn version(text: Option<&str>) -> u64 {
    text.and_then(|t| t.parse().ok()).unwrap_or_default()
}

/// Patches the status from `old` to `new` if they differ; says whether it wrote.
pub async fn publish(
    client: &Client,
    memory: &LastWrittenStatus,
    resource: &ApiResource,
    owner: &Key,
    uid: &str,
    old: &Value,
    new: Value,
) -> Result<bool, Error> {
    let Some(patch) = merge_patch(old, &new) else {
        return Ok(false);
    };
    let api: Api<DynamicObject> = if owner.namespace.is_empty() {
        Api::all_with(client.clone(), resource)
    } else {
        Api::namespaced_with(client.clone(), &owner.namespace, resource)
    };
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.into()),
        ..PatchParams::default()
    };
    // The UID is a precondition: a new object of the same name must not get the old one's status.
    let body = json!({"metadata": {"uid": uid}, "status": patch});
    tracing::debug!(%owner, %patch, "status");
    match api
        .patch_status(&owner.name, &params, &Patch::Merge(&body))
        .await
    {
        Ok(object) => {
            memory.remember(uid, object.metadata.resource_version.as_deref(), new);
            Ok(true)
        }
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
        Err(error) => Err(Error::api(
            &format!("writing the status of {owner}"),
            &error,
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_newer_write_wins_until_the_watch_shows_it() {
        let memory = LastWrittenStatus::default();
        memory.remember("u", Some("10"), json!({"a": 2}));
        assert_eq!(
            memory.freshest("u", Some("9"), json!({"a": 1})),
            json!({"a": 2})
        );
        assert_eq!(
            memory.freshest("u", Some("10"), json!({"a": 2})),
            json!({"a": 2})
        );
        assert_eq!(
            memory.freshest("u", Some("11"), json!({"a": 3})),
            json!({"a": 3})
        );
    }
}
