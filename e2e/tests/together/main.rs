//! Tests that mostly wait, and so run side by side: each has a namespace, topics and a database of its own.

mod access;
mod audit;
mod bad_records;
mod cli;
mod edits;
mod evolution;
mod formats;
mod helm;
mod http;
mod peek;
mod reads;
mod registry;
mod shop;
mod sql;
mod stores;
mod strimzi;
mod tables;
mod told;
mod webhook;
mod windows;
mod workloads;
mod writers;
mod wrong_turns;
