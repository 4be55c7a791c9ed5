//! The control plane of Headworks.
//!
//! One reconcile a kind (`platform`, `data_stream`, `source`, `pipeline`, `data_store`, `access_grant`), each going the same way:
//! *dereference* (read everything the object refers to, from local stores) → *validate* (pure) → *build* (pure: the
//! children as they should be) → *apply* (write what differs) → *status* (one exit, also on error). `controller` holds
//! what is the same for all; every other room does one thing: `owned` says whose an object is, `apply` writes children, `status` writes status,
//! `retry` says when to try again, `indexes` who must be looked at when something changes, `feed` watches, `reports` asks
//! pods how they are, `evolution` says which contract may follow which, `impact` whom a change hits, `webhook` tells it in
//! the terminal, `kafka` administers Kafka, `access` makes Kafka's users, `strimzi` writes KafkaTopics and KafkaUsers,
//! `election` picks the leader, `telemetry` and `events` speak, `listen` and `bounds` keep what others send within limits, `supervise` keeps
//! a mistake to the task it happens in.
//!
//! The operator never touches a record, and pods never talk to the API server: between them stands the
//! plan (`headworks-plan`).

pub mod access;
pub mod access_grant;
pub mod apply;
pub mod bounds;
pub mod context;
pub mod contract;
pub mod controller;
pub mod crd_versions;
pub mod data_store;
pub mod data_stream;
pub mod election;
pub mod events;
pub mod evolution;
pub mod feed;
pub mod held;
pub mod hints;
pub mod impact;
pub mod indexes;
pub mod kafka;
pub mod kafka_pool;
pub mod listen;
pub mod metrics_server;
pub mod names;
pub mod owned;
pub mod pipeline;
pub mod planning;
pub mod platform;
pub mod registry_pool;
pub mod reports;
pub mod retry;
pub mod rollout_turns;
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
pub mod watches;
pub mod webhook;
pub mod workload;
