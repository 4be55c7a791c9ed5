//! Tests that mostly wait, and so run side by side: each has a namespace, topics and a database of its own.
//!
//! The harness begins them in the order of their names. What waits longest is in a room that begins with `a_`, so that at the end
//! nothing long is left alone. What loads the machine instead comes after it: begun together they took each other's time (678 s where it
//! had been 553 s).

#[path = "access.rs"]
mod a_access;
#[path = "audit.rs"]
mod a_audit;
#[path = "formats.rs"]
mod a_formats;
#[path = "registry.rs"]
mod a_registry;
#[path = "strimzi/mod.rs"]
mod a_strimzi;
#[path = "tables.rs"]
mod a_tables;
#[path = "webhook.rs"]
mod a_webhook;
#[path = "wrong_turns/mod.rs"]
mod a_wrong_turns;
mod bad_records;
mod balanced;
mod canary;
mod cli;
mod dlq;
mod edits;
mod evolution;
mod feeds;
mod helm;
mod histories;
mod http;
mod joins;
mod monitors;
mod peek;
mod quality;
mod reads;
mod replay;
mod shop;
mod sql;
mod stores;
mod told;
mod windows;
mod workloads;
mod writers;
