//! Everything a Replay refers to: two streams, which may be one, and their Platform.

use headworks_crds::{DataStream, Replay};
use headworks_plan::Plan;
use kube::ResourceExt;

use crate::{
    connection,
    context::Context,
    data_stream::resolve::{ResolvedStream, resolve_stream, stream_references},
    names::Key,
    platform::resolve::{ResolvedPlatform, platform_references, resolve_platform},
    reason::ConditionReason,
    retry::Error,
    workload::plan_of_set,
};

/// What was found.
pub struct References {
    /// The stream whose records, or dead letters, are replayed.
    pub source: ResolvedStream,
    /// The stream that they go into.
    pub target: ResolvedStream,
    /// The Platform of both.
    pub platform: ResolvedPlatform,
    /// Kafka's CA, if the Platform names one.
    pub ca: Option<String>,
    /// The plan of the Pipeline that the records go into, where it is one.
    pub pipeline: Option<Plan>,
    /// How long Kafka keeps what is replayed, in milliseconds, as far as the stream says it.
    pub retention_ms: Option<u64>,
}

/// Reads it all, and declares it first, so that a change in between wakes us again.
pub async fn dereference(
    replay: &Replay,
    key: &Key,
    context: &Context,
) -> Result<References, Error> {
    let spec = &replay.spec;
    let names = [spec.source(), spec.target()];
    let keys = names
        .into_iter()
        .flat_map(|name| stream_references(&key.namespace, name));
    let stream = context.stores.stream(&key.namespace, spec.source());
    let platform_keys = stream
        .iter()
        .flat_map(|stream| platform_references(&stream.spec.platform, &key.namespace));
    let namespace = &key.namespace;
    let pipeline = spec.into_pipeline();
    let pipeline_key = pipeline.map(|name| Key::new("Pipeline", namespace, name));
    context
        .indexes
        .set_references(key, keys.chain(platform_keys).chain(pipeline_key));

    let source = resolve_stream(context, spec.source_field(), namespace, spec.source()).await?;
    let target = resolve_stream(context, spec.target_field(), namespace, spec.target()).await?;
    if source.platform != target.platform {
        return Err(Error::stalled(
            ConditionReason::PlatformMismatch,
            format!(
                "spec.into.stream: DataStream {} is on Platform {} and {} on {}; a Replay reads and writes one Kafka",
                target.stream.name, target.platform, source.stream.name, source.platform
            ),
        ));
    }
    let platform = resolve_platform(context, &source.platform, namespace)?;
    let ca = connection::ca(context, &platform.platform).await?;
    let pipeline = pipeline.map(|name| plan_of(context, namespace, name));
    let letters = spec.from.dead_letter_of.is_some();
    Ok(References {
        retention_ms: stream.and_then(|stream| retention_ms(&stream, letters)),
        source,
        target,
        platform,
        ca,
        pipeline: pipeline.transpose()?,
    })
}

/// The plan that a Pipeline's pods run by, or would: what they do with a record is what the Replay does.
fn plan_of(context: &Context, namespace: &str, name: &str) -> Result<Plan, Error> {
    let Some(pipeline) = context.stores.pipeline(namespace, name) else {
        return Err(Error::missing(
            ConditionReason::PipelineNotFound,
            format!(
                "spec.into.pipeline: Pipeline {namespace}/{name} doesn't exist; make it, or correct the name"
            ),
        ));
    };
    let plan = plan_of_set(
        context,
        &Key::of(&pipeline),
        &pipeline.uid().unwrap_or_default(),
    );
    plan.ok_or_else(|| {
        Error::waiting(
            ConditionReason::PipelineNotReady,
            format!(
                "spec.into.pipeline: Pipeline {name} was never run, so that nobody knows yet what it does with a record; look at its status"
            ),
        )
    })
}

/// How long a stream's records, or its dead letters, are kept.
fn retention_ms(stream: &DataStream, letters: bool) -> Option<u64> {
    let spec = &stream.spec;
    let of_letters = spec.dead_letter.as_ref();
    let kept = if letters {
        of_letters.and_then(|letters| letters.retention.as_ref())
    } else {
        spec.retention.as_ref()
    };
    kept.map(headworks_crds::Duration::millis)
}
