//! The contract between the operator and a pod.
//!
//! The operator writes a [`Plan`] as JSON into an immutable ConfigMap named by the plan's digest; a
//! pod reads it once at start and does nothing it doesn't say. In the other direction a pod answers
//! `GET /status` on its own port with a [`Report`]. Nothing else passes between the two planes.
//!
//! Only serde types live here, and the [names](names) of what a Pipeline has in Kafka. A change that an older pod could
//! misread raises [`VERSION`]; adding an optional field does not, because both sides ignore fields they don't know.

mod compare;
mod connection;
mod contract;
mod counts;
pub mod names;
mod peek;
mod pipeline;
mod reason;
mod replay;
mod report;
mod rule;
mod source;
mod source_connection;
mod stage;
mod store;
mod stream;
pub mod v1;
mod verdict;
mod words;

pub use compare::{Both, ComparePlan, ComparisonFigures, KeysCompared, SumsCompared};
pub use connection::{KafkaConnection, RegistryConnection, ScramFiles};
pub use contract::{
    Contract, Definition, EventTime, Field, Format, KnownSchema, ReferencedSchema, Registered,
};
pub use counts::{CountsBegun, PartitionCounts, StageCounts, TableCounts};
pub use peek::{
    ColumnProfile, DeadLetterCount, DeadLetterFilter, DeadLetterLine, DeadLetterOrigin, Frequent,
    PEEK_CA_PATH, PEEK_PATH, PEEK_VERSION, PROFILE_INTERVALS, PeekFrom, PeekLine, PeekPlan,
    PeekPosition, PeekSelection, PeekTask, PreviewKind, PreviewRefusal, ProfileRequest, Quantile,
    ReplayPreview, Shape, StreamProfile, TextLengths,
};
pub use pipeline::{Delivery, OnBadRecord, OnOverflow, PipelinePlan, StartFrom};
pub use reason::{DeadLetterReason, Reason, ReportedReason};
pub use replay::{DeadLetterSelection, IntoPipeline, ReplayFigures, ReplayPlan};
pub use report::{
    Figures, LastDeadLetter, PartitionFigure, Phase, Problem, ReasonCount, Report, StateFigures,
};
pub use rule::{Check, CheckFigures, Rule, RuleAction, RuleFigures};
pub use source::{OnInvalid, SourcePlan, UnknownFields};
pub use source_connection::{
    GenerateSource, HeaderFile, HttpSource, ShopRecords, SourceConnection, SourceReason, Template,
    WebsocketSource,
};
pub use stage::{
    DELETED_COLUMN, Edge, Ends, InternalTopic, STATE_DIR, StagePlan, StatePlan, TableOutput,
    stage_id,
};
pub use store::{
    FileConnection, Guarantee, PostgresConnection, Store, StoreConnection, StorePlan, StoreReason,
};
pub use stream::Stream;
pub use verdict::{
    CheckVerdict, VERDICT_CHECKS, VERDICT_WINDOWS, VerdictColumns, VerdictFigures, WindowVerdict,
};

use serde::{Deserialize, Serialize};

/// The version of this contract.
///
/// A pod refuses a plan of a version that it doesn't know, by name: so a pod whose image is older than the operator
/// (because a pod template pins it) reads nothing, writes nothing and says what to do, rather than misread the plan.
/// A pod reads the version before its own, too ([`v1`]), for one release: where its image comes before the operator does.
///
/// 2: a pipeline's stages are a list; texts that a definition refers to, which a pod of version 1 may pass over.
pub const VERSION: u32 = 2;

/// The version of a pod's [`Report`]. It is apart from that of plans: through an upgrade pods of both plan versions
/// answer the same operator.
pub const REPORT_VERSION: u32 = 1;

/// Where the operator mounts the plan in a pod.
pub const PLAN_PATH: &str = "/etc/headworks/plan.json";
/// Where Kafka's CA (`ca.crt`) is mounted, if TLS is used.
pub const KAFKA_CA_PATH: &str = "/etc/headworks/kafka-ca/ca.crt";
/// The folder where the workload's Kafka credentials are mounted (`username`, `password`).
pub const KAFKA_CREDENTIALS_DIR: &str = "/etc/headworks/kafka";
/// The folder where the HTTP source's bearer tokens are mounted; each file is one accepted token.
pub const BEARER_DIR: &str = "/etc/headworks/bearer";
/// The folder where the HTTP source's certificate is mounted (`tls.crt`, `tls.key`).
pub const HTTP_TLS_DIR: &str = "/etc/headworks/http-tls";
/// The folder below which every store has one of its own name, with its credentials (`username`,
/// `password`) and, where it has a CA of its own, `ca.crt`.
pub const STORES_DIR: &str = "/etc/headworks/stores";
/// The port of `/status`, `/metrics`, `/healthz` and `/readyz`.
pub const STATUS_PORT: u16 = 9464;
/// The port an HTTP source listens on.
pub const HTTP_PORT: u16 = 8080;

/// What a pod is told: who it is, where Kafka is, and its role.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// [`VERSION`] of the writer.
    pub version: u32,
    /// The Platform's installation name: the prefix of group, transactional and internal-topic ids.
    pub installation: String,
    /// Namespace of the object that the pod serves.
    pub namespace: String,
    /// Name of the object that the pod serves.
    pub name: String,
    /// How to reach Kafka.
    pub kafka: KafkaConnection,
    /// How to reach the schema registry, if the Platform has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<RegistryConnection>,
    /// What the pod does.
    pub role: Role,
}

/// What a pod does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(clippy::large_enum_variant, reason = "a process has one plan")]
pub enum Role {
    /// Runs a SQL pipeline.
    Pipeline(PipelinePlan),
    /// Takes records in.
    Source(SourcePlan),
    /// Watches a store: ready while the store answers.
    Store(StorePlan),
    /// Replays a bounded part of a topic, once.
    Replay(ReplayPlan),
    /// The same, into one Pipeline alone. It is a role of its own so that a pod of an older image refuses it by name, rather than run
    /// the Pipeline's query without what is done before it.
    ReplayIntoPipeline(ReplayPlan),
    /// Compares what two versions of a query make of the same records, once.
    Compare(Box<ComparePlan>),
}

impl Role {
    /// What is replayed, if that is what the pod does.
    pub fn replay(&self) -> Option<&ReplayPlan> {
        match self {
            Role::Replay(replay) | Role::ReplayIntoPipeline(replay) => Some(replay),
            Role::Pipeline(_) | Role::Source(_) | Role::Store(_) | Role::Compare(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_survives_json_and_ignores_fields_of_a_newer_operator() {
        let json = r#"{"version":2,"installation":"x","namespace":"shop","name":"p","kafka":{"bootstrapServers":"k:9092"},
          "role":{"pipeline":{"sql":"SELECT 1","inputs":[],"outputs":[],"delivery":"ExactlyOnce","commitIntervalMs":100,
          "startFrom":{"time":5},"onBadRecord":"Stop","stages":[],"somethingNew":true}}}"#;
        let plan: Plan = serde_json::from_str(json).unwrap();
        let again: Plan = serde_json::from_str(&serde_json::to_string(&plan).unwrap()).unwrap();
        assert_eq!(plan, again);
        let Role::Pipeline(p) = plan.role else {
            panic!("a pipeline")
        };
        assert_eq!(p.start_from, StartFrom::Time(5));
        let said = |on_overflow| {
            let plan = PipelinePlan {
                on_overflow,
                ..p.clone()
            };
            serde_json::to_string(&plan).unwrap()
        };
        // A definition that needs no other text is as it was.
        let order = Definition::new("{}");
        let said_of = |definition: &Definition| serde_json::to_string(definition).unwrap();
        assert_eq!(said_of(&order), r#"{"schema":"{}"}"#);
        let order = order.with(vec![ReferencedSchema {
            name: "a.proto".into(),
            text: "x".into(),
        }]);
        let text = said_of(&order);
        assert_eq!(
            text,
            r#"{"schema":"{}","references":[{"name":"a.proto","text":"x"}]}"#
        );
        assert_eq!(serde_json::from_str::<Definition>(&text).unwrap(), order);
        // So is an earlier one: a string.
        let contract = Contract {
            earlier: vec![Definition::new("{}"), order],
            ..Contract::default()
        };
        let text = serde_json::to_string(&contract).unwrap();
        assert_eq!(
            text,
            r#"{"fields":[],"format":"Json","earlier":["{}",{"schema":"{}","references":[{"name":"a.proto","text":"x"}]}]}"#
        );
        assert_eq!(serde_json::from_str::<Contract>(&text).unwrap(), contract);
        // A pod of before reads the plan as it was.
        assert!(!said(OnOverflow::SetNull).contains("onOverflow"));
        assert!(said(OnOverflow::DeadLetter).contains(r#""onOverflow":"DeadLetter""#));
    }
}
