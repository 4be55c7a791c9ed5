//! Whether a contract may follow the ones before it.
//!
//! A contract is a promise, and `spec.compatibility` says to whom: to readers of the new contract, who meet records
//! that were written before (Backward), to readers of the old one, who meet records that are written from now on
//! (Forward), or to both (Full). The words are those of Confluent's registry; [`types`] says which types can be read
//! as which others, format by format.
//!
//! Two rules hold in every mode but None. A field never vanishes: readers here are queries and clients, and they
//! name their fields (docs/decisions/0011). And what decides where a record is (key, format) and when it was (event
//! time) never changes. One holds in every mode: no change makes records that can't be told from those of before and
//! mean something else.
//!
//! The mode is part of the promise: a change is judged by the one that the contract in force was accepted under, and
//! by the spec's ([`Rules`]).
//!
//! A change that is refused has a fingerprint ([`change`]). The annotation `headworks.dev/allow-breaking` with that
//! fingerprint permits just that change, once: from the contract in force to the one that was looked at. Fingerprints
//! that were used are kept with the contracts, and the same change has another one the next time.
//!
//! Pure: admission, the reconcile and the command line ask the same.

mod definitions;
mod fields;
mod refusal;
mod types;

use std::{collections::BTreeMap, fmt};

use headworks_crds::{ANNOTATION_ALLOW_BREAKING, Compatibility};
use headworks_plan::Contract;

pub(crate) use fields::changes;
pub use fields::{Column, columns};
pub use refusal::{LIST_MAX, MESSAGE_MAX, Refusal, refusal};

use crate::names::digest;

/// Something about a contract that its predecessors don't allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The field, dotted where it is one of a struct; empty where the contract as a whole is meant.
    pub field: String,
    /// What is wrong and the remedy.
    pub message: String,
}

/// A contract that was accepted, with its number.
#[derive(Clone, Copy, Debug)]
pub struct Earlier<'a> {
    /// Number, from 1.
    pub version: i32,
    /// The contract.
    pub contract: &'a Contract,
}

/// The modes that a change is judged by: both have to permit it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The one that the contract in force was accepted under, or that has been applied alone since.
    pub accepted: Compatibility,
    /// The spec's, which counts from the next contract on.
    pub wanted: Compatibility,
}

impl fmt::Display for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { accepted, wanted } = self;
        if accepted == wanted {
            write!(f, "{accepted:?}")
        } else {
            write!(f, "{accepted:?} and {wanted:?}")
        }
    }
}

impl Rules {
    /// Everything that keeps `new` from following the accepted contracts.
    pub fn faults(self, accepted: &[Earlier<'_>], new: &Contract) -> Vec<Fault> {
        let mut all = faults(self.accepted, accepted, new);
        if self.wanted != self.accepted {
            for fault in faults(self.wanted, accepted, new) {
                if !all.iter().any(|f| same(f, &fault)) {
                    all.push(fault);
                }
            }
        }
        all
    }
}

/// A field of a wrong type is told once, not once a direction. What is wrong with the whole contract may be several
/// things.
fn same(one: &Fault, other: &Fault) -> bool {
    one.field == other.field && (!one.field.is_empty() || one.message == other.message)
}

/// Everything that keeps `new` from following the accepted contracts, newest first. The last ten are kept, so
/// transitive modes look at those.
pub fn faults(rule: Compatibility, accepted: &[Earlier<'_>], new: &Contract) -> Vec<Fault> {
    let (backward, forward, transitive) = match rule {
        Compatibility::None => return indistinct(accepted, new),
        Compatibility::Backward => (true, false, false),
        Compatibility::BackwardTransitive => (true, false, true),
        Compatibility::Forward => (false, true, false),
        Compatibility::ForwardTransitive => (false, true, true),
        Compatibility::Full => (true, true, false),
        Compatibility::FullTransitive => (true, true, true),
    };
    let count = if transitive { accepted.len() } else { 1 };
    let mut all: Vec<Fault> = Vec::new();
    for (index, earlier) in accepted.iter().take(count).enumerate() {
        // The last contract is the one that everybody means; an older one is named.
        let whose = match index {
            0 => String::new(),
            _ => format!(" (contract {})", earlier.version),
        };
        let old = earlier.contract;
        let mut found = Vec::new();
        // What an older contract had and the last one hasn't was changed or taken away with permission.
        if index == 0 {
            found.extend(fields::fixed(old, new));
            found.extend(fields::gone(old, new));
        }
        if backward {
            found.extend(fields::unreadable_old(old, new));
        }
        if forward {
            found.extend(fields::unreadable_new(old, new));
        }
        for mut fault in found {
            if all.iter().any(|f| same(f, &fault)) {
                continue;
            }
            fault.message.push_str(&whose);
            all.push(fault);
        }
    }
    for fault in indistinct(accepted, new) {
        if !all.iter().any(|f| f.field == fault.field) {
            all.push(fault);
        }
    }
    all
}

/// What no mode lets pass: records that would be read as something else, and nobody would see it.
fn indistinct(accepted: &[Earlier<'_>], new: &Contract) -> Vec<Fault> {
    definitions::indistinct(accepted.iter().map(|earlier| earlier.contract), new)
}

/// Fields for which records that are in the topic already can't be read under the new contract. The engine reads
/// every record with the contract in force, so those records go to the dead letters, whatever `compatibility` says.
pub fn unreadable(old: &Contract, new: &Contract) -> Vec<String> {
    let mut fields: Vec<String> = fields::unreadable_old(old, new)
        .into_iter()
        .map(|fault| fault.field)
        .collect();
    fields.dedup();
    fields
}

/// What of a client's records the new contract refuses, where the client writes as the old one says.
pub fn refused_of_writers(old: &Contract, new: &Contract) -> Vec<Fault> {
    fields::unreadable_old(old, new)
}

/// What breaks a client that reads by the old contract: fields that are gone, and those that are something else now.
/// A wider type, or a null, it may or may not mind.
pub fn broken_for_readers(old: &Contract, new: &Contract) -> Vec<Fault> {
    let mut all = fields::gone(old, new);
    let other_way = fields::unreadable_old(old, new);
    for fault in fields::unreadable_new(old, new) {
        let both_ways = other_way.iter().any(|f| f.field == fault.field);
        if both_ways && !all.iter().any(|f| f.field == fault.field) {
            all.push(fault);
        }
    }
    all
}

/// The faults in one sentence.
pub fn said(faults: &[Fault]) -> String {
    let all: Vec<&str> = faults.iter().map(|f| f.message.as_str()).collect();
    all.join("; ")
}

/// Fingerprint of a change of one stream's contract: 16 hexadecimal digits over its name, both contracts' fingerprints
/// and, from the second time on, how often it was permitted before, so that it is never one of those that were `used`.
/// Equal in admission, in the reconcile and on the command line.
pub fn change((namespace, name): (&str, &str), old: &str, new: &str, used: &[String]) -> String {
    let mut text = format!("headworks.change/1\n{namespace}/{name}\n{old}\n{new}\n");
    loop {
        let print = digest(text.as_bytes())[..16].to_owned();
        if !used.contains(&print) {
            return print;
        }
        text.push_str("again\n");
    }
}

/// The change that an object's annotations permit, if any.
pub fn permitted(annotations: &BTreeMap<String, String>) -> Option<&str> {
    let given = annotations.get(ANNOTATION_ALLOW_BREAKING)?.trim();
    (!given.is_empty()).then_some(given)
}

/// The line that permits a change, as it is pasted under `metadata`.
pub fn annotation(change: &str) -> String {
    format!("annotations: {{{ANNOTATION_ALLOW_BREAKING}: \"{change}\"}}")
}

#[cfg(test)]
mod tests;
