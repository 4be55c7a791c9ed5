//! Files on a volume.

use headworks_crds::{DataStoreSpec, data_store::FileStore};
use headworks_plan::{FileConnection, StoreConnection};
use k8s_openapi::api::core::v1::{PersistentVolumeClaimVolumeSource, Volume, VolumeMount};

use super::{Connected, StoreConnector, StoreKind, TableRules, volume_name};
use crate::{mounts::Mounted, security::Open};

pub(super) const KIND: StoreKind = StoreKind {
    field: "file",
    reasons: &[],
    tables: TableRules {
        called: "a file",
        max_column_bytes: None,
        own_columns: &[],
        default_schema: None,
    },
    of,
};

fn of(spec: &DataStoreSpec) -> Option<&dyn StoreConnector> {
    spec.file.as_ref().map(|it| it as &dyn StoreConnector)
}

impl StoreConnector for FileStore {
    fn address(&self) -> Result<String, String> {
        let path = self.path.iter().map(|path| format!("/{path}"));
        Ok(format!("{}{}", self.volume_claim, path.collect::<String>()))
    }

    fn connect(&self, name: &str, folder: &str) -> Result<Connected, String> {
        let path = self.path.iter().map(|path| format!("/{path}"));
        let volume = volume_name(name);
        Ok(Connected {
            connection: StoreConnection::File(FileConnection {
                folder: format!("{folder}{}", path.collect::<String>()),
            }),
            mounted: Mounted {
                mount: VolumeMount {
                    name: volume.clone(),
                    mount_path: folder.to_owned(),
                    ..VolumeMount::default()
                },
                volume: Volume {
                    name: volume,
                    persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                        claim_name: self.volume_claim.clone(),
                        read_only: None,
                    }),
                    ..Volume::default()
                },
            },
            secrets: Vec::new(),
        })
    }

    /// Who may read the volume is Kubernetes' to say.
    fn open(&self) -> Option<Open> {
        None
    }

    fn answers(&self, address: &str) -> String {
        format!("files can be written to {address}")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::bind;

    #[test]
    fn pods_mount_the_claim_to_write_into_its_folder() {
        let spec = json!({"file": {"volumeClaim": "debug", "path": "orders/big"}});
        let spec = serde_json::from_value(spec).unwrap();
        assert_eq!(super::super::address(&spec).unwrap(), "debug/orders/big");
        let binding = bind("dump", &spec).unwrap();
        assert_eq!(
            serde_json::to_value(&binding.store).unwrap(),
            json!({"name": "dump", "connection": {"file": {"folder": "/etc/headworks/stores/dump/orders/big"}}})
        );
        assert_eq!(
            serde_json::to_value(&binding.volume.volume).unwrap(),
            json!({"name": "store-dump", "persistentVolumeClaim": {"claimName": "debug"}})
        );
        assert_eq!(
            serde_json::to_value(&binding.volume.mount).unwrap(),
            json!({"name": "store-dump", "mountPath": "/etc/headworks/stores/dump"})
        );
    }
}
