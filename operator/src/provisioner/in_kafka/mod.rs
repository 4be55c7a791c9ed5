//! What is done in Kafka itself by the Admin API, whoever else manages it.

pub mod topics;
pub mod users;
