//! The contract that a spec asks for, complete, so that its fingerprint is the one it will be accepted under.

use headworks_crds::DataStreamSpec;
use headworks_plan::Contract;

use crate::data_stream::contract;

/// The contract that the spec of a stream describes, after `before`, the one in force, if there is one.
///
/// # Errors
/// What is wrong with the spec's fields, key, event time or definition, and where.
pub fn wanted(
    (_namespace, _name): (&str, &str),
    spec: &DataStreamSpec,
    _before: Option<&Contract>,
) -> Result<Contract, String> {
    let contract = contract::contract(spec);
    contract::check(&contract)?;
    Ok(contract)
}
