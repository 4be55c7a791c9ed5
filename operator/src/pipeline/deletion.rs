//! What a deletion with `deletionPolicy: Delete` takes along: the progress in Kafka. It never hangs.
//! What is in a store, the tables' rows and how far they have been written, isn't touched.

use std::{collections::BTreeSet, time::Duration};

use headworks_crds::{DeletionPolicy, Pipeline, PipelineStatus};
use k8s_openapi::jiff::Timestamp;
use kube::Resource;

use super::validate::table_group;
use crate::{
    context::Context,
    kafka_pool::{blame, translate},
    names::Key,
    retry::Error,
};

/// Kafka that is away for longer than this keeps the group; the object goes.
const PATIENCE: Duration = Duration::from_secs(300);

/// Takes the pods away, then the consumer groups, because a group with members can't be deleted.
pub async fn finalize(
    pipeline: &Pipeline,
    status: &PipelineStatus,
    context: &Context,
) -> Result<(), Error> {
    let Some(group) = status
        .group
        .as_ref()
        .filter(|_| pipeline.spec.deletion_policy == DeletionPolicy::Delete)
    else {
        return Ok(());
    };
    let key = Key::of(pipeline);
    if let Some(live) = Context::child(&context.stores.stateful_sets, &key.namespace, &key.name) {
        context.remove(live.as_ref()).await?;
    }
    let groups = groups(pipeline, status, group);
    let outcome = forget_progress(pipeline, &key, &groups, context).await;
    let Err(error) = outcome else { return Ok(()) };
    let since = pipeline
        .metadata
        .deletion_timestamp
        .as_ref()
        .map_or_else(Timestamp::now, |t| t.0);
    let patient = Timestamp::now().duration_since(since).unsigned_abs() < PATIENCE;
    if patient && context.platform(&pipeline.spec.platform).is_some() {
        return Err(error);
    }
    let note = format!(
        "consumer groups stay in Kafka: {error}; delete by hand what is left of {}",
        groups.join(", ")
    );
    context
        .events
        .warning(&pipeline.object_ref(&()), "ProgressLeft", &note)
        .await;
    Ok(())
}

/// The query's group, and one for each table it writes or wrote when its status was last written.
fn groups(pipeline: &Pipeline, status: &PipelineStatus, group: &str) -> Vec<String> {
    let wanted = pipeline.spec.to.iter().filter_map(|t| t.table.as_ref());
    let wanted = wanted.map(|table| (table.store.as_str(), table.name.as_str()));
    let written = status.tables.iter().filter_map(|t| t.split_once('/'));
    let tables: BTreeSet<(&str, &str)> = wanted.chain(written).collect();
    let of_tables = tables
        .into_iter()
        .map(|(store, table)| table_group(group, store, table));
    std::iter::once(group.to_owned()).chain(of_tables).collect()
}

async fn forget_progress(
    pipeline: &Pipeline,
    key: &Key,
    groups: &[String],
    context: &Context,
) -> Result<(), Error> {
    if !Context::children(&context.stores.pods, key).is_empty() {
        return Err(Error::waiting("PodsEnding", "the pods end first"));
    }
    let name = &pipeline.spec.platform;
    let platform = context
        .platform(name)
        .ok_or_else(|| Error::waiting("PlatformNotFound", format!("Platform {name} is gone")))?;
    let connected = context.kafka.get(context, &platform).await?;
    for group in groups {
        connected
            .admin
            .delete_group(group)
            .await
            .map_err(|e| translate(&e, &format!("consumer group {group}"), &blame(&platform)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_that_was_taken_out_of_the_spec_is_forgotten_too() {
        let pipeline: Pipeline = serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": {"sql": "",
            "to": [{"stream": "b"}, {"table": {"store": "w", "name": "new"}}, {"table": {"store": "w", "name": "kept"}}]}}))
        .unwrap();
        let status = PipelineStatus {
            tables: vec!["w/kept".into(), "w/old".into()],
            ..PipelineStatus::default()
        };
        assert_eq!(
            groups(&pipeline, &status, "g"),
            ["g", "g.table.w.kept", "g.table.w.new", "g.table.w.old"]
        );
    }
}
