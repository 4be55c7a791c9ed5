//! The folder that a pod's state is spilled to. It lives as long as the pod: what it holds is in Kafka as well.

use headworks_plan::STATE_DIR;
use k8s_openapi::{
    api::core::v1::{EmptyDirVolumeSource, Volume, VolumeMount},
    apimachinery::pkg::api::resource::Quantity,
};

use crate::mounts::Mounted;

/// The volume; the pod is evicted if it writes more than `size`.
pub fn state_volume(size: &headworks_crds::Quantity) -> Mounted {
    Mounted {
        volume: Volume {
            name: "state".into(),
            empty_dir: Some(EmptyDirVolumeSource {
                size_limit: Some(Quantity(size.to_string())),
                ..EmptyDirVolumeSource::default()
            }),
            ..Volume::default()
        },
        mount: VolumeMount {
            name: "state".into(),
            mount_path: STATE_DIR.into(),
            ..VolumeMount::default()
        },
    }
}
