//! A change that is refused: why, by which fingerprint it can be permitted, and the words for it.

use std::collections::BTreeMap;

use headworks_crds::Compatibility;
use headworks_plan::Contract;

use super::{Earlier, Fault, annotation, change, faults, permitted, said};
use crate::data_stream::contract::fingerprint;

/// Longest text of a refusal's list, in bytes: a terminal's page.
pub const LIST_MAX: usize = 2_000;

/// A change of a contract that its `compatibility` doesn't allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What is wrong, field by field.
    pub faults: Vec<Fault>,
    /// The change's fingerprint.
    pub change: String,
    /// Number of the contract in force.
    pub in_force: i32,
    /// True: the object's annotation permits just this change.
    pub permitted: bool,
}

/// Looks at one stream's change; nothing if the contract may follow. `accepted` is newest first; without any there is
/// no promise yet.
pub fn refusal(
    (namespace, name): (&str, &str),
    rule: Compatibility,
    annotations: &BTreeMap<String, String>,
    accepted: &[Earlier<'_>],
    new: &Contract,
) -> Option<Refusal> {
    let in_force = accepted.first()?;
    let (old, now) = (fingerprint(in_force.contract), fingerprint(new));
    if old == now {
        return None;
    }
    let faults = faults(rule, accepted, new);
    if faults.is_empty() {
        return None;
    }
    let change = change(namespace, name, &old, &now);
    Some(Refusal {
        permitted: permitted(annotations) == Some(change.as_str()),
        faults,
        change,
        in_force: in_force.version,
    })
}

impl Refusal {
    /// All that somebody in front of a terminal needs: the fields, who is hit, the ways on. `list` is the blast radius,
    /// a line each, bounded by the caller.
    pub fn message(&self, rule: Compatibility, list: &str) -> String {
        let list = if list.is_empty() {
            " ".to_owned()
        } else {
            format!("\n{}\n", list.trim_end())
        };
        format!(
            "spec: {}. Contract {} stays in force (compatibility: {rule:?}).{list}Undo the change, or make a new DataStream and copy the records with a Pipeline, or permit exactly this change with {}",
            said(&self.faults),
            self.in_force,
            annotation(&self.change)
        )
    }
}
