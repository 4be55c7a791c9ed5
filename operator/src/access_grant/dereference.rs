//! Everything a grant refers to: its streams with the contracts in force, the Platform they are on, the client's namespace.

use headworks_crds::{ACCEPT_GRANTS, AccessGrant, DataStream};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::ResourceExt;

use super::{
    accept::{self, Word},
    derived,
    rights::{READ, WRITE},
};
use crate::{
    context::Context,
    data_stream::{
        label_propagation,
        resolve::{ResolvedStream, resolve_stream},
    },
    names::Key,
    planning::lineage::Labels,
    platform::resolve::platform_references,
    retry::Error,
};

/// Declares all that the grant refers to, so that a change of it wakes the grant.
pub fn declare(grant: &AccessGrant, key: &Key, platform: Option<&str>, context: &Context) {
    let spec = &grant.spec;
    let streams = spec
        .read
        .iter()
        .chain(&spec.write)
        .map(|name| Key::new("DataStream", &key.namespace, name));
    let derived = spec
        .read
        .iter()
        .filter(|_| !spec.except_labels.is_empty())
        .map(|name| {
            Key::new(
                "DataStream",
                &key.namespace,
                &derived::name(name, &spec.except_labels),
            )
        });
    let platform = platform
        .into_iter()
        .flat_map(|name| platform_references(name, &key.namespace));
    let client = Key::new("Namespace", "", &spec.to.namespace);
    context
        .indexes
        .set_references(key, streams.chain(derived).chain(platform).chain([client]));
}

/// What the client's namespace says to the grant.
pub fn word(grant: &AccessGrant, context: &Context) -> Word {
    let namespace = &grant.spec.to.namespace;
    let grantor = grant.namespace().unwrap_or_default();
    let labels = context.stores.namespace_labels(namespace);
    let annotation = context
        .stores
        .namespace_annotation(namespace, ACCEPT_GRANTS);
    accept::word(&labels, annotation.as_deref(), &grantor)
}

/// One of the grant's streams, as a look found it.
#[derive(Clone, Debug)]
pub struct FoundStream {
    /// Its name.
    pub name: String,
    /// [`READ`] or [`WRITE`].
    pub access: &'static str,
    /// Where the spec names it.
    pub place: String,
    /// The stream with the contract in force, or why it can't be used now.
    pub resolved: Result<ResolvedStream, Error>,
    /// What is known of its fields, where the grant leaves some of them out.
    pub fields: Option<FoundFields>,
}

/// What leaving fields out goes by.
#[derive(Clone, Debug)]
pub struct FoundFields {
    /// The stream itself.
    pub stream: DataStream,
    /// Labels of its fields, by all that is known.
    pub labels: Labels,
    /// A Pipeline that writes it and doesn't fit its streams, so that more labels may come.
    pub unsettled: Option<String>,
    /// Grants that want the derived stream.
    pub owners: Vec<OwnerReference>,
    /// Topic of the derived stream, or why it can't be used now.
    pub derived_topic: Result<String, Error>,
}

/// Looks at every stream.
pub async fn streams(grant: &AccessGrant, context: &Context) -> Vec<FoundStream> {
    let spec = &grant.spec;
    let mut found = Vec::with_capacity(spec.read.len() + spec.write.len());
    for (access, names) in [(READ, &spec.read), (WRITE, &spec.write)] {
        for (index, name) in names.iter().enumerate() {
            let place = format!("spec.{}[{index}]", access.to_lowercase());
            found.push(one(grant, access, place, name, context).await);
        }
    }
    found
}

async fn one(
    grant: &AccessGrant,
    access: &'static str,
    place: String,
    name: &str,
    context: &Context,
) -> FoundStream {
    let namespace = grant.namespace().unwrap_or_default();
    let resolved = resolve_stream(context, &place, &namespace, name).await;
    let narrows = access == READ && !grant.spec.except_labels.is_empty() && resolved.is_ok();
    let stream = context.stores.stream(&namespace, name).filter(|_| narrows);
    let fields = match stream {
        None => None,
        Some(stream) => Some(fields(grant, &place, stream, context).await),
    };
    FoundStream {
        name: name.to_owned(),
        access,
        place,
        resolved,
        fields,
    }
}

async fn fields(
    grant: &AccessGrant,
    place: &str,
    stream: DataStream,
    context: &Context,
) -> FoundFields {
    let namespace = grant.namespace().unwrap_or_default();
    let (name, except) = (stream.name_any(), &grant.spec.except_labels);
    let derived = derived::name(&name, except);
    let place = format!("{place} without {}", except.join(", "));
    let topic = resolve_stream(context, &place, &namespace, &derived).await;
    FoundFields {
        labels: label_propagation::now(context, &namespace, &name),
        unsettled: label_propagation::unsettled(context, &namespace, &name),
        owners: derived::owners(context, &namespace, &derived),
        derived_topic: topic.map(|resolved| resolved.stream.topic),
        stream,
    }
}
