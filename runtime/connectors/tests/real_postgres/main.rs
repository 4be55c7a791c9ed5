//! Tables in a real PostgreSQL. Runs where `HEADWORKS_POSTGRES=host:port/database` names one, with
//! `HEADWORKS_POSTGRES_USER` and `HEADWORKS_POSTGRES_PASSWORD` of a user who may make schemas.

// All of this is test: a helper may fail it as well.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod audit;
mod deletes;
mod mend;
mod place;
mod refused;
mod sessions;
mod values;
