//! What stands between the engine and the world: wire formats, sources and stores.
//!
//! [`formats`] turns bytes into Arrow columns and back, behind the traits of
//! [`headworks_engine::format`]; the engine knows no format. [`sources`] takes records in: each has a
//! folder split into *config* (what the plan says), *request* (what came), *service* (what is answered)
//! and *sink* (where it goes). [`stores`] are databases whose tables pipelines write, behind the traits
//! of [`headworks_engine::store`]. [`server`] is the HTTP server that every listener of a pod is,
//! [`tls`] what every client trusts.

pub mod formats;
pub mod server;
pub mod sources;
pub mod stores;
pub mod tls;
