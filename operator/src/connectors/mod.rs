//! What each kind of source and of store says of its spec: what can be wrong with it, where it is, which files its pods
//! need, what it leaves open, which columns it takes.
//!
//! Two lists, [`sources::KINDS`] and [`stores::KINDS`], of one file each kind; `runtime/connectors` has the same two of what
//! runs. Pure, so that the reconcile, admission, the planner and the command line ask the same.

pub mod sources;
pub mod stores;
