//! Files on a volume.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::references;

/// Files on a volume: a table is a file `<table>-<pod>.ndjson` for each pod that writes it, to which a JSON object is appended for
/// each row. For looking at what comes, and for handing it on by hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.path) || (self.path.matches('^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$') && !self.path.split('/').exists(part, part == '.' || part == '..'))").message("path is no folder within the volume: write names with / between them, such as debug/orders, without . and ..").field_path(".path"))]
pub struct FileStore {
    /// PersistentVolumeClaim in this namespace. It is mounted into the pods of Pipelines that write here and into the one that
    /// watches: with several nodes it has to be ReadWriteMany.
    #[schemars(length(min = 1, max = references::SUBDOMAIN_MAX), regex(pattern = references::SUBDOMAIN))]
    pub volume_claim: String,
    /// Folder within the volume, such as `debug/orders`; it is made. Absent: the volume itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub path: Option<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::DataStore;

    fn store(file: Value) -> DataStore {
        serde_json::from_value(json!({
            "apiVersion": "headworks.dev/v1alpha1", "kind": "DataStore", "metadata": {"name": "dump"},
            "spec": {"file": file},
        }))
        .unwrap()
    }

    /// What an API server says of a store of files.
    fn said(file: Value) -> String {
        let refused = store(file).validate_cel().err();
        refused.map(|all| all.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_path_stays_within_the_volume() {
        for path in ["orders", "debug/orders", "a.b/_c-d", "..a/b.."] {
            assert_eq!(
                said(json!({"volumeClaim": "c", "path": path})),
                "",
                "{path}"
            );
        }
        for path in [
            "/orders", "orders/", "a//b", "..", "../a", "a/../b", "a/..", ".", "a/./b", "a b",
            "a\\b",
        ] {
            let said = said(json!({"volumeClaim": "c", "path": path}));
            assert!(
                said.contains("no folder within the volume"),
                "{path}: {said}"
            );
        }
        assert_eq!(said(json!({"volumeClaim": "c"})), "");
    }

    #[test]
    fn the_kind_of_store_stays_and_its_folder_may_move() {
        let old = store(json!({"volumeClaim": "c"}));
        let moved = store(json!({"volumeClaim": "d", "path": "a"}));
        assert!(moved.validate_cel_update(&old).is_ok());
        let mut other = old.clone();
        other.spec.file = None;
        other.spec.postgres =
            serde_json::from_value(json!({"url": "postgres://a/b", "secret": "s"})).unwrap();
        let refused = other.validate_cel_update(&old).unwrap_err();
        assert!(refused.to_string().contains("kind of store can't change"));
    }
}
