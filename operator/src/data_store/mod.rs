//! DataStore: a database that Pipelines write tables of.

pub mod address;
