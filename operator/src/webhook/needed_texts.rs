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

use super::decision::request;
use crate::{contract::references::Texts, data_stream::schema_texts};

/// ConfigMaps' texts by the ConfigMap's name; or why they couldn't be read.
pub(super) type NeededTexts = Result<BTreeMap<String, Texts>, String>;

/// What is in the ConfigMaps that the request's DataStream names; of other kinds nothing.
pub(super) async fn texts_of(client: &Client, of: &AdmissionRequest<DynamicObject>) -> NeededTexts {
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
    let mut all = BTreeMap::new();
    for stream in request.old.iter().chain([&request.new]) {
        let texts = schema_texts::texts(client, &namespace, &stream.spec);
        all.extend(texts.await.map_err(|error| error.to_string())?);
    }
    Ok(all)
}
