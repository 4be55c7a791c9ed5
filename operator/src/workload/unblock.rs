//! A StatefulSet waits for an unready pod of an older revision before it goes on, perhaps for ever: such a pod is deleted.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Preconditions},
};

use super::{counts::Counts, health};
use crate::{context::Context, retry::Error};

/// Label that Kubernetes puts on a StatefulSet's pods.
const REVISION: &str = "controller-revision-hash";

/// Deletes those that are in the way. A Deployment has none: its counts name no revision.
///
/// # Errors
/// What the API server says.
pub async fn unblock(counts: &Counts, pods: &[Arc<Pod>], context: &Context) -> Result<(), Error> {
    let Some(revision) = counts.update_revision.as_ref().filter(|_| counts.observed) else {
        return Ok(());
    };
    for pod in health::stuck(pods, REVISION, revision) {
        let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
        tracing::info!(
            namespace,
            name,
            "delete: an unready pod of a superseded revision"
        );
        let api: Api<Pod> = Api::namespaced(context.client.clone(), &namespace);
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: pod.uid(),
                ..Preconditions::default()
            }),
            ..DeleteParams::default()
        };
        context.metrics.wrote("Pod");
        match api.delete(&name, &params).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => {}
            Err(error) => {
                return Err(Error::api(
                    &format!("deleting pod {namespace}/{name}"),
                    &error,
                ));
            }
        }
    }
    Ok(())
}
