//! Volumes of pods, and the Secrets that their files come from. Pure.

use std::borrow::Cow;

use headworks_crds::SecretKeyRef;
use k8s_openapi::api::core::v1::{
    KeyToPath, ProjectedVolumeSource, SecretProjection, SecretVolumeSource, Volume, VolumeMount,
    VolumeProjection,
};

/// A volume and where it is mounted.
#[derive(Clone, Debug, PartialEq)]
pub struct Mounted {
    /// The volume.
    pub volume: Volume,
    /// Where.
    pub mount: VolumeMount,
}

/// A Secret that a pod needs, in words for a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeededSecret {
    /// Name of the Secret in the pod's namespace.
    pub name: String,
    /// Keys in it.
    pub keys: Vec<String>,
    /// What for.
    pub purpose: Cow<'static, str>,
}

impl std::fmt::Display for NeededSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Secret {} with {} ({})",
            self.name,
            self.keys.join(" and "),
            self.purpose
        )
    }
}

/// A Secret's keys as files in a folder. Optional: a missing Secret is reported by the pod in words and
/// heals without a restart, while a required one leaves the pod in ContainerCreating without a word.
pub fn secret(volume: &str, folder: &str, name: &str, items: &[(&str, &str)]) -> Mounted {
    Mounted {
        volume: Volume {
            name: volume.into(),
            secret: Some(SecretVolumeSource {
                secret_name: Some(name.into()),
                optional: Some(true),
                items: Some(files(items)),
                ..SecretVolumeSource::default()
            }),
            ..Volume::default()
        },
        mount: read_only(volume, folder),
    }
}

/// Keys of a Secret or ConfigMap, and the names of their files.
pub fn files(items: &[(&str, &str)]) -> Vec<KeyToPath> {
    let file = |(key, path): &(&str, &str)| KeyToPath {
        key: (*key).into(),
        path: (*path).into(),
        mode: None,
    };
    items.iter().map(file).collect()
}

/// A single key of a Secret as one file.
pub fn secret_key(volume: &str, folder: &str, reference: &SecretKeyRef, file: &str) -> Mounted {
    secret(
        volume,
        folder,
        &reference.name,
        &[(reference.key.as_str(), file)],
    )
}

/// Where a volume is mounted, for reading.
pub fn read_only(volume: &str, path: &str) -> VolumeMount {
    VolumeMount {
        name: volume.into(),
        mount_path: path.into(),
        read_only: Some(true),
        ..VolumeMount::default()
    }
}

/// Files of several Secrets in one volume: a kubelet can't mount one folder below another that it brings up to date. Each Secret comes
/// with its keys and the names of their files.
pub fn projected(volume: &str, folder: &str, secrets: &[(&str, &[(&str, &str)])]) -> Mounted {
    // Optional, so that the pod can say in words which file is missing.
    let one = |(secret, items): &(&str, &[(&str, &str)])| VolumeProjection {
        secret: Some(SecretProjection {
            name: (*secret).to_owned(),
            optional: Some(true),
            items: Some(files(items)),
        }),
        ..VolumeProjection::default()
    };
    Mounted {
        mount: read_only(volume, folder),
        volume: Volume {
            name: volume.to_owned(),
            projected: Some(ProjectedVolumeSource {
                sources: Some(secrets.iter().map(one).collect()),
                ..ProjectedVolumeSource::default()
            }),
            ..Volume::default()
        },
    }
}
