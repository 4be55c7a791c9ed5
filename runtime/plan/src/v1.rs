//! Plans of version 1, which the operator of the release before wrote; a pod of this one reads them, too.
//!
//! They told stages by what a plan had: a first one, one for state where there was `keyed`, one for each of `tables`.
//! To be taken out with the release after this one.

use serde::{Deserialize, Serialize};

use crate::connection::{KafkaConnection, RegistryConnection};
use crate::pipeline::{Delivery, OnBadRecord, OnOverflow, PipelinePlan, StartFrom};
use crate::source::SourcePlan;
use crate::stage::{Edge, Ends, InternalTopic, StagePlan, StatePlan, TableOutput, stage_id};
use crate::store::StorePlan;
use crate::stream::Stream;
use crate::{Role, VERSION};

/// The version of these plans.
pub const V1: u32 = 1;

/// What a pod is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// [`V1`].
    pub version: u32,
    /// As in [`crate::Plan`].
    pub installation: String,
    /// As in [`crate::Plan`].
    pub namespace: String,
    /// As in [`crate::Plan`].
    pub name: String,
    /// As in [`crate::Plan`].
    pub kafka: KafkaConnection,
    /// As in [`crate::Plan`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<RegistryConnection>,
    /// What the pod does.
    pub role: RoleV1,
}

/// What a pod does. A source and a store are told as they are now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(clippy::large_enum_variant, reason = "a process has one plan")]
pub enum RoleV1 {
    /// Runs a SQL pipeline.
    Pipeline(Box<Pipeline>),
    /// Takes records in.
    Source(SourcePlan),
    /// Watches a store.
    Store(StorePlan),
}

/// What a pipeline's pod ran.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pipeline {
    /// As in [`PipelinePlan`].
    pub sql: String,
    /// As in [`PipelinePlan`].
    pub inputs: Vec<Stream>,
    /// As in [`PipelinePlan`].
    pub outputs: Vec<Stream>,
    /// A stage each, with their groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<TableOutput>,
    /// As in [`PipelinePlan`].
    pub delivery: Delivery,
    /// As in [`PipelinePlan`].
    pub commit_interval_ms: u64,
    /// As in [`PipelinePlan`].
    pub start_from: StartFrom,
    /// As in [`PipelinePlan`].
    pub on_bad_record: OnBadRecord,
    /// As in [`PipelinePlan`].
    #[serde(default, skip_serializing_if = "OnOverflow::is_default")]
    pub on_overflow: OnOverflow,
    /// The consumer group of the stage that reads the inputs.
    pub group: String,
    /// Present where the query needs state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keyed: Option<Keyed>,
    /// As in [`PipelinePlan`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept_data_loss: Option<String>,
}

/// The stage that keeps state, and the topics around it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Keyed {
    /// Rows by key.
    pub repartition: InternalTopic,
    /// The state.
    pub changelog: InternalTopic,
    /// The consumer group.
    pub group: String,
    /// As in [`StatePlan`].
    pub allowed_lateness_ms: u64,
    /// As in [`StagePlan`], of the first stage.
    pub max_drift_ms: u64,
    /// As in [`StatePlan`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_ms: Option<u64>,
    /// As in [`StatePlan`].
    pub memory_bytes: u64,
    /// As in [`Ends::Streams`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub results: Option<Stream>,
}

impl From<Plan> for crate::Plan {
    fn from(plan: Plan) -> Self {
        Self {
            version: VERSION,
            installation: plan.installation,
            namespace: plan.namespace,
            name: plan.name,
            kafka: plan.kafka,
            registry: plan.registry,
            role: match plan.role {
                RoleV1::Pipeline(pipeline) => Role::Pipeline((*pipeline).into()),
                RoleV1::Source(source) => Role::Source(source),
                RoleV1::Store(store) => Role::Store(store),
            },
        }
    }
}

impl From<Pipeline> for PipelinePlan {
    fn from(plan: Pipeline) -> Self {
        let inputs: Vec<Edge> = plan
            .inputs
            .iter()
            .map(|stream| Edge::Stream(stream.name.clone()))
            .collect();
        let stateless = |id: String, group: String, ends: Ends| StagePlan {
            id,
            runs: Some(0),
            group,
            reads: inputs.clone(),
            ends,
            state: None,
            max_drift_ms: None,
        };
        let with_state = plan.keyed.is_some();
        let mut stages = Vec::new();
        if let Some(keyed) = plan.keyed {
            let exchange = Ends::Exchange(keyed.repartition);
            stages.push(StagePlan {
                max_drift_ms: Some(keyed.max_drift_ms),
                ..stateless(stage_id::EXCHANGE.into(), plan.group, exchange)
            });
            stages.push(StagePlan {
                id: stage_id::KEYED.into(),
                runs: Some(1),
                group: keyed.group,
                reads: vec![Edge::Stage(stage_id::EXCHANGE.into())],
                ends: Ends::Streams {
                    results: keyed.results.map(Box::new),
                },
                state: Some(StatePlan {
                    changelog: keyed.changelog,
                    allowed_lateness_ms: keyed.allowed_lateness_ms,
                    ttl_ms: keyed.ttl_ms,
                    memory_bytes: keyed.memory_bytes,
                }),
                max_drift_ms: None,
            });
        } else if !plan.outputs.is_empty() || plan.tables.is_empty() {
            let streams = Ends::Streams { results: None };
            stages.push(stateless(stage_id::STREAMS.into(), plan.group, streams));
        }
        for (index, table) in plan.tables.into_iter().enumerate() {
            let (id, group) = (stage_id::table(index), table.group.clone());
            let stage = stateless(id, group, Ends::Table(Box::new(table)));
            stages.push(if with_state {
                StagePlan {
                    runs: None,
                    reads: vec![Edge::Stage(stage_id::KEYED.into())],
                    ..stage
                }
            } else {
                stage
            });
        }
        Self {
            sql: plan.sql,
            inputs: plan.inputs,
            outputs: plan.outputs,
            delivery: plan.delivery,
            commit_interval_ms: plan.commit_interval_ms,
            start_from: plan.start_from,
            on_bad_record: plan.on_bad_record,
            on_overflow: plan.on_overflow,
            stages,
            accept_data_loss: plan.accept_data_loss,
            verdicts: None,
        }
    }
}
