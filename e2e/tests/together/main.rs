//! Tests that mostly wait, and so run side by side: each has a namespace, topics and a database of its own.
//!
//! The harness begins them in the order of their names. What waits longest is in a room that begins with `a_`, so that at the end
//! nothing long is left alone.

#[path = "access.rs"]
mod a_access;
#[path = "audit.rs"]
mod a_audit;
#[path = "formats.rs"]
mod a_formats;
#[path = "quality.rs"]
mod a_quality;
#[path = "registry.rs"]
mod a_registry;
#[path = "replay.rs"]
mod a_replay;
#[path = "shop.rs"]
mod a_shop;
#[path = "stores.rs"]
mod a_stores;
#[path = "tables.rs"]
mod a_tables;
#[path = "told.rs"]
mod a_told;
#[path = "webhook.rs"]
mod a_webhook;
#[path = "wrong_turns/mod.rs"]
mod a_wrong_turns;
mod bad_records;
mod cli;
mod dlq;
mod edits;
mod evolution;
mod feeds;
mod helm;
mod http;
mod joins;
mod peek;
mod reads;
mod sql;
mod strimzi;
mod windows;
mod workloads;
mod writers;
