//! What Kafka keeps of a Pipeline, and a deletion with `deletionPolicy: Delete` takes along: progress and state. It never hangs.
//! What is in a store, the tables' rows and how far they have been written, isn't touched.

use std::{collections::BTreeSet, fmt, time::Duration};

use headworks_crds::{DeletionPolicy, Pipeline, PipelineStatus, Platform};
use headworks_plan::names::PipelineNames;
use k8s_openapi::jiff::Timestamp;
use kube::Resource;

use crate::{
    context::Context,
    kafka_pool::{credential_field, to_reconcile_error},
    names::Key,
    planning::stages,
    reason::ConditionReason,
    retry::Error,
    stores,
};

/// Kafka that is away for longer than this keeps it all; the object goes.
const KAFKA_TIMEOUT: Duration = Duration::from_secs(300);

/// What Kafka keeps of a Pipeline.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    groups: Vec<String>,
    topics: Vec<String>,
}

impl Progress {
    /// What the status names: the groups of both parts and of every table that is or was written, and the topics
    /// of the state.
    pub fn of(pipeline: &Pipeline, status: &PipelineStatus) -> Self {
        let keyed = status.state.is_some();
        let group = status.group.iter();
        Self {
            groups: group
                .flat_map(|group| groups(pipeline, status, group, keyed))
                .collect(),
            topics: status
                .state
                .iter()
                .flat_map(|s| s.topics.iter().cloned())
                .collect(),
        }
    }

    fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.topics.is_empty()
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "consumer groups {}", self.groups.join(", "))?;
        if self.topics.is_empty() {
            return Ok(());
        }
        write!(f, " and topics {}", self.topics.join(", "))
    }
}

/// Takes the pods away, then what Kafka keeps, because a group with members can't be deleted.
pub async fn finalize(
    pipeline: &Pipeline,
    status: &PipelineStatus,
    context: &Context,
) -> Result<(), Error> {
    let left = Progress::of(pipeline, status);
    if left.is_empty() || pipeline.spec.deletion_policy != DeletionPolicy::Delete {
        return Ok(());
    }
    let key = Key::of(pipeline);
    let uid = pipeline.metadata.uid.as_deref().unwrap_or_default();
    if let Some(live) = stores::child(&context.stores.stateful_sets, &key, uid, &key.name) {
        context.remove(live.as_ref()).await?;
    }
    let outcome = forget(pipeline, &key, &left, context).await;
    let Err(error) = outcome else { return Ok(()) };
    let since = pipeline
        .metadata
        .deletion_timestamp
        .as_ref()
        .map_or_else(Timestamp::now, |t| t.0);
    let patient = Timestamp::now().duration_since(since).unsigned_abs() < KAFKA_TIMEOUT;
    if patient && context.stores.platform(&pipeline.spec.platform).is_some() {
        return Err(error);
    }
    let note = format!("progress stays in Kafka: {error}; delete by hand what is left of {left}");
    context
        .events
        .warning(
            &pipeline.object_ref(&()),
            ConditionReason::ProgressLeft,
            &note,
        )
        .await;
    Ok(())
}

/// The query's group, the one of its state, and one for each table it writes or wrote when its status was last written.
fn groups(pipeline: &Pipeline, status: &PipelineStatus, group: &str, keyed: bool) -> Vec<String> {
    let wanted = pipeline.spec.to.iter().filter_map(|t| t.table.as_ref());
    let wanted = wanted.map(|table| (table.store.as_str(), table.name.as_str()));
    let written = status.tables.iter().filter_map(|t| t.split_once('/'));
    let tables: BTreeSet<(&str, &str)> = wanted.chain(written).collect();
    let names = PipelineNames::of_group(group);
    stages::groups(&names, keyed, tables.into_iter())
}

async fn forget(
    pipeline: &Pipeline,
    key: &Key,
    left: &Progress,
    context: &Context,
) -> Result<(), Error> {
    let uid = pipeline.metadata.uid.as_deref().unwrap_or_default();
    if !context.stores.pods_left(key, uid).is_empty() {
        return Err(Error::waiting(
            ConditionReason::PodsEnding,
            "the pods end first",
        ));
    }
    let name = &pipeline.spec.platform;
    let platform = context.stores.platform(name).ok_or_else(|| {
        Error::waiting(
            ConditionReason::PlatformNotFound,
            format!("Platform {name} is gone"),
        )
    })?;
    delete(left, &platform, context).await
}

/// Deletes it. The topics last: while a group is left, they are, too, and it all is found again.
pub async fn delete(left: &Progress, platform: &Platform, context: &Context) -> Result<(), Error> {
    let connected = context.kafka.get(&context.client, platform).await?;
    for group in &left.groups {
        connected.admin.delete_group(group).await.map_err(|e| {
            to_reconcile_error(
                &e,
                &format!("consumer group {group}"),
                &credential_field(platform),
            )
        })?;
    }
    for topic in &left.topics {
        connected.admin.delete_topic(topic).await.map_err(|e| {
            to_reconcile_error(
                &e,
                &format!("internal topic {topic}"),
                &credential_field(platform),
            )
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::StatefulSet;
    use serde_json::json;

    use super::*;
    use crate::{
        context::testing::{calls, context, store, stores},
        stores::Stores,
    };

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
            groups(&pipeline, &status, "g", false),
            ["g", "g.table.w.kept", "g.table.w.new", "g.table.w.old"]
        );
    }

    #[tokio::test]
    async fn a_namesake_that_is_not_ours_stays() {
        let by = |uid: &str| -> StatefulSet {
            serde_json::from_value(json!({"metadata": {"name": "p", "namespace": "shop", "uid": "s",
                "labels": Key::new("Pipeline", "shop", "p").labels(),
                "ownerReferences": [{"apiVersion": "headworks.dev/v1alpha1", "kind": "Pipeline", "name": "p", "uid": uid, "controller": true}]},
                "spec": {"replicas": 3, "selector": {}, "serviceName": "p", "template": {}}}))
            .unwrap()
        };
        let pipeline: Pipeline = serde_json::from_value(
            json!({"metadata": {"name": "p", "namespace": "shop", "uid": "1",
            "deletionTimestamp": "2020-01-01T00:00:00Z"},
            "spec": {"sql": "", "to": [{"stream": "b"}], "deletionPolicy": "Delete"}}),
        )
        .unwrap();
        let status = PipelineStatus {
            group: Some("g".into()),
            ..PipelineStatus::default()
        };
        let deleted = async |set: StatefulSet| {
            let stores = Stores {
                stateful_sets: store(vec![set]),
                ..stores()
            };
            let (context, asked) = context(stores);
            finalize(&pipeline, &status, &context).await.unwrap();
            calls(&asked, "DELETE")
        };
        let mut labelled = by("1");
        labelled.metadata.owner_references = None;
        assert!(deleted(labelled).await.is_empty());
        assert!(deleted(by("2")).await.is_empty(), "an earlier object's");
        let ours = "/apis/apps/v1/namespaces/shop/statefulsets/p";
        assert_eq!(deleted(by("1")).await, [ours]);
    }

    #[test]
    fn a_state_goes_with_its_groups_and_topics() {
        let pipeline: Pipeline = serde_json::from_value(
            json!({"metadata": {"name": "p"}, "spec": {"sql": "", "to": [{"stream": "b"}]}}),
        )
        .unwrap();
        let status: PipelineStatus = serde_json::from_value(json!({"group": "g.01234567",
            "state": {"fingerprint": "0123456789", "version": "01234567", "topics": ["t"]}}))
        .unwrap();
        let left = Progress::of(&pipeline, &status);
        assert_eq!(
            left.to_string(),
            "consumer groups g.01234567, g.01234567.keyed and topics t"
        );
        // Topics were made and nothing ran.
        let never_ran = PipelineStatus {
            group: None,
            ..status
        };
        let left = Progress::of(&pipeline, &never_ran);
        assert!(left.groups.is_empty() && left.topics == ["t"]);
        assert!(Progress::of(&pipeline, &PipelineStatus::default()).is_empty());
    }
}
