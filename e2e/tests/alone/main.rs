//! Tests that measure, or that end what others need (the broker, the operator, PostgreSQL), one at a time.

mod access;
mod chaos;
mod helm;
mod idle;
mod operator;
mod registry;
mod strimzi;
