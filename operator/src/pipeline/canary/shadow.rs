//! What runs beside a Pipeline while a new version of it is tried out: a Pipeline with the new query, and the DataStream that it
//! writes. Pure, but for who writes them and takes them away.

use std::collections::BTreeMap;

use headworks_crds::{
    Compatibility, DataStream, DataStreamSpec, DeletionPolicy, Duration, Field, Format,
    OnBadRecord, OnStateChange, Pipeline, PipelineSpec, StartFrom, Target,
};
use headworks_plan::Contract;
use headworks_sql::Dataflow;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{Resource, ResourceExt};

use crate::{
    context::Context,
    names::CANARY_PART,
    owned_objects::{Family, OwnedKind, Owners},
    planning::check::unique_columns,
    provisioner::settings::MAX_MESSAGE,
    reason::ConditionReason,
    retry::Error,
};

/// The objects that run beside Pipelines.
pub const FAMILY: Family = Family {
    part: CANARY_PART,
    owner: "Pipeline",
    // Of which version (`versions::id`).
    content: "headworks.dev/canary-of",
    role: "the canary of this Pipeline",
    other_content: "is of another version; it is made again when it is gone",
};
/// What its name has behind the Pipeline's.
const SUFFIX: &str = "-canary";
/// How long its results are kept at least: somebody may want to look at them.
const LEAST_RETENTION_MS: u64 = 3_600_000;

/// Name of both objects.
pub fn name(pipeline: &str) -> String {
    format!("{pipeline}{SUFFIX}")
}

/// What both are made of.
pub struct Desired<'a> {
    /// The Pipeline whose new version it is.
    pub pipeline: &'a Pipeline,
    /// Which version.
    pub id: &'a str,
    /// Where it begins to read.
    pub began: &'a Time,
    /// The first stream that the Pipeline writes: its contract, partitions, and object.
    pub target: Option<(&'a Contract, Option<i32>, Option<&'a DataStream>)>,
    /// What the new query is.
    pub dataflow: &'a Dataflow,
}

/// The query's own columns as a stream. Rows that replace each other do so by its key.
pub fn own_columns(dataflow: &Dataflow) -> Contract {
    let key: Vec<String> = unique_columns(dataflow)
        .into_iter()
        .map(str::to_owned)
        .collect();
    let fields = dataflow.output.columns.iter();
    let fields = fields.map(|column| headworks_plan::Field {
        name: column.name.clone(),
        type_: column.data_type.to_string(),
        nullable: column.nullable,
        labels: column.labels.clone(),
    });
    Contract {
        fields: fields.collect(),
        compacted: !key.is_empty(),
        key,
        ..Contract::default()
    }
}

/// Builds both.
pub fn build(desired: &Desired<'_>) -> (DataStream, Pipeline) {
    let of = desired.pipeline;
    let name = name(&of.name_any());
    let owners = of.controller_owner_ref(&()).into_iter().collect();
    let namespace = of.namespace().unwrap_or_default();
    let metadata = FAMILY.meta(&namespace, &name, desired.id.to_owned(), owners);
    let mut stream = DataStream::new(&name, stream(desired));
    let mut pipeline = Pipeline::new(&name, query(desired, &name));
    stream.metadata = metadata.clone();
    pipeline.metadata = metadata;
    (stream, pipeline)
}

fn stream(desired: &Desired<'_>) -> DataStreamSpec {
    let of = &desired.pipeline.spec;
    let own;
    let (contract, partitions, target) = if let Some(target) = desired.target {
        target
    } else {
        own = own_columns(desired.dataflow);
        (&own, None, None)
    };
    let fields = contract.fields.iter().map(|field| Field {
        name: field.name.clone(),
        type_: field.type_.clone(),
        nullable: field.nullable,
        description: None,
        labels: field.labels.clone(),
    });
    let time = of.canary().map_or(0, |canary| canary.for_.millis());
    let retention = time.saturating_mul(2).max(LEAST_RETENTION_MS);
    // A result that its target can hold is none too large for this one.
    let config: BTreeMap<_, _> = target
        .map(|target| target.spec.config.clone())
        .unwrap_or_default()
        .into_iter()
        .filter(|(name, _)| name == MAX_MESSAGE)
        .collect();
    DataStreamSpec {
        platform: of.platform.clone(),
        owner: target.and_then(|target| target.spec.owner.clone()),
        description: Some(format!(
            "What a new version of Pipeline {} writes while it is tried out",
            desired.pipeline.name_any()
        )),
        partitions,
        // A compacted topic keeps what is newest of each key.
        retention: (!contract.compacted).then(|| Duration::from_millis(retention)),
        compacted: contract.compacted,
        format: Format::Json,
        compatibility: Compatibility::None,
        key: contract.key.clone(),
        deletion_policy: DeletionPolicy::Delete,
        config,
        ..DataStreamSpec::new(fields.collect())
    }
}

fn query(desired: &Desired<'_>, name: &str) -> PipelineSpec {
    let spec = desired.pipeline.spec.clone();
    PipelineSpec {
        to: vec![Target {
            stream: Some(name.to_owned()),
            ..Target::default()
        }],
        start_from: Some(StartFrom {
            time: Some(desired.began.clone()),
            ..StartFrom::default()
        }),
        // The old version makes dead letters of the same records: once is enough.
        on_bad_record: match spec.on_bad_record {
            OnBadRecord::DeadLetter | OnBadRecord::Drop => OnBadRecord::Drop,
            OnBadRecord::Stop => OnBadRecord::Stop,
        },
        on_state_change: OnStateChange::Block,
        rollout: None,
        replicas: spec.replicas.max(1),
        suspend: false,
        tests: Vec::new(),
        deletion_policy: DeletionPolicy::Delete,
        ..spec
    }
}

/// Makes both so, where they differ.
///
/// # Errors
/// `OwnedByAnother` where the name is somebody else's; `ChildTerminating` while those of another version go; what the API server says.
pub async fn put(
    context: &Context,
    pipeline: &Pipeline,
    desired: &Desired<'_>,
) -> Result<(), Error> {
    let uid = pipeline.uid().unwrap_or_default();
    remove::<Pipeline>(context, pipeline, Some(desired.id)).await?;
    remove::<DataStream>(context, pipeline, Some(desired.id)).await?;
    let (stream, shadow) = build(desired);
    let owners = Owners::Controller(&uid);
    FAMILY.put(context, &stream, owners).await?;
    FAMILY.put(context, &shadow, owners).await
}

/// Takes both away, if they are there.
///
/// # Errors
/// What the API server says.
pub async fn sweep(context: &Context, pipeline: &Pipeline) -> Result<(), Error> {
    // The Pipeline first: it writes the stream.
    let pipelines = remove::<Pipeline>(context, pipeline, None).await;
    let streams = remove::<DataStream>(context, pipeline, None).await;
    for removed in [pipelines, streams] {
        match removed {
            // That they go is all that is wanted.
            Ok(()) | Err(Error::Waiting { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Removes those of a kind that aren't of this version.
async fn remove<K: OwnedKind>(
    context: &Context,
    pipeline: &Pipeline,
    but: Option<&str>,
) -> Result<(), Error> {
    let namespace = pipeline.namespace().unwrap_or_default();
    let Some(child) = K::watched(context, &namespace, &name(&pipeline.name_any())) else {
        return Ok(());
    };
    let owned = child
        .owner_references()
        .iter()
        .any(|r| Some(&r.uid) == pipeline.uid().as_ref());
    let version = child.annotations().get(FAMILY.content).map(String::as_str);
    let stays = but.is_some() && version == but && child.meta().deletion_timestamp.is_none();
    // One of somebody else's is none of ours to take away.
    if !(owned && FAMILY.claims(&child)) || stays {
        return Ok(());
    }
    context.remove(&child).await?;
    Err(Error::waiting(
        ConditionReason::ChildTerminating,
        format!(
            "{} {} of an earlier canary is being deleted; the next one begins when it is gone",
            K::kind(&()),
            child.name_any()
        ),
    )
    .after(super::LOOK))
}

/// The Pipeline whose new version this one is, if it is one's.
pub fn parent(shadow: &Pipeline, context: &Context) -> Option<Pipeline> {
    if !FAMILY.claims(shadow) {
        return None;
    }
    let namespace = shadow.namespace()?;
    let owner = shadow
        .owner_references()
        .iter()
        .find(|r| r.controller == Some(true))?;
    let parent = context.stores.pipeline(&namespace, &owner.name)?;
    let is_its =
        parent.uid().as_ref() == Some(&owner.uid) && name(&owner.name) == shadow.name_any();
    is_its.then_some(parent)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        owned_objects::body,
        planning::testing::{contract, keyed},
    };

    fn pipeline() -> Pipeline {
        serde_json::from_value(json!({"apiVersion": "headworks.dev/v1alpha1", "kind": "Pipeline",
            "metadata": {"name": "sums", "namespace": "shop", "uid": "u"},
            "spec": {"sql": "SELECT k, n FROM a", "to": [{"stream": "out"}, {"table": {"store": "pg", "name": "t"}}], "replicas": 3,
                "startFrom": {"position": "Earliest"}, "deletionPolicy": "Retain",
                "tests": [], "rollout": {"canary": {"for": "2h"}}}}))
        .unwrap()
    }

    fn built(target: Option<&Contract>, unique: &[usize]) -> (DataStream, Pipeline) {
        let a = contract(&[("k", "string", false), ("n", "bigint", true)]);
        let (pipeline, dataflow) = (pipeline(), keyed("SELECT k, n FROM a", &a, unique));
        build(&Desired {
            pipeline: &pipeline,
            id: "0123456789abcdef",
            began: &serde_json::from_value(json!("2027-01-01T00:00:00Z")).unwrap(),
            target: target.map(|contract| (contract, Some(6), None)),
            dataflow: &dataflow,
        })
    }

    #[test]
    fn what_runs_beside_it_writes_a_stream_of_its_own_and_is_deleted_whole() {
        let target = Contract {
            key: vec!["k".into()],
            ..contract(&[
                ("k", "string", false),
                ("n", "bigint", true),
                ("note", "string", true),
            ])
        };
        let (stream, pipeline) = built(Some(&target), &[]);
        let (stream, pipeline) = (body(&stream).unwrap(), body(&pipeline).unwrap());
        for object in [&stream, &pipeline] {
            let meta = &object["metadata"];
            assert_eq!(meta["name"], "sums-canary");
            assert_eq!(meta["annotations"][FAMILY.content], "0123456789abcdef");
            let owner = &meta["ownerReferences"][0];
            assert_eq!(
                (&owner["uid"], &owner["controller"]),
                (&json!("u"), &json!(true))
            );
            assert_eq!(object["spec"]["deletionPolicy"], "Delete");
        }
        let spec = &stream["spec"];
        assert_eq!(
            (&spec["key"], &spec["partitions"]),
            (&json!(["k"]), &json!(6))
        );
        assert_eq!(
            (&spec["retention"], &spec["format"]),
            (&json!("4h"), &json!("Json"))
        );
        let fields = spec["schema"].as_array().unwrap();
        assert_eq!(
            fields.len(),
            3,
            "the target's, also what the query doesn't give"
        );
        let spec = &pipeline["spec"];
        assert_eq!(spec["to"], json!([{"stream": "sums-canary"}]), "no table");
        assert_eq!(spec["startFrom"], json!({"time": "2027-01-01T00:00:00Z"}));
        assert_eq!(
            (&spec["replicas"], &spec["onBadRecord"]),
            (&json!(3), &json!("Drop"))
        );
        assert!(spec["rollout"].is_null() && spec["sql"] == "SELECT k, n FROM a");
    }

    #[test]
    fn where_only_tables_are_written_the_stream_has_the_querys_own_columns() {
        let (stream, _) = built(None, &[0]);
        let names: Vec<&str> = stream.spec.schema.iter().map(|f| f.name.as_str()).collect();
        assert_eq!(
            (names, stream.spec.key),
            (vec!["k", "n"], vec!["k".to_owned()])
        );
        assert!(stream.spec.compacted && stream.spec.retention.is_none());
        assert!(!built(None, &[]).0.spec.compacted);
    }
}
