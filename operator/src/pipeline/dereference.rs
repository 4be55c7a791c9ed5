//! Everything a Pipeline refers to: the streams its SQL names, the streams and stores it writes, its Platform.

use headworks_crds::{Pipeline, TableTarget};

use crate::{
    connection,
    connectors::stores::StoreBinding,
    context::Context,
    data_store::resolve::resolve_store,
    data_stream::resolve::{ResolvedStream, resolve_stream, stream_references},
    names::Key,
    owned_objects::monitors,
    planning::{query, store_writers::stores_of},
    platform::resolve::{ResolvedPlatform, platform_references, resolve_platform},
    reason::ConditionReason,
    retry::Error,
};

/// What was found.
pub struct References {
    /// The Platform.
    pub platform: ResolvedPlatform,
    /// Streams the query reads, in the order in which it names them.
    pub inputs: Vec<ResolvedStream>,
    /// Streams it writes, in the order of `spec.to`.
    pub outputs: Vec<ResolvedStream>,
    /// Tables it writes, in the order of `spec.to`, each with its store.
    pub tables: Vec<(TableTarget, StoreBinding)>,
    /// Kafka's CA, if the Platform names one.
    pub ca: Option<String>,
    /// What it judges, digested, where it is a QualityRule's monitor.
    pub judged: Option<String>,
}

/// Reads it all, and declares it first, so that a change in between wakes us again.
pub async fn dereference(
    pipeline: &Pipeline,
    key: &Key,
    context: &Context,
) -> Result<References, Error> {
    let named = query::inputs(&pipeline.spec.sql);
    let targets: Vec<(usize, &String)> = pipeline
        .spec
        .to
        .iter()
        .enumerate()
        .filter_map(|(i, t)| Some((i, t.stream.as_ref()?)))
        .collect();
    let reads = named.clone().unwrap_or_default();
    let streams = reads
        .iter()
        .chain(targets.iter().map(|(_, name)| *name))
        .flat_map(|name| stream_references(&key.namespace, name));
    let stores = stores_of(pipeline);
    let stores = stores
        .iter()
        .map(|name| Key::new("DataStore", &key.namespace, name));
    context.indexes.set_references(
        key,
        streams
            .chain(stores)
            .chain(platform_references(&pipeline.spec.platform, &key.namespace)),
    );

    let named = named.map_err(|errors| Error::stalled(ConditionReason::InvalidSql, errors))?;
    let platform = resolve_platform(context, &pipeline.spec.platform, &key.namespace)?;
    let mut inputs = Vec::with_capacity(named.len());
    for name in &named {
        inputs.push(on_platform(
            pipeline,
            "spec.sql",
            resolve_stream(context, "spec.sql", &key.namespace, name).await?,
        )?);
    }
    let mut outputs = Vec::with_capacity(targets.len());
    for (index, name) in targets {
        let place = format!("spec.to[{index}].stream");
        outputs.push(on_platform(
            pipeline,
            &place,
            resolve_stream(context, &place, &key.namespace, name).await?,
        )?);
    }
    let mut tables = Vec::new();
    for (index, target) in pipeline.spec.to.iter().enumerate() {
        let Some(table) = &target.table else { continue };
        let place = format!("spec.to[{index}].table.store");
        let store = resolve_store(context, &place, &key.namespace, &table.store)?;
        tables.push((table.clone(), store));
    }
    let judged = monitors::judged(pipeline, context);
    if judged.is_some() {
        // It is about the records that are there: what rules of each record take out, they take out where the stream is used.
        for input in &mut inputs {
            input.stream.rules.clear();
        }
    }
    let ca = connection::ca(context, &platform.platform).await?;
    Ok(References {
        platform,
        inputs,
        outputs,
        tables,
        ca,
        judged,
    })
}

/// One Kafka transaction spans one Kafka.
fn on_platform(
    pipeline: &Pipeline,
    place: &str,
    stream: ResolvedStream,
) -> Result<ResolvedStream, Error> {
    if stream.platform == pipeline.spec.platform {
        return Ok(stream);
    }
    Err(Error::stalled(
        ConditionReason::PlatformMismatch,
        format!(
            "{place}: DataStream {} is on Platform {} and this Pipeline on {}; a Pipeline reads and writes one Kafka",
            stream.stream.name, stream.platform, pipeline.spec.platform
        ),
    ))
}
