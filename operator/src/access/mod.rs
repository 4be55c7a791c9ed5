//! Kafka users that Pipelines and Sources run under, and what their users may do.
//!
//! Who makes a user, and how, is the room `provisioner`'s: here is whose it is, what its rights are, and when it goes. `workload` is
//! about pods' own users, and `migration` about one whose pods have moved to another Platform.

pub mod migration;
pub mod workload;
