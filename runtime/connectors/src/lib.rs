//! What stands between the engine and the world: wire formats and sources.
//!
//! [`formats`] turns bytes into Arrow columns and back, behind the traits of
//! [`headworks_engine::format`]; the engine knows no format. [`sources`] takes records in: each has a
//! folder split into *config* (what the plan says), *request* (what came), *service* (what is answered)
//! and *sink* (where it goes).

pub mod formats;
pub mod sources;
