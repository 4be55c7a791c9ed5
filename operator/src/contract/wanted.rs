//! The contract that a spec asks for, complete, so that its fingerprint is the one it will be accepted under.

use headworks_crds::DataStreamSpec;
use headworks_plan::Contract;

use super::{check_at, definition, read_after};

/// The contract that the spec of a stream describes, after `before`, the one in force, if there is one.
///
/// # Errors
/// What is wrong with the spec's fields, key, event time or definition, and where.
pub fn wanted(
    (namespace, name): (&str, &str),
    spec: &DataStreamSpec,
    before: Option<&Contract>,
) -> Result<Contract, String> {
    let contract = read_after(spec, before).map_err(|fault| fault.to_string())?;
    check_at(&contract, definition::place(spec))?;
    definition::complete(contract, namespace, name, before).map_err(|fault| fault.to_string())
}
