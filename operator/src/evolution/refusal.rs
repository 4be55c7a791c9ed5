//! A change that is refused: why, by which fingerprint it can be permitted, and the words for it.

use std::collections::BTreeMap;

use headworks_plan::Contract;

use super::{Earlier, Fault, Rules, annotation, change, permitted, said};
use crate::contract::fingerprint;

/// Longest list of what an accepted change alters, in bytes: a terminal's page.
pub const LIST_MAX: usize = 2_000;
/// Longest text of a refusal in the terminal, in bytes. A condition's is shorter.
pub const MESSAGE_MAX: usize = 3_500;
/// As much of a refusal may be faults.
const FAULTS_MAX: usize = 900;

/// A change of a contract that its `compatibility` doesn't allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What is wrong, field by field.
    pub faults: Vec<Fault>,
    /// The change's fingerprint.
    pub change: String,
    /// Number of the contract in force.
    pub in_force: i32,
    /// The modes it was judged by.
    pub rules: Rules,
    /// True: the object's annotation permits just this change.
    pub permitted: bool,
}

/// Looks at one stream's change; nothing if the contract may follow. `accepted` is newest first; without any there is
/// no promise yet. `used` are the fingerprints that have permitted a change of this stream.
pub fn refusal(
    name: (&str, &str),
    rules: Rules,
    annotations: &BTreeMap<String, String>,
    (accepted, used): (&[Earlier<'_>], &[String]),
    new: &Contract,
) -> Option<Refusal> {
    let in_force = accepted.first()?;
    let (old, now) = (fingerprint(in_force.contract), fingerprint(new));
    if old == now {
        return None;
    }
    let faults = rules.faults(accepted, new);
    if faults.is_empty() {
        return None;
    }
    let change = change(name, &old, &now, used);
    Some(Refusal {
        permitted: permitted(annotations) == Some(change.as_str()),
        faults,
        change,
        rules,
        in_force: in_force.version,
    })
}

fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let mut end = most;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{} …", &text[..end])
}

impl Refusal {
    /// All that somebody in front of a terminal needs, in at most `most` bytes: the fields, the ways on, who is hit.
    /// The ways on stand before what may be long. `list` gives the blast radius, a line each, in so many bytes.
    pub fn message(&self, most: usize, list: impl FnOnce(usize) -> String) -> String {
        let loosen = if self.rules.accepted == self.rules.wanted {
            ""
        } else {
            " (another spec.compatibility counts once status.contract.compatibility shows it: change it alone first)"
        };
        let head = format!(
            "spec: {}. Contract {} stays in force (compatibility: {}). Undo the change, or make a new DataStream and copy the records with a Pipeline, or permit exactly this change with {}{loosen}",
            cut(&said(&self.faults), FAULTS_MAX),
            self.in_force,
            self.rules,
            annotation(&self.change)
        );
        let list = list(most.saturating_sub(head.len() + 1));
        let list = list.trim_end();
        if list.is_empty() || head.len() + 1 + list.len() > most {
            return head;
        }
        format!("{head}\n{list}")
    }
}
