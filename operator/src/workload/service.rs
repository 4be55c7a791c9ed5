//! The Service in front of pods that take requests: one stable address, with the user's type, fixed address and annotations.

use headworks_crds::HttpService;
use headworks_plan::HTTP_PORT;
use k8s_openapi::{
    api::core::v1::{Service, ServicePort, ServiceSpec},
    apimachinery::pkg::{apis::meta::v1::OwnerReference, util::intstr::IntOrString},
};

use crate::{apply::child_meta, names::Key};

/// The Service.
pub fn service(key: &Key, reference: &OwnerReference, wanted: &HttpService) -> Service {
    let mut metadata = child_meta(&key.name, key, reference.clone());
    metadata.annotations = Some(wanted.annotations.clone()).filter(|a| !a.is_empty());
    Service {
        metadata,
        spec: Some(ServiceSpec {
            type_: Some(wanted.type_.as_str().into()),
            cluster_ip: wanted.cluster_ip.clone(),
            selector: Some(key.selector()),
            ports: Some(vec![ServicePort {
                name: Some("http".into()),
                port: i32::from(HTTP_PORT),
                target_port: Some(IntOrString::String("http".into())),
                protocol: Some("TCP".into()),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}
