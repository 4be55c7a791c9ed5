//! Tests that mostly wait, and so run side by side: each has a namespace, topics and a database of its own.

mod bad_records;
mod cli;
mod edits;
mod evolution;
mod http;
mod shop;
mod sql;
mod tables;
mod windows;
mod wrong_turns;
