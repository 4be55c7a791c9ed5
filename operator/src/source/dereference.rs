//! Everything a Source refers to.

use headworks_crds::Source;

use crate::{
    connection,
    context::Context,
    data_stream::resolve::{ResolvedStream, resolve_stream, stream_references},
    names::Key,
    platform::resolve::{ResolvedPlatform, platform_references, resolve_platform},
    retry::Error,
};

/// What was found.
pub struct References {
    /// The stream that records go into.
    pub stream: ResolvedStream,
    /// The stream's Platform.
    pub platform: ResolvedPlatform,
    /// Kafka's CA, if the Platform names one.
    pub ca: Option<String>,
}

/// Reads it all, and declares it first, so that a change in between wakes us again.
pub async fn dereference(
    source: &Source,
    key: &Key,
    context: &Context,
) -> Result<References, Error> {
    let stream_keys = stream_references(&key.namespace, &source.spec.into);
    let platform_name = context
        .stores
        .stream(&key.namespace, &source.spec.into)
        .map(|s| s.spec.platform);
    let platform_keys = platform_name
        .iter()
        .flat_map(|name| platform_references(name, &key.namespace));
    context
        .indexes
        .set_references(key, platform_keys.chain(stream_keys));

    let stream = resolve_stream(context, "spec.into", &key.namespace, &source.spec.into).await?;
    let platform = resolve_platform(context, &stream.platform, &key.namespace)?;
    let ca = connection::ca(context, &platform.platform).await?;
    Ok(References {
        stream,
        platform,
        ca,
    })
}
