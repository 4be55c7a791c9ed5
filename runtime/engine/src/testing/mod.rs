//! Worlds that the loop is tried in: formats small enough to be computed by hand, and whole clusters of members whose processes
//! die, sleep and are fenced, held against oracles that evaluate a row at a time.

pub(crate) mod fixture_format;
pub(crate) mod join_fixture;
pub(crate) mod keyed_fixture_format;
pub(crate) mod keyed_oracle;
mod keyed_rules;
mod keyed_simulation;
pub(crate) mod over_fixture;
mod plans;
mod replay_simulation;
pub(crate) mod simulation;
pub(crate) mod temporal_fixture;

pub(crate) use plans::{keyed_stages, streams_stage, table_stage};
