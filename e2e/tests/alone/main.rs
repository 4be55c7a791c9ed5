//! Tests that measure, or that end what others need, one at a time. Each says in its first lines why it can't run beside others; a new
//! feature takes part in `drill`.

mod access;
mod drill;
mod helm;
mod strimzi;
mod sweep;
