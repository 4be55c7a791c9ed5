//! The contract between the operator and a pod.
//!
//! The operator writes a [`Plan`] as JSON into an immutable ConfigMap named by the plan's digest; a
//! pod reads it once at start and does nothing it doesn't say. In the other direction a pod answers
//! `GET /status` on its own port with a [`Report`]. Nothing else passes between the two planes.
//!
//! Only serde types live here. A change that an older pod could misread raises [`VERSION`]; adding an
//! optional field does not, because both sides ignore fields they don't know.

mod contract;
mod keyed;
mod peek;
mod report;

pub use contract::{Contract, Definition, EventTime, Field, Format, KnownSchema, Registered};
pub use keyed::{DELETED_COLUMN, InternalTopic, KeyedPlan, STATE_DIR};
pub use peek::{
    PEEK_CA_PATH, PEEK_PATH, PEEK_VERSION, PeekFrom, PeekLine, PeekPlan, PeekSelection,
};
pub use report::{Figures, PartitionFigure, Phase, Problem, Report, StateFigures};

use serde::{Deserialize, Serialize};

/// The version of this contract. A pod refuses a plan of another version by name.
pub const VERSION: u32 = 1;

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

/// How a pod reaches the schema registry (Confluent's API). It is asked only for schemas that the plan doesn't hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RegistryConnection {
    /// Base address, such as `http://registry.kafka.svc:8080/apis/ccompat/v7`.
    pub url: String,
    /// Present: the CA (PEM) that signed the registry's certificate; absent: the public roots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_pem: Option<String>,
}

/// What a pod does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// Runs a SQL pipeline.
    Pipeline(PipelinePlan),
    /// Takes records in.
    Source(SourcePlan),
    /// Watches a store: ready while the store answers.
    Store(StorePlan),
}

/// How a pod reaches Kafka. Secrets are files, never values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KafkaConnection {
    /// `host:port[,host:port]`.
    pub bootstrap_servers: String,
    /// Present: TLS, verified against this CA file (PEM); an empty path means the system's roots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_ca_file: Option<String>,
    /// Present: SASL/SCRAM-SHA-512.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scram: Option<ScramFiles>,
}

/// Files that hold a SCRAM user's name and password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScramFiles {
    /// File with the user name.
    pub username_file: String,
    /// File with the password.
    pub password_file: String,
}

/// A stream as a pod sees it: its topic, its dead-letter topic and the accepted contract.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stream {
    /// Name that SQL uses.
    pub name: String,
    /// Kafka topic.
    pub topic: String,
    /// Topic for records that break the contract.
    pub dead_letter_topic: String,
    /// The accepted contract.
    pub contract: Contract,
    /// The topic's `max.message.bytes`; a larger record goes to the dead letters before it is sent.
    pub max_message_bytes: u64,
}

/// What a pipeline pod runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PipelinePlan {
    /// The query, as the user wrote it.
    pub sql: String,
    /// Every stream the query reads.
    pub inputs: Vec<Stream>,
    /// Every stream the result goes to.
    pub outputs: Vec<Stream>,
    /// Every table the result goes to. Each is a stage of its own, with a group and progress of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<TableOutput>,
    /// What a record is promised.
    pub delivery: Delivery,
    /// Longest time between two commits, in milliseconds.
    pub commit_interval_ms: u64,
    /// Where a pipeline without progress begins.
    pub start_from: StartFrom,
    /// What happens to a record that can't be read or evaluated.
    pub on_bad_record: OnBadRecord,
    /// What becomes of a number with more digits than its decimal type has.
    #[serde(default, skip_serializing_if = "OnOverflow::is_default")]
    pub on_overflow: OnOverflow,
    /// The consumer group. Belongs to namespace/name, so progress survives delete and re-create.
    pub group: String,
    /// Present where the query needs state: it then runs in two parts with a topic between them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keyed: Option<KeyedPlan>,
    /// A token from the Pipeline's annotation `headworks.dev/accept-data-loss`: the pod may go on from
    /// the earliest retained record where its own report named the same token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept_data_loss: Option<String>,
}

/// A table that a pipeline writes.
///
/// Its writer reads the inputs by a consumer group of its own ([`TableOutput::group`]), so that a store
/// that is down holds up nothing but itself. How far it has read is kept in the store, in the
/// transaction that holds the rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TableOutput {
    /// The store.
    pub store: Store,
    /// The table, as the user wrote it: `orders` or `reporting.orders`.
    pub table: String,
    /// Columns by which a row replaces an earlier one (upsert); empty: rows are appended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<String>,
    /// True: a table that isn't there is made from the query's columns.
    #[serde(default)]
    pub create: bool,
    /// The writer's consumer group.
    pub group: String,
}

/// What a store's pod watches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StorePlan {
    /// The store.
    pub store: Store,
}

/// A store as a pod sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Store {
    /// Name of the DataStore.
    pub name: String,
    /// How to reach it.
    pub connection: StoreConnection,
}

/// How a pod reaches a store, by the kind of store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StoreConnection {
    /// PostgreSQL.
    Postgres(PostgresConnection),
}

/// How a pod reaches a PostgreSQL database. Secrets are files, never values, and are read at each connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PostgresConnection {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Database.
    pub database: String,
    /// File with the user name.
    pub username_file: String,
    /// File with the password.
    pub password_file: String,
    /// Present: TLS, verified in full against this CA file (PEM); an empty path means the system's roots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_ca_file: Option<String>,
}

/// What a record is promised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Delivery {
    /// Output, dead letters and progress in one Kafka transaction (KIP-98, KIP-447).
    #[default]
    ExactlyOnce,
    /// Progress is committed after the output is acknowledged; a crash repeats a little.
    AtLeastOnce,
}

/// Where a pipeline without progress begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StartFrom {
    /// The oldest retained record.
    #[default]
    Earliest,
    /// Records written after the first start.
    Latest,
    /// The first record whose Kafka timestamp is at or after this instant (milliseconds since 1970 UTC).
    Time(i64),
}

/// What happens to a record that can't be read or evaluated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnBadRecord {
    /// It goes to the input stream's dead-letter topic.
    #[default]
    DeadLetter,
    /// It is counted and dropped.
    Drop,
    /// The pipeline stops before it and says so.
    Stop,
}

/// What becomes of a number with more digits than its decimal type has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnOverflow {
    /// It is NULL, as in Flink.
    #[default]
    SetNull,
    /// The record is bad: it goes where [`OnBadRecord`] says.
    DeadLetter,
}

impl OnOverflow {
    /// True for [`Self::SetNull`], which a plan doesn't say.
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
    fn is_default(&self) -> bool {
        *self == Self::SetNull
    }
}

/// What a source pod runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourcePlan {
    /// The stream that records go into.
    pub into: Stream,
    /// Present: records come by HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpSource>,
    /// Present: records are made up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generate: Option<GenerateSource>,
    /// What happens to a record that breaks the contract.
    pub on_invalid: OnInvalid,
    /// What happens to a field that the contract doesn't know.
    pub unknown_fields: UnknownFields,
}

/// The HTTP side of a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpSource {
    /// Path that records are posted to.
    pub path: String,
    /// True: a request needs `Authorization: Bearer` with one of the tokens in [`BEARER_DIR`].
    pub bearer: bool,
    /// True: serve TLS with the certificate in [`HTTP_TLS_DIR`].
    pub tls: bool,
    /// Largest request body in bytes.
    pub max_body_bytes: u64,
    /// Largest rate for the pod, in records a second; above it the answer is 429 with Retry-After.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records_per_second: Option<u64>,
    /// Dotted path of the array in an envelope (`items`); absent: the body is the record(s).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items_path: Option<String>,
}

/// The making-up side of a source: a seeded sequence of records, each number of it written once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GenerateSource {
    /// Rate in records a second.
    pub records_per_second: u64,
    /// Equal seeds make equal records.
    pub seed: u64,
    /// What the records are like; absent: random values of the contract's types.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<Template>,
    /// How many in a hundred records are late.
    #[serde(default)]
    pub disorder_percent: u8,
    /// By how much a late record is late at most, in milliseconds.
    #[serde(default)]
    pub disorder_by_ms: u64,
    /// How many in a hundred records break the contract.
    #[serde(default)]
    pub faulty_percent: u8,
    /// After how many records the sequence ends; absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// The consumer group under which the place in the sequence is kept, in the transaction that holds the
    /// records: a restart goes on where it stopped.
    pub group: String,
}

/// What made-up records are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Template {
    /// A shop, whose users look at things, order some, and say how they liked them.
    Shop(ShopRecords),
}

/// Which of the shop's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ShopRecords {
    /// Pages that were looked at.
    Clicks,
    /// Orders that were placed.
    Orders,
    /// Stock that came and went.
    Inventory,
    /// What customers said.
    Feedback,
}

/// What happens to a record that breaks the contract at a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnInvalid {
    /// The whole request is refused; the answer lists the indexes.
    #[default]
    Reject,
    /// The good records go in, the bad ones to the dead-letter topic.
    DeadLetter,
}

/// What happens to a field that the contract doesn't know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum UnknownFields {
    /// It is not carried into the stream.
    #[default]
    Ignore,
    /// The record breaks the contract.
    Reject,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_survives_json_and_ignores_fields_of_a_newer_operator() {
        let json = r#"{"version":1,"installation":"x","namespace":"shop","name":"p","kafka":{"bootstrapServers":"k:9092"},
          "role":{"pipeline":{"sql":"SELECT 1","inputs":[],"outputs":[],"delivery":"ExactlyOnce","commitIntervalMs":100,
          "startFrom":{"time":5},"onBadRecord":"Stop","group":"g","somethingNew":true}}}"#;
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
        // A pod of before reads the plan as it was.
        assert!(!said(OnOverflow::SetNull).contains("onOverflow"));
        assert!(said(OnOverflow::DeadLetter).contains(r#""onOverflow":"DeadLetter""#));
    }
}
