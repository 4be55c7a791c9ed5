//! The control plane of Headworks.
//!
//! One reconcile a kind (a room for each, such as `pipeline`; the table of them is below), each going the same way:
//! *dereference* (read everything the object refers to, from local stores) → *validate* (pure) → *build* (pure: the
//! children as they should be) → *apply* (write what differs) → *status* (one exit, also on error). `controller` holds
//! what is the same for all.
//!
//! Rooms lie in layers, from the ground up, and import only what lies beside or below them (`docs/rooms.toml`):
//!
//! - words and rules: `names`, `mounts` are files of pods, `retry` says when to try again, `owned` whose an object is, `security` what is open to others, `bounds`
//!   keeps what others send within limits, `supervise` keeps a mistake to the task it happens in, `verified` and `rollout_turns` remember;
//! - pure: `connectors` lists the kinds of sources and stores, `contract` is what a stream promises, `evolution` says which contract may follow which, `planning` what a query comes to,
//!   `impact` whom a change hits;
//! - ways out and in: `apply` writes children, `status` writes status, `kafka` administers Kafka, `strimzi` writes KafkaTopics and
//!   KafkaUsers, `reports` asks pods how they are, `indexes` knows who must be looked at when something changes, `watch` keeps one watch,
//!   `election` picks the leader, `telemetry` and `events` speak, `listen` serves;
//! - `stores` is what the cluster holds, `watches` fills it; `context` is what every reconcile has at hand, `controller` what a kind has
//!   to say, `admission` what it says before an object is stored;
//! - `connection` is how pods reach Kafka, `access` makes Kafka's users, `workload` runs what kinds with pods say; then the kinds;
//! - `webhook` tells in the terminal what is wrong, `run` starts it all.
//!
//! The operator never touches a record, and pods never talk to the API server: between them stands the
//! plan (`headworks-plan`).

/// Calls a macro with **the table of kinds**: under which name the stores hold a kind's objects, and the kind. From it come the
/// stores, their watches, the controllers, admission, and whatever else asks all kinds. What a kind has to say to each of them is in
/// its room: [`watches::Watched`], [`controller::Reconciler`].
macro_rules! for_each_kind {
    ($then:ident) => {
        $then! {
            platforms: Platform,
            streams: DataStream,
            data_stores: DataStore,
            sources: Source,
            pipelines: Pipeline,
            replays: Replay,
            grants: AccessGrant,
            quality_rules: QualityRule,
        }
    };
}

pub mod access;
pub mod access_grant;
pub mod admission;
pub mod apply;
pub mod bounds;
pub mod connection;
pub mod connectors;
pub mod context;
pub mod contract;
pub mod controller;
pub mod crd_versions;
pub mod data_store;
pub mod data_stream;
pub mod election;
pub mod events;
pub mod evolution;
pub mod foreign;
pub mod held;
pub mod hints;
pub mod impact;
pub mod indexes;
pub mod kafka;
pub mod kafka_pool;
pub mod listen;
pub mod metrics_server;
pub mod mounts;
pub mod names;
pub mod owned;
pub mod owned_objects;
pub mod pipeline;
pub mod planning;
pub mod platform;
pub mod provisioner;
pub mod quality_rule;
pub mod reason;
pub mod registry_pool;
pub mod replay;
pub mod reports;
pub mod retry;
pub mod rollout_turns;
pub mod rule_counts;
pub mod rule_history;
pub mod run;
pub mod scope;
pub mod secrets;
pub mod security;
pub mod source;
pub mod status;
pub mod stores;
pub mod strimzi;
pub mod supervise;
pub mod telemetry;
pub mod verified;
pub mod watch;
pub mod watches;
pub mod webhook;
pub mod workload;

#[cfg(test)]
mod tests {
    /// The kinds of the API are those that the operator reconciles.
    #[test]
    fn both_tables_have_the_same_kinds() {
        macro_rules! names {
            ($($field:ident: $kind:ident,)*) => {
                [$(stringify!($kind)),*]
            };
        }
        assert_eq!(for_each_kind!(names), headworks_crds::kinds::NAMES);
    }
}
