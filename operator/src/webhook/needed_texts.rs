//! ConfigMaps that a stream's definition needs. They are users' own, and no store has them: each is asked for, within the time that
//! a review has.

use std::collections::BTreeMap;

use headworks_crds::{ANNOTATION_ALLOW_BREAKING, DataStream};
use kube::{
    Client,
    core::{
        DynamicObject,
        admission::{AdmissionRequest, Operation},
    },
};

use tokio::sync::Semaphore;

use super::decision::request;
use crate::{
    contract::references::{Texts, config_maps},
    data_stream::schema_texts,
};

/// ConfigMaps' texts by the ConfigMap's name; or why they couldn't be read.
pub(super) type NeededTexts = Result<BTreeMap<String, Texts>, String>;

/// What is in the ConfigMaps that the request's DataStream names; of other kinds nothing.
pub(super) async fn texts_of(
    client: &Client,
    of: &AdmissionRequest<DynamicObject>,
    at_once: &Semaphore,
) -> NeededTexts {
    let stream = (of.kind.kind == "DataStream" && of.operation != Operation::Delete).then(|| {
        request::<DataStream>(
            of.object.as_ref(),
            of.old_object.as_ref(),
            ANNOTATION_ALLOW_BREAKING,
        )
    });
    let Some(Some(request)) = stream else {
        return Ok(BTreeMap::new());
    };
    let namespace = of.namespace.clone().unwrap_or_default();
    let specs = request.old.iter().chain([&request.new]);
    let specs: Vec<_> = specs.map(|stream| &stream.spec).collect();
    if specs.iter().all(|spec| config_maps(spec).is_empty()) {
        return Ok(BTreeMap::new());
    }
    // Who waits for the API server keeps nobody's checks waiting but those of his like.
    let _permit = at_once.acquire().await;
    schema_texts::texts(client, &namespace, &specs)
        .await
        .map_err(|error| error.to_string())
}
